package ledgertest

import (
	"errors"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// model is a ledger in memory that keeps every rule of contract/SPEC.md and has
// nothing in common with the ledgers that it is compared with but the contract.
type model struct {
	ledger  crypto.LedgerID
	params  contract.Params
	index   map[contract.ID]uint64
	leaves  []contract.Leaf
	states  []contract.State // zero for follow-ups
	follows map[uint64][]uint64
	log     tree
	state   tree
}

func newModel(ledger crypto.LedgerID, params contract.Params) *model {
	return &model{ledger: ledger, params: params, index: map[contract.ID]uint64{}, follows: map[uint64][]uint64{}}
}

// submit judges one entry at an hour.
func (m *model) submit(e contract.Entry, hour contract.Hour) ledgerclient.Outcome {
	id := e.ID(m.ledger)
	refused := func(err error) ledgerclient.Outcome {
		var r *contract.Refusal
		if !errors.As(err, &r) {
			panic(err) // the contract version is this package's own
		}
		return ledgerclient.Outcome{ID: id, Hour: hour, Refusal: &contract.Refusal{Rule: r.Rule, Entry: id, Hour: hour}}
	}
	if err := contract.CheckShape(&e); err != nil {
		return refused(err)
	}
	if err := contract.CheckSignature(m.ledger, &e); err != nil {
		return refused(err)
	}
	if at, ok := m.index[id]; ok {
		return ledgerclient.Outcome{ID: id, Index: at, Hour: m.leaves[at].Hour, Duplicate: true}
	}
	n := uint64(len(m.leaves))
	if e.Kind == contract.KindConfig && n > 0 {
		return refused(&contract.Refusal{Rule: contract.RuleConfigDocument})
	}
	var s contract.State
	var at uint64
	if !e.Opens() {
		if i, ok := m.index[e.Subject]; ok {
			s, at = m.states[i], i
		}
	}
	next, err := contract.Apply(m.params, s, &e, id, n, hour)
	if err != nil {
		return refused(err)
	}
	m.states = append(m.states, contract.State{})
	m.state.set(n, contract.State{}.Slot())
	if e.Opens() {
		at = n
	} else {
		m.follows[at] = append(m.follows[at], n)
	}
	m.states[at] = next
	m.state.set(at, next.Slot())
	leaf := contract.Leaf{Hour: hour, Entry: e, StateRoot: m.state.root()}
	raw := leaf.Marshal()
	m.log.set(n, raw[:])
	m.leaves = append(m.leaves, leaf)
	m.index[id] = n
	return ledgerclient.Outcome{ID: id, Index: n, Hour: hour}
}

// tree is an RFC 6962 tree whose leaves can be replaced: levels[k][i] is the hash
// over the leaves [i·2ᵏ, (i+1)·2ᵏ).
type tree struct{ levels [][]tlog.Hash }

func (t *tree) set(i uint64, data []byte) {
	h := tlog.RecordHash(data)
	for k := 0; ; k++ {
		if k == len(t.levels) {
			t.levels = append(t.levels, nil)
		}
		if i == uint64(len(t.levels[k])) {
			t.levels[k] = append(t.levels[k], h)
		} else {
			t.levels[k][i] = h
		}
		if i|1 >= uint64(len(t.levels[k])) {
			return // the other half is not there yet
		}
		h = tlog.NodeHash(t.levels[k][i&^1], t.levels[k][i|1])
		i /= 2
	}
}

func (t *tree) root() crypto.Hash {
	if len(t.levels) == 0 {
		return crypto.Hash(tlog.Hash{})
	}
	n := len(t.levels[0])
	var h tlog.Hash
	first := true
	for k := range t.levels { // from the smallest full subtree at the right to the largest
		if n>>k&1 == 0 {
			continue
		}
		left := t.levels[k][n>>k-1]
		if first {
			h, first = left, false
		} else {
			h = tlog.NodeHash(left, h)
		}
	}
	return crypto.Hash(h)
}
