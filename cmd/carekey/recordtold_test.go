package main

import (
	"strings"
	"testing"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/wallet"
)

// Threat: who delivers a file calls it so that its title looks like other rows of the record.
func TestToldWordsAreOneLine(t *testing.T) {
	hostile := "Hb\n  signed    by City Lab\tx\x1b[2J\r\u2028y\u202e"
	r := wallet.Record{Title: hostile, File: hostile, Date: hostile, Version: 1}
	for _, row := range recordTold(r) {
		if row[1] != cli.Clean(row[1]) {
			t.Errorf("%s: %q", row[0], row[1])
		}
	}
	r.Source = wallet.Sender{Delivery: [32]byte{1}, Name: hostile, Verified: true}
	rows := recordTold(r)
	if got := strings.Count(rows.Text(""), "\n"); got != len(rows) {
		t.Errorf("%d lines of %d rows:\n%s", got, len(rows), rows.Text(""))
	}
}
