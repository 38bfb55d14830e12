package batch

import (
	"errors"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet"
)

// LinkState is what became of a link at its node, as that says: the ledger alone does not
// show whether it still opens.
type LinkState string

const (
	LinkOpens     LinkState = "" // or it is no link
	LinkUsedUp    LinkState = "exhausted"
	LinkUsedToday LinkState = "exhausted-today" // it opens again
	LinkLocked    LinkState = "locked"
	LinkEnded     LinkState = "ended"
	LinkLost      LinkState = "lost"
	LinkForged    LinkState = "forged" // the answer does not verify
	LinkNewer     LinkState = "newer"  // the answer is of a newer carekey
	LinkUnsaid    LinkState = "unsaid" // there is none
)

// StateOf is the state of a link that is active on the ledger, once its node was asked.
func StateOf(c *wallet.Consent) LinkState {
	_, forged := errors.AsType[*ledgerclient.TamperedError](c.Unsaid)
	switch {
	case errors.Is(c.Unsaid, wallet.ErrLinkLost):
		return LinkLost
	case forged:
		return LinkForged
	case errors.Is(c.Unsaid, ledgerclient.ErrNewerAnswer):
		return LinkNewer
	case c.Said == nil:
		return LinkUnsaid
	case c.Said.State == ledgerclient.LinkLocked:
		return LinkLocked
	case c.Said.State == ledgerclient.LinkEnded:
		return LinkEnded
	case c.Said.State == ledgerclient.LinkExhausted && c.Said.Daily:
		return LinkUsedToday
	case c.Said.State == ledgerclient.LinkExhausted:
		return LinkUsedUp
	}
	return LinkOpens
}

// over reports whether a link opens nothing any more, so that its end takes nothing away.
func (s LinkState) over() bool {
	return s == LinkUsedUp || s == LinkLocked || s == LinkEnded || s == LinkLost
}

// askLinks has the node of links say what became of those that are to end.
func (p *planner) askLinks() error {
	var links []wallet.Consent
	var at []int
	for i, h := range p.ending {
		// What is not yet at its node, or does not open yet, has nothing to be asked.
		if h.Link && h.Status == wallet.StatusActive && !h.Waits {
			links, at = append(links, *h.Consent), append(at, i)
		}
	}
	if err := p.w.Links().Ask(p.ctx, links); err != nil {
		return err
	}
	for i, n := range at {
		p.ends[n].State = StateOf(&links[i])
		p.ending[n].state = p.ends[n].State
	}
	return nil
}
