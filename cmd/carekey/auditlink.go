package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
)

// matched puts side by side what the ledger has of a link's openings, in events, and what its
// node says of them. alone are entries to which the node lists no opening, where that could be
// seen; rest are openings that have no entry of their own.
func matched(es []wallet.Event, link contract.ID, said ledgerclient.LinkAnswer) (alone []wallet.Event, rest []ledgerclient.LinkEvent) {
	for _, o := range said.Events {
		if o.What == ledgerclient.LinkOpened {
			rest = append(rest, o)
		}
	}
	for _, e := range es {
		if e.Consent != link || e.What != wallet.Opened {
			continue
		}
		at := slices.IndexFunc(rest, func(o ledgerclient.LinkEvent) bool {
			hour := wallet.Hour(o.At / 3600) // an entry comes onto the ledger within its hours
			return e.Hour+2 >= hour && e.Hour <= hour+2 && saidSo(o.By, e.By) && saidSo(o.Reason, e.Reason)
		})
		switch {
		case at >= 0:
			rest = slices.Delete(rest, at, at+1)
		case said.More == 0 && e.HasReason && !e.Damaged && len(e.Missing) == 0:
			alone = append(alone, e)
		}
	}
	return alone, rest
}

// saidSo reports whether a text is said, or what is left of it where it was cut.
func saidSo(whole, said string) bool {
	cut, was := strings.CutSuffix(said, "…")
	return whole == said || was && strings.HasPrefix(whole, cut)
}

// unlisted says which entries on the ledger its node lists no opening to; "" if there are none.
// Who knows a link's address, and neither passcode nor key, has what it takes to write one.
func unlisted(alone []wallet.Event) string {
	var b strings.Builder
	for _, e := range alone {
		fmt.Fprintf(&b, "\nNo opening at the node to the entry of %s, typed: %s. It gave nothing then, or somebody who knows the link's address wrote the entry without opening it, which ends the link.", both(e.Hour), cli.Clean(e.By))
	}
	return b.String()
}

// endedEarly says why a link may be over at its node that on the ledger is not; "" if it is not so.
func endedEarly(s wallet.Shown) string {
	if s.Status != wallet.StatusActive || s.Over || s.Said.State != ledgerclient.LinkEnded {
		return ""
	}
	return "It ended before its time: the ledger has an entry that its node did not write, which whoever knows the link's address can make (carekey audit), or what the node counts with is damaged."
}
