// What the node servers share: the lines that tell where they listen.

import { readFileSync } from "node:fs";

/** Prints where the server is, in the form that support.sh passes on. */
export function tell(port, path, packageName) {
    const manifest = new URL(`node_modules/${packageName}/package.json`, import.meta.url);
    const { version } = JSON.parse(readFileSync(manifest, "utf8"));
    process.stdout.write(
        `url ws ws://127.0.0.1:${port}${path}\n` +
            `url publish http://127.0.0.1:${port}/publish\n` +
            `version ${packageName} ${version}, node ${process.versions.node}\n` +
            "ready\n",
    );
}

/**
 * A listener for node's HTTP server: POST /publish hands the body to
 * `publish`, as text, and is answered at once.
 */
export function publisher(publish) {
    return (request, response) => {
        if (request.method !== "POST" || request.url !== "/publish") {
            response.writeHead(404).end();
            return;
        }
        let body = "";
        request.setEncoding("utf8");
        request.on("data", (chunk) => (body += chunk));
        request.on("end", () => {
            publish(body);
            response.end("ok");
        });
    };
}

/** node's HTTP server as a busy service sets it: a kept connection is not closed between publications. */
export const httpOptions = { keepAliveTimeout: 3_600_000, noDelay: true };
