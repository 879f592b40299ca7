// What the applications beside a server share: they take publications over
// kept connections, and hand each on over a connection of its own, for servers
// that keep none.

import { createServer, request as post } from "node:http";

/**
 * Listens on `port`. What is posted to /publish goes to `hand(body, done)`, which calls `done(status)`.
 *
 * What comes over one connection is handed on one by one, so that it stays in order.
 */
export function listen(port, hand) {
    const server = createServer({ keepAliveTimeout: 3_600_000, noDelay: true }, (request, response) => {
        let body = "";
        request.setEncoding("utf8");
        request.on("data", (chunk) => (body += chunk));
        request.on("end", () => {
            const before = request.socket.handed ?? Promise.resolve();
            request.socket.handed = before.then(() => new Promise((done) => hand(body, done))).then((status) => {
                response.writeHead(status, { "Content-Length": 0 }).end();
            });
        });
    });
    server.listen({ port, host: "127.0.0.1", backlog: 4096 });
}

/** Posts JSON to the server on `port`; tells the status, 502 if there is none. */
export function postJson(port, path, body, done) {
    const headers = { "Content-Type": "application/json" };
    const request = post(
        { host: "127.0.0.1", port, path, method: "POST", headers, agent: false },
        (response) => response.resume().on("end", () => done(response.statusCode)),
    );
    request.on("error", () => done(502));
    request.end(body);
}
