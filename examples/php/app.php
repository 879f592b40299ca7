<?php
// A complete app for Chloe. Run it with:  php -S localhost:4567 app.php
// It serves a page, takes what browsers send, and answers through POST /send.

$chloe = 'http://localhost:' . (getenv('CHLOE_PORT') ?: 8901);
$secret = getenv('CHLOE_SECRET') ?: '';   // the same as `secret` in chloe.toml

// Whether Chloe sent the request, within the last five minutes.
function genuine(string $body): bool {
    global $secret;
    $field = fn(string $name) => $_SERVER["HTTP_$name"] ?? '';
    $lines = ['chloe1', 'to-app', $field('WEBHOOK_ID'), $field('WEBHOOK_TIMESTAMP'),
        $_SERVER['REQUEST_METHOD'], $_SERVER['REQUEST_URI'],
        $field('X_CHLOE_SESSION'), $field('X_CHLOE_USER'), $field('X_CHLOE_CHANNEL')];
    $hmac = hash_hmac('sha256', implode("\n", $lines) . "\n" . $body, $secret, true);
    $expected = 'chloe1,' . base64_encode($hmac);
    $fits = array_filter(explode(' ', $field('WEBHOOK_SIGNATURE')), fn($given) => hash_equals($expected, $given));
    return $fits && abs(time() - (int) $field('WEBHOOK_TIMESTAMP')) <= 300;
}

// Sends $data to one browser, ['session' => ...], or to a channel, ['channel' => ...].
function publish(string $data, array $to): void {
    global $chloe, $secret;
    $header = ['Content-Type: application/x-www-form-urlencoded'];
    if ($secret !== '') $header[] = "Authorization: Bearer $secret";
    file_get_contents("$chloe/send", false, stream_context_create(['http' => [
        'method' => 'POST',
        'header' => $header,
        'content' => http_build_query($to + ['data' => $data]),
    ]]));
}

if ($_SERVER['REQUEST_METHOD'] === 'POST' && $_SERVER['REQUEST_URI'] === '/updates') {
    $said = file_get_contents('php://input');
    if ($secret !== '' && !genuine($said)) {
        http_response_code(401);   // it was not Chloe who called
        return;
    }
    publish("You said: $said", ['session' => $_SERVER['HTTP_X_CHLOE_SESSION']]);
    publish("Someone said: $said", ['channel' => 'room']);
    http_response_code(204);
    return;
}
?>
<!doctype html>
<meta charset="utf-8">
<title>Chloe and PHP</title>
<input id="line" placeholder="Say something" autofocus>
<pre id="log"></pre>
<script src="<?= $chloe ?>/chloe.js"></script>
<script>
  var chloe = new Chloe(), line = document.getElementById("line");
  function show(text) { document.getElementById("log").append(text + "\n"); }
  chloe.onmessage(show);
  chloe.connect(function () { chloe.subscribe("room", show); });
  line.onchange = function () { chloe.send(line.value); line.value = ""; };
</script>
