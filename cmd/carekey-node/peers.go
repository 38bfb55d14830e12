package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/node/server"
)

// peer is the other node itself.
func (p peerSetting) peer() *node.Peer { return node.NewPeer(p.URLs, p.Fingerprint) }

// peerState is what another node says when it is asked.
type peerState struct {
	Name    string `json:"name"`
	Node    int    `json:"node"`    // its number in the ledger's configuration, from 1; 0: it gave no answer
	Entries uint64 `json:"entries"` // under the newest head that it has signed
	Signed  string `json:"signed"`  // as of when; "": it gave no answer
	Fault   string `json:"fault"`   // why it does not count: "missing", "rubbish", "old", "another-history"; "": it does
	why     string
	now     time.Time
}

// The faults of a peer.
const (
	faultMissing = "missing"         // no answer, or one that is no node's
	faultRubbish = "rubbish"         // an answer that none of the nodes signed
	faultOld     = "old"             // it signed last some time ago
	faultForked  = "another-history" // its head is not of this node's log
)

// text is the state in words.
func (p peerState) text() string {
	switch p.Fault {
	case faultMissing:
		return p.Name + ": missing: " + p.why
	case faultRubbish:
		return p.Name + ": what answers there has not signed as one of the ledger's nodes"
	case faultForked:
		return fmt.Sprintf("%s: signs ANOTHER HISTORY (node %d, %d entries)", p.Name, p.Node, p.Entries)
	}
	text := fmt.Sprintf("%s: node %d, %d entries, signed ", p.Name, p.Node, p.Entries)
	if ahead := p.ahead(); ahead > server.ClockGoal {
		return text + fmt.Sprintf("by a clock that is %s AHEAD of this one: one of the two is wrong", ahead.Round(time.Second))
	}
	text += fmt.Sprintf("%s ago", max(0, -p.ahead()).Round(time.Second))
	if p.Fault == faultOld {
		text += ": too long"
	}
	return text
}

// ahead is how far the time under which it signed is ahead of this computer's clock. Nobody
// signs as of a time that is still to come: so far its clock is ahead, or this one behind.
func (p peerState) ahead() time.Duration {
	signed, _ := time.Parse(time.RFC3339, p.Signed)
	return signed.Sub(p.now)
}

// askPeers asks the other nodes what they have signed, all at once.
func (a *app) askPeers(ctx context.Context, f *folder.Folder, cfg *config, c contract.Config) ([]peerState, error) {
	states := make([]peerState, len(cfg.Peers))
	cfg.ask(func(i int, peer *node.Peer) {
		raw, err := peer.Signed(ctx)
		states[i] = peerState{Name: cfg.Peers[i].shown(), now: a.now()}
		if err != nil {
			states[i].Fault, states[i].why = faultMissing, explanations.Explain(err).Message
			return
		}
		states[i].judge(ctx, f, c, raw)
	})
	return states, ctx.Err()
}

// ask calls f with each of the other nodes, all at once, and waits for all.
func (c *config) ask(f func(i int, peer *node.Peer)) {
	var asked sync.WaitGroup
	for i, p := range c.Peers {
		asked.Go(func() {
			defer crash.Report()
			peer := p.peer()
			defer peer.Close()
			f(i, peer)
		})
	}
	asked.Wait()
}

// judge reads what a peer has signed.
func (p *peerState) judge(ctx context.Context, f *folder.Folder, c contract.Config, raw []byte) {
	s, err := ledgerclient.OpenNote(f.ID(), c.Nodes, raw)
	p.Fault = faultRubbish
	if err != nil {
		return
	}
	var at time.Time
	for i, by := range s.By {
		if by.Plain && !by.Time.IsZero() {
			p.Node, at = i+1, by.Time
		}
	}
	if p.Node == 0 {
		return
	}
	p.Entries, p.Signed, p.Fault = s.Head.Size, at.Format(time.RFC3339), ""
	if p.now.Sub(at) > server.MissingAfter {
		p.Fault = faultOld
	}
	root, err := f.RootOf(ctx, s.Head.Size)
	if ahead := (*ledgerclient.RangeError)(nil); !errors.As(err, &ahead) && (err != nil || root != s.Head.Root) {
		p.Fault = faultForked
	}
}

// nodesText says in words which of the nodes sign.
func (d description) nodesText() string {
	sign := map[int]bool{}
	var lines []string
	for _, p := range d.Peers {
		if p.Fault == "" {
			sign[p.Node] = true
		}
		lines = append(lines, p.text())
	}
	known, ahead := 0, 0
	for _, p := range d.Peers {
		if p.Signed != "" {
			known++
			if p.ahead() > server.ClockGoal {
				ahead++
			}
		}
	}
	if ahead > 1 && 2*ahead > known {
		lines = append(lines, fmt.Sprintf("%d of %d are AHEAD: it is this computer's clock that is behind", ahead, known))
	}
	if d.Serving && d.unsure {
		lines = append(lines, "this one signs nothing before the others have shown it what they signed")
	} else if d.Serving {
		sign[1+slices.Index(d.config.Nodes, d.me)] = true
	}
	count := len(sign)
	first := fmt.Sprintf("%d of %d sign, and %d are needed", count, d.Nodes, d.Threshold)
	if count < d.Threshold {
		first += ": nothing new holds"
	}
	if without := d.Nodes - 1 - len(d.Peers); without > 0 {
		lines = append(lines, fmt.Sprintf("%d more, of which node.json says nothing", without))
	}
	return strings.Join(append([]string{first}, lines...), "\n")
}
