package main

import (
	"context"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet"
)

// examineWallet opens the wallet, with the key that was read and the ledger that
// was opened, and looks at what it knows.
func (e *exam) examineWallet(ctx context.Context) []finding {
	if !e.keyOK || e.ledger == nil {
		return nil
	}
	w, err := wallet.Open(ctx, wallet.Options{Dir: e.place.dir, Keyring: e.key, Services: e.ledger.Services, Now: e.now})
	if err != nil {
		return []finding{failed("key", err)}
	}
	e.wallet = w
	return []finding{
		good("key", "opens this wallet"),
		examineHistory(ctx, w),
		examineWriting(w),
		examinePending(w),
		examineContacts(w),
	}
}

func examineHistory(ctx context.Context, w *wallet.Wallet) finding {
	if _, _, _, err := w.Log().Head(ctx); is[*ledgerclient.UnreachableError](err) {
		return good("history", "is compared when the ledger is within reach again")
	} else if err != nil {
		return failed("history", err)
	}
	return good("history", "the ledger continues what this wallet has seen")
}

// examineWriting comes after examineHistory, which has something to write now and then.
func examineWriting(w *wallet.Wallet) finding {
	if errs := w.Unwritten(); len(errs) > 0 {
		f := explain(errs[0])
		return advise("writing", f.Code, "what this wallet learns is not written down: "+f.Message, f.Hint)
	}
	return good("writing", "what this wallet learns is written down")
}

// examinePending comes after examineHistory, which finishes what it can.
func examinePending(w *wallet.Wallet) finding {
	if stuck := w.Changes().Stuck(); stuck != nil {
		f := explain(stuck)
		return advise("pending", f.Code, "a change that was signed waits: "+f.Message, f.Hint)
	}
	if over := w.Changes().PassedOver(); len(over) > 0 {
		return failed("pending", over[0])
	}
	return good("pending", "nothing waits")
}

func examineContacts(w *wallet.Wallet) finding {
	unverified, name := 0, ""
	for _, c := range w.Contacts().List() {
		if !c.Verified {
			unverified++
			name = c.Name
		}
	}
	if unverified == 0 {
		return good("contacts", plural(len(w.Contacts().List()), "contact", "contacts")+", all verified")
	}
	return advise("contacts", "contacts-unverified", plural(unverified, "contact is", "contacts are")+" not verified", "carekey contact verify "+cli.Quote(name))
}
