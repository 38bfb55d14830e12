package wallet

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
)

// Witnesses are those whose word the owner wants for the open ledger, beside that of its
// nodes. They stand in her book, so that her other machines want them too, and a restored
// wallet.
type Witnesses struct{ w *Wallet }

// Witnesses returns the witnesses of the open ledger.
func (w *Wallet) Witnesses() Witnesses { return Witnesses{w} }

// witnessFact is which witnesses the owner wants for a ledger, and how many of them are
// enough.
type witnessFact struct {
	Ledger crypto.LedgerID `json:"ledger"`
	Keys   []string        `json:"keys"` // ascending; none: she wants none
	Need   int             `json:"need"` // 1 … len(Keys); 0 without any
	At     int64           `json:"at"`
}

func compareWitnesses(a, b witnessFact) int { return bytes.Compare(a.Ledger[:], b.Ledger[:]) }

// verifiers are the keys; false if they cannot be what SetWitnesses wrote.
func (f *witnessFact) verifiers() (keys []ledgerclient.TimeVerifier, ok bool) {
	if f.Keys == nil || !ascending(f.Keys, strings.Compare) || len(f.Keys) > ledgerclient.MaxWitnesses || f.Need > len(f.Keys) || f.Need < min(1, len(f.Keys)) {
		return nil, false
	}
	for _, text := range f.Keys {
		v, err := ledgerclient.ParseWitness(text)
		if err != nil || slices.ContainsFunc(keys, func(k ledgerclient.TimeVerifier) bool { return k.Key() == v.Key() }) {
			return nil, false
		}
		keys = append(keys, v)
	}
	return keys, true
}

func (f *bookFacts) witnesses(id crypto.LedgerID) witnessFact {
	if i, ok := slices.BinarySearchFunc(f.Witnesses, witnessFact{Ledger: id}, compareWitnesses); ok {
		return f.Witnesses[i]
	}
	return witnessFact{Ledger: id, Keys: []string{}}
}

// Set makes these the witnesses that the owner wants for the open ledger, in the place of
// all others, and need how many of them are enough; 0: all. Without keys she wants none.
// The same again changes nothing.
//
// Errors: [ledgerclient.ErrVkey]; [ErrInput] for a key that is there twice or is a node's
// of the ledger, and for more witnesses, or more that are needed, than there can be.
func (ws Witnesses) Set(ctx context.Context, vkeys []string, need int) error {
	fact := witnessFact{Ledger: ws.w.client.ID(), Keys: []string{}, Need: need}
	if need == 0 {
		fact.Need = len(vkeys)
	}
	by := map[[32]byte]string{}
	for _, text := range vkeys {
		v, err := ledgerclient.ParseWitness(text)
		if err != nil {
			return err
		}
		if by[v.Key()] != "" {
			return badInput("witness", v.Name(), "its key is there twice, and is one witness")
		}
		by[v.Key()] = v.Name()
		fact.Keys = append(fact.Keys, text)
	}
	switch n := len(vkeys); {
	case n > ledgerclient.MaxWitnesses:
		return badInput("witness", "", fmt.Sprintf("%d are named, and %d are the most", n, ledgerclient.MaxWitnesses))
	case need < 0 || fact.Need > n:
		return badInput("need", fmt.Sprint(need), fmt.Sprintf("%d are named", n))
	}
	slices.Sort(fact.Keys)
	return ws.w.with(ctx, func() error {
		for _, n := range ws.w.client.Config().Nodes {
			if name := by[n.Checkpoint]; name != "" {
				return badInput("witness", name, "that key is a node's of this ledger, which vouches for it already")
			}
		}
		facts := &ws.w.book.Facts
		if old := facts.witnesses(fact.Ledger); slices.Equal(old.Keys, fact.Keys) && old.Need == fact.Need {
			return nil
		}
		facts.Witnesses = setFact(facts.Witnesses, fact, compareWitnesses, func(f *witnessFact) *int64 { return &f.At }, ws.w.opt.Now())
		ws.w.book.dirty = true
		return nil
	})
}

// Witnessed is what the witnesses that the owner wants say of the open ledger.
type Witnessed struct {
	Need      int       `json:"need"`              // how many of them are enough; 0: she wants none
	Have      int       `json:"have"`              // whose cosignature counts
	Unknown   bool      `json:"unknown,omitempty"` // the ledger was not followed to now: nobody was asked
	Witnesses []Witness `json:"witnesses"`
}

// Witness is one of them.
type Witness struct {
	ledgerclient.Cosigned
	Vkey   string `json:"vkey"`
	Counts bool   `json:"counts"`
}

// Enough reports whether as many as she wants cosigned, and none another history, as far
// as anybody can know.
func (s *Witnessed) Enough() bool { return s.Unknown || s.Have >= s.Need && len(s.Other()) == 0 }

// Other are the names of those that cosigned another history.
func (s *Witnessed) Other() (names []string) {
	for _, w := range s.Witnesses {
		if w.Other {
			names = append(names, w.Name)
		}
	}
	return names
}

// Look asks the open ledger what its witnesses say of the head that this wallet verified.
// That some say nothing is no error. Errors are those of [ledgerclient.Client.Cosigned].
func (ws Witnesses) Look(ctx context.Context) (s Witnessed, err error) {
	err = ws.w.Look(ctx, func() error {
		fact := ws.w.book.Facts.witnesses(ws.w.client.ID())
		keys, _ := fact.verifiers() // which was looked at when it was read
		s.Need, s.Witnesses = fact.Need, make([]Witness, len(keys))
		if len(keys) == 0 {
			return nil
		}
		cosigned := make([]ledgerclient.Cosigned, len(keys))
		head := ws.w.view.Head()
		if s.Unknown = ws.w.view.Behind() != nil; !s.Unknown {
			if cosigned, err = ws.w.client.Cosigned(ctx, head, keys); err != nil {
				return err
			}
		}
		for i, c := range cosigned {
			c.Name = keys[i].Name()
			s.Witnesses[i] = Witness{c, keys[i].Vkey(), c.Counts(head)}
			if c.Counts(head) {
				s.Have++
			}
		}
		return nil
	})
	return s, err
}
