package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/wallet"
)

// examineWallet opens the wallet, with the key that was read and the ledger that
// was opened, and looks at what it knows.
func (e *exam) examineWallet(ctx context.Context) {
	if e.key == nil || e.ledger == nil {
		return
	}
	w, err := wallet.Open(ctx, wallet.Options{Dir: e.place.dir, Keyring: e.key, Services: e.ledger.Services, Now: e.now})
	if err != nil {
		e.failed("key", err)
		return
	}
	e.wallet = w
	e.good("key", "opens this wallet")
	size, _, _, err := w.Log().Head(ctx)
	if err != nil {
		e.failed("history", err)
	} else if _, away := w.Log().OutOfReach(); away != nil {
		e.good("history", "is compared when the ledger is within reach again")
	} else {
		e.good("history", "the ledger continues what this wallet has seen")
	}
	e.examineWitnesses(ctx, w)
	e.examineMark(w, size)
	// Following the ledger has something to write now and then, and finishes what it can.
	if errs := w.Unwritten(); len(errs) > 0 {
		e.failed("writing", errs[0]).minor("what this wallet learns is not written down: ")
	} else {
		e.good("writing", "what this wallet learns is written down")
	}
	if stuck := w.Changes().Stuck(); stuck != nil {
		e.failed("pending", stuck).minor("a change that was signed waits: ")
	} else if over := w.Changes().PassedOver(); len(over) > 0 {
		e.failed("pending", over[0])
	} else {
		e.good("pending", "nothing waits")
	}
	unverified := slices.DeleteFunc(w.Contacts().List(), func(c wallet.Contact) bool { return c.Verified })
	if n := len(unverified); n > 0 {
		e.advise("contacts", "contacts-unverified", plural(n, "contact is", "contacts are")+" not verified", "carekey contact verify "+cli.Quote(unverified[0].Name))
	} else {
		e.good("contacts", "all of them are verified")
	}
}

// examineMark says how much of the ledger was found in order, and when: none of it is
// checked now but what the wallet follows.
func (e *exam) examineMark(w *wallet.Wallet, size uint64) {
	const check = "verified"
	c, of, err := w.Log().Mark()
	var whole time.Time
	if err == nil && len(of) > 0 {
		whole, err = wholeCheck(of)
	}
	switch {
	case err != nil:
		e.advise(check, "mark-damaged", "what of the ledger was found in order before cannot be read", "carekey ledger verify finds it out again")
	case c.Size == 0:
		e.good(check, "never as a whole: carekey ledger verify checks every entry")
	default:
		text := fmt.Sprintf("%s of %s on %s, and none of them now: carekey ledger verify", thousands(int(c.Size)), plural(int(max(size, c.Size)), "entry", "entries"), c.Time().Local().Format(dayLayout))
		if !whole.IsZero() {
			text += "\nlast whole check of the payloads: " + whole.Local().Format(dayLayout)
		}
		e.good(check, text)
	}
}
