// The application beside Sockudo: what is posted to its /publish it signs, as
// Pusher's API wants it, and hands on to Sockudo. It answers when Sockudo has.
//
//   node sockudo-app.mjs PORT SOCKUDO_PORT

import { createHash, createHmac } from "node:crypto";
import { listen, postJson } from "./app.mjs";

const [port, sockudoPort] = process.argv.slice(2).map(Number);

const path = "/apps/bench/events";

function publish(data, done) {
    const body = JSON.stringify({ name: "m", channel: "bench", data });
    const md5 = createHash("md5").update(body).digest("hex");
    const seconds = Math.floor(Date.now() / 1000);
    const query = `auth_key=key&auth_timestamp=${seconds}&auth_version=1.0&body_md5=${md5}`;
    const signature = createHmac("sha256", "secret").update(`POST\n${path}\n${query}`).digest("hex");
    postJson(sockudoPort, `${path}?${query}&auth_signature=${signature}`, body, done);
}

listen(port, publish);
