package main

import (
	"encoding/hex"
	"strings"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
)

// sheet is one printed page with all that a restore needs beside the 24 words, for a
// ledger that a node keeps: the node has the rest, also where the wallet uses the order
// itself. It is at most 60 lines of 76 columns, plain ASCII but for the ledger's name.
func sheet(at locator, owner crypto.Address, made time.Time) string {
	inv := at.node
	var b strings.Builder
	line := func(text string) { b.WriteString(text + "\n") }
	line("CAREKEY: HOW TO FIND MY LEDGER AGAIN")
	line("made " + made.UTC().Format("2006-01-02"))
	line("")
	field := func(what string, values ...string) {
		for i, v := range values {
			if i > 0 {
				what = ""
			}
			for _, part := range pieces(v, 64) {
				line(what + strings.Repeat(" ", max(0, 13-len(what))) + part)
				what = ""
			}
		}
	}
	field("ledger", cli.Clean(inv.Name))
	field("ledger id", inv.Ledger.String())
	field("node", inv.URLs...)
	field("node's key", hex.EncodeToString(inv.Node[:]))
	switch {
	case !inv.Fingerprint.IsZero():
		field("certificate", inv.Fingerprint.String())
	case strings.HasPrefix(inv.URLs[0], "http://"):
		field("certificate", "none: the node was on the computer of the wallet")
	default:
		field("certificate", "vouched for by the usual authorities")
	}
	field("check words", checkWords(owner))
	line("")
	line("Invitation (type or scan it without spaces and line breaks):")
	line("")
	for _, part := range pieces(inv.String(), 60) {
		line("    " + part)
	}
	line(`
WHAT TO DO when the computer with the wallet is lost

1. Take this page and the 24 words, which are on another paper.
2. On a new computer, install carekey and type:

       carekey restore --ledger INVITATION

   and the 24 words when it asks for them.
3. carekey address must show the check words above.
4. If somebody may have got into the lost computer: carekey revoke --all,
   then make a new wallet. Words cannot be changed.

This page is not the key: without the 24 words it opens nothing. Who has it
learns which ledger you use, and can speak with its node. Do not write the
words on it, and do not keep them together.`)
	return b.String()
}

// pieces breaks a text into parts of at most n bytes, at spaces where it has any.
func pieces(t string, n int) (out []string) {
	for len(t) > n {
		at := strings.LastIndexByte(t[:n+1], ' ')
		if at <= 0 {
			at = n
		}
		out = append(out, strings.TrimRight(t[:at], " "))
		t = strings.TrimLeft(t[at:], " ")
	}
	return append(out, t)
}
