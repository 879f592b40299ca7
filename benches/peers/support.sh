# What the peers' scripts share; each sources it, nobody runs it.
#
# A peer's script prepares a folder, starts its server, waits until it listens,
# and then prints exactly these lines on standard output:
#
#   pid PID        one line for each process whose time and memory count
#   url NAME URL   one line for each way in: ws, publish, sse, poll, tcp
#   version TEXT
#   ready
#
# It then stays in the foreground for as long as the server runs. It ends when
# it is told to (SIGTERM, SIGINT) and when its parent dies, and takes with it
# all that it started.

set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

# Where benches/peers/install puts what no system folder takes.
installed="${CHLOE_PEERS_DIR:-$here/../../target/peers}"

# The kernel ends us when our parent dies. It forgets that only over setuid.
if [ -z "${PEER_SUPERVISED:-}" ]; then
    export PEER_SUPERVISED=1
    exec setpriv --pdeathsig TERM -- bash "$0" "$@"
fi

# As many connections as the system allows.
ulimit -n "$(ulimit -Hn)"

work="$(mktemp -d "${TMPDIR:-/tmp}/chloe-peer.XXXXXX")"
started=()

# Ends what was started; what is not gone after 3 s is killed.
finish() {
    trap '' TERM INT
    trap - EXIT
    local all try
    all="$(tell_pids "${started[@]}" | cut -d' ' -f2)"
    [ ${#started[@]} = 0 ] || kill "${started[@]}" 2> /dev/null || true
    for try in $(seq 60); do
        # shellcheck disable=SC2086
        kill -0 $all 2> /dev/null || break
        sleep 0.05
    done
    # shellcheck disable=SC2086
    [ -z "$all" ] || kill -KILL $all 2> /dev/null || true
    wait 2> /dev/null || true
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

fail() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

need() {
    command -v "$1" > /dev/null || fail "$1 is not here: benches/peers/install brings it"
}

# A port that nobody has at this moment, different at each call.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# start COMMAND...: runs it in the background, to be ended with us. What it
# prints goes to standard error, since standard output is for our own lines.
start() {
    setpriv --pdeathsig TERM -- "$@" < /dev/null 1>&2 &
    started+=($!)
}

# wait_for_port PORT: until something listens there; 15 s at most.
wait_for_port() {
    local try
    for try in $(seq 300); do
        if (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; then return; fi
        kill -0 "${started[@]}" 2> /dev/null || fail "the server ended at once"
        sleep 0.05
    done
    fail "nothing listens on port $1"
}

# wait_for_upgrade PORT PATH: until a WebSocket is let in there; 15 s at most.
# For a server of several processes, of which one listens before the others are up.
wait_for_upgrade() {
    local try line
    for try in $(seq 150); do
        line="$(
            exec 3<> "/dev/tcp/127.0.0.1/$1"
            printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' "$2" >&3
            printf 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n' >&3
            read -r -t 2 line <&3 && echo "$line"
        )" 2> /dev/null || true
        case $line in "HTTP/1.1 101"*) return ;; esac
        sleep 0.1
    done
    fail "no WebSocket is let in on port $1"
}

# tell_pids PID...: these and their children count as the server.
tell_pids() {
    local pid
    for pid in "$@"; do
        echo "pid $pid"
        # shellcheck disable=SC2046
        tell_pids $(cat "/proc/$pid/task/$pid/children" 2> /dev/null)
    done
}

tell() { echo "$@"; }

# The last line; then for as long as the server lives.
serve() {
    echo ready
    wait -n "${started[@]}" || true
    fail "a server process ended"
}

# serve_by_node NAME: node/NAME.mjs is the server; it prints the url and
# version lines itself once it listens.
serve_by_node() {
    need node
    [ -d "$here/node/node_modules" ] || fail "no node_modules: benches/peers/install brings it"
    mkfifo "$work/lines"
    setpriv --pdeathsig TERM -- node "$here/node/$1.mjs" < /dev/null > "$work/lines" &
    started+=($!)
    local line
    while read -r line && [ "$line" != ready ]; do echo "$line"; done < "$work/lines"
    [ "$line" = ready ] || fail "the server did not start"
    tell_pids "${started[0]}"
    serve
}
