// One channel with the package ws: whoever connects is in it.

import { createServer } from "node:http";
import { Sender, WebSocketServer } from "ws";
import { httpOptions, publisher, tell } from "./common.mjs";

const clients = new Set();

// The frame is made once for all, not by each client's `send`; Socket.IO does the same.
function publish(text) {
    const frame = Buffer.concat(
        Sender.frame(Buffer.from(text), { fin: true, rsv1: false, opcode: 1, mask: false, readOnly: false }),
    );
    for (const client of clients) {
        client._sender.sendFrame([frame]);
    }
}

const http = createServer(httpOptions, publisher(publish));
const sockets = new WebSocketServer({ server: http, perMessageDeflate: false, clientTracking: false });

sockets.on("connection", (client) => {
    clients.add(client);
    client.on("close", () => clients.delete(client));
    client.on("error", () => client.terminate());
    client.send("subscribed");
});

// As often as Chloe pings.
setInterval(() => clients.forEach((client) => client.ping()), 25_000);

http.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => tell(http.address().port, "/", "ws"));
