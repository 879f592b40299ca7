// The application behind Pushpin: it accepts each WebSocket, which comes as a
// POST of WebSocket events, and subscribes it to the one channel.

import { createServer } from "node:http";

const subscribe = 'c:{"type":"subscribe","channel":"bench"}';
const answer = `OPEN\r\nTEXT ${Buffer.byteLength(subscribe).toString(16)}\r\n${subscribe}\r\n`;

createServer({ keepAliveTimeout: 3_600_000 }, (request, response) => {
    let body = "";
    request.setEncoding("latin1");
    request.on("data", (chunk) => (body += chunk));
    request.on("end", () => {
        response.writeHead(200, {
            "Content-Type": "application/websocket-events",
            "Sec-WebSocket-Extensions": "grip",
        });
        response.end(body.startsWith("OPEN") ? answer : "");
    });
}).listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
