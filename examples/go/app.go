// A complete app for Chloe. Run it with:  go run app.go
// It serves a page, takes what browsers send, and answers through POST /send.
package main

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
)

var (
	chloe  = "http://localhost:" + env("CHLOE_PORT", "8901")
	secret = env("CHLOE_SECRET", "") // the same as `secret` in chloe.toml
)

const page = `<!doctype html>
<meta charset="utf-8">
<title>Chloe and Go</title>
<input id="line" placeholder="Say something" autofocus>
<pre id="log"></pre>
<script src="%s/chloe.js"></script>
<script>
  var chloe = new Chloe(), line = document.getElementById("line");
  function show(text) { document.getElementById("log").append(text + "\n"); }
  chloe.onmessage(show);
  chloe.connect(function () { chloe.subscribe("room", show); });
  line.onchange = function () { chloe.send(line.value); line.value = ""; };
</script>
`

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func signature(data string) string {
	sum := md5.Sum([]byte(data + secret))
	return hex.EncodeToString(sum[:])
}

// publish sends data to one browser (to is "session") or to a channel (to is "channel").
func publish(data, to, name string) {
	form := url.Values{"data": {data}, to: {name}}
	if secret != "" {
		form.Set("sig", signature(data))
	}
	answer, err := http.PostForm(chloe+"/send", form)
	if err != nil {
		log.Print(err)
		return
	}
	answer.Body.Close()
}

func updates(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	said, claimed := string(body), r.Header.Get("x-chloe-signature")
	if secret != "" && subtle.ConstantTimeCompare([]byte(claimed), []byte(signature(said))) != 1 {
		w.WriteHeader(http.StatusUnauthorized) // it was not Chloe who called
		return
	}
	publish("You said: "+said, "session", r.Header.Get("X-Chloe-Session"))
	publish("Someone said: "+said, "channel", "room")
}

func main() {
	http.HandleFunc("/updates", updates)
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, page, chloe) })
	log.Fatal(http.ListenAndServe("localhost:"+env("APP_PORT", "4567"), nil))
}
