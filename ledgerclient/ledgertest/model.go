package ledgertest

import (
	"errors"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// model is a ledger in memory that keeps every rule of contract/SPEC.md and has
// nothing in common with the ledgers that it is compared with but the contract. It has
// no trees: ledgerclient.Client.VerifyAll checks theirs.
type model struct {
	ledger  crypto.LedgerID
	config  contract.Config
	leaves  []ledgerclient.Placed
	index   map[contract.ID]uint64
	threads map[contract.ID]judged // by the id of the opening entry
}

// judged is a thread and its state.
type judged struct {
	ledgerclient.Thread
	state contract.State
}

func newModel(ledger crypto.LedgerID, config contract.Config) *model {
	return &model{ledger: ledger, config: config, index: map[contract.ID]uint64{}, threads: map[contract.ID]judged{}}
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
	opening := id
	if !e.Opens() {
		opening = e.Subject
	}
	th := m.threads[opening]
	next, err := contract.Apply(m.config, th.state, &e, id, n, hour)
	if err != nil {
		return refused(err)
	}
	leaf := ledgerclient.Placed{Index: n, Hour: hour, Entry: e}
	if e.Opens() {
		th.Opening = leaf
	} else {
		th.FollowUps = append(th.FollowUps, leaf)
	}
	th.state = next
	m.threads[opening] = th
	m.leaves = append(m.leaves, leaf)
	m.index[id] = n
	return ledgerclient.Outcome{ID: id, Index: n, Hour: hour}
}
