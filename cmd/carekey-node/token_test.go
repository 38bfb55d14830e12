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
	list := func(at time.Time, name string) node.Withdrawn {
		t.Helper()
		if err := c.withdraw(name, ledger, keys, at); err != nil {
			t.Fatal(err)
		}
		lists, err := node.WithdrawnForm.Parse(c.Withdrawn)
		if err != nil || len(lists) != 1 || !lists[0].Of(ledger, []contract.Node{keys.Node()}) {
			t.Fatalf("%+v, %v", lists, err)
		}
		return lists[0]
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
		if err := c.withdraw(name, ledger, keys, now); !errors.Is(err, errNoToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if good := c.good(now); len(good) != 1 || good[0].Name != "kept" {
		t.Errorf("%+v", good)
	}
	for n := range node.MaxWithdrawn {
		add(fmt.Sprint("many-", n), now.Add(time.Hour))
		c.Tokens[len(c.Tokens)-1].Withdrawn = "2026-11-30"
	}
	before := c.Withdrawn
	if err := c.withdraw("kept", ledger, keys, now); err == nil || !slices.Equal(c.Withdrawn, before) {
		t.Errorf("more than nodes are told of: %v", err)
	}
}
