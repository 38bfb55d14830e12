package server

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/ledgerclient/node"
)

// The clock of an institution that is more than ten seconds off is named at all of them, its own
// too, ahead or behind, and as right again when it is; one that is nine off is not.
func TestClocksOff(t *testing.T) {
	n := newNetwork(t, 4, 3)
	var logs [4]bytes.Buffer
	for i, s := range n.nodes {
		s.c.say = slog.New(slog.NewTextHandler(&logs[i], nil))
	}
	sign := func() {
		n.clock.pass(node.CosignEvery)
		for _, s := range n.nodes {
			s.step()
		}
		n.settle()
	}
	// said is what node i says in its log now.
	said := func(i int) string {
		logs[i].Reset()
		n.nodes[i].c.tellClocks()
		return logs[i].String()
	}
	off := func(node int, by time.Duration) {
		n.nodes[node].off = by
		for range maxLags + 2 { // one whose clock was put back signs nothing until that time has come again
			sign()
		}
	}
	sign()
	for i := range n.nodes {
		now := map[string]float64{}
		if n.nodes[i].c.clockGauges(now); said(i) != "" || len(now) != 5 || now["carekey_clocks_off"] != 0 {
			t.Errorf("all are right: %d says %v, %s", i+1, now, logs[i].String())
		}
	}
	for _, c := range []struct {
		node int
		by   time.Duration
		off  bool
	}{{2, 9 * time.Second, false}, {2, 11 * time.Second, true}, {2, 0, false}, {1, -9 * time.Second, false}, {1, -11 * time.Second, true}, {1, -time.Hour, true}} {
		off(c.node, c.by)
		for i := range n.nodes {
			if c.by == -time.Hour && i != c.node {
				continue // where it signs nothing later than before, and is missing
			}
			now, log, count := map[string]float64{}, said(i), 0.
			want := "a clock is right again"
			if c.off {
				count, want = 1, fmt.Sprintf(`"a clock is off" node=%d own=%v ahead=%v`, c.node+1, i == c.node, c.by)
			}
			n.nodes[i].c.clockGauges(now)
			if ahead := now[fmt.Sprintf(`carekey_node_clock_ahead{node="%d"}`, c.node+1)]; ahead != c.by.Seconds() || now["carekey_clocks_off"] != count {
				t.Errorf("%d is off by %v: %d says %v", c.node+1, c.by, i+1, now)
			}
			if was := c.by == -time.Hour || c.by.Abs() == 9*time.Second; was != (log == "") || !was && !strings.Contains(log, want) {
				t.Errorf("%d is off by %v: %d logs %q", c.node+1, c.by, i+1, log)
			}
		}
	}
	// Of two that are left nobody can say whose is wrong.
	n.nodes[1].off = 11 * time.Second
	for range maxLags {
		n.clock.pass(node.CosignEvery)
		n.nodes[0].step()
		n.nodes[1].step()
		n.nodes[0].c.show(ctx, n.nodes[0].c.peers[0])
	}
	if now := n.nodes[0].c.clocks(); now != nil {
		t.Errorf("of two: %v", now)
	}
}

// A signature that was long under way, or was made for an older head, makes no clock wrong.
func TestLags(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	var l lags
	if _, known := l.ahead(); known {
		t.Error("known of nothing")
	}
	for i := range 3 * maxLags {
		late := 40 * time.Second
		if i%maxLags == 3 {
			late = time.Second
		}
		at = at.Add(time.Second)
		l.take(at, at.Add(late))
		l.take(at.Add(-time.Second), at.Add(-time.Hour)) // an older one
		if by, known := l.ahead(); !known || i >= 3 && by != -time.Second || len(l.last) > maxLags {
			t.Fatalf("after %d: %v", i, by)
		}
	}
}
