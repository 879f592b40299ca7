<?php
// A complete app for Chloe. Run it with:  php -S localhost:4567 app.php
// It serves a page, takes what browsers send, and answers through POST /send.

$chloe = 'http://localhost:' . (getenv('CHLOE_PORT') ?: 8901);
$secret = getenv('CHLOE_SECRET') ?: '';   // the same as `secret` in chloe.toml

// Sends $data to one browser, ['session' => ...], or to a channel, ['channel' => ...].
function publish(string $data, array $to): void {
    global $chloe, $secret;
    $form = $to + ['data' => $data] + ($secret === '' ? [] : ['sig' => md5($data . $secret)]);
    file_get_contents("$chloe/send", false, stream_context_create(['http' => [
        'method' => 'POST',
        'header' => 'Content-Type: application/x-www-form-urlencoded',
        'content' => http_build_query($form),
    ]]));
}

if ($_SERVER['REQUEST_METHOD'] === 'POST' && $_SERVER['REQUEST_URI'] === '/updates') {
    $said = file_get_contents('php://input');
    $signature = $_SERVER['HTTP_X_CHLOE_SIGNATURE'] ?? '';
    if ($secret !== '' && !hash_equals(md5($said . $secret), $signature)) {
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
