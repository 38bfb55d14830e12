package wallet_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/order"
	"github.com/carekey/carekey/wallet"
)

// ofNodes is the ledger of several nodes as their first one would serve it: it asks the
// others for their signatures.
type ofNodes struct {
	*order.Ledger
	all []*order.Ledger
	now func() time.Time
}

func (l ofNodes) Properties() ledgerclient.Properties {
	return ledgerclient.Properties{Gate: ledgerclient.Enforced, Reach: "here", Clock: "node", Remote: true, Operators: len(l.all), Freshness: 10 * time.Minute}
}

func (l ofNodes) Checkpoint(ctx context.Context) ([]byte, error) {
	var notes [][]byte
	var nodes []contract.Node
	for _, one := range l.all {
		if err := one.Follow(ctx); err != nil {
			return nil, err
		}
		f := one.Replica.(*folder.Folder)
		note, err := f.CheckpointAt(ctx, l.now())
		if err != nil {
			return nil, err
		}
		notes, nodes = append(notes, note), append(nodes, f.Node())
	}
	doc, err := l.Genesis(ctx)
	if err != nil {
		return nil, err
	}
	return ledgerclient.JoinNotes(contract.LedgerID(doc), nodes, notes[0], notes[1:]...)
}

// atNode is a node's keeper as it is asked over a network: it follows the order first.
type atNode struct {
	keeper ledgerclient.Keeper
	l      *order.Ledger
	silent *bool
}

func (k atNode) follow(ctx context.Context) error {
	if *k.silent {
		return &ledgerclient.UnreachableError{Service: "keeper", Err: errCut}
	}
	return k.l.Follow(ctx)
}

func (k atNode) Key() crypto.PubKey { return k.keeper.Key() }

func (k atNode) Deposit(ctx context.Context, ds []ledgerclient.Deposit) ([]ledgerclient.Receipt, error) {
	if err := k.follow(ctx); err != nil {
		return nil, err
	}
	return k.keeper.Deposit(ctx, ds)
}

func (k atNode) State(ctx context.Context, q ledgerclient.Inquiry) (ledgerclient.KeeperState, error) {
	if err := k.follow(ctx); err != nil {
		return ledgerclient.KeeperState{}, err
	}
	return k.keeper.State(ctx, q)
}

func (k atNode) Release(ctx context.Context, r ledgerclient.Request) (ledgerclient.Answer, error) {
	if err := k.follow(ctx); err != nil {
		return ledgerclient.Answer{}, err
	}
	return k.keeper.Release(ctx, r)
}

func (k atNode) Revoke(ctx context.Context, es []contract.Entry) ([]ledgerclient.Acknowledgement, error) {
	if err := k.follow(ctx); err != nil {
		return nil, err
	}
	return k.keeper.Revoke(ctx, es)
}

func (k atNode) Inquire(ctx context.Context, q ledgerclient.Inquiry) (ledgerclient.InquiryAnswer, error) {
	if err := k.follow(ctx); err != nil {
		return ledgerclient.InquiryAnswer{}, err
	}
	return k.keeper.Inquire(ctx, q)
}

// Three institutions keep a ledger, each with a folder of its own, over an order that a
// foreign program keeps: any two of their keepers open a consent. One is silent, then one
// gives a wrong share: each is named, and what is given, opened and ended goes on.
func TestThreeNodesOnAProgram(t *testing.T) {
	lane.OneGoroutine(t)
	if _, err := exec.LookPath("python3"); err != nil {
		if os.Getenv("CAREKEY_NO_SKIP") != "" {
			t.Fatal("python3 is not installed")
		}
		t.Skip("python3 is not installed")
	}
	ctx := context.Background()
	dir := t.TempDir()
	now := func() time.Time { return noon }
	programs := must(filepath.Abs(filepath.Join("..", "ledgerclient", "ledgertest", "testdata")))(t)
	clock := filepath.Join(dir, "clock")
	if err := os.WriteFile(clock, strconv.AppendInt(nil, noon.Unix()/3600, 10), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", programs+string(filepath.ListSeparator)+os.Getenv("PATH"))
	t.Setenv("EXAMPLE_CLOCK", clock)

	config := contract.Config{Name: "City ledger", Contract: contract.ContractVersion, Threshold: 3, Release: 2, Random: [16]byte{3}}
	dirs, keys := make([]string, 3), make([]folder.Keys, 3)
	for i := range keys {
		dirs[i] = filepath.Join(dir, "node", string(rune('a'+i)))
		if err := os.MkdirAll(filepath.Dir(dirs[i]), 0o700); err != nil {
			t.Fatal(err)
		}
		keys[i] = must(folder.MakeKeys(dirs[i]))(t)
		config.Nodes = append(config.Nodes, keys[i].Node())
		config.Keepers = append(config.Keepers, keys[i].Keeper())
	}
	slices.Reverse(config.Keepers) // a node's line and its keeper's need not have one number
	line := func(node int) int { return slices.Index(config.Keepers, keys[node].Keeper()) + 1 }
	ledgers := make([]*order.Ledger, 3)
	silent, lies := make([]bool, 3), make([]bool, 3)
	for i := range ledgers {
		b := must(order.Start(ctx, "example:"+filepath.Join(dir, "order"), order.ProgramOptions{Stderr: t.Output()}))(t)
		t.Cleanup(func() { b.Close() })
		f := must(folder.CreateIn(ctx, dirs[i], must(keys[i].Founding(config.Marshal()))(t), b, now))(t)
		t.Cleanup(func() { f.Close() })
		ledgers[i] = order.NewLedger(b, f, now)
	}
	ring := &memoryKeyring{items: map[string]string{}}
	options := func(name string) wallet.Options {
		s := ledgerclient.Services{Ledger: ofNodes{ledgers[0], ledgers, now}}
		for i, l := range ledgers {
			own := l.Replica.(*folder.Folder).Services()
			if i == 0 {
				s.Store = own.Store
			}
			k := ledgerclient.Keeper(atNode{own.Keepers[0], l, &silent[i]})
			if lies[i] {
				text := must(os.ReadFile(filepath.Join(dirs[i], "keys", "keeper.k256")))(t)
				raw := must(hex.DecodeString(strings.TrimSpace(string(text))))(t)
				k = lyingKeeper{Keeper: k, key: must(crypto.ParsePrivateKey(raw))(t), share: true}
			}
			s.Keepers = append(s.Keepers, k)
		}
		return wallet.Options{Dir: filepath.Join(dir, "home of "+name), Keyring: ring, Services: s, Now: now}
	}
	open := func(name string) *wallet.Wallet { return must(wallet.Open(ctx, options(name)))(t) }
	patient := must(wallet.Create(ctx, options("Maria"), crypto.NewEntropy(), "Maria", "here"))(t)
	clinic := must(wallet.Create(ctx, options("Dr Smith"), crypto.NewEntropy(), "Dr Smith", "here"))(t)
	add(t, patient, "a.txt", "Penicillin: anaphylaxis")
	must2(patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String()))(t)

	c, _ := grant(t, patient, "Dr Smith", noon)
	if told := faults(patient); c.Keepers != 3 || c.Unheld != nil || told != nil {
		t.Errorf("given: %+v, %v", c, told)
	}
	fetch := func(what string) (told []string) {
		t.Helper()
		w := open("Dr Smith")
		var text bytes.Buffer
		o, err := w.Inbox().OpenByID(ctx, c.ID.String(), what)
		if err == nil {
			err = o.Read(ctx, 0, &text, nil)
		}
		if err != nil || text.String() != "Penicillin: anaphylaxis" {
			t.Errorf("%s: %q, %v", what, text.String(), err)
		}
		return faults(w)
	}
	fetch("all are there")
	silent[1] = true
	fetch("one is silent")
	w := open("Maria")
	for _, e := range must(w.Audit().Events(ctx))(t) {
		if !slices.Equal(names(e.Silent), []int{line(1)}) {
			t.Errorf("audit: %+v", e)
		}
	}
	silent[1], lies[2] = false, true
	fetch("one lies")
	lies[2], silent[1] = false, true
	w = open("Maria")
	r := must(w.Consents().Revoke(ctx, []contract.ID{c.ID}))(t)[0]
	if r.Stopped != 2 || !slices.Equal(names(r.Silent), []int{line(1)}) || !r.Consent.Final.Equal(noon) || r.Consent.Status != wallet.StatusRevoked {
		t.Errorf("revoked: %+v", r)
	}
	silent[1] = false
	_, err := open("Dr Smith").Inbox().OpenByID(ctx, c.ID.String(), "once more")
	if refused, ok := errors.AsType[*wallet.RefusedError](err); !ok || refused.Rule != contract.RuleRevoked || !refused.Filed {
		t.Errorf("opened when it was revoked: %v", err)
	}
	for i, l := range ledgers { // each folder is whole
		if err := l.Follow(ctx); err != nil {
			t.Error(err)
		}
		if report, err := l.Replica.(*folder.Folder).Verify(ctx, nil, nil); err != nil {
			t.Errorf("node %d: %+v, %v", i, report, err)
		}
	}
}
