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

# 1. The signature of old: md5 of the data with the secret behind it.
sig=$(printf '%s' "$data$secret" | md5sum | cut -d ' ' -f 1)
curl --fail-with-body -sS "$chloe/send" \
    --data-urlencode "channel=$channel" --data-urlencode "data=$data" -d "sig=$sig"
echo

# 2. The secret itself, where nobody else can read along.
curl --fail-with-body -sS "$chloe/send" -H "Authorization: Bearer $secret" \
    --data-urlencode "channel=$channel" --data-urlencode "data=$data"
echo

# 3. Standard Webhooks: HMAC-SHA256 of id, time and body, so that nothing can be
#    replayed later. The body is signed as it goes over the wire.
encode() { printf '%s' "$1" | od -An -v -tx1 | tr -d '\n' | tr ' ' '%'; }
id="msg_$(openssl rand -hex 12)"
now=$(date +%s)
body="channel=$(encode "$channel")&data=$(encode "$data")"
hmac=$(printf '%s' "$id.$now.$body" | openssl dgst -sha256 -hmac "$secret" -binary | base64)
curl --fail-with-body -sS "$chloe/send" --data "$body" \
    -H "webhook-id: $id" -H "webhook-timestamp: $now" -H "webhook-signature: v1,$hmac"
echo
