package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto/lane"
)

// TestMoveInterruptedAtANode interrupts a move from a folder to a node at one of its
// requests: by kill -9 of the wallet and of the node, and by a network that is gone from then on.
// Promise 8: run again it does the rest, and every consent is on the node once.
func TestMoveInterruptedAtANode(t *testing.T) {
	lane.OneGoroutine(t)
	t.Parallel()
	all := []interrupted{{faultBefore, "wallet"}, {faultAfter, "wallet"}, {faultAfter, "node"}, {faultPartition, ""}}
	d := newDistantTown(t, false)
	invitation := strings.TrimSpace(string(d.operator("invite", "ledger")))
	clinic := strings.TrimSpace(d.mustRun("clinic", "address"))
	d.must(os.WriteFile(filepath.Join(d.dir, "second.txt"), []byte("another\n"), 0o600))
	home := func(who string) {
		d.must(os.WriteFile(filepath.Join(d.dir, who+".passphrase"), []byte("horse of "+who+"\n"), 0o600))
		d.mustRun(who, "init", "--name", who, "--new-ledger", "--words-file", filepath.Join(d.dir, who+".words"))
		d.mustRun(who, "contact", "add", "Dr Smith", clinic)
		d.mustRun(who, "record", "add", "allergies.txt")
		d.mustRun(who, "grant", "--to", "Dr Smith", "--all", "--for", "30d", "--yes")
		d.mustRun(who, "record", "add", "second.txt")
		d.mustRun(who, "grant", "--to", "Dr Smith", "--all", "--for", "60d", "--yes")
		d.mustRun(who, "ledger", "join", invitation, "--yes")
	}
	move := []string{"ledger", "move", "--to", "City ledger", "--yes"}
	home("mover")
	d.proxy.arm(faultNone, 0, nil)
	d.mustRun("mover", move...)
	requests := d.proxy.counted()
	t.Logf("a move takes %d requests", requests)
	r := rand.New(rand.NewPCG(6, 6))
	for n, i := range all {
		who := fmt.Sprintf("mover%d", n)
		home(who)
		// Not in the very first ones, which only look.
		d.under(i, requests/4+r.IntN(requests*3/4), who, move...)
		d.mustRun(who, move...)
		d.mustRun(who, "sync")
		status := map[string]int{}
		for _, c := range d.list(who, "--ledger", "carekey", "consent", "list") {
			status[c["status"].(string)]++
		}
		moved := d.list(who, "--ledger", "City ledger", "consent", "list")
		records := d.list(who, "--ledger", "City ledger", "record", "list")
		if status["revoked"] != 2 || len(status) != 1 || len(moved) != 2 || len(records) != 2 {
			t.Fatalf("round %d: %v on the folder, %d consents and %d records on the node", n, status, len(moved), len(records))
		}
		for _, c := range moved {
			if c["status"] != "active" {
				t.Errorf("round %d: moved and %s", n, c["status"])
			}
			d.mustRun("clinic", "fetch", c["consent"].(string), "--flat", "-o", filepath.Join("got", who), "--force")
		}
	}
	d.mustRun("mover", "--ledger", "City ledger", "ledger", "verify")
}
