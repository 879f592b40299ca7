"""A complete app for Chloe. Run it with:  python3 app.py

It serves a page, takes what browsers send, and answers through POST /send.
"""
import base64
import hmac
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlencode
from urllib.request import Request, urlopen

CHLOE = "http://localhost:" + os.environ.get("CHLOE_PORT", "8901")
SECRET = os.environ.get("CHLOE_SECRET", "")  # the same as `secret` in chloe.toml

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Chloe and Python</title>
<input id="line" placeholder="Say something" autofocus>
<pre id="log"></pre>
<script src="%s/chloe.js"></script>
<script>
  var chloe = new Chloe(), line = document.getElementById("line");
  function show(text) { document.getElementById("log").append(text + "\\n"); }
  chloe.onmessage(show);
  chloe.connect(function () { chloe.subscribe("room", show); });
  line.onchange = function () { chloe.send(line.value); line.value = ""; };
</script>
""" % CHLOE


def genuine(method: str, target: str, headers, body: bytes) -> bool:
    """Whether Chloe sent the request, within the last five minutes."""
    lines = ["chloe1", "to-app", headers.get("webhook-id", ""),
             headers.get("webhook-timestamp", ""), method, target]
    lines += [headers.get("X-Chloe-" + name, "") for name in ("Session", "User", "Channel")]
    signed = "".join(line + "\n" for line in lines).encode() + body
    expected = b"chloe1," + base64.b64encode(hmac.digest(SECRET.encode(), signed, "sha256"))
    given = headers.get("webhook-signature", "").encode().split()
    at = lines[3] if lines[3].isdecimal() else "0"
    return abs(time.time() - int(at)) <= 300 and any(
        hmac.compare_digest(expected, one) for one in given)


def publish(data: str, **to: str) -> None:
    """Sends data to one browser (session=...) or to a channel (channel=...)."""
    headers = {"Authorization": "Bearer " + SECRET} if SECRET else {}
    form = urlencode({"data": data, **to}).encode()
    urlopen(Request(CHLOE + "/send", form, headers)).close()


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # Chloe keeps its connections open

    def do_GET(self) -> None:
        self.answer(200, PAGE.encode())

    def do_POST(self) -> None:
        said = self.rfile.read(int(self.headers["Content-Length"]))
        if SECRET and not genuine(self.command, self.path, self.headers, said):
            return self.answer(401)  # it was not Chloe who called
        publish("You said: " + said.decode(), session=self.headers["X-Chloe-Session"])
        publish("Someone said: " + said.decode(), channel="room")
        self.answer(200)

    def answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("localhost", int(os.environ.get("APP_PORT", "4567"))), App).serve_forever()
