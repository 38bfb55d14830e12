package server

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
)

// seenTokens is of how many tokens the signatures are not verified again.
const seenTokens = 4096

// tokens are what a node knows of who may submit.
type tokens struct {
	file    WithdrawnFile
	ledger  crypto.LedgerID
	members []contract.Node
	self    contract.Node

	mu     sync.Mutex
	needed bool
	lists  map[crypto.PubKey]*withdrawn // by giver
	seen   map[crypto.Hash]node.Token   // by the hash of what was shown
}

// withdrawn is the newest list of an institution.
type withdrawn struct {
	node.Withdrawn
	keys map[crypto.PubKey]bool
}

func newTokens(ledger crypto.LedgerID, members []contract.Node, self contract.Node) *tokens {
	return &tokens{ledger: ledger, members: members, self: self, lists: map[crypto.PubKey]*withdrawn{}, seen: map[crypto.Hash]node.Token{}}
}

// fresh are those of some lists that are newer than those that are known.
func (t *tokens) fresh(lists []node.Withdrawn) []node.Withdrawn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(lists), func(w node.Withdrawn) bool {
		known := t.lists[w.Giver]
		return known != nil && known.Number >= w.Number
	})
}

// take takes in lists that are newer than those that are known, and returns how many. What
// no institution of the ledger has signed is passed over.
func (t *tokens) take(lists ...node.Withdrawn) (taken int) {
	for _, w := range lists {
		t.mu.Lock()
		known := t.lists[w.Giver]
		t.mu.Unlock()
		if known != nil && known.Number >= w.Number || !w.Of(t.ledger, t.members) {
			continue
		}
		next := &withdrawn{w, make(map[crypto.PubKey]bool, len(w.Keys))}
		for _, k := range w.Keys {
			next.keys[k] = true
		}
		t.mu.Lock()
		if known := t.lists[w.Giver]; known == nil || known.Number < w.Number {
			t.lists[w.Giver] = next
			taken++
		}
		t.mu.Unlock()
	}
	return taken
}

// all are the lists in the order of the configuration.
func (t *tokens) all() (lists []node.Withdrawn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range t.members {
		if w := t.lists[m.Key]; w != nil {
			lists = append(lists, w.Withdrawn)
		}
	}
	return lists
}

func (t *tokens) need() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.needed
}

// known is a token whose signatures were verified when it was shown before.
func (t *tokens) known(shown string) (token node.Token, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	token, ok = t.seen[shownHash(shown)]
	return token, ok
}

// shownHash keeps what was shown out of the node's memory: who reads that can use no token.
func shownHash(shown string) crypto.Hash {
	return crypto.TaggedHash(crypto.TagTokenShown, []byte(shown))
}

// read verifies what is shown for the first time.
func (t *tokens) read(shown string) (node.Token, bool) {
	token, ok := node.ReadShown(shown, t.ledger, t.self.Checkpoint, t.members)
	if ok {
		t.mu.Lock()
		defer t.mu.Unlock()
		if len(t.seen) >= seenTokens {
			clear(t.seen)
		}
		t.seen[shownHash(shown)] = token
	}
	return token, ok
}

// good reports whether a token is taken at that hour.
func (t *tokens) good(token node.Token, hour contract.Hour) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.lists[token.Giver]
	return hour < token.Until && (w == nil || !w.keys[token.Key])
}

// SetClosed changes who may submit while the server runs, see Options.Closed, and reads which
// tokens the node's institution has taken back, see [WithdrawnFile].
func (s *Server) SetClosed(closed bool) error {
	lists, err := s.tokens.file.Read()
	s.tokens.take(lists...)
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	s.tokens.needed = closed
	return err
}

// withdrawn answers with the lists of withdrawn tokens, also those of others: who reaches
// one node that knows of one knows of it.
func (s *Server) withdrawn(q *request) error {
	return q.answer(node.TypeBinary, node.WithdrawnForm.Marshal(s.tokens.all()))
}

// askWithdrawn reads what other nodes know.
func (s *Server) askWithdrawn(ctx context.Context) {
	for _, ask := range s.opt.Lists {
		within, cancel := context.WithTimeout(ctx, listTime)
		lists, err := ask(within)
		cancel()
		if err != nil {
			s.log.Debug("withdrawn tokens", "cause", cause(err))
			continue
		}
		fresh := s.tokens.fresh(lists)
		if len(fresh) == 0 {
			continue
		}
		if err := s.tokens.file.Take(ctx, fresh...); err != nil { // they are refused all the same
			s.log.Error("withdrawn tokens cannot be written down", "cause", cause(err))
		}
		if n := s.tokens.take(fresh...); n > 0 {
			s.log.Info("withdrawn tokens", "lists", n)
		}
	}
}

const (
	listEvery = time.Minute // other nodes are asked
	listTime  = 10 * time.Second
)

// needToken makes what a request uses count as that of its token, if the node takes nothing
// without one. To verify one that was not shown before is charged to the address.
func (q *request) needToken() error {
	t := q.s.tokens
	if !t.need() {
		return nil
	}
	refused := func() error {
		q.w.Header().Set("WWW-Authenticate", "Bearer")
		return refuse(node.KindToken)
	}
	shown := bearer(q.Request)
	token, ok := t.known(shown)
	if !ok && shown != "" {
		if err := q.charge(2); err != nil {
			return err
		}
		token, ok = t.read(shown)
	}
	if !ok || !t.good(token, hourOf(q.s.opt.Clock())) {
		return refused()
	}
	q.client, q.hourly = clientOf('t', string(token.Key[:])), token.Hourly
	if token.Giver != t.self.Key {
		q.giver = clientOf('g', string(token.Giver[:]))
	}
	return nil
}

func hourOf(now time.Time) contract.Hour { return contract.Hour(max(0, now.Unix()/3600)) }

// bearer is what stands in the one header of a request that may have a token; "" for none.
func bearer(r *http.Request) string {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return ""
	}
	scheme, shown, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return shown
}

// spend counts entries against what the token of a request allows.
func (q *request) spend(entries int) error {
	if q.hourly == 0 {
		return nil
	}
	rate := Rate{PerSecond: float64(q.hourly) / 3600, Burst: float64(q.hourly)}
	if wait, ok := q.s.buckets.owe(q.client, "token", rate, float64(entries)); !ok {
		return refuseFor(node.KindTooMany, wait)
	}
	return nil
}
