package wallet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/ledgertest"
	"github.com/carekey/carekey/ledgerclient/order"
	"github.com/carekey/carekey/wallet"
)

// atAnyTime is ofNodes as one of its nodes serves it while others order: what it shows is as much
// as all have read.
type atAnyTime struct {
	ofNodes
	at int
}

func (l atAnyTime) Checkpoint(ctx context.Context) ([]byte, error) {
	var least uint64
	for i, one := range l.all {
		if err := one.Follow(ctx); err != nil {
			return nil, err
		}
		head, err := one.Replica.(*folder.Folder).Head(ctx)
		if err != nil {
			return nil, err
		}
		if i == 0 || head.Size < least {
			least = head.Size
		}
	}
	var notes [][]byte
	var nodes []contract.Node
	for _, one := range l.all {
		f := one.Replica.(*folder.Folder)
		note, err := f.CheckpointOf(ctx, least, l.now())
		if err != nil {
			return nil, err
		}
		notes, nodes = append(notes, note), append(nodes, f.Node())
	}
	doc, err := l.Genesis(ctx)
	if err != nil {
		return nil, err
	}
	return ledgerclient.JoinNotes(contract.LedgerID(doc), nodes, notes[l.at], notes...)
}

// Promise 4 where four institutions keep the ledger, any two of whose keepers open what is
// granted: all that a patient has given to two people is revoked while both open one consent after
// the other, each time through another node. What was opened was entered before its revocation,
// and nothing opens that is asked for when the revocation is done.
func TestRevocationRacesFetches(t *testing.T) {
	each := lane.Pick(500, 10, 4) // consents of each of the two
	ctx := context.Background()
	dir := t.TempDir()
	now := func() time.Time { return noon }
	items := &ledgertest.Memory{Clock: func() contract.Hour { return contract.Hour(noon.Unix() / 3600) }}
	config := contract.Config{Name: "City ledger", Contract: contract.ContractVersion, Threshold: 3, Release: 2, Random: [16]byte{4}}
	keys := make([]folder.Keys, 4)
	for i := range keys {
		keys[i] = folder.NewKeys()
		config.Nodes, config.Keepers = append(config.Nodes, keys[i].Node()), append(config.Keepers, keys[i].Keeper())
	}
	ledgers := make([]*order.Ledger, len(keys))
	for i, k := range keys {
		f := must(folder.CreateIn(ctx, filepath.Join(dir, fmt.Sprint("node ", i)), must(k.Founding(config.Marshal()))(t), items, now))(t)
		t.Cleanup(func() { f.Close() })
		ledgers[i] = order.NewLedger(items, f, now)
	}
	silent := false
	store := ledgers[0].Replica.(*folder.Folder).Services().Store
	open := func(name string, ring *memoryKeyring, node int) wallet.Options {
		s := ledgerclient.Services{Ledger: atAnyTime{ofNodes{ledgers[node], ledgers, now}, node}, Store: store}
		for _, l := range ledgers {
			s.Keepers = append(s.Keepers, atNode{l.Replica.(*folder.Folder).Services().Keepers[0], l, &silent})
		}
		return wallet.Options{Dir: filepath.Join(dir, "home of "+name), Keyring: ring, Services: s, Now: now}
	}
	people := []string{"Dr Smith", "Nurse Jones"}
	rings := []*memoryKeyring{{items: map[string]string{}}, {items: map[string]string{}}, {items: map[string]string{}}}
	patient := must(wallet.Create(ctx, open("Maria", rings[2], 0), crypto.NewEntropy(), "Maria", "here"))(t)
	add(t, patient, "a.txt", "Penicillin: anaphylaxis")
	var all []contract.ID
	given := make([][]contract.ID, len(people))
	for i, name := range people {
		w := must(wallet.Create(ctx, open(name, rings[i], i), crypto.NewEntropy(), name, "here"))(t)
		must2(patient.Contacts().Add(ctx, name, w.Address().String()))(t)
		for range each {
			c, _ := grant(t, patient, name, noon)
			given[i], all = append(given[i], c.ID), append(all, c.ID)
		}
	}

	var fetched atomic.Int64
	half, done := make(chan struct{}), make(chan struct{})
	opened := make([]map[contract.ID]bool, len(people))
	var wg sync.WaitGroup
	for i, name := range people {
		opened[i] = map[contract.ID]bool{}
		wg.Go(func() {
			for n, id := range given[i] {
				if fetched.Add(1) == int64(each) {
					close(half)
				}
				if n == each-1 {
					<-done // one at least is asked for when it is done
				}
				late := false
				select {
				case <-done:
					late = true
				default:
				}
				w, err := wallet.Open(ctx, open(name, rings[i], (i+n)%len(keys)))
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				var text bytes.Buffer
				o, err := w.Inbox().OpenByID(ctx, id.String(), "check-up")
				if err == nil {
					err = o.Read(ctx, 0, &text, nil)
				}
				switch refused := (*wallet.RefusedError)(nil); {
				case err == nil && late:
					t.Errorf("%s opened %s when its revocation was done", name, id)
				case err == nil:
					opened[i][id] = true
				case !errors.As(err, &refused):
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	<-half
	rs, err := must(wallet.Open(ctx, open("Maria", rings[2], 3)))(t).Consents().Revoke(ctx, all)
	close(done)
	wg.Wait()
	if err != nil || len(rs) != len(all) {
		t.Fatalf("%d revoked, %v", len(rs), err)
	}
	for _, r := range rs {
		if r.Stopped < 3 || r.Consent.Status != wallet.StatusRevoked {
			t.Errorf("%+v", r)
		}
	}

	// The log says in which order it was, and all nodes have the same one.
	f := ledgers[0].Replica.(*folder.Folder)
	head := must(f.Head(ctx))(t)
	at := map[contract.Kind]map[contract.ID]int{contract.KindAccess: {}, contract.KindRevoke: {}}
	for from := uint64(0); from < head.Size; from += 1000 {
		for i, leaf := range must(f.Leaves(ctx, from, min(from+1000, head.Size)))(t) {
			if of := at[leaf.Entry.Kind]; of != nil {
				of[leaf.Entry.Subject] = int(from) + i
			}
		}
	}
	count := 0
	for i := range people {
		for id := range opened[i] {
			count++
			access, entered := at[contract.KindAccess][id]
			if revoked, ok := at[contract.KindRevoke][id]; !entered || !ok || access > revoked {
				t.Errorf("%s was opened: entered at %d %t, revoked at %d %t", id, access, entered, revoked, ok)
			}
		}
	}
	if count == 0 || count > 2*(each-1) {
		t.Errorf("%d of %d were opened", count, 2*each)
	}
	for i, l := range ledgers {
		if err := l.Follow(ctx); err != nil {
			t.Fatal(err)
		}
		if other := must(l.Replica.(*folder.Folder).Head(ctx))(t); other.Root != head.Root {
			t.Errorf("node %d has another log", i)
		}
	}
	t.Logf("%d of %d consents were opened before they were revoked", count, 2*each)
}
