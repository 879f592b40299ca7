"""What is measured, and of whom. Used by the report alone."""

import dataclasses

# The bare loops that are the limit of the machine, Chloe, and its peers; the
# peers are those with a script in benches/peers.
NAMES = {
    "chloe": "Chloe",
    "limit-one-write": "limit, one write a publication",
    "limit-coalesced": "limit, pending coalesced",
    "limit-one-write-same": "limit, one write, Chloe's bytes",
    "limit-coalesced-same": "limit, coalesced, Chloe's bytes",
    "limit-rolling-same": "limit, rolling, Chloe's bytes",
    "uws": "uWebSockets (in node)",
    "nats": "NATS",
    "nchan": "Nchan (in nginx, 1 worker)",
    "sockudo": "Sockudo",
    "ws": "ws (in node)",
    "mosquitto": "Mosquitto",
    "socketio": "Socket.IO (in node)",
    "pushpin": "Pushpin",
}

# Each with its mode, and whether its frames are as long as Chloe's, which bear more than the data.
# Chloe comes before them, so that it is known how long those are.
LIMITS = {
    "limit-one-write": ("one-write", False),
    "limit-coalesced": ("coalesced", False),
    "limit-one-write-same": ("one-write", True),
    "limit-coalesced-same": ("coalesced", True),
    "limit-rolling-same": ("rolling", True),
}

# A round of these takes as long as that of all others together, so they have one alone.
ONE_ROUND = ("pushpin",)


@dataclasses.dataclass(frozen=True)
class Case:
    """One row of measurements: a command of chloe-bench with its flags."""

    key: str
    title: str
    command: str
    flags: tuple
    # Of the seconds of a measurement, how many this one takes.
    share: float = 1.0
    # Who takes part; everybody if left out.
    servers: tuple = tuple(NAMES)
    transport: str = "ws"
    # Seconds; longer where little happens in each, so that node has compiled what it runs.
    warm_up: float = 0.5
    # Who is spoken to in another way than usual: {server: a name of chloe-bench}.
    peers: dict = dataclasses.field(default_factory=dict)
    # Left out by --quick.
    is_long: bool = False


# Where no frame is sent, or one, its length says nothing, nor how many go out together.
BARE = tuple(server for server in NAMES if not server.endswith("-same"))
# Where one publication is on its way at a time, there is nothing to coalesce.
SINGLE = tuple(server for server in NAMES if "coalesced" not in server and "rolling" not in server)
# Those that come near, where what is asked takes long or is of interest for few.
NEAR = ("uws", "nats", "nchan")

CASES = [
    Case(
        "fanout-1000-4",
        "1,000 WebSockets, 4 in flight",
        "fanout",
        ("--clients", "1000", "--in-flight", "4"),
    ),
    Case(
        "fanout-10000-4",
        "10,000 WebSockets, 4 in flight",
        "fanout",
        ("--clients", "10000", "--in-flight", "4"),
        # One publication to all takes some of them half a second.
        share=1.25,
        is_long=True,
    ),
    Case(
        "fanout-1000-32",
        "1,000 WebSockets, 32 in flight",
        "fanout",
        ("--clients", "1000", "--in-flight", "32"),
    ),
    Case(
        "single-1000",
        "1,000 WebSockets, one publication at a time",
        "fanout",
        ("--clients", "1000", "--in-flight", "1", "--finished", "delivered"),
        servers=SINGLE,
    ),
    Case(
        "delivered-1000-4",
        "1,000 WebSockets, 4 in flight until delivered",
        "fanout",
        ("--clients", "1000", "--in-flight", "4", "--finished", "delivered"),
        servers=("chloe", "limit-one-write-same", "limit-coalesced-same", "limit-rolling-same", *NEAR),
    ),
    Case(
        "beside-900-4",
        "900 WebSockets, 4 in flight",
        "fanout",
        ("--clients", "900", "--in-flight", "4"),
        servers=("chloe", *NEAR),
    ),
    Case(
        "stalled-1000-4",
        "1,000 WebSockets, 4 in flight, 100 that read nothing",
        "fanout",
        ("--clients", "1000", "--in-flight", "4", "--stalled", "100"),
        servers=("chloe", *NEAR),
    ),
    Case(
        "latency",
        "1,000 WebSockets, 20 publications a second",
        "latency",
        ("--clients", "1000", "--rate", "20"),
        servers=SINGLE,
        warm_up=1,
    ),
    Case(
        "connect-10000",
        "accept and upgrade",
        "idle",
        ("--clients", "10000"),
        # Nobody subscribes by a message here, so that all do the same.
        share=0.1,
        servers=("chloe", "limit-one-write", "uws", "nchan"),
        peers={"chloe": "chloe-upgrade"},
        is_long=True,
    ),
    Case("publish-0", "no subscriber, 1 in flight", "publish", ("--clients", "0"), 0.5, BARE, warm_up=1),
    Case("publish-1", "1 subscriber, 1 in flight", "publish", ("--clients", "1"), 0.5, BARE, warm_up=1),
    Case(
        "publish-0-16",
        "no subscriber, 16 pipelined",
        "publish",
        ("--clients", "0", "--pipeline", "16"),
        0.5,
        BARE,
        warm_up=1,
    ),
    Case(
        "publish-0-asleep",
        "no subscriber, 16 pipelined, 10,000 sessions asleep",
        "publish",
        ("--clients", "0", "--pipeline", "16", "--sleeping", "10000"),
        0.5,
        servers=("chloe",),
        warm_up=1,
        is_long=True,
    ),
    Case(
        "poll-1000-4",
        "1,000 sessions by long-polling, 4 in flight",
        "fanout",
        ("--clients", "1000", "--in-flight", "4"),
        servers=("chloe", "nchan"),
        transport="poll",
    ),
    Case(
        "poll-10000-4",
        "10,000 sessions by long-polling, 4 in flight",
        "fanout",
        ("--clients", "10000", "--in-flight", "4"),
        share=1.25,
        servers=("chloe", "nchan"),
        transport="poll",
        is_long=True,
    ),
    Case(
        "poll-single-1000",
        "1,000 sessions by long-polling, one publication at a time",
        "fanout",
        ("--clients", "1000", "--in-flight", "1", "--finished", "delivered"),
        servers=("chloe", "nchan"),
        transport="poll",
    ),
]

BY_KEY = {case.key: case for case in CASES}
