package server

import (
	"bytes"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
)

// lockedBuffer is a log that several goroutines write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// The operator sees what happens and not whose it is: no id, locator, key, token
// or address is in the logs, at any level, or in the metrics.
func TestNothingPersonal(t *testing.T) {
	var log lockedBuffer
	w := newWorld(t, func(o *Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		closed(o)
	})
	token := w.token(1000)
	auth := w.with(token)
	g := w.grant()
	w.ok(w.post(node.PathBlobs, node.PutsForm.Marshal(g.puts), auth...))
	w.ok(w.post(node.PathEntries, node.EntriesForm.Marshal([]contract.Entry{g.entry}), auth...))
	loc := g.puts[0].Locators[0]
	w.ok(w.fetch(loc))
	w.get("/carekey/v1/entries/" + g.id.String())
	w.get("/carekey/v1/nonsense/" + hex.EncodeToString(loc[:]))
	r, _ := w.request(g, g.entry)
	w.ok(w.post(node.PathRelease, ledgerclient.Marshal(&r)))
	w.refused("a stranger", w.post(node.PathEntries, node.EntriesForm.Marshal([]contract.Entry{g.entry})), node.KindToken)
	conn := w.dial() // what http.Server complains about
	io.WriteString(conn, "nonsense\r\n\r\n")
	io.Copy(io.Discard, conn)

	scrape := httptest.NewRecorder()
	w.server.Operator().ServeHTTP(scrape, httptest.NewRequest("GET", "/metrics", nil))
	text := log.String() + scrape.Body.String()
	for what, secret := range map[string]string{
		"id": g.id.String(), "locator": hex.EncodeToString(loc[:]), "author": g.entry.Author.String(), "token": token.Secret(),
		"token as it is shown": strings.TrimPrefix(auth[1], "Bearer "), "key of the token": token.Key.String(), "address": "127.0.0.1", "path": "nonsense", "folder": w.dir,
	} {
		if strings.Contains(text, secret) || len(secret) > 12 && strings.Contains(text, secret[:12]) {
			t.Errorf("the %s is in logs or metrics:\n%s", what, text)
		}
	}
	if !strings.Contains(log.String(), "route=entries status=200") || !strings.Contains(log.String(), "kind=token") {
		t.Errorf("log:\n%s", log.String())
	}
}

// The metrics are in the Prometheus text format and count what happened.
func TestMetrics(t *testing.T) {
	w := newWorld(t, nil)
	rs := w.records(3)
	rs[2].Signature[0] ^= 1
	w.submit(rs...)
	w.submit(rs[:1]...)
	w.get("/none")
	scrape := httptest.NewRecorder()
	w.server.Operator().ServeHTTP(scrape, httptest.NewRequest("GET", "/metrics", nil))
	text := scrape.Body.String()
	for _, want := range []string{
		"carekey_log_entries 3\n", "carekey_log_hour 480000\n", "carekey_clock_right 1\n", "carekey_requests_open 0\n",
		`carekey_requests_total{route="entries",status="200"} 2` + "\n", `carekey_requests_total{route="none",status="404"} 1` + "\n",
		`carekey_problems_total{kind="not-found"} 1` + "\n", "carekey_received_bytes_total 888\n",
		`carekey_entries_total{outcome="accepted"} 2` + "\n", `carekey_entries_total{outcome="duplicate"} 1` + "\n", `carekey_entries_total{outcome="refused"} 1` + "\n",
		`carekey_request_seconds_count{route="entries"} 2` + "\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	sample := regexp.MustCompile(`^carekey_[a-z_]+(\{[a-z]+="[^"{}]*"(,[a-z]+="[^"{}]*")*\})? [0-9.e+-]+$`)
	typed := map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			if name, _, _ = strings.Cut(name, " "); typed[name] {
				t.Errorf("%s has two types", name)
			}
			typed[name] = true
		} else if !sample.MatchString(line) {
			t.Errorf("no sample: %s", line)
		}
	}
	if len(typed) < 10 {
		t.Errorf("%d metrics", len(typed))
	}
	health := httptest.NewRecorder()
	w.server.Operator().ServeHTTP(health, httptest.NewRequest("GET", "/healthz", nil))
	if health.Code != 200 || health.Body.String() != "ok\n" {
		t.Errorf("%d %s", health.Code, health.Body)
	}
	w.clock.jump(1 << 40)
	health = httptest.NewRecorder()
	w.server.Operator().ServeHTTP(health, httptest.NewRequest("GET", "/healthz", nil))
	if health.Code != 503 || health.Body.String() != "clock\n" {
		t.Errorf("%d %s", health.Code, health.Body)
	}
}
