package server

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/node"
)

// metrics are counters in the Prometheus text format. Their labels are names out
// of this program: there are as many as there are, whoever asks for what.
type metrics struct {
	gauges func() []gauge

	mu       sync.Mutex
	counters map[counter]float64
	times    map[string]*histogram // by route
}

type counter struct {
	name   string
	labels string // as they are written
}

type gauge struct {
	name, help string
	value      float64
}

// buckets of times, in seconds.
var timeBuckets = [...]float64{0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30}

type histogram struct {
	counts [len(timeBuckets) + 1]uint64
	sum    float64
}

// helps says what each counter counts.
var helps = map[string]string{
	"carekey_requests_total":       "Requests by route and HTTP status.",
	"carekey_problems_total":       "Requests that failed, by kind of problem.",
	"carekey_received_bytes_total": "Bytes of request bodies.",
	"carekey_sent_bytes_total":     "Bytes of answers.",
	"carekey_entries_total":        "Submitted entries: accepted, duplicate or refused by the contract.",
	"carekey_releases_total":       "Answers of the keeper to requests for shares, by code.",
	"carekey_failures_total":       "What failed outside of a request.",
}

func newMetrics(gauges func() []gauge) *metrics {
	return &metrics{gauges: gauges, counters: map[counter]float64{}, times: map[string]*histogram{}}
}

func (m *metrics) served(route string, status int, kind node.Kind, in, out int64, took time.Duration) {
	if route == "" {
		route = "none"
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counters[counter{"carekey_requests_total", fmt.Sprintf(`{route=%q,status="%d"}`, route, status)}]++
	if kind != "" {
		m.counters[counter{"carekey_problems_total", fmt.Sprintf(`{kind=%q}`, string(kind))}]++
	}
	m.counters[counter{"carekey_received_bytes_total", ""}] += float64(in)
	m.counters[counter{"carekey_sent_bytes_total", ""}] += float64(out)
	h := m.times[route]
	if h == nil {
		h = &histogram{}
		m.times[route] = h
	}
	i, _ := slices.BinarySearch(timeBuckets[:], took.Seconds())
	h.counts[i]++
	h.sum += took.Seconds()
}

func (m *metrics) ordered(outcomes []ledgerclient.Outcome) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range outcomes {
		what := "accepted"
		switch {
		case outcomes[i].Refusal != nil:
			what = "refused"
		case outcomes[i].Duplicate:
			what = "duplicate"
		}
		m.counters[counter{"carekey_entries_total", fmt.Sprintf(`{outcome=%q}`, what)}]++
	}
}

func (m *metrics) answered(c ledgerclient.Code) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counters[counter{"carekey_releases_total", fmt.Sprintf(`{code=%q}`, c)}]++
}

func (m *metrics) failed(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counters[counter{"carekey_failures_total", fmt.Sprintf(`{what=%q}`, what)}]++
}

// write writes everything in a fixed order.
func (m *metrics) write(w io.Writer) {
	gauges := m.gauges() // asks the folder: not under the mutex
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	for _, g := range gauges {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s gauge\n%s %g\n", g.name, g.help, g.name, g.name, g.value)
	}
	keys := make([]counter, 0, len(m.counters))
	for k := range m.counters {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b counter) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.labels, b.labels))
	})
	for i, k := range keys {
		if i == 0 || keys[i-1].name != k.name {
			fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s counter\n", k.name, helps[k.name], k.name)
		}
		fmt.Fprintf(&b, "%s%s %.0f\n", k.name, k.labels, m.counters[k])
	}
	const name = "carekey_request_seconds"
	fmt.Fprintf(&b, "# HELP %s Time from the header to the answer's end, by route.\n# TYPE %s histogram\n", name, name)
	routes := make([]string, 0, len(m.times))
	for r := range m.times {
		routes = append(routes, r)
	}
	slices.Sort(routes)
	for _, r := range routes {
		h, n := m.times[r], uint64(0)
		for i, le := range timeBuckets {
			n += h.counts[i]
			fmt.Fprintf(&b, "%s_bucket{route=%q,le=\"%g\"} %d\n", name, r, le, n)
		}
		n += h.counts[len(timeBuckets)]
		fmt.Fprintf(&b, "%s_bucket{route=%q,le=\"+Inf\"} %d\n%s_sum{route=%q} %g\n%s_count{route=%q} %d\n", name, r, n, name, r, h.sum, name, r, n)
	}
	io.WriteString(w, b.String())
}

// gauges are what is so now.
func (s *Server) gauges() []gauge {
	requests, bytes := s.gate.load()
	out := []gauge{
		{"carekey_requests_open", "Requests under way.", float64(requests)},
		{"carekey_body_bytes", "Memory of request bodies.", float64(bytes)},
		{"carekey_uploads_open", "Uploads of contents under way.", float64(s.uploads.open())},
	}
	clock := 1.0
	if s.clock.off() != nil {
		clock = 0
	}
	out = append(out, gauge{"carekey_clock_right", "1 while the clock is right, 0 while the node orders and releases nothing.", clock})
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if head, err := s.folder.Head(ctx); err == nil {
		out = append(out,
			gauge{"carekey_log_entries", "Entries in the log.", float64(head.Size)},
			gauge{"carekey_log_hour", "Ledger hour of the last entry, in hours since 1970.", float64(head.Hour)})
	}
	return out
}

// Operator returns what is for the operator alone, to be served on another
// listener than the protocol: /healthz and /metrics.
func (s *Server) Operator() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if what := s.Health(); what != "ok" {
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, what+"\n")
			return
		}
		io.WriteString(w, "ok\n")
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		s.metrics.write(w)
	})
	return mux
}

// Health is "ok", or one word for what is wrong: "closing", "clock", "ledger", or
// "keys" if one that the node signs with cannot be used.
func (s *Server) Health() string {
	if s.closing.Load() {
		return "closing"
	}
	if s.clock.off() != nil {
		return "clock"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := s.folder.Head(ctx); err != nil {
		return "ledger"
	}
	if len(s.keys) > 0 {
		return "keys"
	}
	return "ok"
}
