// A complete app for Chloe. Run it with:  node app.mjs
// It serves a page, takes what browsers send, and answers through POST /send.
import { createHash, timingSafeEqual } from "node:crypto";
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

const signature = (data) => createHash("md5").update(data + secret).digest("hex");

const genuine = (data, claimed = "") =>
  claimed.length === 32 && timingSafeEqual(Buffer.from(claimed), Buffer.from(signature(data)));

// Sends data to one browser, { session }, or to a channel, { channel }.
async function publish(data, to) {
  const form = new URLSearchParams({ data, ...to });
  if (secret) form.set("sig", signature(data));
  await fetch(`${chloe}/send`, { method: "POST", body: form });
}

createServer(async (request, response) => {
  if (request.method !== "POST") {
    response.setHeader("Content-Type", "text/html; charset=utf-8");
    return response.end(page);
  }
  const said = Buffer.concat(await request.toArray()).toString();
  if (secret && !genuine(said, request.headers["x-chloe-signature"])) {
    response.statusCode = 401; // it was not Chloe who called
    return response.end();
  }
  await publish(`You said: ${said}`, { session: request.headers["x-chloe-session"] });
  await publish(`Someone said: ${said}`, { channel: "room" });
  response.end();
}).listen(Number(process.env.APP_PORT ?? 4567), "localhost");
