package wallet_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
)

// someWitness is one with a key, and its cosignatures.
func someWitness(name string, seed byte) ledgerclient.TimeSigner {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32))
	return ledgerclient.TimeSigner{TimeVerifier: ledgerclient.NewTimeVerifier(name, [32]byte(key.Public().(ed25519.PublicKey))), Key: key, Time: noon}
}

// shown is a ledger that shows a note for its witnesses.
type shown struct {
	ledgerclient.Ledger
	ledgerclient.Prover
	note func(ctx context.Context) ([]byte, error)
}

func (s shown) Witnessed(ctx context.Context) ([]byte, error) { return s.note(ctx) }

// Which witnesses are wanted is on all of the owner's machines, and comes back with a
// restore; what cannot be one is refused, and changes nothing.
func TestWitnesses(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	words := crypto.NewEntropy()
	laptop, phone := tn.device("laptop", words), tn.device("phone", words)
	one, two := someWitness("one.example", 1), someWitness("two.example/2", 2)
	wanted := func(what string, w *wallet.Wallet, need int, names ...string) {
		t.Helper()
		must(w.Records().List(ctx))(t) // takes up what the other one wrote
		s := must(w.Witnesses().Look(ctx))(t)
		var got []string
		for _, x := range s.Witnesses {
			got = append(got, x.Name)
		}
		if s.Need != need || !slices.Equal(got, names) || s.Have != 0 || s.Enough() != (need == 0) {
			t.Errorf("%s: %+v", what, s)
		}
	}
	wanted("at first", laptop, 0)
	config := must(contract.ParseConfig(must(tn.services().Ledger.Genesis(ctx))(t)))(t)
	node := ledgerclient.NewTimeVerifier("node.example", config.Nodes[0].Checkpoint).Vkey()
	same := someWitness("another.example", 1)
	var many []string
	for i := range 17 {
		many = append(many, someWitness(fmt.Sprintf("w%d.example", i), byte(10+i)).Vkey())
	}
	for _, c := range []struct {
		what string
		keys []string
		need int
		is   error
	}{
		{"no key", []string{"one.example"}, 0, ledgerclient.ErrVkey},
		{"one twice", []string{one.Vkey(), one.Vkey()}, 0, wallet.ErrInput},
		{"one under two names", []string{one.Vkey(), same.Vkey()}, 0, wallet.ErrInput},
		{"a node's own", []string{one.Vkey(), node}, 0, wallet.ErrInput},
		{"more needed than there are", []string{one.Vkey(), two.Vkey()}, 3, wallet.ErrInput},
		{"fewer than none", []string{one.Vkey()}, -1, wallet.ErrInput},
		{"some of none", nil, 1, wallet.ErrInput},
		{"too many", many, 0, wallet.ErrInput},
	} {
		if err := laptop.Witnesses().Set(ctx, c.keys, c.need); !errors.Is(err, c.is) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	wanted("after all that", laptop, 0)
	set := func(w *wallet.Wallet, need int, keys ...string) {
		t.Helper()
		if err := w.Witnesses().Set(ctx, keys, need); err != nil {
			t.Fatal(err)
		}
	}
	set(laptop, 1, two.Vkey(), one.Vkey())
	keep(t, laptop)
	if set(laptop, 1, one.Vkey(), two.Vkey()); !laptop.Book().IsKept() {
		t.Error("the same again is a change")
	}
	wanted("on the other machine", phone, 1, "one.example", "two.example/2")
	set(phone, 0, two.Vkey())
	keep(t, phone)
	wanted("changed there", laptop, 1, "two.example/2")
	wanted("restored", must(restoredOf(tn, words))(t), 1, "two.example/2")
	set(laptop, 0)
	keep(t, laptop)
	wanted("none any more", phone, 0)
}

// What the ledger shows of them is counted; a witness of another history is named, and
// stops nothing.
func TestWitnessesLook(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	tn.person("Maria")
	one, two := someWitness("one.example", 1), someWitness("two.example", 2)
	s := tn.services()
	var note func(ctx context.Context) ([]byte, error)
	opt := tn.options("Maria")
	opt.Services.Ledger = shown{s.Ledger, s.Ledger.(ledgerclient.Prover), func(ctx context.Context) ([]byte, error) { return note(ctx) }}
	w := must(wallet.Open(ctx, opt))(t)
	if err := w.Witnesses().Set(ctx, []string{one.Vkey(), two.Vkey()}, 1); err != nil {
		t.Fatal(err)
	}
	under := func(msg []byte, by ...ledgerclient.TimeSigner) []byte {
		text := msg[:bytes.LastIndex(msg, []byte("\n\n"))+1]
		for _, b := range by {
			msg = append(msg, must(b.Line(text))(t)...)
		}
		return msg
	}
	genuine := must(s.Ledger.Checkpoint(ctx))(t)
	id, _ := w.Ledger()
	forged := fmt.Appendf(nil, "%s\n1\n%s\n\n", ledgerclient.Origin(id), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	for _, c := range []struct {
		what   string
		note   []byte
		err    error
		have   int
		other  []string
		enough bool
	}{
		{"nobody is asked", nil, &ledgerclient.NotFoundError{What: "page"}, 0, nil, false},
		{"no answer", nil, &ledgerclient.UnreachableError{Service: "ledger", Err: errors.New("gone")}, 0, nil, false},
		{"none", genuine, nil, 0, nil, false},
		{"one", under(genuine, one), nil, 1, nil, true},
		{"both", under(genuine, two, one), nil, 2, nil, true},
		{"one of another history", under(forged, two), nil, 0, []string{"two.example"}, false},
	} {
		note = func(context.Context) ([]byte, error) { return bytes.Clone(c.note), c.err }
		got := must(w.Witnesses().Look(ctx))(t)
		if got.Have != c.have || !slices.Equal(got.Other(), c.other) || got.Enough() != c.enough || got.Need != 1 || len(got.Witnesses) != 2 {
			t.Errorf("%s: %+v", c.what, got)
		}
	}
	add(t, w, "a.txt", "Penicillin") // what was verified goes on
}
