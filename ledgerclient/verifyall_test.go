package ledgerclient_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// All of a ledger is judged anew, whatever its size; what was verified before is
// not paid for twice.
func TestVerifyAll(t *testing.T) {
	lane.OneGoroutine(t)
	ctx := context.Background()
	for n := range 20 {
		m := newMemory(t, fmt.Sprint("whole ", n))
		m.story(n)
		c := m.connect()
		size, root, signatures, err := c.VerifyAll(ctx, 0, crypto.Hash{}, func(done, total uint64) {
			if done > total {
				t.Errorf("%d of %d", done, total)
			}
		})
		if err != nil || size != uint64(len(m.leaves)) || root != m.root(m.logTree(size)) || signatures != size {
			t.Fatalf("%d: %d %d %v", n, size, signatures, err)
		}
		m.add(contract.Entry{Kind: contract.KindRecord}, testKey("newest"), 104)
		if _, _, signatures, err = c.VerifyAll(ctx, size, root, nil); err != nil || signatures != 1 {
			t.Errorf("again: %d %v", signatures, err)
		}
	}
}

// An operator who signs what breaks the rules is found out, though the log and its
// head are consistent.
func TestVerifyAllFindsBrokenRules(t *testing.T) {
	ctx := context.Background()
	for name, cheat := range map[string]func(m *memory, th ledgerclient.Thread){
		"a wrong state root": func(m *memory, _ ledgerclient.Thread) { m.leaves[5].StateRoot[0]++ },
		"a wrong signature":  func(m *memory, _ ledgerclient.Thread) { m.leaves[3].Entry.Signature[40]++ },
		"an access after the end": func(m *memory, th ledgerclient.Thread) {
			id := th.Opening.Entry.ID(m.id)
			e := contract.Entry{Version: 1, Kind: contract.KindAccess, Subject: id, NotBefore: 300, NotAfter: 310, Commitment: crypto.Hash{7}}
			e.Author = testKey("clinic").Public()
			if err := e.Sign(m.id, testKey("clinic")); err != nil {
				t.Fatal(err)
			}
			m.force(e, e.ID(m.id), id, m.states[id], 300)
		},
		"an entry twice": func(m *memory, th ledgerclient.Thread) {
			e := m.leaves[2].Entry
			m.force(e, e.ID(m.id), e.ID(m.id), m.states[e.ID(m.id)], 300)
		},
	} {
		m := newMemory(t, "cheat")
		cheat(m, m.story(6))
		var tampered *ledgerclient.TamperedError
		if _, _, _, err := m.connect().VerifyAll(ctx, 0, crypto.Hash{}, nil); !errors.As(err, &tampered) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
