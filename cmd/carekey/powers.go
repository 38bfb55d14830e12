package main

import (
	"fmt"
	"strings"
)

// powers say how many of a ledger's institutions can do what to whoever uses it, and cannot: the
// table of the README, with the numbers of this ledger.
func (j *ledgerJSON) powers() string {
	n, t, k := len(j.Nodes), j.Threshold, j.Release
	stop, fork := n-t+1, 2*t-n
	alone := "one operator can refuse or delay what comes to it, and show a\nhead that is some minutes old"
	if min(stop, fork, k) > 1 {
		alone += ", and open, change or stop nothing"
	}
	return strings.Join([]string{alone,
		plural(k, "keeper", "keepers") + " with a recipient can open, without an entry, what was\ngranted to that one, and nothing else, and change nothing",
		plural(stop, "node", "nodes") + " can stop all that is new, and undo nothing",
		plural(max(fork, 1), "node", "nodes") + " can show you another history than others see,\nand not hide that from who compares: it names them",
		fmt.Sprintf("%s can choose hours, and name other nodes and keepers,\nand neither forge an entry nor open without keepers", plural(t, "node", "nodes")),
	}, "\n")
}
