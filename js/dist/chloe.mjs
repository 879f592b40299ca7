// Chloe, the browser client. Built from js/src; do not edit.
// src/address.ts
var PORT = 8901;
var scriptUrl;
function loadedFrom(url2) {
  try {
    const parsed = new URL(url2);
    scriptUrl = parsed.hostname ? parsed : void 0;
  } catch (_error) {
    scriptUrl = void 0;
  }
}
function addressOf(options) {
  const page = typeof location === "undefined" ? void 0 : location;
  const base = options.host ? void 0 : scriptUrl;
  const https = options.https === void 0 ? (base || page || { protocol: "" }).protocol === "https:" : options.https;
  return {
    host: options.host || (base || page || { hostname: "" }).hostname || "localhost",
    port: +(options.port || (base ? base.port || (base.protocol === "https:" ? 443 : 80) : PORT)),
    https
  };
}
function urlOf(address, scheme, path) {
  return scheme + (address.https ? "s" : "") + "://" + address.host + ":" + address.port + path;
}

// src/backoff.ts
var SHORTEST_MS = 500;
var LONGEST_MS = 2e4;
var Backoff = class {
  constructor() {
    /** Attempts that failed since the last good connection. */
    this.failures = 0;
  }
  /** The wait after one more failure, in milliseconds. */
  next() {
    const bound = Math.min(LONGEST_MS, SHORTEST_MS * Math.pow(2, this.failures));
    this.failures++;
    return Math.random() * bound;
  }
};

// src/memory.ts
var KEY = "chloe.transport";
var MEMORY_MS = 3e5;
function recall() {
  try {
    const [name, until] = (sessionStorage.getItem(KEY) || "").split(" ");
    return +until > Date.now() ? name : void 0;
  } catch (_error) {
    return void 0;
  }
}
function remember(name) {
  try {
    sessionStorage.setItem(KEY, name + " " + (Date.now() + MEMORY_MS));
  } catch (_error) {
  }
}
function forget() {
  try {
    sessionStorage.removeItem(KEY);
  } catch (_error) {
  }
}

// src/message.ts
var VERSION = 1;
var ALL = "/all";
var SESSION = "/session";
function failure(code, sentence, temporary, channel) {
  const error = new Error(sentence);
  error.code = code;
  error.temporary = !!temporary;
  if (channel) error.channel = channel;
  return error;
}
function failureOf(message, channel) {
  return failure(
    message.code || "error",
    message.message || "Chloe refused a message.",
    message.temporary,
    message.channel || channel
  );
}
function encode(message) {
  return JSON.stringify(
    message,
    (_key, value) => typeof value === "string" ? value.replace(/[\uD800-\uDBFF][\uDC00-\uDFFF]|[\uD800-\uDFFF]/g, (found) => found[1] ? found : "\uFFFD") : value
  );
}
function decode(text) {
  try {
    const value = text.trim() ? JSON.parse(text) : {};
    if (value && typeof value === "object") return value;
  } catch (_error) {
  }
  return void 0;
}

// src/connector.ts
var PATIENCE_MAX = 5;
var STEADY_MS = 5e3;
var FAITHFUL_ROUNDS = 2;
var SILENCE_GRACE_MS = 5e3;
var Connector = class {
  constructor(owner, address, transports, timeoutMs) {
    this.owner = owner;
    this.address = address;
    this.transports = transports;
    this.timeoutMs = timeoutMs;
    this.state = "closed";
    this.transportName = null;
    this.candidates = [];
    this.passedOver = false;
    /** Grows whenever `current` changes, so that a late call of a former one is known. */
    this.generation = 0;
    this.backoff = new Backoff();
    this.connectedAt = 0;
    this.heardAt = 0;
    /** The longest silence of a healthy connection; 0: not known. */
    this.silenceMs = 0;
    this.silent = () => this.lose(failure("silent", "Chloe was silent for too long.", true));
    /** The page may have slept, or changed networks: no reason to wait any longer. */
    this.wake = (event) => {
      if (typeof document !== "undefined" && document.visibilityState === "hidden") return;
      if (event.type === "online") {
        this.proven = void 0;
        forget();
      }
      if (this.state === "waiting") this.begin();
      else if (this.transport && this.silenceMs && Date.now() - this.heardAt > this.silenceMs) this.silent();
    };
  }
  start() {
    if (this.state !== "closed") return;
    this.listen("addEventListener");
    this.begin();
  }
  /** Ends, for good or, if `error` is given, for that. */
  stop(error) {
    if (this.state === "closed") return;
    this.listen("removeEventListener");
    this.backoff.failures = 0;
    this.drop(error);
    this.owner.stopped(error || failure("disconnected", "disconnect() was called."));
    this.enter("closed");
  }
  begin() {
    clearTimeout(this.timer);
    const enabled = this.transports.filter((transport) => transport.isEnabled());
    const name = this.proven ? this.proven.transportName : recall();
    const worked = (transport) => transport.transportName === name;
    this.candidates = enabled.filter(worked);
    if (!this.proven || this.backoff.failures > FAITHFUL_ROUNDS) {
      this.candidates = this.candidates.concat(enabled.filter((transport) => !worked(transport)));
    }
    this.passedOver = false;
    const generation = this.generation;
    this.enter("connecting");
    if (generation !== this.generation) return;
    if (enabled.length) return this.attempt();
    this.stop(failure("no_transport", "This browser has none of the transports that the page allows."));
  }
  attempt() {
    const candidate = this.candidates.shift();
    if (!candidate) return this.rest();
    const link = this.link(candidate);
    this.timer = setTimeout(
      () => link.lost(failure("timeout", "Chloe did not answer in time.", true)),
      this.timeoutMs * Math.min(this.backoff.failures + 1, PATIENCE_MAX)
    );
    try {
      this.current = new candidate(link);
      this.current.open(this.owner.hello());
    } catch (error) {
      link.lost(error);
    }
  }
  /** Every transport failed, or the connection broke: waits. */
  rest() {
    this.timer = setTimeout(() => this.begin(), this.backoff.next());
    this.enter("waiting");
  }
  /** What the transport about to be made may do, as long as it is the current one. */
  link(candidate) {
    const { owner } = this;
    const generation = ++this.generation;
    const isCurrent = () => generation === this.generation;
    return {
      address: this.address,
      positions: () => owner.positions(),
      sessionId: () => owner.sessionId(),
      receive: (messages) => {
        if (!isCurrent()) return;
        if (this.transport) this.watch();
        messages.forEach((message) => {
          if (!isCurrent()) return;
          if (this.transport) owner.received(message);
          else if (message.type === "connect") this.open(candidate, message);
          else if (message.type === "error") this.lose(failureOf(message));
        });
      },
      lost: (error) => {
        if (isCurrent()) this.lose(error);
      },
      problem: (error) => {
        if (isCurrent()) owner.problem(error);
      }
    };
  }
  open(candidate, answer) {
    clearTimeout(this.timer);
    if (this.passedOver) remember(candidate.transportName);
    this.proven = candidate;
    this.connectedAt = Date.now();
    this.silenceMs = answer.heartbeat ? 2 * answer.heartbeat + SILENCE_GRACE_MS : 0;
    this.watch();
    this.transport = this.current;
    this.transportName = candidate.transportName;
    this.state = "connected";
    this.owner.opened(answer);
    if (this.transport) this.owner.changed("connected");
  }
  lose(error) {
    const wasConnected = this.transport;
    if (wasConnected && Date.now() - this.connectedAt > STEADY_MS) this.backoff.failures = 0;
    const generation = this.generation + 1;
    this.drop(error);
    if (generation !== this.generation) return;
    if (error.code === "unknown_session" && !this.backoff.failures) {
      this.backoff.failures = 1;
      return this.begin();
    }
    if (wasConnected) return this.rest();
    this.passedOver = true;
    this.attempt();
  }
  /** Lets go of the current transport. */
  drop(error) {
    clearTimeout(this.timer);
    this.generation++;
    const transport = this.current;
    this.current = this.transport = void 0;
    this.transportName = null;
    this.owner.dropped(transport ? transport.close() : [], error);
  }
  enter(state) {
    this.state = state;
    this.owner.changed(state);
  }
  /** A connection can be dead without a word, after sleep or a change of networks. Silence tells. */
  watch() {
    this.heardAt = Date.now();
    clearTimeout(this.timer);
    if (this.silenceMs) this.timer = setTimeout(this.silent, this.silenceMs);
  }
  listen(method) {
    if (typeof self === "undefined" || !self[method]) return;
    self[method]("online", this.wake);
    self[method]("pageshow", this.wake);
    if (typeof document !== "undefined") document[method]("visibilitychange", this.wake);
  }
};

// src/events.ts
var Callbacks = class {
  constructor() {
    this.lists = /* @__PURE__ */ new Map();
  }
  /** Whether `name` was added, with a callback or without. */
  has(name) {
    return this.lists.has(name);
  }
  /** Adds a callback, once; or only the name. */
  add(name, callback) {
    const list = this.of(name);
    const isNew = callback && list.indexOf(callback) < 0;
    this.lists.set(name, isNew ? list.concat(callback) : list);
  }
  /** Removes one callback, or all of `name`. */
  remove(name, callback) {
    const rest = this.of(name).filter((other) => callback && other !== callback);
    if (rest.length) this.lists.set(name, rest);
    else this.lists.delete(name);
  }
  /** The callbacks of `name`, in the order in which they were added. */
  of(name) {
    return this.lists.get(name) || [];
  }
  /** All names that were added. */
  names() {
    return Array.from(this.lists.keys());
  }
};

// src/positions.ts
var Positions = class {
  constructor() {
    this.places = /* @__PURE__ */ new Map();
  }
  /** Notes a delivery. False: it was seen before. */
  advance(channel, offset, epoch) {
    if (offset === void 0) return true;
    const place = this.places.get(channel);
    if (!place) {
      this.places.set(channel, { epoch, offset });
      return true;
    }
    const sameEpoch = !epoch || !place.epoch || epoch === place.epoch;
    if (sameEpoch && offset <= place.offset) return false;
    place.offset = offset;
    if (epoch) place.epoch = epoch;
    return true;
  }
  /**
   * Takes what an answer says of a channel. When nothing was missed, the deliveries between
   * our place and the answer's are still to come: then ours is kept, and only the epoch learnt.
   * False: something may have been missed since our place.
   */
  settle(channel, position, recovered) {
    if (!position) return true;
    const colon = position.lastIndexOf(":");
    const epoch = position.slice(0, colon);
    const offset = +position.slice(colon + 1);
    const place = this.places.get(channel);
    const overtaken = place && !place.epoch;
    if (place && (overtaken || recovered && place.epoch === epoch)) place.epoch = epoch;
    else this.places.set(channel, { epoch, offset });
    return !place || !!overtaken || !!recovered;
  }
  /** Forgets a channel: whoever subscribes to it again starts with what comes then. */
  forget(channel) {
    this.places.delete(channel);
  }
  /** `epoch:offset` of a channel, if both are known. */
  of(channel) {
    const place = this.places.get(channel);
    return place && place.epoch ? place.epoch + ":" + place.offset : void 0;
  }
  /** All that is known, as messages carry it. */
  table() {
    const table = /* @__PURE__ */ Object.create(null);
    this.places.forEach((_place, channel) => {
      const position = this.of(channel);
      if (position) table[channel] = position;
    });
    return table;
  }
};

// src/transports/polling.ts
var WAIT_MS = 25e3;
var GRACE_MS = 1e4;
var HASTY_MS = 500;
var TRIES_MAX = 5;
var tries = /* @__PURE__ */ new WeakMap();
var PollingTransport = class {
  constructor(link) {
    this.link = link;
    this.idPrefix = "";
    this.closed = false;
    this.queue = [];
    this.sending = false;
    this.polling = false;
    this.backoff = new Backoff();
  }
  backlog() {
    return this.queue.length;
  }
  open(connect) {
    this.request(connect, WAIT_MS, (answer) => {
      if (!answer || answer.type !== "connect") return this.lose(answer);
      this.link.receive([answer]);
      this.flush();
    });
  }
  send(message) {
    this.queue.push(message);
    this.flush();
  }
  close() {
    this.closed = true;
    clearTimeout(this.pollTimer);
    clearTimeout(this.sendTimer);
    return this.queue;
  }
  poll() {
    if (this.closed) return;
    const { link } = this;
    const began = Date.now();
    const poll = {
      type: "poll",
      version: VERSION,
      sessionId: link.sessionId(),
      wait: WAIT_MS,
      positions: link.positions()
    };
    this.request(poll, WAIT_MS + GRACE_MS, (answer) => {
      if (!answer || !answer.messages) return this.lose(answer);
      link.receive(answer.messages);
      const hasty = !answer.messages.length && Date.now() - began < HASTY_MS;
      if (hasty) this.pollTimer = setTimeout(() => this.poll(), HASTY_MS);
      else this.poll();
    });
  }
  flush() {
    if (this.sending || this.closed) return;
    const message = this.queue[0];
    if (!message) {
      if (!this.polling) {
        this.polling = true;
        this.poll();
      }
      return;
    }
    this.sending = true;
    message.sessionId = this.link.sessionId();
    this.request(message, GRACE_MS, (answer) => {
      if (!answer) this.count(message);
      if (!answer || answer.code === "unknown_session") return this.lose(answer);
      if (answer.type === "error" && answer.temporary) {
        this.sendTimer = setTimeout(() => this.sent(), this.backoff.next());
        return;
      }
      this.backoff.failures = 0;
      this.queue.shift();
      if (answer.type) this.link.receive([answer]);
      this.sent();
    });
  }
  count(message) {
    const count = (tries.get(message) || 0) + 1;
    tries.set(message, count);
    if (count === TRIES_MAX) {
      this.queue.shift();
      this.link.problem(failure("not_sent", "A message got no answer " + count + " times: it is given up."));
    }
  }
  sent() {
    this.sending = false;
    this.flush();
  }
  lose(answer) {
    this.link.lost(
      answer && answer.type === "error" ? failureOf(answer) : failure("no_answer", "Chloe did not answer as expected.", true)
    );
  }
};

// src/transports/jsonp.ts
var URL_LENGTH_MAX = 8e3;
var LOAD_MS = 5e3;
var LINGER_MS = 6e4;
var nothing = () => {
};
var CLOSED = { callbacks: { onmessage: nothing }, listenForMessages: nothing, response: nothing };
var requestCount = 0;
var _JsonpTransport = class _JsonpTransport extends PollingTransport {
  constructor(link) {
    super(link);
    this.callbacks = {
      /** A message that comes beside the answer. */
      onmessage: (packed) => {
        const message = decode(packed);
        if (message) this.link.receive([message]);
      }
    };
    this.number = 1;
    this.polls = false;
    this.scripts = [];
    /** The answers that came while their script ran, by the id of their request. */
    this.answers = {};
    const { connections } = home();
    while (connections[this.number]) this.number++;
    connections[this.number] = this;
    this.idPrefix = this.number + ".";
  }
  static isEnabled() {
    return typeof document !== "undefined";
  }
  /** Every answer script calls this. "3" is for connection 3, "3.7" for the seventh message of it. */
  static response(message) {
    const running = document.currentScript;
    const id = message.id == null ? running && running.getAttribute("data-id") : message.id;
    const connection = _JsonpTransport.connections[parseInt(id + "", 10)];
    if (connection) {
      message.id = id;
      connection.response(message);
    }
  }
  /** The server let go of a poll: it wants the next one. */
  listenForMessages() {
    this.answers[this.number] = { messages: [] };
  }
  response(message) {
    this.answers[message.id] = message;
  }
  close() {
    const { number } = this;
    const { connections } = home();
    connections[number] = CLOSED;
    setTimeout(() => delete connections[number], LINGER_MS);
    this.scripts.forEach(remove);
    return super.close();
  }
  /** A script that is held keeps the page from having loaded: polling begins after that. */
  poll() {
    if (document.readyState === "complete" || this.polls) return super.poll();
    const begin = () => {
      clearTimeout(timer);
      if (this.polls) return;
      this.polls = true;
      super.poll();
    };
    const timer = setTimeout(begin, LOAD_MS);
    addEventListener("load", () => setTimeout(begin));
  }
  request(message, limitMs, done) {
    const { number } = this;
    const held = message.type === "poll" || message.type === "connect";
    if (held) message.id = number;
    const id = held ? number + "" : message.id || this.idPrefix + 0;
    let url2 = this.urlOf(message);
    if (url2.length > URL_LENGTH_MAX && message.positions) {
      message.positions = {};
      url2 = this.urlOf(message);
    }
    if (url2.length > URL_LENGTH_MAX) return this.refuse(message, done);
    const script = document.createElement("script");
    const finish = (answer) => {
      clearTimeout(timer);
      script.onload = script.onerror = null;
      remove(script);
      this.scripts = this.scripts.filter((other) => other !== script);
      if (!this.closed) done(answer);
    };
    const timer = setTimeout(finish, limitMs);
    script.async = true;
    script.setAttribute("data-id", id + "");
    script.onerror = () => finish();
    script.onload = () => {
      const answer = this.answers[id] || {};
      delete this.answers[id];
      finish(answer);
    };
    script.src = url2 + "&ts=" + Date.now() + "." + requestCount++;
    this.scripts.push(script);
    (document.head || document.documentElement).appendChild(script);
  }
  urlOf(message) {
    return urlOf(this.link.address, "http", "/chloe/jsonp.js?data=") + encodeURIComponent(encode(message));
  }
  refuse(message, done) {
    const error = failure(
      "too_long",
      "This message is too long for JSONP, whose messages travel in a URL of at most " + URL_LENGTH_MAX + " characters. Send less at a time.",
      false,
      message.channel
    );
    this.link.problem(error);
    setTimeout(() => this.closed || done({}));
  }
};
_JsonpTransport.transportName = "jsonp";
/** The open connections by number. Answers name theirs. */
_JsonpTransport.connections = {};
var JsonpTransport = _JsonpTransport;
function home() {
  const scope = self;
  const chloe = scope.Chloe || (scope.Chloe = {});
  return chloe.JsonpTransport || (chloe.JsonpTransport = JsonpTransport);
}
function remove(element) {
  if (element.parentNode) element.parentNode.removeChild(element);
}

// src/transports/websocket.ts
var OUR_FAULT = [1002, 1003, 1007, 1008, 1009];
var WebSocketTransport = class {
  constructor(link) {
    this.link = link;
    this.idPrefix = "";
    this.unsent = [];
  }
  static isEnabled() {
    return typeof WebSocket !== "undefined";
  }
  backlog() {
    return this.unsent.length;
  }
  open(connect) {
    const { link } = this;
    const socket = this.socket = new WebSocket(urlOf(link.address, "ws", "/chloe/websocket"));
    socket.onopen = () => this.send(connect);
    socket.onclose = ({ code, reason }) => {
      const sentence = "The WebSocket closed with code " + code + (reason ? ": " + reason : ".");
      link.lost(failure("closed_" + code, sentence, OUR_FAULT.indexOf(code) < 0));
    };
    socket.onmessage = (event) => {
      const message = decode(event.data);
      if (message) link.receive([message]);
    };
  }
  send(message) {
    const socket = this.socket;
    if (socket.readyState === WebSocket.OPEN) socket.send(encode(message));
    else this.unsent.push(message);
  }
  close() {
    const { socket } = this;
    if (socket) {
      socket.onopen = socket.onclose = socket.onmessage = null;
      socket.close();
    }
    return this.unsent;
  }
};
WebSocketTransport.transportName = "websocket";

// src/transports/xhr.ts
var URL_LENGTH_MAX2 = 2e3;
var XhrTransport = class extends PollingTransport {
  constructor() {
    super(...arguments);
    this.requests = [];
  }
  static isEnabled() {
    return typeof XMLHttpRequest !== "undefined" && "withCredentials" in new XMLHttpRequest();
  }
  close() {
    const unsent = super.close();
    this.requests.forEach((request) => request.abort());
    return unsent;
  }
  request(message, limitMs, done) {
    const request = new XMLHttpRequest();
    const body = "data=" + encodeURIComponent(encode(message));
    const url2 = urlOf(this.link.address, "http", "/chloe/xhr");
    const pollUrl = url2 + "/" + Date.now() + "?" + body;
    const get = message.type === "poll" && pollUrl.length <= URL_LENGTH_MAX2;
    this.requests.push(request);
    request.onloadend = () => {
      this.requests = this.requests.filter((other) => other !== request);
      if (!this.closed) done(answerOf(request));
    };
    request.open(get ? "GET" : "POST", get ? pollUrl : url2);
    request.timeout = limitMs;
    if (!get) request.setRequestHeader("Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
    request.send(get ? null : body);
  }
};
XhrTransport.transportName = "xhr";
function answerOf(request) {
  const { status, responseText } = request;
  if (!status) return void 0;
  const answer = decode(responseText);
  if (status < 300 || answer && answer.type === "error") return answer;
  const temporary = status === 429 || status >= 500;
  return { type: "error", code: "http_" + status, message: responseText || "HTTP status " + status, temporary };
}

// src/client.ts
var CONNECT_TIMEOUT_MS = 4e3;
var QUEUE_MAX = 1e3;
var ASK_AGAIN_MS = 5e3;
var TRANSPORTS = [WebSocketTransport, XhrTransport, JsonpTransport];
var Chloe = class {
  constructor(options = {}) {
    this.listeners = new Callbacks();
    this.subscriptions = new Callbacks();
    this.messageCallback = () => {
    };
    this.closeCallback = () => {
    };
    /** What connect() promised, until there is a connection. */
    this.waiters = [];
    /** Whether the page knows that there is no connection: it is told once, not at each attempt. */
    this.toldOfLoss = true;
    /** The address proved good: from then on the loss of a connection is nothing to complain of. */
    this.hasConnected = false;
    this.positions = new Positions();
    this.queue = [];
    this.idCount = 0;
    /** The channel that each unanswered request is about, by message id. */
    this.asked = /* @__PURE__ */ new Map();
    const address = addressOf(options);
    const transports = (options.transports || TRANSPORTS).map(transportOf);
    const timeoutMs = options.connectTimeoutMs || CONNECT_TIMEOUT_MS;
    this.connector = new Connector(this.owner(urlOf(address, "http", "")), address, transports, timeoutMs);
  }
  get state() {
    return this.connector.state;
  }
  get transport() {
    return this.connector.transportName;
  }
  connect(callback) {
    const promise = new Promise((resolve, reject) => this.waiters.push({ resolve, reject }));
    promise.catch(() => {
    });
    if (callback) this.waiters.push({ resolve: () => this.call(callback), reject: () => {
    } });
    if (this.state === "connected") this.welcome();
    if (this.state === "closed") {
      this.toldOfLoss = false;
      this.connector.start();
    }
    return promise;
  }
  disconnect() {
    this.connector.stop();
  }
  send(data) {
    if (typeof data !== "string") throw new TypeError("Chloe sends strings. Use JSON.stringify for anything else.");
    const message = { type: "message", version: VERSION, data };
    const { transport } = this.connector;
    if ((transport ? transport.backlog() : this.queue.length) >= QUEUE_MAX) {
      this.raise(failure("queue_full", "A message was dropped: " + QUEUE_MAX + " wait to be sent already.", true));
    } else if (transport) transport.send(message);
    else this.queue.push(message);
  }
  subscribe(channel, callback) {
    if (typeof channel !== "string" || callback && typeof callback !== "function") {
      throw new TypeError("subscribe() takes the name of a channel and a function.");
    }
    const isNew = !this.subscriptions.has(channel);
    this.subscriptions.add(channel, callback);
    if (isNew) this.ask(true, channel);
  }
  unsubscribe(channel, callback) {
    if (!this.subscriptions.has(channel)) return;
    this.subscriptions.remove(channel, callback);
    if (!this.subscriptions.has(channel)) this.ask(false, channel);
  }
  onmessage(callback) {
    this.messageCallback = callback;
  }
  onclose(callback) {
    this.closeCallback = callback;
  }
  on(event, callback) {
    this.listeners.add(event, callback);
    return this;
  }
  off(event, callback) {
    this.listeners.remove(event, callback);
    return this;
  }
  /** What the connector sees of this client. */
  owner(url2) {
    return {
      hello: () => ({
        type: "connect",
        version: VERSION,
        sessionId: this.session,
        positions: this.positions.table()
      }),
      positions: () => this.positions.table(),
      sessionId: () => this.session,
      opened: (answer) => this.resume(answer),
      received: (message) => this.receive(message),
      problem: (error) => this.raise(error),
      changed: (state) => {
        this.emit("state", state, this.transport);
        if (state === "connected") this.welcome();
        if (state === "waiting" && !this.toldOfLoss && !this.hasConnected) {
          const sentence = "No connection to Chloe at " + url2 + ", or it refuses this page. Trying on.";
          this.raise(failure("no_connection", sentence, true));
        }
        if ((state === "waiting" || state === "closed") && !this.toldOfLoss) {
          this.toldOfLoss = true;
          this.call(this.closeCallback);
        }
      },
      dropped: (unsent, error) => {
        this.asked.clear();
        this.queue = unsent.filter((message) => message.type === "message").concat(this.queue);
        if (!error) return;
        if (error.code === "unknown_session") this.session = void 0;
        else if (!error.temporary && !this.toldOfLoss) this.raise(error);
      },
      stopped: (error) => this.waiters.splice(0).forEach((waiter) => waiter.reject(error))
    };
  }
  /** Brings a new connection to where the page is: session, subscriptions, messages that waited. */
  resume(answer) {
    const channels = answer.channels || {};
    const transport = this.connector.transport;
    if (!answer.resumed) this.positions.forget(SESSION);
    this.session = answer.sessionId;
    this.hasConnected = true;
    this.toldOfLoss = false;
    const missed = [];
    Object.keys(channels).forEach((channel) => {
      const wanted = channel === ALL || channel === SESSION || this.subscriptions.has(channel);
      if (!wanted) this.ask(false, channel);
      else if (!this.settle(channel, channels[channel])) missed.push(channel);
    });
    this.subscriptions.names().forEach((channel) => {
      if (!Object.prototype.hasOwnProperty.call(channels, channel)) this.ask(true, channel);
    });
    this.queue.splice(0).forEach((message) => transport.send(message));
    missed.forEach((channel) => this.emit("gap", { channel }));
  }
  receive(message) {
    const id = message.id + "";
    const channel = message.channel || this.asked.get(id) || "";
    if (message.version !== void 0 && message.version !== VERSION) {
      return this.raise(failure("version", "Chloe speaks version " + message.version + ": load its own chloe.js."));
    }
    switch (message.type) {
      case null:
      case void 0:
      case "poll":
        return this.deliver(message);
      case "subscribed":
        if (this.subscriptions.has(channel) && !this.settle(channel, message)) this.emit("gap", { channel });
        break;
      case "gap":
        this.positions.settle(channel, message.position, false);
        this.emit("gap", { channel, missed: message.missed });
        break;
      case "error":
        this.raise(failureOf(message, channel));
        if (message.temporary && this.asked.has(id)) this.askLater(channel);
    }
    this.asked.delete(id);
  }
  deliver(message) {
    const channel = message.channel || ALL;
    const { data, direct } = message;
    if (data === void 0 || !(direct || channel === ALL || this.subscriptions.has(channel))) return;
    if (!this.positions.advance(direct ? SESSION : channel, message.offset, message.epoch)) return;
    const about = { data, channel, offset: message.offset, direct: !!direct };
    this.emit("message", data, about);
    const callbacks = this.subscriptions.of(channel);
    (callbacks.length ? callbacks : [this.messageCallback]).forEach((callback) => this.call(callback, data, about));
  }
  /** Asks to be in a channel, or out of it. Without a connection, resume() will. */
  ask(wanted, channel) {
    if (channel === ALL) return;
    if (!wanted) this.positions.forget(channel);
    const { transport } = this.connector;
    if (!transport) return;
    const message = {
      type: wanted ? "channel-subscribe" : "channel-unsubscribe",
      version: VERSION,
      channel
    };
    if (wanted) {
      message.id = transport.idPrefix + ++this.idCount;
      message.since = this.positions.of(channel);
      this.asked.set(message.id, channel);
    }
    transport.send(message);
  }
  /** A subscription was refused for now. */
  askLater(channel) {
    setTimeout(() => this.subscriptions.has(channel) && this.ask(true, channel), ASK_AGAIN_MS * (1 + Math.random()));
  }
  /** Takes a position. False: something may have been missed. */
  settle(channel, standing) {
    return this.positions.settle(channel, standing.position, standing.recovered);
  }
  welcome() {
    this.waiters.splice(0).forEach((waiter) => waiter.resolve());
  }
  raise(error) {
    if (this.listeners.has("error")) this.emit("error", error);
    else console.error("Chloe: " + error.message);
  }
  emit(event, ...values) {
    this.listeners.of(event).forEach((callback) => this.call(callback, ...values));
  }
  /** Calls what the page gave us. An error of it goes to the listeners, and to the console. */
  call(callback, ...values) {
    try {
      callback.apply(void 0, values);
    } catch (error) {
      setTimeout(() => {
        throw error;
      });
      if (this.listeners.of("error").indexOf(callback) < 0) this.emit("error", error);
    }
  }
};
Chloe.WebSocketTransport = WebSocketTransport;
Chloe.XhrTransport = XhrTransport;
Chloe.JsonpTransport = JsonpTransport;
function transportOf(choice) {
  const found = typeof choice === "string" ? TRANSPORTS.filter((one) => one.transportName === choice)[0] : choice;
  if (!found) throw new TypeError('There is no transport "' + choice + '", but websocket, xhr and jsonp.');
  return found;
}

// src/index.ts
var { url } = import.meta;
if (/\/chloe\.mjs([?#]|$)/.test(url + "")) loadedFrom(url);
export {
  Chloe,
  Chloe as default
};
