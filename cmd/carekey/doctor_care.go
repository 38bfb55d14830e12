package main

import (
	"context"
	"fmt"
	"time"

	"github.com/carekey/carekey/cmd/version"
	"github.com/carekey/carekey/wallet"
)

// due names what should be done against the loss of the wallet.
func due(care wallet.Care, now time.Time) (due []string) {
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
func (e *exam) examineCare(_ context.Context) {
	if e.wallet == nil {
		return
	}
	care, now := e.wallet.Backup().Care(), e.now()
	if words := "last checked: " + ago(now, care.WordsChecked, "carekey words check"); care.WordsDue(now) {
		e.advise("words", "words-unchecked", words, "carekey words check")
	} else {
		e.good("words", words)
	}
	backup := fmt.Sprintf("last made: %s; %s since", ago(now, care.BackedUp, "carekey backup DIR"), plural(care.Since, "change", "changes"))
	if care.BackupIsDue(now) {
		e.advise("backup", "backup-due", backup, "carekey backup DIR")
	} else {
		e.good("backup", backup)
	}
}

// ago is a time that is past, for people; if there was none, with the command for it.
func ago(now, t time.Time, command string) string {
	if t.IsZero() {
		return "never (" + command + ")"
	}
	return roughly(max(0, now.Sub(t))) + " ago"
}

// examineStore looks whether the store and the keepers hold what is this wallet's.
func (e *exam) examineStore(ctx context.Context) {
	if e.wallet == nil {
		return
	}
	lost, shares, asked, err := e.wallet.Recovery().Stock(ctx)
	switch {
	case err != nil:
		e.failed("store", err)
		return
	case !asked:
		e.good("store", "not asked: who runs it would see which payloads are one person's; several keepers are asked about shares by carekey status and carekey sync")
		return
	case len(lost) > 0:
		e.advise("store", "store-lost", fmt.Sprintf("%s missing; the first: %s", plural(len(lost), "payload is", "payloads are"), lostText(lost[0])),
			"ask whoever keeps the ledger. What a backup of it holds can be had in another home:\nCAREKEY_HOME=NEW-FOLDER carekey restore --ledger BACKUP")
	default:
		e.good("store", "holds all that is yours")
	}
	if shares > 0 {
		e.advise("keepers", "shares-missing", plural(shares, "open consent has", "open consents have")+" no share with a keeper, and cannot be fetched", "carekey sync")
	} else {
		e.good("keepers", "hold a share of every open consent")
	}
}

// examineVersion says which carekey this is.
func (e *exam) examineVersion(context.Context) { e.good("version", version.Line()) }
