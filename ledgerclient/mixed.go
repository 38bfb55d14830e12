package ledgerclient

import (
	"bytes"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Mixed is the order in which a node puts what came together into its log: by the
// entries' ids, which tell nothing, so that what one wallet sent is not side by side. The
// entries of one thread take the places that their ids have in the order in which they
// came. It returns positions in entries.
func Mixed(ledger crypto.LedgerID, entries []contract.Entry) []int {
	ids := make([]contract.ID, len(entries))
	order := make([]int, len(entries))
	for i := range entries {
		ids[i], order[i] = entries[i].ID(ledger), i
	}
	slices.SortFunc(order, func(a, b int) int { return bytes.Compare(ids[a][:], ids[b][:]) })
	places := map[contract.ID][]int{} // of a thread, by what opens it
	for at, i := range order {
		opening := entries[i].Subject
		if entries[i].Opens() {
			opening = ids[i]
		}
		places[opening] = append(places[opening], at)
	}
	for _, at := range places {
		came := make([]int, len(at))
		for k := range at {
			came[k] = order[at[k]]
		}
		slices.Sort(came)
		for k := range at {
			order[at[k]] = came[k]
		}
	}
	return order
}
