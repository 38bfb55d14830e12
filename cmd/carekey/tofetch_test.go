package main

import (
	"testing"

	"github.com/carekey/carekey/wallet"
)

// Threat: a stranger sends so much that some is not looked into, and the inbox names a
// delivery of his as the consent to fetch next.
func TestNextIsNoneThatWasNotLookedInto(t *testing.T) {
	unread := wallet.Received{Consent: [32]byte{1}}
	unread.Status, unread.Damaged = wallet.StatusActive, wallet.ErrUnread.With("consent", unread.Consent)
	if r := toFetch([]wallet.Received{unread}); r != nil {
		t.Errorf("fetch %s", r.Consent)
	}
	consent := wallet.Received{Consent: [32]byte{2}}
	consent.Status = wallet.StatusActive
	if r := toFetch([]wallet.Received{unread, consent}); r == nil || r.Consent != consent.Consent {
		t.Errorf("%+v", r)
	}
}
