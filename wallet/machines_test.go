package wallet_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet"
)

// outage is a store that stops answering after so many payloads, and loses some for a
// while.
type outage struct {
	ledgerclient.Store
	left int                     // payloads until it stops; below 0: it answers
	lost map[crypto.Locator]bool // not there for now
	seen *[]crypto.Locator       // all that was ever asked for
}

func (o *outage) Blob(ctx context.Context, loc crypto.Locator) (ledgerclient.Blob, error) {
	if o.left == 0 {
		return nil, cut("store")
	}
	if o.left > 0 {
		o.left--
	}
	if o.lost[loc] {
		return nil, &ledgerclient.NotFoundError{What: "payload"}
	}
	*o.seen = append(*o.seen, loc)
	return o.Store.Blob(ctx, loc)
}

// Promise 6, with any number of machines of one seed: what was last said of a contact
// is what all of them hold in the end, in whatever order they write, while the store
// falls silent in the middle of a read or does not find something for a while, a change
// waits until it is too late, and machines are lost and restored from the words.
func TestMachinesOfOneSeedLoseNothing(t *testing.T) {
	ctx := context.Background()
	for seed := range uint64(lane.Pick(100, 4, 2)) {
		r := rand.New(rand.NewPCG(seed, 3))
		tn := newTown(t)
		words := crypto.NewEntropy()
		var seen []crypto.Locator
		type machine struct {
			w *wallet.Wallet
			o *outage
			l *line
		}
		var machines []*machine
		made := 0
		enter := func(restore bool) *machine {
			m := &machine{l: &line{}}
			opt := wallet.Options{Dir: filepath.Join(tn.dir, fmt.Sprint("machine", made)), Keyring: tn.keys, Services: tn.services(), Now: tn.clock}
			made++
			opt.Services = m.l.over(opt.Services)
			m.o = &outage{Store: opt.Services.Store, left: -1, seen: &seen}
			opt.Services.Store = m.o
			if restore {
				var err error
				if m.w, _, err = wallet.Restore(ctx, opt, wallet.RestoreRequest{Entropy: words, At: "x", Name: "Maria"}); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			} else {
				m.w = must(wallet.Create(ctx, opt, words, "Maria", "x"))(t)
			}
			return m
		}
		machines = append(machines, enter(false))
		must(machines[0].w.Book().Keep(ctx))(t)
		for range 2 {
			machines = append(machines, enter(r.IntN(2) == 0))
		}
		addresses := make([]string, 5)
		for i := range addresses {
			addresses[i] = crypto.NewEntropy().Root().Identity().Address().String()
		}
		there := map[string]bool{} // addresses that were last said to be contacts
		heal := func(m *machine) { m.o.left, m.o.lost, *m.l = -1, nil, line{} }
		for range 30 {
			tn.now = tn.now.Add(time.Minute)
			m := machines[r.IntN(len(machines))]
			heal(m)
			fresh := r.IntN(2) == 0
			if fresh {
				if _, err := m.w.Changes().Sync(ctx); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
			switch r.IntN(6) {
			case 0: // it falls silent in the middle
				m.o.left = r.IntN(4)
			case 1: // what was there is not, for now
				m.o.lost = map[crypto.Locator]bool{}
				for range min(len(seen), 3) {
					m.o.lost[seen[r.IntN(len(seen))]] = true
				}
			case 2: // the entry waits
				m.l.ledger = true
			}
			n := r.IntN(len(addresses))
			name, address := fmt.Sprint("contact ", n), addresses[n]
			has := slices.ContainsFunc(m.w.Contacts().List(), func(c wallet.Contact) bool { return c.Name == name })
			var err error
			switch k := r.IntN(8); {
			case k < 3 && !has && fresh: // to add a contact that is there says nothing
				if _, _, err = m.w.Contacts().Add(ctx, name, address); err == nil {
					there[address] = true
				}
			case k < 4 && has:
				if err = m.w.Contacts().Remove(ctx, name); err == nil {
					there[address] = false
				}
			case k < 5 && has:
				if c, cerr := m.w.Contacts().Named(name); cerr == nil && !c.Verified {
					if err = m.w.Contacts().SetVerified(ctx, name); err == nil {
						there[address] = true
					}
				}
			case k == 6:
				_, err = m.w.Changes().Sync(ctx)
			case k == 7 && len(there) > 0 && r.IntN(3) == 0: // a machine is lost once it has entered all
				i := r.IntN(len(machines))
				heal(machines[i])
				if _, err := machines[i].w.Changes().Sync(ctx); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				must(machines[i].w.Book().Keep(ctx))(t)
				must(machines[i].w.Book().Keep(ctx))(t)
				machines[i] = enter(true)
				continue
			case r.IntN(10) == 0: // what waits goes stale
				tn.now = tn.now.Add(60 * time.Hour)
			}
			if err == nil && r.IntN(4) > 0 {
				_, err = m.w.Book().Keep(ctx)
			}
			if err != nil && !errors.Is(err, errCut) && !errors.Is(err, wallet.ErrNotFound) && !errors.Is(err, wallet.ErrPending) && !isMissing(err) {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		for range 2 * len(machines) {
			for _, m := range machines {
				heal(m)
				if _, err := m.w.Changes().Sync(ctx); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				must(m.w.Book().Keep(ctx))(t)
			}
		}
		machines = append(machines, enter(true))
		for i, m := range machines {
			has := map[string]int{}
			for _, c := range m.w.Contacts().List() {
				has[c.Address.String()]++
			}
			for n, a := range addresses {
				if want := there[a]; has[a] > 1 || (has[a] == 1) != want {
					t.Errorf("seed %d: machine %d of %d has contact %d %d times, and it is %t that it is one", seed, i, len(machines), n, has[a], want)
				}
			}
			if !m.w.Book().IsKept() {
				t.Errorf("seed %d: machine %d holds what the ledger does not", seed, i)
			}
		}
	}
}

func isMissing(err error) bool {
	return errors.Is(err, wallet.ErrMissing)
}

// homes are machines of one seed over lines of their own.
type homes struct {
	*town
	words crypto.Entropy
	seen  []crypto.Locator
	n     int
}

func (h *homes) enter() (*wallet.Wallet, *outage, *line) {
	h.t.Helper()
	l := &line{}
	opt := h.options(fmt.Sprint("machine ", h.n))
	h.n++
	opt.Services = l.over(opt.Services)
	o := &outage{Store: opt.Services.Store, left: -1, seen: &h.seen}
	opt.Services.Store = o
	if h.n == 1 {
		return must(wallet.Create(context.Background(), opt, h.words, "Maria", "x"))(h.t), o, l
	}
	w, _ := must2(wallet.Restore(context.Background(), opt, wallet.RestoreRequest{Entropy: h.words, At: "x", Name: "Maria"}))(h.t)
	return w, o, l
}

func (h *homes) add(w *wallet.Wallet, name string) {
	h.t.Helper()
	if _, _, err := w.Contacts().Add(context.Background(), name, crypto.NewEntropy().Root().Identity().Address().String()); err != nil {
		h.t.Fatal(err)
	}
}

func (h *homes) want(w *wallet.Wallet, names ...string) {
	h.t.Helper()
	must(w.Changes().Sync(context.Background()))(h.t)
	var got []string
	for _, c := range w.Contacts().List() {
		got = append(got, c.Name)
	}
	if !slices.Equal(got, names) {
		h.t.Errorf("contacts %q, want %q", got, names)
	}
}

func newHomes(t *testing.T) *homes { return &homes{town: newTown(t), words: crypto.NewEntropy()} }

// A merge of two versions in the middle of which the store falls silent is no removal
// of what was merged.
func TestHalfAMergeRemovesNobody(t *testing.T) {
	ctx := context.Background()
	for left := range 5 {
		h := newHomes(t)
		a, _, l := h.enter()
		must(a.Book().Keep(ctx))(t)
		b, o, _ := h.enter()
		c, _, _ := h.enter()
		// A's version waits while C enters one: neither has seen the other's.
		h.add(a, "Ana")
		l.stall = true
		if kept, err := a.Book().Keep(ctx); !kept {
			t.Fatalf("not on its way: %v", err)
		}
		*l = line{}
		h.add(c, "Cem")
		must(c.Book().Keep(ctx))(t)
		h.want(a, "Ana", "Cem")
		o.left = left
		must(b.Consents().List(ctx))(t)
		h.add(b, "Bo")
		o.left = -1
		h.want(b, "Ana", "Bo", "Cem")
		must(b.Book().Keep(ctx))(t)
		d, _, _ := h.enter()
		h.want(d, "Ana", "Bo", "Cem")
	}
}

// What the store does not have for a while, a description or what is in it, is not
// written off: neither by who did not find it nor by who reads what that one wrote.
func TestVersionThatWasMissingForAWhile(t *testing.T) {
	ctx := context.Background()
	for first := range 2 { // the version that is missing begins the book, or not
		for part := range 2 {
			h := newHomes(t)
			a, _, _ := h.enter()
			if first == 1 {
				must(a.Book().Keep(ctx))(t)
			} else {
				add(t, a, "a.txt", "a") // something to restore
			}
			b, o, _ := h.enter()
			h.add(a, "Ana")
			before := len(h.seen)
			must(a.Book().Keep(ctx))(t)
			c, _, _ := h.enter() // reads it, and so tells where it is
			h.want(c, "Ana")
			o.lost = map[crypto.Locator]bool{}
			for _, loc := range h.seen[before:] {
				o.lost[loc] = true
			}
			if part == 1 { // only what is in it
				h.seen, before = nil, 0
				o.lost = map[crypto.Locator]bool{}
				d, _, _ := h.enter()
				must(d.Consents().List(ctx))(t)
				o.lost[h.seen[len(h.seen)-1]] = true
			}
			h.add(b, "Bo")
			must(b.Book().Keep(ctx))(t)
			o.lost = nil
			e, _, _ := h.enter()
			h.want(e, "Ana", "Bo")
			h.want(b, "Ana", "Bo")
		}
	}
}

// A version that waited until no ledger takes it any more is entered once more.
func TestStaleVersionIsEnteredAgain(t *testing.T) {
	ctx := context.Background()
	h := newHomes(t)
	a, _, l := h.enter()
	must(a.Book().Keep(ctx))(t)
	h.add(a, "Ana")
	*l = line{stall: true}
	if kept, err := a.Book().Keep(ctx); !kept {
		t.Fatalf("not on its way: %v", err)
	}
	*l = line{}
	h.now = h.now.Add(60 * time.Hour)
	must(a.Changes().Sync(ctx))(t)
	must(a.Book().Keep(ctx))(t)
	b, _, _ := h.enter()
	h.want(b, "Ana")
}
