package folder_test

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/ledgertest"
	"github.com/carekey/carekey/ledgerclient/order"
)

const networkHour contract.Hour = 490_000

// network are the folders of institutions that keep one ledger together, over one order.
type network struct {
	t      *testing.T
	order  ledgertest.Memory
	dirs   []string
	keys   []folder.Keys
	config contract.Config
}

func newNetwork(t *testing.T, n int) *network {
	t.Helper()
	w := &network{t: t, order: ledgertest.Memory{Clock: func() contract.Hour { return networkHour }}}
	w.config = contract.Config{Name: "City ledger", Contract: contract.ContractVersion, Threshold: uint8(2*n/3 + 1), Release: 2, Random: [16]byte{7}}
	for range n {
		w.dirs = append(w.dirs, filepath.Join(t.TempDir(), "node"))
		k, err := folder.MakeKeys(w.dirs[len(w.dirs)-1])
		w.must(err)
		w.keys = append(w.keys, k)
		w.config.Nodes = append(w.config.Nodes, k.Node())
		w.config.Keepers = append(w.config.Keepers, k.Keeper())
	}
	slices.Reverse(w.config.Keepers) // a node's line and its keeper's need not have one number
	return w
}

func (w *network) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *network) clock() time.Time { return time.Unix(int64(networkHour)*3600+60, 0) }

func (w *network) create(i int) (*folder.Folder, error) {
	fd, err := w.keys[i].Founding(w.config.Marshal())
	w.must(err)
	return folder.CreateIn(context.Background(), w.dirs[i], fd, &w.order, w.clock)
}

func (w *network) open(i int) *folder.Folder {
	w.t.Helper()
	f, err := folder.Open(w.dirs[i], folder.Options{Clock: w.clock})
	w.must(err)
	w.t.Cleanup(func() { f.Close() })
	return f
}

// found makes the folders of all.
func (w *network) found() (all []*folder.Folder) {
	w.t.Helper()
	for i := range w.dirs {
		f, err := w.create(i)
		w.must(err)
		w.must(f.Close())
		all = append(all, w.open(i))
	}
	return all
}

// Four institutions found a ledger: each makes its folder of one document and its own
// keys. Each is the node and the keeper that its keys say, all derive one log, and three of
// them make a head that two do not.
func TestNetwork(t *testing.T) {
	w := newNetwork(t, 4)
	id := w.config.LedgerID()
	if _, err := w.create(1); !errors.As(err, new(*ledgerclient.TamperedError)) {
		t.Fatalf("a folder before the first node began the ledger: %v", err)
	}
	all := w.found()

	// A grant whose key is split for two of four keepers.
	seed := crypto.NewEntropy().Root().Seed(id, crypto.NewNonce())
	author := seed.Key()
	shares, err := seed.Shares(2, 4)
	w.must(err)
	pkg := contract.GrantPackage{K: 2, N: 4, Terms: crypto.Hash{1}, Envelope: crypto.Hash{2}, Lock: crypto.Hash{3}}
	for i := range shares {
		pkg.Shares = append(pkg.Shares, shares[i].Hash(id, author.Public()))
	}
	grant := contract.Entry{Version: contract.Version, Kind: contract.KindGrant, Author: author.Public(),
		Counterparty: crypto.GenerateKey().Public(), NotAfter: networkHour + 100, Commitment: pkg.Commitment()}
	rand.Read(grant.SelfTag[:])
	w.must(grant.Sign(id, author))
	out, err := order.NewLedger(&w.order, all[2], w.clock).Append(t.Context(), []contract.Entry{grant})
	if err != nil || out[0].Refusal != nil {
		t.Fatalf("%+v, %v", out, err)
	}
	var notes [][]byte
	for i, f := range all {
		if f.Node() != w.config.Nodes[i] {
			t.Errorf("node %d takes itself for %x", i, f.Node().Checkpoint)
		}
		w.must(order.NewLedger(&w.order, f, w.clock).Follow(t.Context()))
		note, err := f.Checkpoint(t.Context())
		w.must(err)
		s, err := ledgerclient.OpenNote(id, w.config.Nodes, note)
		w.must(err)
		for j := range s.By {
			if s.By[j].Plain != (i == j) {
				t.Errorf("node %d signed the checkpoint of folder %d: %v", j, i, s.By[j].Plain)
			}
		}
		notes = append(notes, note)
		keeper := f.Services().Keepers[0]
		if keeper.Key() != w.keys[i].Keeper() {
			t.Errorf("keeper %d takes itself for another", i)
		}
		mine := slices.Index(w.config.Keepers, keeper.Key())
		d := ledgerclient.Deposit{Ledger: id, Grant: grant.ID(id), Keeper: keeper.Key(), Share: shares[mine], Package: pkg.Marshal()}
		ledgerclient.Sign(&d, author)
		receipts, err := keeper.Deposit(t.Context(), []ledgerclient.Deposit{d})
		w.must(err)
		w.must(receipts[0].Verify(&d, author.Public()))
		d.Keeper = w.config.Keepers[(mine+1)%4]
		ledgerclient.Sign(&d, author)
		if _, err = keeper.Deposit(t.Context(), []ledgerclient.Deposit{d}); err == nil {
			t.Errorf("keeper %d takes another's share", i)
		}
		if r, err := f.Verify(t.Context(), nil, nil); err != nil || r.Held != 1 || r.Size != 2 {
			t.Errorf("folder %d: %+v, %v", i, r, err)
		}
	}
	for n, want := range []error{0: nil, 1: nil, 2: ledgerclient.ErrTooFew, 3: nil} {
		if n < 2 {
			continue
		}
		joined, err := ledgerclient.JoinNotes(id, w.config.Nodes, notes[3], notes[:n-1]...)
		w.must(err)
		s, err := ledgerclient.OpenNote(id, w.config.Nodes, joined)
		w.must(err)
		if head, err := s.Under(w.config); !errors.Is(err, want) || err == nil && head.Size != 2 {
			t.Errorf("a head of %d: %v", n, err)
		}
	}
	// Opened by who may not read the keys, it still says which node it is; of its keeper
	// it does not say another's key.
	w.must(os.Rename(filepath.Join(w.dirs[1], "keys"), filepath.Join(t.TempDir(), "keys")))
	f := w.open(1)
	if f.Node() != w.config.Nodes[1] || f.Services().Keepers[0].Key() != (crypto.PubKey{}) {
		t.Errorf("without its keys: node %x, keeper %x", f.Node().Checkpoint, f.Services().Keepers[0].Key())
	}
}

// What is no founding of this institution makes no folder.
func TestBadFoundings(t *testing.T) {
	w := newNetwork(t, 4)
	other := folder.NewKeys()
	for name, c := range map[string]struct {
		change func(c *contract.Config)
		want   error
	}{
		"own keys missing":       {func(c *contract.Config) { c.Nodes[0], c.Keepers[3] = other.Node(), other.Keeper() }, folder.ErrNotNamed},
		"another's entry key":    {func(c *contract.Config) { c.Nodes[0].Key = other.Node().Key }, folder.ErrNotNamed},
		"another's keeper":       {func(c *contract.Config) { c.Keepers[3] = other.Keeper() }, folder.ErrNotNamed},
		"own keys twice":         {func(c *contract.Config) { c.Nodes[1] = c.Nodes[0] }, contract.ErrConfig},
		"one key of two nodes":   {func(c *contract.Config) { c.Nodes[1].Checkpoint = c.Nodes[0].Checkpoint }, contract.ErrConfig},
		"one key of two keepers": {func(c *contract.Config) { c.Keepers[1] = c.Keepers[0] }, contract.ErrConfig},
		"t > n":                  {func(c *contract.Config) { c.Threshold = 5 }, contract.ErrConfig},
		"3t ≤ 2n":                {func(c *contract.Config) { c.Threshold = 2 }, ledgerclient.ErrThreshold},
		"no name":                {func(c *contract.Config) { c.Name = " City" }, contract.ErrConfig},
	} {
		bad := w.config
		bad.Nodes, bad.Keepers = slices.Clone(bad.Nodes), slices.Clone(bad.Keepers)
		c.change(&bad)
		if _, err := w.keys[0].Founding(bad.Marshal()); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	fd, err := w.keys[0].Founding(w.config.Marshal())
	w.must(err)
	if _, err := folder.CreateFrom(w.dirs[0], fd, folder.Ordered{}, folder.Options{Clock: w.clock}); !errors.Is(err, folder.ErrReplica) {
		t.Errorf("four nodes, each with an order of its own: %v", err)
	}
	at := folder.Ordered{Next: 1, Hour: networkHour}
	forged := fd
	forged.Entry.Signature[9] ^= 1
	later, err := w.keys[1].Founding(w.config.Marshal())
	w.must(err)
	for name, fd := range map[string]folder.Founding{"a false signature": forged, "no entry 0": later} {
		var refused *contract.Refusal
		if _, err := folder.CreateFrom(w.dirs[0], fd, at, folder.Options{Clock: w.clock}); !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if names, err := os.ReadDir(w.dirs[0]); err != nil || len(names) != 2 { // keys, lock
		t.Errorf("something was made: %v, %v", names, err)
	}
	if s := strings.ToLower(fd.String() + w.keys[0].String()); !strings.Contains(s, "founding") || strings.Contains(s, "privatekey") {
		t.Error(s)
	}
	// A folder of several nodes that lost its position in the order is no ledger of its own.
	f, err := folder.CreateFrom(w.dirs[0], fd, at, folder.Options{Clock: w.clock})
	w.must(err)
	w.must(f.Close())
	path := filepath.Join(w.dirs[0], "checkpoint")
	raw, err := os.ReadFile(path)
	w.must(err)
	_, note, _ := strings.Cut(string(raw), "\n")
	w.must(os.WriteFile(path, []byte(note), 0o600))
	var damaged *folder.DamagedError
	if _, err := folder.Open(w.dirs[0], folder.Options{Clock: w.clock}); !errors.As(err, &damaged) || damaged.File != "checkpoint" {
		t.Errorf("without its position: %v", err)
	}
}
