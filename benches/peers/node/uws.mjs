// One channel with uWebSockets: its own publish/subscribe, in C++.

import { createRequire } from "node:module";
import { tell } from "./common.mjs";

const packageName = "@trufflesuite/uws-js-unofficial";
const uws = createRequire(import.meta.url)(packageName);

const app = uws.App();

app.ws("/", {
    compression: uws.DISABLED,
    maxPayloadLength: 64 * 1024,
    // By default what a reader is behind by more than 64 KiB is dropped; nothing may be lost here.
    maxBackpressure: 64 * 1024 * 1024,
    // It pings by itself, about as often as Chloe does.
    idleTimeout: 32,
    sendPingsAutomatically: true,
    open: (socket) => {
        socket.subscribe("bench");
        socket.send("subscribed");
    },
});

app.post("/publish", (response) => {
    let body;
    response.onAborted(() => {});
    response.onData((chunk, isLast) => {
        // The memory of `chunk` is only lent; a body in one chunk, the usual case, is published without a copy.
        if (isLast && body === undefined) {
            app.publish("bench", chunk);
        } else {
            body = Buffer.concat([body ?? Buffer.alloc(0), Buffer.from(chunk)]);
            if (isLast) app.publish("bench", body);
        }
        if (isLast) response.end("ok");
    });
});

app.listen("127.0.0.1", 0, (listening) => {
    if (!listening) throw new Error("no port");
    tell(uws.us_socket_local_port(listening), "/", packageName);
});
