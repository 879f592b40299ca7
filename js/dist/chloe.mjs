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
  const [name, until] = (withStorage((storage) => storage.getItem(KEY)) || "").split(" ");
  return +until > Date.now() ? name : void 0;
}
function remember(name) {
  withStorage((storage) => storage.setItem(KEY, name + " " + (Date.now() + MEMORY_MS)));
}
function forget() {
  withStorage((storage) => storage.removeItem(KEY));
}
function withStorage(use) {
  try {
    return use(sessionStorage);
  } catch (_error) {
    return void 0;
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
function wellFormed(text) {
  return text.replace(/[\uD800-\uDBFF][\uDC00-\uDFFF]|[\uD800-\uDFFF]/g, (found) => found[1] ? found : "\uFFFD");
}
function encode(message) {
  return JSON.stringify(message, (_key, value) => typeof value === "string" ? wellFormed(value) : value);
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
  constructor(_owner, _address, _transports, _timeoutMs) {
    this._owner = _owner;
    this._address = _address;
    this._transports = _transports;
    this._timeoutMs = _timeoutMs;
    this.state = "closed";
    this.transportName = null;
    this._candidates = [];
    /** Grows whenever `current` changes, so that a late call of a former one is known. */
    this._generation = 0;
    this._backoff = new Backoff();
    this._silent = () => this._lose(failure("silent", "Chloe was silent for too long.", true));
    /** The page may have slept, or changed networks: no reason to wait any longer. */
    this._wake = (event) => {
      if (typeof document !== "undefined" && document.visibilityState === "hidden") return;
      if (event.type === "online") {
        this._proven = void 0;
        forget();
        this._candidates = [];
        if (this._current) this._silent();
        this._backoff.failures = 0;
      }
      if (this.state === "waiting") this._begin();
      else if (this.transport && this._silenceMs && Date.now() - this._heardAt > this._silenceMs) this._silent();
    };
  }
  start() {
    if (this.state !== "closed") return;
    this._listen("addEventListener");
    this._begin();
  }
  /** Ends, for good or, if `error` is given, for that. */
  stop(error) {
    if (this.state === "closed") return;
    this._listen("removeEventListener");
    this._backoff.failures = 0;
    this._drop(error);
    this._owner.stopped(error || failure("disconnected", "disconnect() was called."));
    this._enter("closed");
  }
  _begin() {
    clearTimeout(this._timer);
    const enabled = this._transports.filter((transport) => transport.isEnabled());
    const name = this._proven ? this._proven.transportName : recall();
    const worked = (transport) => transport.transportName === name;
    this._candidates = enabled.filter(worked);
    if (!this._proven || this._backoff.failures > FAITHFUL_ROUNDS) {
      this._candidates = this._candidates.concat(enabled.filter((transport) => !worked(transport)));
    }
    this._passedOver = false;
    const generation = this._generation;
    this._enter("connecting");
    if (generation !== this._generation) return;
    if (enabled.length) return this._attempt();
    this.stop(failure("no_transport", "This browser has none of the transports allowed."));
  }
  _attempt() {
    const candidate = this._candidates.shift();
    if (!candidate) return this._rest();
    const link = this._link(candidate);
    this._timer = setTimeout(
      () => link.lost(failure("timeout", "Chloe did not answer in time.", true)),
      this._timeoutMs * Math.min(this._backoff.failures + 1, PATIENCE_MAX)
    );
    try {
      this._current = new candidate(link);
      this._current.open(this._owner.hello());
    } catch (error) {
      link.lost(error);
    }
  }
  /** Every transport failed, or the connection broke: waits. */
  _rest() {
    this._timer = setTimeout(() => this._begin(), this._backoff.next());
    this._enter("waiting");
  }
  /** What the transport about to be made may do, as long as it is the current one. */
  _link(candidate) {
    const owner = this._owner;
    const generation = ++this._generation;
    const isCurrent = () => generation === this._generation;
    return {
      address: this._address,
      positions: () => owner.positions(),
      sessionId: () => owner.sessionId(),
      receive: (messages) => {
        if (!isCurrent()) return;
        if (this.transport) this._watch();
        messages.forEach((message) => {
          if (!isCurrent()) return;
          if (this.transport) owner.received(message);
          else if (message.type === "connect") this._open(candidate, message);
          else if (message.type === "error") this._lose(failureOf(message));
        });
      },
      lost: (error) => {
        if (isCurrent()) this._lose(error);
      }
    };
  }
  _open(candidate, answer) {
    clearTimeout(this._timer);
    if (this._passedOver) remember(candidate.transportName);
    this._proven = candidate;
    this._connectedAt = Date.now();
    this._silenceMs = answer.heartbeat && 2 * answer.heartbeat + SILENCE_GRACE_MS;
    this._watch();
    this.transport = this._current;
    this.transportName = candidate.transportName;
    this.state = "connected";
    this._owner.opened(answer);
    if (this.transport) this._owner.changed("connected");
  }
  _lose(error) {
    const wasConnected = this.transport;
    if (wasConnected && Date.now() - this._connectedAt > STEADY_MS) this._backoff.failures = 0;
    const generation = this._generation + 1;
    this._drop(error);
    if (generation !== this._generation) return;
    if (error.code === "unknown_session" && !this._backoff.failures) {
      this._backoff.failures = 1;
      return this._begin();
    }
    if (wasConnected) return this._rest();
    this._passedOver = true;
    this._attempt();
  }
  /** Lets go of the current transport. */
  _drop(error) {
    clearTimeout(this._timer);
    this._generation++;
    const transport = this._current;
    this._current = this.transport = void 0;
    this.transportName = null;
    if (transport) transport.close();
    this._owner.dropped(error);
  }
  _enter(state) {
    this.state = state;
    this._owner.changed(state);
  }
  /** A connection can be dead without a word, after sleep or a change of networks. Silence tells. */
  _watch() {
    this._heardAt = Date.now();
    clearTimeout(this._timer);
    if (this._silenceMs) this._timer = setTimeout(this._silent, this._silenceMs);
  }
  _listen(method) {
    if (typeof self === "undefined" || !self[method]) return;
    self[method]("online", this._wake);
    self[method]("pageshow", this._wake);
    if (typeof document !== "undefined") document[method]("visibilitychange", this._wake);
  }
};

// src/events.ts
var Callbacks = class {
  constructor() {
    this._lists = /* @__PURE__ */ new Map();
  }
  /** Whether `name` was added, with a callback or without. */
  has(name) {
    return this._lists.has(name);
  }
  /** Adds a callback, once; or only the name. */
  add(name, callback) {
    const list = this.of(name);
    const isNew = callback && list.indexOf(callback) < 0;
    this._lists.set(name, isNew ? list.concat(callback) : list);
  }
  /** Removes one callback, or all of `name`. */
  remove(name, callback) {
    const rest = this.of(name).filter((other) => callback && other !== callback);
    if (rest.length) this._lists.set(name, rest);
    else this._lists.delete(name);
  }
  /** The callbacks of `name`, in the order in which they were added. */
  of(name) {
    return this._lists.get(name) || [];
  }
  /** All names that were added. */
  names() {
    return [...this._lists.keys()];
  }
};

// src/outbox.ts
var WAITING_MAX = 1e3;
var Outbox = class {
  /** `failed` is told every failure, whether or not somebody handles the promise. */
  constructor(_transport, _failed) {
    this._transport = _transport;
    this._failed = _failed;
    this._entries = [];
    /** So many of them are under way. */
    this._sent = 0;
  }
  /** Takes a message; what is promised is the app's answer. */
  add(id, data, timeoutMs) {
    const promise = new Promise((resolve, reject) => {
      const timer = timeoutMs && setTimeout(
        () => this.settle(id, failure("timeout", "The app has not taken a message in " + timeoutMs + " ms.", true)),
        timeoutMs
      );
      const entry = { message: { type: "message", version: VERSION, id, data }, resolve, reject, timer };
      this._entries.push(entry);
      if (this._entries.length > WAITING_MAX) {
        this.settle(id, failure("queue_full", "A message was dropped: " + WAITING_MAX + " wait already.", true));
      }
    });
    promise.catch(() => {
    });
    this.flush();
    return promise;
  }
  /** Sends what may be under way beside what is. */
  flush() {
    const transport = this._transport();
    if (!transport) this._sent = 0;
    else while (this._sent < transport.window && this._entries[this._sent]) transport.send(this._entries[this._sent++].message);
  }
  /** The connection broke for a message that was too long: one of those under way. False: there is none. */
  tooLong(error) {
    const sent = this._entries.slice(0, this._sent);
    const longest = sent.sort((one, other) => other.message.data.length - one.message.data.length)[0];
    return !!longest && this.settle(longest.message.id, error);
  }
  /** The message `id` was taken, or failed. False: it is not here. */
  settle(id, error, answer) {
    const index = this._entries.findIndex((entry2) => entry2.message.id === id);
    if (index < 0) return false;
    const entry = this._entries.splice(index, 1)[0];
    if (index < this._sent) this._sent--;
    clearTimeout(entry.timer);
    if (error) {
      entry.reject(error);
      this._failed(error);
    } else entry.resolve(answer);
    this.flush();
    return true;
  }
};

// src/positions.ts
var Positions = class {
  constructor() {
    this._places = /* @__PURE__ */ new Map();
  }
  /** Notes a delivery. False: it was seen before. */
  advance(channel, offset, epoch) {
    if (offset === void 0) return true;
    const place = this._places.get(channel);
    if (!place) {
      this._places.set(channel, { epoch, offset });
      return true;
    }
    if ((!epoch || epoch === place.epoch) && offset <= place.offset) return false;
    place.offset = offset;
    if (epoch) place.epoch = epoch;
    return true;
  }
  /**
   * Takes what an answer says of a channel. Deliveries may have overtaken it; and when nothing was
   * missed, those between our place and the answer's are still to come: then ours is kept, and
   * only the epoch learnt. False: something may have been missed since our place.
   */
  settle(channel, position, recovered) {
    if (!position) return true;
    const colon = position.lastIndexOf(":");
    if (colon < 0) {
      this._places.set(channel, { offset: 0, moment: position });
      return true;
    }
    const epoch = position.slice(0, colon);
    const offset = +position.slice(colon + 1);
    const place = this._places.get(channel);
    const known = place && place.epoch;
    const lost = place && place.old && !recovered;
    const ours = place && !lost && (place.offset >= offset ? !known || known === epoch : recovered && known === epoch);
    this._places.set(channel, { epoch, offset: ours ? place.offset : offset });
    return !place || !!recovered || !!ours && !known;
  }
  /** A session of its own begins: nobody will tell any more of which life an offset was. */
  begin() {
    this._places.forEach((place, channel) => {
      if (place.moment && !place.epoch) place.old = true;
      else if (!place.epoch || channel === SESSION) this.forget(channel);
    });
  }
  /** Forgets a channel: whoever subscribes to it again starts with what comes then. */
  forget(channel) {
    this._places.delete(channel);
  }
  /** `epoch:offset` of a channel, if both are known; or else the moment from which it is wanted. */
  of(channel) {
    const place = this._places.get(channel);
    return place && (place.epoch ? place.epoch + ":" + place.offset : place.moment);
  }
  /** All that is known, as messages carry it. A poll names no moments: they acknowledge nothing. */
  table(moments) {
    const table = /* @__PURE__ */ Object.create(null);
    this._places.forEach((place, channel) => {
      const position = (moments || place.epoch) && this.of(channel);
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
  constructor(_link) {
    this._link = _link;
    this.window = 1;
    /** What is asked of Chloe itself, and what is for the app, which may take its time. */
    this._asks = { queue: [] };
    this._messages = { queue: [] };
    this._batch = 0;
    this._backoff = new Backoff();
    this._timers = [];
  }
  open(connect) {
    this._request(connect, WAIT_MS, (answer) => {
      if (!answer || answer.type !== "connect") return this._lose(answer);
      this._link.receive([answer]);
      this._flush();
    });
  }
  send(message) {
    (message.type === "message" ? this._messages : this._asks).queue.push(message);
    this._flush();
  }
  close() {
    this._closed = true;
    this._timers.forEach(clearTimeout);
  }
  _poll() {
    if (this._closed) return;
    const link = this._link;
    const began = Date.now();
    const poll = {
      type: "poll",
      version: VERSION,
      sessionId: link.sessionId(),
      wait: WAIT_MS,
      positions: link.positions(),
      batch: this._batch
    };
    this._request(poll, WAIT_MS + GRACE_MS, (answer) => {
      if (answer && answer.code === "stopping" && this._messages.busy) this._stopping = answer;
      else if (!answer || !answer.messages) this._lose(answer);
      else {
        this._batch = answer.batch || this._batch;
        this._heard(answer.messages, began);
      }
    });
  }
  _heard(messages, began) {
    this._link.receive(messages);
    const hasty = !messages.length && Date.now() - began < HASTY_MS;
    if (hasty) this._timers[0] = setTimeout(() => this._poll(), HASTY_MS);
    else this._poll();
  }
  _flush() {
    this._carry(this._asks);
    if (this._closed || this._asks.queue.length) return;
    this._carry(this._messages);
    if (!this._polling) {
      this._polling = true;
      this._poll();
    }
  }
  /** Sends the first of a lane, unless one is under way. */
  _carry(lane) {
    const message = lane.queue[0];
    if (!message || lane.busy || this._closed) return;
    const began = Date.now();
    lane.busy = true;
    message.sessionId = this._link.sessionId();
    const next = (answer) => {
      if (answer) {
        lane.queue.shift();
        if (answer.type) this._link.receive([answer]);
      }
      lane.busy = false;
      if (this._stopping) this._lose(this._stopping);
      else this._flush();
    };
    this._request(message, WAIT_MS, (answer) => {
      if (answer && answer.code !== "unknown_session") {
        const later = answer.type === "error" && answer.temporary && answer.code !== "app_unavailable";
        if (later) this._timers[1] = setTimeout(next, this._backoff.next() + (answer.after || 0) * 1e3);
        else {
          this._backoff.failures = 0;
          next(answer);
        }
      } else if (!answer && lane === this._messages && Date.now() - began >= WAIT_MS) {
        next();
      } else {
        if (!answer) this._count(message);
        this._lose(answer);
      }
    });
  }
  _count(message) {
    const count = (tries.get(message) || 0) + 1;
    tries.set(message, count);
    if (count === TRIES_MAX) {
      const sentence = "A message was dropped: no answer " + count + " times.";
      this._link.receive([refusal("not_sent", sentence, message)]);
    }
  }
  _lose(answer) {
    this._link.lost(
      answer && answer.type === "error" ? failureOf(answer) : failure("no_answer", "Chloe did not answer as expected.", true)
    );
  }
};
function refusal(code, sentence, { id, channel }) {
  return { type: "error", id, code, message: sentence, channel };
}

// src/transports/jsonp.ts
var URL_LENGTH_MAX = 8e3;
var LOAD_MS = 5e3;
var LINGER_MS = 6e4;
var nothing = () => {
};
var CLOSED = { callbacks: { onmessage: nothing }, listenForMessages: nothing, response: nothing };
var requestCount = 0;
var JsonpTransport = class extends PollingTransport {
  constructor(link) {
    super(link);
    this.callbacks = {
      /** A message that comes beside the answer. */
      onmessage: (packed) => {
        const message = decode(packed);
        if (message) this._link.receive([message]);
      }
    };
    this._number = 1;
    this._scripts = /* @__PURE__ */ new Set();
    /** The answers that came while their script ran, by the key of their request. */
    this._answers = {};
    const { connections } = home();
    while (connections[this._number]) this._number++;
    connections[this._number] = this;
  }
  static isEnabled() {
    return typeof document !== "undefined";
  }
  /**
   * Every answer script calls this. It belongs to the request that its tag was made for: "3" is
   * a poll of connection 3, "3.7" another request of it. A script without a tag goes by its message.
   */
  static response(message) {
    const running = document.currentScript;
    const key = (running && running.getAttribute("data-id") || message.id) + "";
    const connection = home().connections[parseInt(key, 10)];
    if (connection) connection.response(message, key);
  }
  /** The server let go of a poll: it wants the next one. */
  listenForMessages() {
    this._answers[this._number] = { messages: [] };
  }
  response(message, key) {
    this._answers[key] = message;
  }
  close() {
    const number = this._number;
    const { connections } = home();
    connections[number] = CLOSED;
    setTimeout(() => delete connections[number], LINGER_MS);
    this._scripts.forEach((script) => script.remove());
    super.close();
  }
  /** A script that is held keeps the page from having loaded: polling begins after that. */
  _poll() {
    if (document.readyState === "complete" || this._polls) return super._poll();
    const begin = () => {
      clearTimeout(timer);
      if (this._polls) return;
      this._polls = true;
      super._poll();
    };
    const timer = setTimeout(begin, LOAD_MS);
    addEventListener("load", () => setTimeout(begin));
  }
  _request(message, limitMs, done) {
    const number = this._number;
    const held = message.type === "poll" || message.type === "connect";
    if (held) message.id = number;
    const key = number + (held ? "" : "." + ++requestCount);
    let url2 = this._urlOf(message);
    if (url2.length > URL_LENGTH_MAX && message.positions) {
      message.positions = {};
      url2 = this._urlOf(message);
    }
    if (url2.length > URL_LENGTH_MAX) {
      const sentence = "Too long for JSONP: a URL has at most " + URL_LENGTH_MAX + " characters.";
      setTimeout(() => this._closed || done(refusal("too_long", sentence, message)));
      return;
    }
    const script = document.createElement("script");
    const finish = (answer) => {
      clearTimeout(timer);
      script.onload = script.onerror = null;
      script.remove();
      this._scripts.delete(script);
      if (!this._closed) done(answer);
    };
    const timer = setTimeout(finish, limitMs);
    script.async = true;
    script.setAttribute("data-id", key);
    script.onerror = () => finish();
    script.onload = () => {
      const answer = this._answers[key] || {};
      delete this._answers[key];
      finish(answer);
    };
    script.src = url2 + "&ts=" + Date.now() + "." + ++requestCount;
    this._scripts.add(script);
    (document.head || document.documentElement).appendChild(script);
  }
  _urlOf(message) {
    return urlOf(this._link.address, "http", "/chloe/jsonp.js?data=") + encodeURIComponent(encode(message));
  }
};
JsonpTransport.transportName = "jsonp";
/** The open connections by number. Answers name theirs. */
JsonpTransport.connections = {};
function home() {
  const scope = self;
  const chloe = scope.Chloe || (scope.Chloe = {});
  return chloe.JsonpTransport || (chloe.JsonpTransport = JsonpTransport);
}

// src/transports/websocket.ts
var OUR_FAULT = [1002, 1003, 1007, 1008, 1009];
var WINDOW = 32;
var WebSocketTransport = class {
  constructor(_link) {
    this._link = _link;
    this.window = WINDOW;
  }
  static isEnabled() {
    return typeof WebSocket !== "undefined";
  }
  open(connect) {
    const link = this._link;
    const socket = this._socket = new WebSocket(urlOf(link.address, "ws", "/chloe/websocket"));
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
    const socket = this._socket;
    if (socket.readyState === WebSocket.OPEN) socket.send(encode(message));
  }
  close() {
    const socket = this._socket;
    if (socket) {
      socket.onopen = socket.onclose = socket.onmessage = null;
      socket.close();
    }
  }
};
WebSocketTransport.transportName = "websocket";

// src/transports/xhr.ts
var XhrTransport = class extends PollingTransport {
  constructor() {
    super(...arguments);
    this._requests = /* @__PURE__ */ new Set();
  }
  static isEnabled() {
    return typeof XMLHttpRequest !== "undefined" && "withCredentials" in new XMLHttpRequest();
  }
  close() {
    super.close();
    this._requests.forEach((request) => request.abort());
  }
  _request(message, limitMs, done) {
    const request = new XMLHttpRequest();
    this._requests.add(request);
    request.onloadend = () => {
      this._requests.delete(request);
      if (!this._closed) done(answerOf(request));
    };
    request.open("POST", urlOf(this._link.address, "http", "/chloe/xhr"));
    request.timeout = limitMs;
    request.setRequestHeader("Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
    request.send("data=" + encodeURIComponent(encode(message)));
  }
};
XhrTransport.transportName = "xhr";
function answerOf(request) {
  const { status, responseText } = request;
  if (!status) return void 0;
  const answer = decode(responseText);
  if (status < 300) return answer;
  const refused = answer && answer.type === "error" ? answer : (
    // Some other server's words, a proxy's perhaps.
    {
      type: "error",
      code: "http_" + status,
      message: responseText || "HTTP status " + status,
      temporary: status === 429 || status >= 500
    }
  );
  refused.after = +request.getResponseHeader("Retry-After");
  return refused;
}

// src/client.ts
var CONNECT_TIMEOUT_MS = 4e3;
var ASK_AGAIN_MS = 5e3;
var TRANSPORTS = [WebSocketTransport, XhrTransport, JsonpTransport];
var closing;
var Chloe = class {
  constructor(options = {}) {
    this._listeners = new Callbacks();
    this._subscriptions = new Callbacks();
    this._messageCallback = () => {
    };
    this._closeCallback = () => {
    };
    /** What connect() promised, until there is a connection. */
    this._waiters = [];
    /** Whether the page knows that there is no connection: it is told once, not at each attempt. */
    this._toldOfLoss = true;
    this._positions = new Positions();
    this._outbox = new Outbox(() => this._connector.transport, (error) => this._raise(error));
    this._idCount = 0;
    /** The channel that each unanswered request is about, by message id. */
    this._asked = /* @__PURE__ */ new Map();
    const address = addressOf(options);
    const transports = (options.transports || TRANSPORTS).map(transportOf);
    const timeoutMs = options.connectTimeoutMs || CONNECT_TIMEOUT_MS;
    this._connector = new Connector(this._owner(urlOf(address, "http", "")), address, transports, timeoutMs);
  }
  get state() {
    return this._connector.state;
  }
  get transport() {
    return this._connector.transportName;
  }
  connect(callback) {
    const promise = new Promise((resolve, reject) => this._waiters.push({ resolve, reject }));
    promise.catch(() => {
    });
    if (callback) this._waiters.push({ resolve: () => this._call(callback), reject: () => {
    } });
    if (this.state === "connected") this._welcome();
    if (this.state === "closed") {
      this._toldOfLoss = false;
      if (closing) {
        closing.disconnect();
        setTimeout(() => this._connector.start(), ASK_AGAIN_MS * Math.random());
      } else this._connector.start();
    }
    return promise;
  }
  disconnect() {
    this._connector.stop();
  }
  send(data, options = {}) {
    if (typeof data !== "string") throw new TypeError("send() takes a string. Use JSON.stringify().");
    return this._outbox.add(this._nextId(), data, options.timeoutMs || options.timeout_ms);
  }
  position(channel) {
    return this._positions.of(channel);
  }
  subscribe(channel, callback, options = {}) {
    if (typeof channel !== "string" || callback && typeof callback !== "function") {
      throw new TypeError("subscribe() takes a channel name and a function.");
    }
    if (wellFormed(channel) !== channel) throw new TypeError("A channel name cannot contain half a surrogate pair.");
    const isNew = !this._subscriptions.has(channel);
    this._subscriptions.add(channel, callback);
    if (!isNew) return;
    this._positions.settle(channel, options.since, false);
    this._ask(true, channel);
  }
  unsubscribe(channel, callback) {
    if (!this._subscriptions.has(channel)) return;
    this._subscriptions.remove(channel, callback);
    if (!this._subscriptions.has(channel)) this._ask(false, channel);
  }
  onmessage(callback) {
    this._messageCallback = callback;
  }
  onclose(callback) {
    this._closeCallback = callback;
  }
  on(event, callback) {
    this._listeners.add(event, callback);
    return this;
  }
  off(event, callback) {
    this._listeners.remove(event, callback);
    return this;
  }
  /** What the connector sees of this client. */
  _owner(url2) {
    return {
      hello: () => ({
        type: "connect",
        version: VERSION,
        sessionId: this._session,
        positions: this._positions.table(true)
      }),
      positions: () => this._positions.table(false),
      sessionId: () => this._session,
      opened: (answer) => this._resume(answer),
      received: (message) => this._receive(message),
      changed: (state) => {
        this._emit("state", state, this.transport);
        if (state === "connected") this._welcome();
        if (state === "waiting" && !this._toldOfLoss && !this._hasConnected) {
          const sentence = "No connection to Chloe at " + url2 + ", or it refuses this page. Trying on.";
          this._raise(failure("no_connection", sentence, true));
        }
        if ((state === "waiting" || state === "closed") && !this._toldOfLoss) {
          this._toldOfLoss = true;
          closing = this;
          this._call(this._closeCallback);
          closing = void 0;
        }
      },
      dropped: (error) => {
        this._asked.clear();
        const told = error && error.code === "closed_1009" && this._outbox.tooLong(error);
        this._outbox.flush();
        if (!error) return;
        if (error.code === "unknown_session") this._session = void 0;
        else if (!error.temporary && !told && !this._toldOfLoss) this._raise(error);
      },
      stopped: (error) => this._waiters.splice(0).forEach((waiter) => waiter.reject(error))
    };
  }
  /** Brings a new connection to where the page is: session, subscriptions, messages that waited. */
  _resume(answer) {
    const channels = answer.channels || {};
    if (!answer.resumed) this._positions.begin();
    this._session = answer.sessionId;
    this._hasConnected = true;
    this._toldOfLoss = false;
    const tell = [];
    const told = new Set(Object.keys(channels));
    told.forEach((channel) => {
      const wanted = channel === ALL || channel === SESSION || this._subscriptions.has(channel);
      if (!wanted) this._ask(false, channel);
      else tell.push(this._settle(channel, channels[channel]));
    });
    this._subscriptions.names().forEach((channel) => {
      if (!told.has(channel)) this._ask(true, channel);
    });
    this._outbox.flush();
    tell.forEach((each) => each());
  }
  _receive(message) {
    const id = message.id + "";
    const channel = message.channel || this._asked.get(id) || "";
    if (message.version !== void 0 && message.version !== VERSION) {
      return this._raise(failure("version", "Chloe speaks version " + message.version + ": load its own chloe.js."));
    }
    switch (message.type) {
      case null:
      case void 0:
      case "poll":
        return this._deliver(message);
      case "subscribed":
        if (this._subscriptions.has(channel)) this._settle(channel, message)();
        break;
      case "accepted":
        this._outbox.settle(id, void 0, message.answer);
        break;
      case "gap":
        this._positions.settle(channel, message.position, false);
        this._emit("gap", { channel, missed: message.missed });
        break;
      case "error":
        if (message.code === "stopping") return;
        const error = failureOf(message, channel);
        if (!this._outbox.settle(id, error)) this._raise(error);
        if (message.temporary && this._asked.has(id)) this._askLater(channel);
    }
    this._asked.delete(id);
  }
  _deliver(message) {
    const channel = message.channel || ALL;
    const { data, direct } = message;
    if (data === void 0 || !(direct || channel === ALL || this._subscriptions.has(channel))) return;
    if (!this._positions.advance(direct ? SESSION : channel, message.offset, message.epoch)) return;
    const about = { data, channel, offset: message.offset, direct: !!direct };
    this._emit("message", data, about);
    const callbacks = this._subscriptions.of(channel);
    (callbacks.length ? callbacks : [this._messageCallback]).forEach((callback) => this._call(callback, data, about));
  }
  /** Asks to be in a channel, or out of it. Without a connection, resume() will. */
  _ask(wanted, channel) {
    if (channel === ALL) return;
    if (!wanted) this._positions.forget(channel);
    const { transport } = this._connector;
    if (!transport) return;
    const message = {
      type: wanted ? "channel-subscribe" : "channel-unsubscribe",
      version: VERSION,
      channel,
      // With an id a refusal is told on every transport.
      id: this._nextId()
    };
    if (wanted) {
      message.since = this._positions.of(channel);
      this._asked.set(message.id, channel);
    }
    transport.send(message);
  }
  /** A subscription was refused for now. */
  _askLater(channel) {
    setTimeout(() => this._subscriptions.has(channel) && this._ask(true, channel), ASK_AGAIN_MS * (1 + Math.random()));
  }
  /** Takes a position, and returns what tells the page of it. */
  _settle(channel, { position, recovered }) {
    const known = this._positions.of(channel);
    const whole = this._positions.settle(channel, position, recovered);
    return () => {
      if (known) this._emit("recovered", { channel, recovered: whole });
      if (!whole) this._emit("gap", { channel });
    };
  }
  /** Unique in the life of this client, whatever it is connected by. */
  _nextId() {
    return ++this._idCount + "";
  }
  _welcome() {
    this._waiters.splice(0).forEach((waiter) => waiter.resolve());
  }
  _raise(error) {
    if (this._listeners.has("error")) this._emit("error", error);
    else console.error("Chloe: " + error.message);
  }
  _emit(event, ...values) {
    this._listeners.of(event).forEach((callback) => this._call(callback, ...values));
  }
  /** Calls what the page gave us. An error of it goes to the listeners, and to the console. */
  _call(callback, ...values) {
    try {
      callback.apply(void 0, values);
    } catch (error) {
      setTimeout(() => {
        throw error;
      });
      if (this._listeners.of("error").indexOf(callback) < 0) this._emit("error", error);
    }
  }
};
Chloe.WebSocketTransport = WebSocketTransport;
Chloe.XhrTransport = XhrTransport;
Chloe.JsonpTransport = JsonpTransport;
function transportOf(choice) {
  const found = typeof choice === "string" ? TRANSPORTS.filter((one) => one.transportName === choice)[0] : choice;
  if (!found) throw new TypeError('No transport "' + choice + '", but websocket, xhr and jsonp.');
  return found;
}

// src/index.ts
var { url } = import.meta;
if (/\/chloe\.mjs([?#]|$)/.test(url + "")) loadedFrom(url);
export {
  Chloe,
  Chloe as default
};
