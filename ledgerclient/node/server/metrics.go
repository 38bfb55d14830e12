package server

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/node"
)

// metrics are counters in the Prometheus text format, whose names say what they are: a
// _total is a counter, _seconds are a summary, all others are as they are now. Their
// labels are names out of this program: there are as many as there are, whoever asks for
// what.
type metrics struct {
	mu       sync.Mutex
	counters map[string]float64 // by name and labels, as they are written
}

func newMetrics() *metrics {
	return &metrics{counters: map[string]float64{}}
}

// count adds to a counter, which is named with its labels.
func (m *metrics) count(n float64, counter string, labels ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counters[fmt.Sprintf(counter, labels...)] += n
}

func (m *metrics) served(route string, status int, kind node.Kind, in, out int64, took time.Duration) {
	if route == "" {
		route = "none"
	}
	m.count(1, `carekey_requests_total{route=%q,status="%d"}`, route, status)
	if kind != "" {
		m.count(1, `carekey_problems_total{kind=%q}`, kind)
	}
	m.count(float64(in), "carekey_received_bytes_total")
	m.count(float64(out), "carekey_sent_bytes_total")
	m.count(1, "carekey_request_seconds_count{route=%q}", route)
	m.count(took.Seconds(), "carekey_request_seconds_sum{route=%q}", route)
}

func (m *metrics) ordered(outcomes []ledgerclient.Outcome) {
	for i := range outcomes {
		what := "accepted"
		switch {
		case outcomes[i].Refusal != nil:
			what = "refused"
		case outcomes[i].Duplicate:
			what = "duplicate"
		}
		m.count(1, `carekey_entries_total{outcome=%q}`, what)
	}
}

// write writes everything in a fixed order, with the gauges as they are now.
func (m *metrics) write(w io.Writer, gauges map[string]float64) {
	m.mu.Lock()
	maps.Copy(gauges, m.counters)
	m.mu.Unlock()
	last := ""
	for _, sample := range slices.Sorted(maps.Keys(gauges)) {
		name, _, _ := strings.Cut(sample, "{")
		kind := "gauge"
		if strings.HasSuffix(name, "_total") {
			kind = "counter"
		} else if begin, _, ok := strings.Cut(name, "_seconds_"); ok {
			name, kind = begin+"_seconds", "summary"
		}
		if name != last {
			fmt.Fprintf(w, "# TYPE %s %s\n", name, kind)
			last = name
		}
		fmt.Fprintf(w, "%s %s\n", sample, strconv.FormatFloat(gauges[sample], 'f', -1, 64))
	}
}

// gauges are what is so now.
func (s *Server) gauges() map[string]float64 {
	requests, bytes := s.gate.load()
	now := map[string]float64{
		"carekey_requests_open": float64(requests), "carekey_body_bytes": float64(bytes),
		"carekey_uploads_open": float64(s.uploads.places.load()), "carekey_clock_right": 1,
	}
	if s.clock.off() != nil {
		now["carekey_clock_right"] = 0
	}
	if s.cosign != nil {
		s.cosign.gauges(now)
		s.cosign.clockGauges(now)
	}
	if s.cosign != nil && s.opt.Sign != nil {
		now["carekey_copies_broken"] = float64(s.broken.Load())
	}
	if n := len(s.opt.Witnesses); n > 0 {
		now["carekey_witnesses"], now["carekey_witnesses_cosigned"] = float64(n), float64(s.witnesses.cosigned())
	}
	s.orderGauges(now)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if head, err := s.folder.Head(ctx); err == nil {
		now["carekey_log_entries"], now["carekey_log_hour"] = float64(head.Size), float64(head.Hour)
	}
	return now
}

// Operator returns what is for the operator alone, to be served on another
// listener than the protocol: /healthz and /metrics.
func (s *Server) Operator() http.Handler {
	mux := http.NewServeMux()
	answer := func(path, contentType string, write func(http.ResponseWriter)) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Cache-Control", "no-store")
			write(w)
		})
	}
	answer("/healthz", "text/plain; charset=utf-8", func(w http.ResponseWriter) {
		what := s.Health()
		if what != "ok" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		io.WriteString(w, what+"\n")
	})
	answer("/metrics", "text/plain; version=0.0.4; charset=utf-8", func(w http.ResponseWriter) { s.metrics.write(w, s.gauges()) })
	return mux
}

// Health is "ok", or one word for what is wrong: "closing", "clock", "ledger", "keys" if one
// that the node signs with cannot be used, or "order" if that is kept elsewhere and says that
// it does not decide.
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
	if state := s.order.Load(); state != nil && !state.Decides {
		return "order"
	}
	return "ok"
}
