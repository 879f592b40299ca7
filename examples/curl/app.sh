#!/bin/sh
# Publishes from the shell. Run it with:  sh app.sh [CHANNEL] [TEXT]
# With CHLOE_SECRET set (the same as `secret` in chloe.toml) it shows each way to sign.
set -eu

chloe="http://localhost:${CHLOE_PORT:-8901}"
secret="${CHLOE_SECRET:-}"
channel="${1:-room}"
data="${2:-Hello from the shell}"

if [ -z "$secret" ]; then
    # Without a secret Chloe takes this from its own machine only.
    curl --fail-with-body -sS "$chloe/send" \
        --data-urlencode "channel=$channel" --data-urlencode "data=$data"
    echo
    exit
fi

# The secret is never an argument of a program, where every user of this machine
# could read it: printf is part of the shell.

# 1. The secret itself, where nobody else can read along.
printf 'Authorization: Bearer %s' "$secret" |
    curl --fail-with-body -sS "$chloe/send" -H @- \
        --data-urlencode "channel=$channel" --data-urlencode "data=$data"
echo

# 2. A signature, chloe1: HMAC-SHA256 of direction, id, time, method, path, three
#    headers that are not sent here, and the body. It cannot be used for anything
#    else, nor later. `chloe send` signs so by itself.
hex() { od -An -v -tx1 | tr -d ' \n'; }
bytes() { while read -r byte; do printf "\\$(printf %03o "0x$byte")"; done; }
pad() { # the key as 64 bytes, each combined with $1
    key=$(printf '%s' "$secret" | hex)
    [ ${#key} -le 128 ] || key=$(printf '%s' "$secret" | sha256sum | cut -c 1-64)
    printf '%-128s' "$key" | tr ' ' 0 | fold -w 2 | while read -r byte || [ -n "$byte" ]; do
        printf '%02x\n' $((0x$byte ^ $1))
    done | bytes
}
hmac() { # of standard input, in base64
    { pad 0x5c; { pad 0x36; cat; } | sha256sum | cut -c 1-64 | fold -w 2 | bytes; } |
        sha256sum | cut -c 1-64 | fold -w 2 | bytes | base64
}
encode() { printf '%s' "$1" | hex | sed 's/../%&/g'; }
id="app_$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
now=$(date +%s)
body="channel=$(encode "$channel")&data=$(encode "$data")"
signature=$(printf '%s\n' chloe1 to-chloe "$id" "$now" POST /send "" "" "" |
    { cat; printf '%s' "$body"; } | hmac)
curl --fail-with-body -sS "$chloe/send" --data "$body" \
    -H "webhook-id: $id" -H "webhook-timestamp: $now" -H "webhook-signature: chloe1,$signature"
echo
