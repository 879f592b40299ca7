"""Writes the generated part of docs/benchmarks.md, and docs/benchmarks.svg. Used by the report alone."""

import figures
import machine
import picture
import tables
from cases import BY_KEY, LIMITS, NAMES, ONE_ROUND

BEGIN = "<!-- begin: written by benches/report -->"
END = "<!-- end: written by benches/report -->"

FANOUT = ["fanout-1000-4", "fanout-10000-4", "fanout-1000-32"]
DELIVERED = ["single-1000", "delivered-1000-4"]
STALLED, WITHOUT = "stalled-1000-4", "beside-900-4"
PUBLISHING = ["publish-0", "publish-1", "publish-0-16", "publish-0-asleep"]
OTHER_TRANSPORTS = ["poll-1000-4", "poll-10000-4", "poll-single-1000"]


def write(root, results):
    """The document and its pictures; what stands outside of the marks stays as it is."""
    path = root / "docs" / "benchmarks.md"
    text = path.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"docs/benchmarks.md has no line '{BEGIN}' with '{END}' behind it")
    part = "\n".join(generated(results)).strip()
    path.write_text(f"{before}{BEGIN}\n\n{part}\n\n{END}{after}")
    for name, drawn in draw(results).items():
        (root / "docs" / name).write_text(drawn)


def generated(results):
    lines = heading(results)
    lines += ["### In short", "", SHORT, ""] + tables.summary(results)
    lines += ["### Saturated fan-out", "", FAN_OUT, ""]
    for case in FANOUT:
        lines += tables.fanout(results, case)
    lines += ["### Nothing to coalesce", "", SINGLE, ""]
    for case in DELIVERED:
        lines += tables.fanout(results, case)
    parts = [
        ("Readers that read nothing", STALL, tables.stalled(results, STALLED, WITHOUT)),
        ("Latency", LATENCY, tables.latency(results)),
        ("Publishing", PUBLISH, tables.publishing(results, PUBLISHING)),
        ("Connecting", CONNECT, tables.connecting(results, "connect-10000")),
        ("Long-polling", POLLS, [line for case in OTHER_TRANSPORTS for line in tables.fanout(results, case)]),
    ]
    for title, text, rows in parts:
        if rows:
            lines += [f"### {title}", "", text, "", *rows]
    return lines + left_out(results)


SHORT = """\
Microseconds of the server's CPU time, user and system, for each delivery; in brackets, how many
times Chloe's. Memory is that of the server, from before to after 10,000 WebSockets were connected
and subscribed, and so without the kernel's part; pages that several processes share are divided
among them."""

FAN_OUT = """\
A closed loop: a publication is finished when the server has answered it, and then the next one is sent.
So a server that answers before its readers have everything has more to write at once. That is Chloe's lead: it
looks for publications after every 64 writes, and what has come goes out with those that are on their way, in
one write to each reader. The busier it is, the cheaper each delivery.

The *limit* is a bare loop that writes a prepared frame to each WebSocket: once for each publication
(*one write*), or once for all that is pending when a round begins (*coalesced*), or as Chloe does it, with a look
after every 64 writes (*rolling*). The first two are there with frames that hold the data and nothing else, 132
bytes, and with frames as long as Chloe's, which bear the channel and the offset too; the last one as long as
Chloe's alone. Each share is of the same round. Lost, doubled and disordered deliveries are summed over all
rounds, the warm-up included."""

SINGLE = """\
Here the next publication is sent when every reader has the one before, so that no server can save a
write by answering early: one write for each reader and publication is what there is to do. With 4 in flight there is a
little to coalesce."""

STALL = """\
A tenth of the readers subscribe and then read nothing. What the other 900 cost, beside 900 alone, which were
measured just before."""

LATENCY = """\
From before the publication is sent to when the reader has it; in brackets, how many times Chloe's."""

PUBLISH = """\
A closed loop again, over kept connections; finished is what is answered. Mosquitto and NATS take
publications over TCP in their own protocols, all others by HTTP. Pushpin and Sockudo take one over each
connection, which they close. Asleep are sessions that were opened by a request and left."""

CONNECT = """\
To accept a connection and answer its upgrade, and no more: nobody subscribes by a message of its own, as the first
table's readers of Chloe do, which is a read and a write more."""

POLLS = """\
Nchan is the one peer that has it. It answers each poll with one publication, by its protocol; Chloe with
all that wait, so under load it answers fewer. One at a time both answer the same polls. (Nchan has
server-sent events as well; Chloe does not, yet.)"""


def heading(results):
    facts = results.machine
    if not facts:
        return []
    rounds, kernel = results.rounds(), facts["kernel"]
    versions = results.versions()
    named = [f"{NAMES[name]}: {versions[name]}" for name in NAMES if name in versions and name not in LIMITS]
    alone = [NAMES[name] for name in ONE_ROUND if name in versions]
    lines = [
        "![Deliveries for each second of CPU time, and memory for each WebSocket](benchmarks.svg)",
        "",
        f"- **Machine**: {facts['cores']} cores of {facts['processor']}; {facts['memory_gib']} GB; "
        f"{facts['system']}; {facts['open_files']} open files a process.",
        f"- **Rounds**: {rounds}, medians of them" + (f"; {', '.join(alone)} had one." if alone and rounds > 1 else "."),
        f"- **Chloe**: commit {facts['commit']}, {facts['rustc']}, release profile, defaults of `etc/chloe.toml`.",
        f"- **Versions**: {'; '.join(named)}.",
        "",
        "| setting of the kernel | value | what it decides |",
        "|---|---|---|",
    ]
    for path, meaning in machine.KERNEL.items():
        name = path.replace("/", ".")
        lines.append(f"| `{name}` | {kernel.get(name, 'unknown')} | {meaning} |")
    return lines + [""]


def left_out(results):
    """Who has no figure for something, and why."""
    failures = {server: of for server, of in results.failures().items() if server in NAMES}
    # The same word for every case is said once.
    said = []
    for server, of in failures.items():
        of = {case: why for case, why in of.items() if server not in results.servers(case)}
        if not of:
            continue
        reasons = set(of.values())
        if len(reasons) == 1 and len(of) > 1:
            said.append(f"- {NAMES[server]}: {reasons.pop()}")
        else:
            said += [f"- {NAMES[server]}, {BY_KEY[case].title}: {why}" for case, why in of.items()]
    present = {record["server"] for record in results.records}
    said += [f"- {NAMES[server]}: not measured" for server in NAMES if server not in present]
    return ["### Left out", "", *said, ""] if said else []


PICTURED = "fanout-1000-4"


def draw(results):
    """The pictures, by file: all of it, and what the README shows. Nothing, if there is nothing to draw."""
    many = bool(results.servers(tables.CONNECTED))
    speed = bars(results, PICTURED, figures.deliveries_a_cpu_second, ["limit-rolling-same"])
    memory = bars(results, tables.CONNECTED if many else PICTURED, figures.memory_each, [])
    if not speed or not memory:
        return {}
    speed.sort(key=lambda row: (row[2] != "limit", -row[1]))
    memory.sort(key=lambda row: row[1])
    panels = [
        picture.Panel(
            "Deliveries for each second of the server's CPU time",
            "1,000 WebSockets on one channel, 128 bytes a publication, 4 publications in flight. More is better.",
            speed,
            lambda value: tables.number(value, 3),
        ),
        picture.Panel(
            "Memory for each idle WebSocket",
            f"{'10,000' if many else '1,000'} of them, without the kernel's part. Each line is ten times the one before. Less is better.",
            memory,
            lambda value: f"{tables.number(value, 3)} B",
            logarithmic=True,
        ),
    ]
    rounds = results.rounds()
    medians = f"Medians of {rounds} rounds" if rounds > 1 else "One round"
    note = f"{medians} on one machine. docs/benchmarks.md has all figures, and the command."
    return {
        "benchmarks.svg": picture.draw(panels, note),
        "fanout.svg": picture.draw(panels[:1], note),
    }


def bars(results, case, figure, limits):
    rows = []
    for server, name in NAMES.items():
        value = results.median(case, server, figure)
        if not value or (server in LIMITS and server not in limits):
            continue
        kind = "ours" if server == "chloe" else "limit" if server in LIMITS else ""
        rows.append((name if not kind == "limit" else "limit of the kernel", value, kind))
    return rows
