package main

import (
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/ledgerclient/contract"
)

// The other nodes are in the settings by where they are and by whose TLS key answers there.
func TestPeerSettings(t *testing.T) {
	good := peerSetting{Name: "City hospital", URLs: []string{"https://ledger.example:8443"}}
	for what, p := range map[string]peerSetting{
		"":                                     good,
		"peers: each needs 1 to 4 urls":        {Name: "City hospital"},
		"peers: not the URL of a node: x (":    {URLs: []string{"x"}},
		"peers: a name has 1 to 64 bytes, and": {Name: "a\nb", URLs: good.URLs},
	} {
		c := &config{Version: 1, URLs: good.URLs, Peers: []peerSetting{good, p}}
		c.TLS.Certificate, c.TLS.Key = certificate, privateKey
		if got := c.wrong(); !strings.HasPrefix(got, what) || what == "" && got != "" {
			t.Errorf("%q: %q", what, got)
		}
	}
	c := &config{Version: 1, URLs: good.URLs}
	c.TLS.Certificate, c.TLS.Key = certificate, privateKey
	for range contract.MaxNodes {
		c.Peers = append(c.Peers, good)
	}
	if got := c.wrong(); got != "peers: there are at most 15" {
		t.Errorf("%q", got)
	}
}

// Status says in words who signs, who does not and why, and whether it is enough.
func TestNodesText(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	at := func(ago time.Duration) string { return now.Add(-ago).UTC().Format(time.RFC3339) }
	d := description{Serving: true, Nodes: 7, Threshold: 5, Peers: []peerState{
		{Name: "City hospital", Node: 2, Entries: 7, Signed: at(3 * time.Second), now: now},
		{Name: "https://b.example", Fault: faultMissing, why: "nobody answers", now: now},
		{Name: "Clinic", Node: 4, Entries: 6, Signed: at(time.Hour), Fault: faultOld, now: now},
		{Name: "Praxis", Node: 5, Entries: 7, Signed: at(0), Fault: faultForked, now: now},
		{Name: "University", Node: 6, Entries: 7, Signed: at(-time.Hour), now: now},
	}}
	for i := range byte(7) {
		n := contract.Node{}
		for j := range n.Checkpoint {
			n.Checkpoint[j] = i + 1
		}
		d.config.Nodes = append(d.config.Nodes, n)
	}
	d.me = d.config.Nodes[0]
	const want = `3 of 7 sign, and 5 are needed: nothing new holds
City hospital: node 2, 7 entries, signed 3s ago
https://b.example: missing: nobody answers
Clinic: node 4, 6 entries, signed 1h0m0s ago: too long
Praxis: signs ANOTHER HISTORY (node 5, 7 entries)
University: node 6, 7 entries, signed by a clock that is 1h0m0s AHEAD of this one: one of the two is wrong
1 more, of which node.json says nothing`
	if got := d.nodesText(); got != want {
		t.Errorf("%s", got)
	}
	for i := range d.Peers[:3] {
		d.Peers[i].Signed = at(-11 * time.Second)
	}
	d.Peers[1].Signed, d.Peers[3].Signed = "", at(9*time.Second)
	const behind = `City hospital: node 2, 7 entries, signed by a clock that is 11s AHEAD of this one: one of the two is wrong
https://b.example: missing: nobody answers
Clinic: node 4, 6 entries, signed by a clock that is 11s AHEAD of this one: one of the two is wrong
Praxis: signs ANOTHER HISTORY (node 5, 7 entries)
University: node 6, 7 entries, signed by a clock that is 1h0m0s AHEAD of this one: one of the two is wrong
3 of 4 are AHEAD: it is this computer's clock that is behind
`
	if got := d.nodesText(); !strings.Contains(got, behind) {
		t.Errorf("%s", got)
	}
	d.Peers[2].Signed, d.Peers[4].Signed = at(0), at(-10*time.Second)
	if got := d.nodesText(); strings.Contains(got, "this computer's clock") || strings.Count(got, "AHEAD") != 1 {
		t.Errorf("%s", got)
	}
	d.unsure = true
	if got := d.nodesText(); !strings.HasPrefix(got, "2 of 7 sign") || !strings.Contains(got, "this one signs nothing before") {
		t.Errorf("%s", got)
	}
	d.unsure, d.Threshold = false, 2
	if got := d.nodesText(); !strings.HasPrefix(got, "3 of 7 sign, and 2 are needed\n") {
		t.Errorf("%s", got)
	}
}
