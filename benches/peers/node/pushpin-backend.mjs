// The application behind Pushpin, on a port of its own.
//
// It accepts each WebSocket, which comes as a POST of WebSocket events, and
// subscribes it to the one channel. And it publishes: what is posted to its
// /publish it hands on to Pushpin, over a new connection for each, since Pushpin
// keeps none. It answers when Pushpin has.
//
//   node pushpin-backend.mjs PORT PUBLISH_PORT

import { createServer, request as post } from "node:http";

const [port, publishPort] = process.argv.slice(2).map(Number);

const text = (content) => `TEXT ${content.length.toString(16)}\r\n${content}\r\n`;

// What begins with "c:" is for Pushpin; with "m:", for the client.
const accepted = "OPEN\r\n" + text('c:{"type":"subscribe","channel":"bench"}') + text("m:subscribed");

function publish(content, done) {
    const items = [{ channel: "bench", formats: { "ws-message": { content } } }];
    const request = post(
        { host: "127.0.0.1", port: publishPort, path: "/publish/", method: "POST", agent: false },
        (response) => response.resume().on("end", () => done(response.statusCode)),
    );
    request.on("error", () => done(502));
    request.end(JSON.stringify({ items }));
}

const server = createServer({ keepAliveTimeout: 3_600_000, noDelay: true }, (request, response) => {
    let body = "";
    request.setEncoding("latin1");
    request.on("data", (chunk) => (body += chunk));
    request.on("end", () => {
        if (request.url === "/publish") {
            publish(body, (status) => response.writeHead(status).end());
            return;
        }
        response.writeHead(200, {
            "Content-Type": "application/websocket-events",
            "Sec-WebSocket-Extensions": "grip",
        });
        response.end(body.startsWith("OPEN") ? accepted : "");
    });
});

server.listen({ port, host: "127.0.0.1", backlog: 4096 });
