// A client that behaves on the wire as that of 2011 (docs/protocol.md, part A):
// escape(), JSONP without the `&`, a poll only from inside the handling of a
// message, one more for each message of an answer, at once after a script that
// failed. Written for the tests; it is no client to use.

window.Chloe = { JsonpTransport: { connections: {} } };
window.got = [];
window.channels = [];

function deliver(message) {
  if (message.version !== 1) throw new Error('version ' + message.version);
  got.push(message.data);
  channels.push(message.channel);
}

function oldClient(transport, port) {
  var base = 'localhost:' + port + '/chloe';
  var session;

  function pack(message) {
    message.version = 1;
    message.sessionId = session;
    return JSON.stringify(message);
  }

  function overWebSocket(ready) {
    var socket = new WebSocket('ws://' + base + '/websocket');
    socket.onopen = ready;
    socket.onmessage = function (event) { deliver(JSON.parse(event.data)); };
    return function (message) { socket.send(pack(message)); };
  }

  function overXhr(ready) {
    function request(method, path, body, each) {
      var xhr = new XMLHttpRequest();
      xhr.open(method, 'http://' + base + path);
      if (body) xhr.setRequestHeader('Content-type', 'application/x-www-form-urlencoded; charset=utf-8');
      xhr.onreadystatechange = function () {
        if (xhr.readyState !== 4) return;
        if (xhr.status !== 200) { window.ended = (window.ended || 0) + 1; return; }
        if (xhr.responseText === '') return;
        var answer = JSON.parse(xhr.responseText);
        (answer.messages || [answer]).forEach(each);
      };
      xhr.send(body);
    }
    function poll() {
      request('GET', '/xhr/' + Date.now() + '?data=' + escape(pack({ type: 'poll' })), null, function (message) {
        deliver(message);
        poll();
      });
    }
    request('POST', '/xhr', 'data=' + escape(pack({ type: 'connect' })), function (answer) {
      session = answer.sessionId;
      poll();
      ready();
    });
    return function (message) {
      request('POST', '/xhr', 'data=' + escape(pack(message)), function () {});
    };
  }

  function overJsonp(ready) {
    var id = Date.now();
    function request(message, failed) {
      var script = document.createElement('script');
      script.src = 'http://' + base + '/jsonp.js?data=' + escape(pack(message)) + 'ts=' + Date.now();
      script.onerror = failed;
      document.body.appendChild(script);
    }
    function poll() { request({ id: id, type: 'poll' }, poll); }
    Chloe.JsonpTransport.connections[id] = {
      callbacks: { onmessage: function (packed) { deliver(JSON.parse(packed)); } },
      listenForMessages: poll
    };
    Chloe.JsonpTransport.response = function (message) {
      if (message.type === 'connect') {
        session = message.sessionId;
        poll();
        ready();
      } else if (message.type === 'poll') {
        deliver(message);
        poll();
      } else {
        throw new Error('type ' + message.type);
      }
    };
    request({ id: id, type: 'connect' });
    return request;
  }

  var over = { WebSocketTransport: overWebSocket, XhrTransport: overXhr, JsonpTransport: overJsonp }[transport];
  return new Promise(function (resolve) {
    var send = over(resolve);
    window.old = {
      say: function (data) { send({ type: 'message', data: data }); },
      subscribe: function (channel) { send({ type: 'channel-subscribe', channel: channel }); }
    };
  });
}
