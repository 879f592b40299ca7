// One event for all with Socket.IO, by WebSocket alone.

import { createServer } from "node:http";
import { Server } from "socket.io";
import { httpOptions, publisher, tell } from "./common.mjs";

const http = createServer(httpOptions);
const io = new Server(http, {
    transports: ["websocket"],
    serveClient: false,
    perMessageDeflate: false,
    httpCompression: false,
    // Each client keeps no copy of its handshake: Socket.IO's own advice for memory.
    cleanupEmptyChildNamespaces: true,
});

io.engine.on("connection", (raw) => {
    raw.request = null;
});

// Socket.IO has taken the listeners for its own path; the rest comes to us.
const listener = publisher((text) => io.emit("m", text));
http.on("request", (request, response) => {
    if (!request.url.startsWith("/socket.io/")) listener(request, response);
});

http.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () =>
    tell(http.address().port, "/socket.io/?EIO=4&transport=websocket", "socket.io"),
);
