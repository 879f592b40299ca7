"""The tables of docs/benchmarks.md, as Markdown. Used by the report alone."""

import figures
from cases import BY_KEY, LIMITS, NAMES

NOTHING = "–"


def number(value, digits=2):
    """With so many significant digits, and commas."""
    if value is None:
        return NOTHING
    if value == 0:
        return "0"
    shown = float(f"{value:.{digits}g}")
    if abs(shown) >= 10 ** (digits - 1):
        return f"{shown:,.0f}"
    return f"{shown:,.{digits}g}"


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows] + [""]


def named(server):
    """Chloe in bold, limits in italics."""
    name = NAMES[server]
    if server == "chloe":
        return f"**{name}**"
    return f"*{name}*" if server in LIMITS else name


def times(results, case, server, figure):
    """`(4.3×)`: how many times Chloe's figure it is."""
    if server == "chloe":
        return ""
    ratio = results.ratio(case, server, "chloe", figure)
    return f" ({number(ratio)}×)" if ratio else ""


def order(results, case, figure, rising=True):
    """The limits first, the rest from the best to the worst."""
    present = results.servers(case)
    limits = [server for server in LIMITS if server in present]
    rest = [server for server in present if server not in LIMITS]
    missing = float("inf") if rising else float("-inf")

    def key(server):
        value = results.median(case, server, figure)
        return missing if value is None else value

    return limits + sorted(rest, key=key, reverse=not rising)


SUMMARY = ["fanout-1000-4", "fanout-10000-4", "fanout-1000-32", "single-1000"]
LIMIT_HEADS = {
    "limit-one-write": "of the limit, one write",
    "limit-coalesced": "of the limit, coalesced",
    "limit-rolling": "of the limit, rolling",
}
# Where memory and the CPU of connecting are read.
CONNECTED = "fanout-10000-4"


def summary(results):
    """The cost of everything, a server a row."""
    heads = ["server"] + [BY_KEY[case].title for case in SUMMARY]
    heads += ["memory of a WebSocket, B", "empty server, MiB", "connecting one, µs"]
    lead = next((case for case in SUMMARY if results.servers(case)), None)
    rows = []
    for server in order(results, lead, figures.us_a_delivery) if lead else []:
        row = [named(server)]
        for case in SUMMARY:
            value = results.median(case, server, figures.us_a_delivery)
            ratio = times(results, case, server, figures.us_a_delivery) if value else ""
            row.append(number(value) + ratio)
        each = results.median(CONNECTED, server, figures.memory_each)
        row.append(number(each, 3) + (times(results, CONNECTED, server, figures.memory_each) if each else ""))
        row.append(number(results.median(CONNECTED, server, figures.memory_empty_mib)))
        row.append(number(results.median(CONNECTED, server, figures.connect_us)))
        rows.append(row)
    return table(heads, rows) if rows else []


def fanout(results, case):
    """One case of fan-out, with what it is worth beside the limits, if there are any."""
    present = results.servers(case)
    limits = [limit for limit in LIMIT_HEADS if limit in present or f"{limit}-same" in present]
    rows = []
    for server in order(results, case, figures.us_a_delivery):
        rows.append(
            [
                named(server),
                number(results.median(case, server, figures.deliveries_a_cpu_second), 3),
                *[share(results, case, server, limit) for limit in limits],
                number(results.median(case, server, figures.user_us_a_delivery)),
                number(results.median(case, server, figures.deliveries_a_second), 3),
                number(results.median(case, server, figures.p50_ms)),
                number(results.median(case, server, figures.p99_ms)),
                faults(results, case, server),
            ]
        )
    heads = [BY_KEY[case].title, "deliveries a CPU second", *[LIMIT_HEADS[limit] for limit in limits]]
    heads += ["of it user, µs", "deliveries/s", "p50, ms", "p99, ms", "lost, doubled, disordered"]
    return table(heads, rows) if rows else []


def stalled(results, case, without):
    """A case with readers that read nothing, beside the same one without them."""
    heads = [BY_KEY[case].title, "µs of CPU a delivery to the others", "times that without", "p50, ms", "p99, ms"]
    rows = []
    for server in order(results, case, figures.us_a_delivery):
        ratio = results.ratio(case, server, server, figures.us_a_delivery, beside=without)
        rows.append(
            [
                named(server),
                number(results.median(case, server, figures.us_a_delivery)),
                number(ratio) + "×" if ratio else NOTHING,
                number(results.median(case, server, figures.p50_ms)),
                number(results.median(case, server, figures.p99_ms)),
                faults(results, case, server),
            ]
        )
    return table([*heads, "lost, doubled, disordered"], rows) if rows else []


def connecting(results, case):
    """What it takes to let a WebSocket in."""
    heads = [f"{BY_KEY[case].title}, each of 10,000", "µs of CPU", "of it user, µs"]
    rows = []
    for server in order(results, case, figures.connect_us):
        cost = number(results.median(case, server, figures.connect_us))
        row = [named(server), cost + times(results, case, server, figures.connect_us)]
        rows.append([*row, number(results.median(case, server, figures.connect_user_us))])
    return table(heads, rows) if rows else []


def latency(results, case="latency"):
    heads = [BY_KEY[case].title, "p50, ms", "p99, ms", "p99.9, ms", "most, ms", "µs of CPU a delivery"]
    rows = []
    for server in order(results, case, figures.p50_ms):
        shown = [figures.p50_ms, figures.p99_ms, figures.p999_ms, figures.most_ms]
        cells = [number(results.median(case, server, figure)) for figure in shown]
        for place in (0, 1):
            cells[place] += times(results, case, server, shown[place])
        cells.append(number(results.median(case, server, figures.us_a_delivery)))
        rows.append([named(server), *cells])
    return table(heads, rows) if rows else []


def publishing(results, cases):
    heads = ["µs of CPU a publication"]
    for case in cases:
        heads += [BY_KEY[case].title, "a second"]
    rows = []
    for server in order(results, cases[0], figures.us_a_publication):
        row = [named(server)]
        for case in cases:
            value = results.median(case, server, figures.us_a_publication)
            ratio = times(results, case, server, figures.us_a_publication) if value else ""
            lost = faults(results, case, server)
            row += [number(value) + ratio + ("" if lost == "0" else f"; lost, doubled, disordered: {lost}")]
            row += [number(results.median(case, server, figures.publications_a_second), 3)]
        rows.append(row)
    return table(heads, rows) if rows else []


def share(results, case, server, limit):
    """What part of the limit's deliveries a CPU second it makes; Chloe also beside the limit with frames as long."""

    def percent(of):
        ratio = results.ratio(case, server, of, figures.deliveries_a_cpu_second)
        return NOTHING if ratio is None else f"{100 * ratio:.0f}%"

    plain, same = percent(limit), percent(f"{limit}-same")
    if NOTHING in (plain, same) or server != "chloe":
        return same if plain == NOTHING else plain
    return f"{plain}; same bytes {same}"


def faults(results, case, server):
    """`0`, or the sums of each over all rounds."""
    sums = [
        sum(results.values(case, server, figure).values())
        for figure in (figures.lost, figures.doubled, figures.disordered)
    ]
    return "0" if not any(sums) else ", ".join(f"{count:,.0f}" for count in sums)
