package main

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
)

// What is taken back stays so: each list has a higher number than the one before, whatever
// the clock says, and names all that other nodes must still be told of.
func TestWithdraw(t *testing.T) {
	ledger, keys := crypto.LedgerID{1}, folder.NewKeys()
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	c := &config{}
	add := func(name string, until time.Time) crypto.PubKey {
		k := crypto.GenerateKey().Public()
		c.Tokens = append(c.Tokens, submitToken{Name: name, Until: until, Hourly: 1, Key: k})
		return k
	}
	over, first, second := add("over", now.Add(-time.Hour)), add("first", now.Add(time.Hour)), add("second", now.Add(time.Hour))
	add("kept", now.Add(time.Hour))
	var last node.Withdrawn
	list := func(at time.Time, name string) node.Withdrawn {
		t.Helper()
		w, err := c.withdraw(name, last, ledger, keys, at)
		if err != nil || !w.Of(ledger, []contract.Node{keys.Node()}) {
			t.Fatalf("%+v, %v", w, err)
		}
		last = w
		return w
	}
	one := list(now, "first")
	if !slices.Equal(one.Keys, []crypto.PubKey{first}) {
		t.Errorf("%x", one.Keys)
	}
	two := list(now.Add(-48*time.Hour), "second") // a clock that was set back
	if two.Number <= one.Number || len(two.Keys) != 2 || !slices.Contains(two.Keys, second) || slices.Contains(two.Keys, over) {
		t.Errorf("%d after %d: %x", two.Number, one.Number, two.Keys)
	}
	if three := list(now, "over"); len(three.Keys) != 2 || three.Number <= two.Number {
		t.Errorf("of one that is over: %+v", three)
	}
	for _, name := range []string{"first", "nobody"} {
		if _, err := c.withdraw(name, last, ledger, keys, now); !errors.Is(err, errNoToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if good := c.good(now); len(good) != 1 || good[0].Name != "kept" {
		t.Errorf("%+v", good)
	}
	// Settings of before, in which a token is good that was taken back, or is not there at all.
	c.Tokens[1].Withdrawn = ""
	c.Tokens = slices.DeleteFunc(c.Tokens, func(t submitToken) bool { return t.Name == "second" })
	add("third", now.Add(time.Hour))
	if four := list(now, "third"); len(four.Keys) != 3 || !slices.Contains(four.Keys, first) || !slices.Contains(four.Keys, second) {
		t.Errorf("after old settings: %x", four.Keys)
	}
	if c.Tokens[1].Name != "first" || c.Tokens[1].Withdrawn == "" {
		t.Errorf("%+v", c.Tokens)
	}
	if good := c.good(now); len(good) != 1 || good[0].Name != "kept" {
		t.Errorf("%+v", good)
	}
	if later := list(now.Add(2*time.Hour), "kept"); !slices.Equal(later.Keys, []crypto.PubKey{second}) { // nobody knows when that is over
		t.Errorf("%x", later.Keys)
	}
	add("last", now.Add(time.Hour))
	for n := range node.MaxWithdrawn {
		add(fmt.Sprint("many-", n), now.Add(time.Hour))
		c.Tokens[len(c.Tokens)-1].Withdrawn = "2026-11-30"
	}
	if _, err := c.withdraw("last", last, ledger, keys, now); err == nil {
		t.Errorf("more than nodes are told of: %v", err)
	}
}
