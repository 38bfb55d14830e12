package main

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/keyring"
)

// keyInMemory is a keyring of one wallet.
type keyInMemory struct{ key string }

func (k *keyInMemory) Kind() string { return "os" }
func (k *keyInMemory) Get(context.Context, string) (string, error) {
	if k.key == "" {
		return "", keyring.ErrItemNotFound
	}
	return k.key, nil
}
func (k *keyInMemory) Set(_ context.Context, _, key string) error { k.key = key; return nil }
func (k *keyInMemory) Delete(context.Context, string) error       { k.key = ""; return nil }

// racers are wallets in this process that ask whichever institution is said.
type racers struct {
	*institutions
	invitations []node.Invitation
	rings       map[string]*keyInMemory
}

// visit does something with the invitation of one institution; again if nodes were too slow for it.
func (r *racers) visit(name string, at int, do func(context.Context, wallet.Options) error) error {
	ctx := r.t.Context()
	once := func() error {
		nw, err := node.Reach(ctx, r.invitations[at], node.Options{Wait: time.Minute})
		if err != nil {
			return err
		}
		defer nw.Close()
		now := func() time.Time { return townClock.Add(time.Since(r.start)) }
		return do(ctx, wallet.Options{Dir: filepath.Join(r.dir, "home of "+name), Keyring: r.rings[name], Services: nw.Services(), Now: now})
	}
	err := once()
	for limit := time.Now().Add(2 * time.Minute); ledgerclient.Unreachable(err) != nil && time.Now().Before(limit); {
		err = once()
	}
	return err
}

// with is visit of the wallet that is there.
func (r *racers) with(name string, at int, do func(context.Context, *wallet.Wallet) error) error {
	return r.visit(name, at, func(ctx context.Context, o wallet.Options) error {
		w, err := wallet.Open(ctx, o)
		if err != nil {
			return err
		}
		return do(ctx, w)
	})
}

// join makes a wallet.
func (r *racers) join(name string) (address crypto.Address) {
	r.rings[name] = &keyInMemory{}
	r.must(r.visit(name, 0, func(ctx context.Context, o wallet.Options) error {
		m, err := wallet.Begin(ctx, o, "", func(string) keyring.Store { return o.Keyring })
		if err != nil {
			return err
		}
		defer m.End()
		w, err := m.Create(ctx, o.Services, crypto.NewEntropy(), name, "here", func() error { return nil })
		if err == nil {
			address = w.Address()
		}
		return err
	}))
	return address
}

// gives has the patient give one record to each of the people, so many times.
func (r *racers) gives(each int, people map[string]crypto.Address) (given map[string][]contract.ID, all []contract.ID) {
	given = map[string][]contract.ID{}
	r.must(r.with("Maria", 1, func(ctx context.Context, w *wallet.Wallet) error {
		const text = "Penicillin: anaphylaxis"
		_, _, err := w.Records().Add(ctx, wallet.Source{Reader: strings.NewReader(text), Name: "a.txt", Size: int64(len(text))}, wallet.Describe{}, nil)
		return err
	}))
	for name, address := range people {
		r.must(r.with("Maria", 1, func(ctx context.Context, w *wallet.Wallet) error {
			_, _, err := w.Contacts().Add(ctx, name, address.String())
			return err
		}))
	}
	end, err := wallet.EndAfter("30d", townClock)
	r.must(err)
	r.must(r.with("Maria", 1, func(ctx context.Context, w *wallet.Wallet) error {
		for name := range people {
			for len(given[name]) < each {
				p, err := w.Grants().Plan(ctx, wallet.GrantRequest{To: name, All: true, NotAfter: end})
				if err != nil {
					return err
				}
				c, _, err := w.Grants().Give(ctx, p)
				if err != nil {
					return err
				}
				given[name], all = append(given[name], c.ID), append(all, c.ID)
			}
		}
		return nil
	}))
	return given, all
}

// opens has somebody open a consent.
func (r *racers) opens(name string, at int, id contract.ID) error {
	return r.with(name, at, func(ctx context.Context, w *wallet.Wallet) error {
		o, err := w.Inbox().OpenByID(ctx, id.String(), "check-up")
		if err != nil {
			return err
		}
		return o.Read(ctx, 0, new(bytes.Buffer), nil)
	})
}

// entered is where in the log, as an institution shows it, consents were opened and revoked.
func (r *racers) entered(at int, size uint64) (opened, revoked map[contract.ID]uint64) {
	opened, revoked = map[contract.ID]uint64{}, map[contract.ID]uint64{}
	r.must(r.visit("nobody", at, func(ctx context.Context, o wallet.Options) error {
		for from := uint64(0); from < size; from += 256 {
			leaves, err := o.Services.Ledger.Leaves(ctx, from, min(from+256, size))
			if err != nil {
				return err
			}
			for i, leaf := range leaves {
				switch leaf.Entry.Kind {
				case contract.KindAccess:
					opened[leaf.Entry.Subject] = from + uint64(i)
				case contract.KindRevoke:
					revoked[leaf.Entry.Subject] = from + uint64(i)
				}
			}
		}
		return nil
	}))
	return opened, revoked
}

// races is promise 4 at institutions that are processes: what a patient has given to two people
// is revoked, through one of them, while both open one consent after the other, each time
// through the next. What opens was entered before it was revoked, and nothing opens that is
// asked for when the revocation is done.
func (d *institutions) races(each int) {
	t := d.t
	d.reached()
	r := &racers{institutions: d, rings: map[string]*keyInMemory{}}
	for i := range d.nodes {
		inv, err := node.ParseInvitation(strings.TrimSpace(string(d.operator("invite", d.folder(i)))))
		d.must(err)
		r.invitations = append(r.invitations, inv)
	}
	r.join("Maria")
	people := map[string]crypto.Address{"Dr Smith": r.join("Dr Smith"), "Nurse Jones": r.join("Nurse Jones")}
	given, all := r.gives(each, people)

	var asked atomic.Int64
	half, done := make(chan struct{}), make(chan struct{})
	var mu sync.Mutex
	opened := map[contract.ID]bool{}
	var wg sync.WaitGroup
	for name := range people {
		wg.Go(func() {
			for n, id := range given[name] {
				if asked.Add(1) == int64(each) {
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
				err := r.opens(name, n%len(d.nodes), id)
				switch refused := (*wallet.RefusedError)(nil); {
				case err == nil && late:
					t.Errorf("%s opened %s when its revocation was done", name, id)
				case err == nil:
					mu.Lock()
					opened[id] = true
					mu.Unlock()
				case !errors.As(err, &refused):
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	<-half
	err := r.with("Maria", len(d.nodes)-1, func(ctx context.Context, w *wallet.Wallet) error {
		_, err := w.Consents().Revoke(ctx, all)
		return err
	})
	close(done)
	wg.Wait()
	d.must(err)

	size := d.agree(1)
	for i := range d.nodes {
		accesses, revocations := r.entered(i, size)
		if len(revocations) != len(all) {
			t.Errorf("node %d: %d of %d are revoked", i+1, len(revocations), len(all))
		}
		for id := range opened {
			access, ok := accesses[id]
			if revoked := revocations[id]; !ok || access > revoked {
				t.Errorf("node %d: %s was opened: entered at %d %t, revoked at %d", i+1, id, access, ok, revoked)
			}
		}
	}
	if n := len(opened); n == 0 || n > len(all)-len(people) {
		t.Errorf("%d of %d were opened", n, len(all))
	}
	t.Logf("%d of %d consents were opened before they were revoked", len(opened), len(all))
}

func TestRevocationRacesAtInstitutions(t *testing.T) {
	t.Parallel()
	newInstitutions(t, 3).races(lane.Pick(500, 4, 3))
}

// The same where the institutions keep the order, too.
func TestRevocationRacesAtTheEngine(t *testing.T) {
	if !lane.Long() {
		t.Log("in the long lane alone: the engine begins with a minute of making keys")
		return
	}
	lane.OneGoroutine(t)
	newEngineInstitutions(t).races(500)
}
