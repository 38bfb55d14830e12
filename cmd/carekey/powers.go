package main

import (
	"strings"

	"github.com/carekey/carekey/cmd/cli"
)

// power is what so many of a ledger's institutions can do to whoever uses it, and cannot.
type power struct{ who, can, cannot string }

// powers are the table of the README, which says more of each, with the numbers of this
// ledger.
func (j *ledgerJSON) powers() []power {
	n, t, k := len(j.Nodes), j.Threshold, j.Release
	stop, fork := n-t+1, 2*t-n
	alone := ""
	if min(stop, fork, k) > 1 {
		alone = "open, change or stop anything"
	}
	return []power{
		{"one operator", "refuse or delay what comes to it, and show a head that is some minutes old", alone},
		{plural(k, "keeper", "keepers") + " with a recipient", "open, without an entry, what was granted to that one", "open anything else, or change anything"},
		{plural(stop, "node", "nodes"), "stop all that is new", "undo anything"},
		{plural(max(fork, 1), "node", "nodes"), "show you another history than others see", "hide that from who compares: it names them"},
		{plural(t, "node", "nodes"), "choose hours, and name other nodes and keepers", "forge an entry, or open without keepers"},
	}
}

// powersText is powers for a screen, a line or two each.
func (j *ledgerJSON) powersText() string {
	var lines []string
	for _, p := range j.powers() {
		text := p.who + " can " + p.can
		if p.cannot != "" {
			text += ", and cannot " + p.cannot
		}
		lines = append(lines, strings.TrimRight(cli.Wrap(text, 64), "\n"))
	}
	return strings.Join(lines, "\n")
}
