package main

import (
	"strings"
	"time"

	"github.com/carekey/carekey/cmd/cli"
)

// sheet is one printed page with all that a restore needs beside the 24 words, for
// a ledger that a node keeps: the node has the rest.
type sheet struct {
	ledger      string // id
	name        string // of the ledger
	urls        []string
	node        string // key that signs its heads
	fingerprint string // of the key in its certificate; "" if the system's authorities vouch for it
	invitation  string
	words       []string // check words of the owner's address
	made        time.Time
}

// text is the page: at most 60 lines of 76 columns, plain ASCII but for the name.
func (s sheet) text() string {
	var b strings.Builder
	line := func(text string) { b.WriteString(text + "\n") }
	line("CAREKEY: HOW TO FIND MY LEDGER AGAIN")
	line("made " + s.made.UTC().Format("2006-01-02"))
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
	field("ledger", cli.Clean(s.name))
	field("ledger id", s.ledger)
	field("node", s.urls...)
	field("node's key", s.node)
	switch {
	case s.fingerprint != "":
		field("certificate", s.fingerprint)
	case strings.HasPrefix(s.urls[0], "http://"):
		field("certificate", "none: the node was on the computer of the wallet")
	default:
		field("certificate", "vouched for by the usual authorities")
	}
	field("check words", strings.Join(s.words, " "))
	line("")
	line("Invitation (type or scan it without spaces and line breaks):")
	line("")
	for _, part := range pieces(s.invitation, 60) {
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
