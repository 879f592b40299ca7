"""Draws docs/benchmarks.svg: two rows of bars, no library. Used by the report alone.

The colours are given twice, for light and for dark pages, and the picture brings its own ground, so
that it can be read on either.
"""

import math
from xml.sax.saxutils import escape

WIDTH = 880
MARGIN = 28
LABEL_WIDTH = 190
# Room right of the longest bar for its figure.
VALUE_WIDTH = 150
ROW = 26
BAR = 16

STYLE = """
  .ground { fill: #ffffff; stroke: #d0d7de; }
  text { font: 13px system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif; fill: #1f2328; }
  .title { font-size: 16px; font-weight: 600; }
  .small { font-size: 12px; fill: #59636e; }
  .name { text-anchor: end; }
  .ours { font-weight: 700; }
  .bar { fill: #8c959f; }
  .bar.ours { fill: #d4500c; }
  .bar.limit { fill: none; stroke: #59636e; stroke-dasharray: 4 3; }
  .grid { stroke: #e4e8ec; }
  .axis { stroke: #8c959f; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117; stroke: #3d444d; }
    text { fill: #f0f6fc; }
    .small { fill: #9198a1; }
    .bar { fill: #656c76; }
    .bar.ours { fill: #ff8a3d; }
    .bar.limit { stroke: #9198a1; }
    .grid { stroke: #21262d; }
    .axis { stroke: #656c76; }
  }
"""


class Panel:
    """One row of bars. `rows` are (name, value, kind), kind being "ours", "limit" or ""."""

    def __init__(self, title, note, rows, written, logarithmic=False):
        self.title, self.note, self.rows, self.written = title, note, rows, written
        self.logarithmic = logarithmic

    def height(self):
        """What it takes, its heading and its axis included."""
        return 58 + ROW * len(self.rows) + (24 if self.logarithmic else 6)


def draw(panels, footnote):
    """The whole picture, as SVG."""
    height = MARGIN + sum(panel.height() + 22 for panel in panels) + 18
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="what">',
        f'<title id="what">{escape("; ".join(panel.title for panel in panels))}</title>',
        f"<style>{STYLE}</style>",
        f'<rect class="ground" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
    ]
    top = MARGIN
    for panel in panels:
        parts += _panel(panel, top)
        top += panel.height() + 22
    parts.append(_text(MARGIN, height - 16, "small", footnote))
    return "\n".join(parts + ["</svg>", ""])


def _panel(panel, top):
    parts = [
        _text(MARGIN, top + 14, "title", panel.title),
        _text(MARGIN, top + 34, "small", panel.note),
    ]
    left, first = MARGIN + LABEL_WIDTH, top + 48
    bottom = first + ROW * len(panel.rows)
    scale = _scale(panel, WIDTH - left - VALUE_WIDTH - MARGIN)
    if panel.logarithmic:
        parts += _grid(panel, left, first, bottom, scale)
    for number, (name, value, kind) in enumerate(panel.rows):
        y = first + ROW * number
        middle = y + ROW / 2 + 4.5
        length = max(scale(value), 2)
        parts.append(_text(left - 10, middle, f"name {kind}".strip(), name))
        parts.append(
            f'<rect class="bar {kind}" x="{left}" y="{y + (ROW - BAR) / 2:g}" '
            f'width="{length:.1f}" height="{BAR}" rx="2"/>'
        )
        parts.append(_text(left + length + 8, middle, kind if kind == "ours" else "", panel.written(value)))
    parts.append(f'<line class="axis" x1="{left}" y1="{first}" x2="{left}" y2="{bottom}"/>')
    return parts


def _scale(panel, width):
    most = max(value for _, value, _ in panel.rows)
    if not panel.logarithmic:
        return lambda value: width * value / most
    floor = _floor(panel)
    return lambda value: width * math.log(max(value, floor) / floor) / math.log(most / floor)


def _floor(panel):
    """The power of ten below the least value."""
    return 10 ** math.floor(math.log10(min(value for _, value, _ in panel.rows)))


def _grid(panel, left, first, bottom, scale):
    parts, power = [], _floor(panel)
    most = max(value for _, value, _ in panel.rows)
    while power <= most:
        x = left + scale(power)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{first}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(
            f'<text class="small" x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">'
            f"{escape(panel.written(power))}</text>"
        )
        power *= 10
    return parts


def _text(x, y, style, text):
    style = f' class="{style}"' if style else ""
    return f'<text{style} x="{x:g}" y="{y:g}">{escape(text)}</text>'
