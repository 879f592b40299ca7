// A complete app for Chloe. Run it with:  go run app.go
// It serves a page, takes what browsers send, and answers through POST /send.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
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

// genuine tells whether Chloe sent the request, within the last five minutes.
func genuine(r *http.Request, body []byte) bool {
	h := r.Header.Get
	at, _ := strconv.ParseInt(h("webhook-timestamp"), 10, 64)
	if age := time.Since(time.Unix(at, 0)).Abs(); age > 5*time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, []byte(secret))
	for _, line := range []string{
		"chloe1", "to-app", h("webhook-id"), h("webhook-timestamp"), r.Method, r.RequestURI,
		h("X-Chloe-Session"), h("X-Chloe-User"), h("X-Chloe-Channel"),
	} {
		io.WriteString(mac, line+"\n")
	}
	mac.Write(body)
	expected := []byte("chloe1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return slices.ContainsFunc(strings.Fields(h("webhook-signature")), func(given string) bool {
		return hmac.Equal([]byte(given), expected)
	})
}

// publish sends data to one browser (to is "session") or to a channel (to is "channel").
func publish(data, to, name string) {
	form := url.Values{"data": {data}, to: {name}}
	request, _ := http.NewRequest("POST", chloe+"/send", strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if secret != "" {
		request.Header.Set("Authorization", "Bearer "+secret)
	}
	answer, err := http.DefaultClient.Do(request)
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
	if secret != "" && !genuine(r, body) {
		w.WriteHeader(http.StatusUnauthorized) // it was not Chloe who called
		return
	}
	said := string(body)
	publish("You said: "+said, "session", r.Header.Get("X-Chloe-Session"))
	publish("Someone said: "+said, "channel", "room")
}

func main() {
	http.HandleFunc("/updates", updates)
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, page, chloe) })
	log.Fatal(http.ListenAndServe("localhost:"+env("APP_PORT", "4567"), nil))
}
