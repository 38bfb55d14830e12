package main

import (
	"slices"
	"strings"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet"
)

// This file is the one place where a person is told what a ledger keeps from happening,
// or that something did not happen. Such a sentence is no truer than who enforces it:
// each is made here from the gate, from how many independent operators would have to
// break the rules together, and from how new what is shown is. Tests compare the README
// and the help with it, and let no other string of the program make such a claim.

// ground is what is said of a ledger stands on.
type ground struct {
	ledgerclient.Properties
	since time.Time // when it was followed last, or its head is of; zero if it answered
	away  bool      // it is out of reach, or stale
	stale bool      // it shows a head of another time than now
	part  bool      // another ledger of the wallet could not be read
}

// groundOf is what is said of the wallet's ledger stands on.
func groundOf(w *wallet.Wallet) ground {
	_, p := w.Ledger()
	g := ground{Properties: p}
	if since, behind := w.Log().Behind(); behind {
		g.away, g.since = true, since
		g.stale, _ = w.Log().Stale()
	}
	return g
}

// A claim is something that a person would like to know.
type claim int

const (
	eachOpening claim = iota // how far it is certain that each opening leaves an entry
	allShown                 // how far all entries of one's consents were shown
	noneOpen                 // no consent is open
	noOpening                // a consent was not opened
	inShort                  // eachOpening in one line
	erased                   // what becomes of a record that is removed
)

// says is the sentence for a claim, in one line.
func (g ground) says(c claim) string {
	switch c {
	case eachOpening:
		long, _ := g.gate()
		return long
	case inShort:
		_, short := g.gate()
		return short
	case allShown:
		if g.away {
			return "all that the ledger showed of these consents " + g.when()
		}
		if g.Freshness > 0 {
			return "all that the ledger shows of these consents, in a head that was signed within " + roughly(g.Freshness)
		}
		return "all that the ledger's files show of these consents"
	case noneOpen:
		where := ""
		if g.part {
			where = " on the ledgers that could be read"
		}
		if g.away {
			return "No consent of yours was open" + where + " " + g.when() + "."
		}
		return "No consent of yours is open" + where + "."
	case noOpening:
		return "no entry"
	case erased:
		if g.Gate == ledgerclient.Advisory {
			return "The store erases its content now, unless somebody copied it. Who fetched it keeps what they have."
		}
		return "The store is to erase its content, which its operator may do weeks later. Who fetched it keeps what they have."
	}
	return ""
}

// gate is eachOpening at length and in one line.
func (g ground) gate() (long, short string) {
	n := max(1, g.Operators)
	switch {
	case g.Gate == ledgerclient.Advisory:
		return "gate: advisory. The ledger is a folder: a recipient who can read its files can open what you granted without leaving an entry. That each opening leaves one is a rule of honest software here.",
			"advisory: who reads the ledger's files can open without leaving an entry"
	case g.Gate != ledgerclient.Enforced:
		return "gate: " + string(g.Gate) + ", which this carekey does not know: do not count on entries.",
			string(g.Gate) + ": not known to this carekey, do not count on entries"
	case n > 1:
		return "gate: enforced, by several operators. " + number(n) + " of them and a recipient together could open what you granted without leaving an entry, and they could show you a copy that lacks one.",
			"enforced: " + strings.ToLower(number(n)) + " of its operators can let open without an entry, or hide one"
	case g.Clock == "order":
		return "gate: enforced, by one operator. It and a recipient together could open what you granted without leaving an entry. To hide one, it needs who keeps the order.",
			"enforced: its operator can let open without an entry"
	}
	return "gate: enforced, by one operator. It and a recipient together could open what you granted without leaving an entry, and it could show you a copy that lacks one.",
		"enforced: its operator can let open without an entry, or hide one"
}

// when is when a ledger that is out of reach was followed last, or its old head is of.
func (g ground) when() string {
	if g.since.IsZero() {
		return "before it was out of reach"
	}
	return "at " + g.since.Local().Format(dayLayout)
}

// number is a number of operators in words.
func number(n int) string {
	if words := []string{"none", "one", "two", "three", "four"}; n < len(words) {
		return strings.ToUpper(words[n][:1]) + words[n][1:]
	}
	return thousands(n)
}

// openingsInHelp is eachOpening as the help says it, which knows no ledger: all that may be
// the case, written out so that a start does not put it together.
const openingsInHelp = `gate: advisory. The ledger is a folder: a recipient who can read its files can
open what you granted without leaving an entry. That each opening leaves one is
a rule of honest software here.
gate: enforced, by one operator. It and a recipient together could open what you
granted without leaving an entry, and it could show you a copy that lacks one.`

// leastOf is the ground of the ledger of which the least can be said.
func leastOf(all []*opened) ground {
	least := groundOf(all[0].w)
	for _, o := range all[1:] {
		if g := groundOf(o.w); g.away || !least.away && g.Freshness == 0 {
			least = g
		}
	}
	return least
}

// gateLine is eachOpening for what is looked at every day.
func (g ground) gateLine() string { return "gate: " + g.says(inShort) }

// groundsOf are those of some of a wallet's ledgers.
func groundsOf(all []*opened) []ground {
	return list(all, func(o *opened) ground { return groundOf(o.w) })
}

// limits are what openings of consents rest on, once for each ledger that differs.
func limits(all []ground) string {
	var out []string
	for _, g := range all {
		if s := g.gateLine(); !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return strings.Join(out, "\n")
}
