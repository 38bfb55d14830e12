package main

import (
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/node"
)

// The page fits on paper, holds all that a restore needs, and nothing of the key.
func TestSheet(t *testing.T) {
	entropy := crypto.NewEntropy()
	who := entropy.Root().Identity().Address()
	inv := node.Invitation{Ledger: crypto.LedgerID{1}, Node: [32]byte{2}, Name: "City ledger", Fingerprint: crypto.Hash{3}, Token: strings.Repeat("t", 40),
		URLs: []string{"https://ledger.example/carekey", "https://other.example:8443", "https://third.example", "https://[2001:db8::1]"}}
	text := sheet(locator{node: &inv}, who, time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(lines) > 60 {
		t.Errorf("%d lines", len(lines))
	}
	joined := ""
	for _, l := range lines {
		if len(l) > 78 {
			t.Errorf("%d columns: %s", len(l), l)
		}
		joined += strings.TrimSpace(l)
	}
	for _, want := range append(inv.URLs, inv.Name, inv.Ledger.String(), inv.Fingerprint.String(), inv.String(), checkWords(who)[:20]) {
		if !strings.Contains(joined, want) {
			t.Errorf("not on the page: %s", want)
		}
	}
	count := 0
	for _, w := range entropy.Words() {
		if strings.Contains(text, " "+w+" ") {
			count++
		}
	}
	if count > 12 { // words such as "this" are on both lists
		t.Errorf("%d of the 24 words are on the page", count)
	}
	if strings.Contains(text, who.String()) {
		t.Error("the address is on the page")
	}
	inv.Fingerprint, inv.URLs = crypto.Hash{}, []string{"http://127.0.0.1:8080"}
	if text := sheet(locator{node: &inv}, who, time.Now()); !strings.Contains(text, "\ncertificate  none") {
		t.Errorf("a node on this computer:\n%s", text)
	}
}
