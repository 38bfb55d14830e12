package main

import (
	"context"
	"fmt"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/wallet"
)

// due names what should be done against the loss of the wallet.
func due(w *wallet.Wallet, now time.Time) (due []string) {
	care := w.Backup().Care()
	if care.WordsDue(now) {
		due = append(due, "words")
	}
	if care.BackupIsDue(now) {
		due = append(due, "backup")
	}
	return due
}

// dueText reminds.
var dueText = map[string]string{
	"words":  "It is time to find out whether you still have your 24 words: carekey words check",
	"backup": "It is time for a backup of the ledger and your contacts: carekey backup DIR",
}

// examineCare looks at what was done against the loss of the wallet. It comes after
// examineWallet, which follows the ledger.
func (e *exam) examineCare(_ context.Context) []finding {
	if e.wallet == nil {
		return nil
	}
	care, now := e.wallet.Backup().Care(), e.now()
	words, backup := good("words", "checked "+ago(now, care.WordsChecked)), good("backup", "made "+ago(now, care.BackedUp))
	switch {
	case care.WordsDue(now) && care.WordsChecked.IsZero():
		words = advise("words", "words-unchecked", "nobody has found out yet whether you have the 24 words", "carekey words check")
	case care.WordsDue(now):
		words = advise("words", "words-unchecked", "last checked "+ago(now, care.WordsChecked), "carekey words check")
	case care.WordsChecked.IsZero():
		words = good("words", "not checked yet: carekey words check")
	}
	switch {
	case care.BackupIsDue(now) && care.BackedUp.IsZero():
		backup = advise("backup", "backup-due", "none was made yet", "carekey backup DIR")
	case care.BackupIsDue(now):
		backup = advise("backup", "backup-due", fmt.Sprintf("made %s, and %s since", ago(now, care.BackedUp), plural(care.Since, "change", "changes")), "carekey backup DIR")
	case care.BackedUp.IsZero():
		backup = good("backup", "none yet: carekey backup DIR")
	}
	return []finding{words, backup}
}

// ago is a date for people.
func ago(now, t time.Time) string {
	days := int(now.Sub(t).Hours() / 24)
	switch {
	case t.IsZero():
		return "never"
	case days < 1:
		return "today"
	}
	return fmt.Sprintf("%s ago", plural(days, "day", "days"))
}

// examineStore looks whether the store and the keepers hold what is this wallet's.
func (e *exam) examineStore(ctx context.Context) []finding {
	if e.wallet == nil {
		return nil
	}
	lost, shares, asked, err := e.wallet.Recovery().Stock(ctx)
	if err != nil {
		return []finding{failed("store", err)}
	}
	if !asked {
		return []finding{good("store", "not asked: who runs it would see which payloads are one person's"), good("keepers", "not asked, for the same reason")}
	}
	store, keepers := good("store", "holds all that is yours"), good("keepers", "hold a share of every open consent")
	if len(lost) > 0 {
		store = advise("store", "store-lost", fmt.Sprintf("%s missing; the first: %s", plural(len(lost), "payload is", "payloads are"), lostText(lost[0])),
			"ask whoever keeps the ledger. What a backup of it holds can be had in another home:\nCAREKEY_HOME=NEW-FOLDER carekey restore --ledger BACKUP")
	}
	if shares > 0 {
		keepers = advise("keepers", "shares-missing", plural(shares, "open consent has", "open consents have")+" no share with a keeper, and cannot be fetched", "carekey sync")
	}
	return []finding{store, keepers}
}

// examineVersion says which carekey this is.
func (e *exam) examineVersion(context.Context) []finding {
	return []finding{good("version", cli.Version())}
}
