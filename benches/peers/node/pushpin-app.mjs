// The application beside Pushpin: what is posted to its /publish it hands on to
// Pushpin, and answers when Pushpin has.
//
//   node pushpin-app.mjs PORT PUBLISH_PORT

import { listen, postJson } from "./app.mjs";

const [port, publishPort] = process.argv.slice(2).map(Number);

function publish(content, done) {
    const items = [{ channel: "test", formats: { "ws-message": { content } } }];
    postJson(publishPort, "/publish/", JSON.stringify({ items }), done);
}

listen(port, publish);
