# A complete app for Chloe. Run it with:  ruby app.rb
# It serves a page, takes what browsers send, and answers through POST /send.
require "net/http"
require "openssl"
require "socket"

CHLOE = URI("http://localhost:#{ENV.fetch("CHLOE_PORT", "8901")}")
SECRET = ENV.fetch("CHLOE_SECRET", "") # the same as `secret` in chloe.toml

PAGE = <<~HTML
  <!doctype html>
  <meta charset="utf-8">
  <title>Chloe and Ruby</title>
  <input id="line" placeholder="Say something" autofocus>
  <pre id="log"></pre>
  <script src="#{CHLOE}/chloe.js"></script>
  <script>
    var chloe = new Chloe(), line = document.getElementById("line");
    function show(text) { document.getElementById("log").append(text + "\\n"); }
    chloe.onmessage(show);
    chloe.connect(function () { chloe.subscribe("room", show); });
    line.onchange = function () { chloe.send(line.value); line.value = ""; };
  </script>
HTML

# Whether Chloe sent the request, within the last five minutes.
def genuine?(method, target, headers, body)
  id, at, session, user, channel =
    headers.values_at("webhook-id", "webhook-timestamp", "x-chloe-session", "x-chloe-user", "x-chloe-channel")
  lines = ["chloe1", "to-app", id, at, method, target, session, user, channel]
  hmac = OpenSSL::HMAC.digest("SHA256", SECRET, lines.map { |line| "#{line}\n" }.join.b + body.b)
  expected = "chloe1,#{[hmac].pack("m0")}"
  recent = (Time.now.to_i - at.to_i).abs <= 300
  recent && headers["webhook-signature"].to_s.split.any? { |given| OpenSSL.secure_compare(given, expected) }
end

# Sends data to one browser (session: ...) or to a channel (channel: ...).
def publish(data, **to)
  headers = SECRET.empty? ? {} : { "Authorization" => "Bearer #{SECRET}" }
  Net::HTTP.post(CHLOE + "/send", URI.encode_www_form(to.merge(data: data)), headers)
end

# What browsers send comes here. Returns the status for Chloe.
def update(target, headers, said)
  genuine = SECRET.empty? || genuine?("POST", target, headers, said)
  return "401 Unauthorized" unless genuine # it was not Chloe who called

  publish("You said: #{said}", session: headers["x-chloe-session"])
  publish("Someone said: #{said}", channel: "room")
  "200 OK"
end

# Ruby's standard library has no HTTP server; this much of one is enough here.
server = TCPServer.new("localhost", ENV.fetch("APP_PORT", "4567").to_i)
loop do
  Thread.new(server.accept) do |browser|
    method, target = browser.gets.to_s.split
    headers = browser.each_line("\r\n", chomp: true).take_while { |line| line != "" }
                     .to_h { |line| line.split(/:\s*/, 2) }.transform_keys(&:downcase)
    said = browser.read(headers["content-length"].to_i).force_encoding("UTF-8")
    status, body = method == "POST" ? [update(target, headers, said), ""] : ["200 OK", PAGE]
    browser.write "HTTP/1.1 #{status}\r\nContent-Type: text/html; charset=utf-8\r\n" \
                  "Content-Length: #{body.bytesize}\r\nConnection: close\r\n\r\n#{body}"
    browser.close
  end
end
