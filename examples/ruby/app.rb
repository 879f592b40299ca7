# A complete app for Chloe. Run it with:  ruby app.rb
# It serves a page, takes what browsers send, and answers through POST /send.
require "digest"
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

def signature(data) = Digest::MD5.hexdigest(data.b + SECRET.b)

# Sends data to one browser (session: ...) or to a channel (channel: ...).
def publish(data, **to)
  to[:sig] = signature(data) unless SECRET.empty?
  Net::HTTP.post_form(CHLOE + "/send", to.merge(data: data))
end

# What browsers send comes here. Returns the status for Chloe.
def update(said, headers)
  claimed = headers["x-chloe-signature"].to_s
  genuine = SECRET.empty? || OpenSSL.secure_compare(claimed, signature(said))
  return "401 Unauthorized" unless genuine # it was not Chloe who called

  publish("You said: #{said}", session: headers["x-chloe-session"])
  publish("Someone said: #{said}", channel: "room")
  "200 OK"
end

# Ruby's standard library has no HTTP server; this much of one is enough here.
server = TCPServer.new("localhost", ENV.fetch("APP_PORT", "4567").to_i)
loop do
  Thread.new(server.accept) do |browser|
    method, = browser.gets.to_s.split
    headers = browser.each_line("\r\n", chomp: true).take_while { |line| line != "" }
                     .to_h { |line| line.split(/:\s*/, 2) }.transform_keys(&:downcase)
    said = browser.read(headers["content-length"].to_i).force_encoding("UTF-8")
    status, body = method == "POST" ? [update(said, headers), ""] : ["200 OK", PAGE]
    browser.write "HTTP/1.1 #{status}\r\nContent-Type: text/html; charset=utf-8\r\n" \
                  "Content-Length: #{body.bytesize}\r\nConnection: close\r\n\r\n#{body}"
    browser.close
  end
end
