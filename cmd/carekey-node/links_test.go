package main

import (
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/node/server"
	"github.com/carekey/carekey/wallet/payload"
)

// TestLinkNote: whatever was typed, the note with an opening is one that wallets read, in the
// room that every such note has.
func TestLinkNote(t *testing.T) {
	for name, text := range map[string]string{
		"short": "Dr A", "long": strings.Repeat("a", 2000), "escaped": strings.Repeat("<", 1000), "control": strings.Repeat("\x01", 1000), "no text": strings.Repeat("\xff", 1000), "letters": strings.Repeat("ä", 600),
	} {
		b, room := linkNote(4)(server.LinkNote{Author: crypto.GenerateKey().Public(), From: crypto.NewEntropy().Root().Identity().Address(), By: text, Reason: text, Checkpoint: "c"})
		note, err := payload.ParseAccess(b)
		if err != nil || len(b) > room || note.By == "" || note.Reason == "" || !payload.ByFits(note.By) || !payload.ReasonFits(note.Reason) {
			t.Errorf("%s: %v, %d bytes of %d, %.40q %.40q", name, err, len(b), room, note.By, note.Reason)
		}
	}
}

// TestLinkURL: a node takes links where browsers trust its certificate and a link has room.
func TestLinkURL(t *testing.T) {
	long := "https://" + strings.Repeat("a", 80) + ".example"
	for _, c := range []struct {
		pin  bool
		urls []string
		want string
	}{
		{true, []string{"https://ledger.example"}, ""}, {false, []string{"https://ledger.example:8443"}, "https://ledger.example:8443"},
		{false, []string{long, "https://ledger.example"}, "https://ledger.example"}, {false, []string{"https://city.example/ledger"}, ""}, {false, []string{long}, ""},
	} {
		cfg := &config{URLs: c.urls}
		cfg.TLS.Pin = c.pin
		if got := cfg.linkURL(); got != c.want {
			t.Errorf("%v %q: %q", c.pin, c.urls, got)
		}
	}
}
