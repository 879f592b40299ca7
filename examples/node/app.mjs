// A complete app for Chloe. Run it with:  node app.mjs
// It serves a page, takes what browsers send, and answers through POST /send.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const chloe = `http://localhost:${process.env.CHLOE_PORT ?? 8901}`;
const secret = process.env.CHLOE_SECRET ?? ""; // the same as `secret` in chloe.toml

const page = `<!doctype html>
<meta charset="utf-8">
<title>Chloe and Node</title>
<input id="line" placeholder="Say something" autofocus>
<pre id="log"></pre>
<script src="${chloe}/chloe.js"></script>
<script>
  var chloe = new Chloe(), line = document.getElementById("line");
  function show(text) { document.getElementById("log").append(text + "\\n"); }
  chloe.onmessage(show);
  chloe.connect(function () { chloe.subscribe("room", show); });
  line.onchange = function () { chloe.send(line.value); line.value = ""; };
</script>
`;

// Whether Chloe sent the request, within the last five minutes.
function genuine({ method, url, headers }, body) {
  const { "webhook-id": id, "webhook-timestamp": at, "webhook-signature": signatures = "" } = headers;
  const names = ["x-chloe-session", "x-chloe-user", "x-chloe-channel"];
  const lines = ["chloe1", "to-app", id, at, method, url, ...names.map((name) => headers[name] ?? "")];
  const hmac = createHmac("sha256", secret).update(lines.map((line) => line + "\n").join("")).update(body);
  const expected = Buffer.from("chloe1," + hmac.digest("base64"));
  const equals = (given) => given.length === expected.length && timingSafeEqual(given, expected);
  const recent = Math.abs(Date.now() / 1000 - at) <= 300;
  return recent && signatures.split(" ").some((given) => equals(Buffer.from(given)));
}

// Sends data to one browser, { session }, or to a channel, { channel }.
async function publish(data, to) {
  const headers = secret ? { Authorization: `Bearer ${secret}` } : {};
  await fetch(`${chloe}/send`, { method: "POST", headers, body: new URLSearchParams({ data, ...to }) });
}

createServer(async (request, response) => {
  if (request.method !== "POST") {
    response.setHeader("Content-Type", "text/html; charset=utf-8");
    return response.end(page);
  }
  const body = Buffer.concat(await request.toArray());
  if (secret && !genuine(request, body)) {
    response.statusCode = 401; // it was not Chloe who called
    return response.end();
  }
  const said = body.toString();
  await publish(`You said: ${said}`, { session: request.headers["x-chloe-session"] });
  await publish(`Someone said: ${said}`, { channel: "room" });
  response.end();
}).listen(Number(process.env.APP_PORT ?? 4567), "localhost");
