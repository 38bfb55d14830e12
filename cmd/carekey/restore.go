package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/order"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/keyring"
	"github.com/spf13/cobra"
)

type restoreFlags struct {
	wordsFile, name, backup string
}

func newRestore(a *app) *cobra.Command {
	var f restoreFlags
	c := &cobra.Command{
		Use:   "restore --ledger LEDGER [--words-file FILE] [--name NAME]",
		Short: "Bring a wallet back with its 24 words",
		Long: `Bring a wallet back on a new machine. --ledger is the folder of its ledger, the
invitation to its node (@FILE reads it from a file or a picture), or a folder that
carekey backup wrote: then the ledger in it is copied into the home first.

Every entry of the ledger is read once: where that takes long, it is said beforehand
how long at most. Your records, the consents you gave and their audit, your inbox and
your contacts come back; consents whose sending was interrupted are finished, and
those that can never be opened, because the store does not hold them, are revoked.
What the store no longer has is named. A restore that is interrupted goes on when it
is begun again.

If nothing on the ledger belongs to the words, no wallet is made and the exit code
is 7.`,
		Example: "  carekey restore --ledger /srv/health\n  carekey restore --ledger /media/stick/carekey --words-file words.txt",
		RunE:    func(cmd *cobra.Command, _ []string) error { return restores{a}.restore(cmd.Context(), f) },
	}
	c.Flags().StringVar(&f.wordsFile, "words-file", "", "read the 24 words from `FILE` instead of asking for them")
	c.Flags().StringVar(&f.name, "name", "", "your `NAME`, if the ledger does not hold it")
	c.Flags().StringVar(&f.backup, "backup", "", "take contacts also from the folder `DIR` that carekey backup wrote")
	acceptClock(a, c)
	return c
}

// restores brings a wallet back with its words.
type restores struct{ *app }

func (a restores) restore(ctx context.Context, f restoreFlags) error {
	p, err := a.place()
	if err != nil {
		return err
	}
	if p.settings != nil {
		return wallet.ErrWalletExists
	}
	if err := a.keys(p).finishRemoval(ctx); err != nil {
		return err
	}
	if f.wordsFile == "" && !a.interactive() {
		return errNeed.With("what", "the 24 words", "flag", "--words-file FILE")
	}
	kind, err := a.into(ctx, p)
	if err != nil {
		return err
	}
	var entropy crypto.Entropy
	if f.wordsFile != "" { // what is wrong with a file is said first, a person is asked last
		if entropy, err = wordsOfFile(ctx, f.wordsFile); err != nil {
			return err
		}
	}
	from, err := a.from(ctx, p, f)
	if err != nil {
		return err
	}
	l := from.ledger
	defer func() { l.close() }()
	if f.wordsFile == "" {
		if entropy, err = a.enterWords(ctx); err != nil {
			return err
		}
	}
	if from.saved != "" { // before anything is copied or made
		if err := wallet.CheckSaved(from.saved, entropy); err != nil {
			return err
		}
	}
	var damaged []*folder.DamagedError
	if from.unpack {
		p.at, p.given = homeLedger(p.home), false
		there, bad, err := a.unpack(ctx, from, p)
		if err != nil {
			return err
		}
		l.close()
		l, damaged = there, bad
		a.flags.ledger = "" // from here on it is the default
		a.sayDamaged(damaged)
	}
	if err := os.MkdirAll(p.home, 0o700); err != nil {
		return err
	}
	progress, end := a.progress()
	w, got, err := wallet.Restore(ctx, wallet.Options{
		Dir:      p.dir,
		Keyring:  a.keys(p).of(kind),
		Services: l.Services,
		Now:      a.now,
		Profile:  a.profile(),
	},
		wallet.RestoreRequest{Entropy: entropy, At: p.at.kept(p.home), Name: f.name, Saved: from.saved, Progress: progress,
			Expect: func(entries uint64, most time.Duration) {
				if text := readingText(entries, most, l.Ledger.Properties().Remote); text != "" {
					a.say("%s", text)
				}
			}})
	end()
	if errors.Is(err, wallet.ErrNothing) {
		p.leaveNothing()
	}
	if err != nil {
		return err
	}
	order := ""
	if l.follows(ctx) {
		order = orderHint(p, got.Was)
	}
	return a.show(w, got, damaged, order)
}

// leaveNothing removes the profile's folder, in which nothing was made but the lock.
func (p place) leaveNothing() {
	for _, path := range []string{filepath.Join(p.dir, "lock"), filepath.Join(p.dir, "lock.next"), p.dir, filepath.Dir(p.dir)} {
		os.Remove(path)
	}
}

// orderHint is how the copy of an order comes together with it again. was is where
// the wallet had the ledger.
func orderHint(p place, was string) string {
	at := stored(p.home, was)
	url, store := cmp.Or(order.Shown(at.order), "ORDER"), p.at.dir
	if _, err := os.Stat(at.dir); err == nil && at.order != "" && at.node == nil {
		store = at.dir
	}
	return "carekey ledger join " + cli.Quote(url) + " --store " + cli.Quote(store)
}

// into is the kind of keyring that will hold the key, once it is known that
// it can.
func (a restores) into(ctx context.Context, p place) (kind string, err error) {
	if kind, err = a.keyringKind(); err != nil {
		return "", err
	}
	mark, begun := wallet.Unfinished(p.dir)
	if kind == "" {
		kind = keyring.KindOS
		if mark == wallet.BeingRestored {
			kind = begun.Keyring
		}
	}
	if mark == wallet.BeingRestored && begun.Keyring == kind && kind == keyring.KindFile {
		return kind, nil // its file may be there already
	}
	return kind, a.keys(p).probe(ctx, kind)
}

// restoring is what a restore reads.
type restoring struct {
	ledger *ledger
	saved  string // the wallet's files in it
	unpack bool   // the ledger is the one in it, and is copied into the home
}

// from opens the ledger that is named, or that of the backup that is named.
func (a restores) from(ctx context.Context, p place, f restoreFlags) (from restoring, err error) {
	if f.backup != "" {
		if _, err := readBackup(f.backup); err != nil && !is[*wallet.DamagedError](err) {
			return from, err
		}
		from.saved = filepath.Join(f.backup, backupWallet)
	}
	info, err := readBackup(p.at.dir)
	if errors.Is(err, wallet.ErrVersion) {
		return from, err
	}
	if err != nil && !is[*wallet.DamagedError](err) || !p.given {
		from.ledger, err = a.openLedger(ctx, p)
		return from, err
	}
	if f.backup != "" && real(f.backup) != real(p.at.dir) { // one of them would be passed over, perhaps the newer
		return from, usage("--ledger and --backup name two backups", "name the newer one, with --ledger alone")
	}
	from.saved, from.unpack = filepath.Join(p.at.dir, backupWallet), true
	folder := filepath.Join(p.at.dir, backupFolder(info.Ledger))
	if disk.IsDir(folder) != nil { // of a backup of a node; or the mark is damaged
		copies, _ := filepath.Glob(filepath.Join(p.at.dir, "ledger-"+strings.Repeat("[0-9a-f]", 16)))
		sheets, _ := filepath.Glob(filepath.Join(p.at.dir, "sheet-*.txt"))
		switch _, err := os.Stat(filepath.Join(p.at.dir, backupSheet(info.Ledger))); {
		case err == nil || len(copies) == 0 && len(sheets) > 0:
			return from, usage("the ledger of this backup is at a node", "carekey restore --ledger INVITATION --backup "+cli.Quote(p.at.dir)+"; the invitation is on the sheet in it")
		case len(copies) > 1:
			return from, usage("this backup holds several ledgers, and does not tell which is the last", "name one of them: carekey restore --ledger "+cli.Quote(copies[0]))
		case len(copies) == 1:
			folder = copies[0]
		}
	}
	from.ledger, err = a.openFolder(ctx, folder)
	if isNoLedger(err) {
		return from, usage("this backup was begun and never finished", "use another one; or the ledger itself, if it is still there: carekey restore --ledger DIR")
	}
	return from, badBackup(folder, err)
}

// unpack copies the ledger of a backup into the home, so that the backup stays one.
// All of it is verified before, so that no bad copy is left in the way of a good one;
// what does not verify beside the log is returned.
func (a restores) unpack(ctx context.Context, from restoring, p place) (*ledger, []*folder.DamagedError, error) {
	there, err := a.openLedger(ctx, p)
	if err == nil {
		// A restore that was interrupted, or another wallet of this home.
		whole, err := holdsAll(ctx, there, from.ledger)
		if whole {
			return there, nil, nil
		}
		there.close()
		if err != nil {
			return nil, nil, err
		}
	} else if !isNoLedger(err) {
		return nil, nil, err
	}
	verifying, endVerifying := a.steps("verifying")
	copying, endCopying := a.steps("copying")
	_, damaged, err := from.ledger.folder.Salvage(ctx, p.at.dir, verifying, copying)
	endVerifying()
	endCopying()
	if err != nil {
		return nil, nil, badBackup(from.ledger.Ledger.Properties().Reach, err)
	}
	there, err = a.openLedger(ctx, p)
	return there, damaged, err
}

// holdsAll reports whether a ledger in the home has all entries of the one in a backup. It
// is an error if it is another one.
func holdsAll(ctx context.Context, home, backup *ledger) (bool, error) {
	var ids [2]crypto.LedgerID
	var sizes [2]uint64
	for i, l := range []*ledger{home, backup} {
		c, err := ledgerclient.Connect(ctx, l.Services, crypto.LedgerID{})
		if err != nil {
			return false, err
		}
		head, err := c.Head(ctx)
		if err != nil {
			return false, err
		}
		ids[i], sizes[i] = c.ID(), head.Size
	}
	if ids[0] != ids[1] {
		return false, usage("in "+home.at.dir+" is another ledger already", "restore into a home of its own: CAREKEY_HOME=DIR carekey restore ...")
	}
	return sizes[0] >= sizes[1], nil
}

// sayDamaged names what did not come back, or came back as what was not signed.
func (a restores) sayDamaged(damaged []*folder.DamagedError) {
	const most = 5 // of each kind
	below := func(dir string) func(*folder.DamagedError) bool {
		return func(d *folder.DamagedError) bool { return strings.HasPrefix(d.File, dir) }
	}
	for _, kind := range []struct {
		one, many, then string
		holds           func(*folder.DamagedError) bool
	}{
		{"payload that is not what was signed", "payloads that are not what was signed",
			"What it was cannot be opened; all else comes back.", (*folder.DamagedError).InStore},
		{"key that is damaged", "keys that are damaged",
			"It was left out; all else comes back. Without it the copy can be read, and not be gone on with: put the key back from another backup, if there is one.", below("keys/")},
		{"file of the keeper that is damaged", "files of the keeper that are damaged",
			"What it filed there, such as its acknowledgements, is lost; all else comes back.", below("keeper/")},
		{"file of the ledger that is damaged", "files of the ledger that are damaged",
			"It was made anew from the entries; nothing is lost.", func(d *folder.DamagedError) bool { return !strings.Contains(d.File, "/") }},
	} {
		var files []string
		for _, d := range damaged {
			f := d.File
			if d.InStore() { // several may be in a file
				f = d.Error()
			}
			if kind.holds(d) && !slices.Contains(files, f) {
				files = append(files, f)
			}
		}
		if n := len(files); n > 0 {
			if n > most {
				files = append(files[:most], fmt.Sprintf("and %s more", thousands(n-most)))
			}
			a.say("The backup holds %s:\n  %s\n%s", plural(n, kind.one, kind.many), strings.Join(files, "\n  "), kind.then)
		}
	}
}

// errBadBackup: the log of the ledger in a backup is not what was written. dir
const errBadBackup fault.Code = "backup-damaged"

// badBackup is err, with the folder of a backup's ledger if files of it are not what
// was written.
func badBackup(dir string, err error) error {
	if !is[*folder.DamagedError](err) {
		return err
	}
	return errBadBackup.Of(err, "dir", dir)
}

// readingText says how long a ledger takes to read, where that is worth saying.
func readingText(entries uint64, most time.Duration, remote bool) string {
	if most < 2*time.Second {
		return ""
	}
	unit := time.Second // rounded up: at most is at most
	if most >= 2*time.Minute {
		unit = time.Minute
	}
	if most >= 2*time.Hour {
		unit = time.Hour
	}
	text := fmt.Sprintf("The ledger has %s to read: up to %s on this computer", plural(int(entries), "entry", "entries"), roughly((most + unit - 1).Truncate(unit)))
	if remote {
		text += ",\nand the time that the network takes to bring them"
	}
	return text + "."
}

// progress shows the steps of a restore.
func (a restores) progress() (progress func(of wallet.RestoreStep, done, total uint64), end func()) {
	var at wallet.RestoreStep
	var step func(done, total uint64)
	stop := func() {}
	return func(of wallet.RestoreStep, done, total uint64) {
		if of != at {
			stop()
			at = of
			step, stop = a.steps(stepWords[of])
		}
		if step != nil {
			step(done, total)
		}
	}, func() { stop() }
}

var stepWords = map[wallet.RestoreStep]string{
	wallet.ReadingLedger:  "reading the ledger ",
	wallet.ReadingRecords: "reading your records",
	wallet.AskingKeepers:  "asking the keepers ",
}

// show tells what came back; order is how a copy comes together with its
// order again, "" for a ledger that is whole.
func (a restores) show(w *wallet.Wallet, got wallet.Restored, damaged []*folder.DamagedError, order string) error {
	id, props := w.Ledger()
	a.flags.ledger = "" // from here on it is the default
	files := list(damaged, func(d *folder.DamagedError) string { return d.File })
	for _, d := range got.Damaged {
		what := "What you had last seen of the ledger is not known: an older copy of it would not be noticed."
		switch d.File {
		case "state":
			what = "Contacts and settings come back as far as the ledger holds them."
		case "tables":
			what = "What you had imported to hold parts of records back does not come back: import it again before you give anything: carekey record tables import FILE"
		case "key-check":
			what = "Nothing is lost by it."
		}
		files = append(files, backupWallet+"/"+d.File)
		a.say("The backup's file %s is missing or damaged.\n%s", files[len(files)-1], what)
	}
	a.say("The wallet of %s is back. Its key is in %s.", w.Name(), keyringWords(w.Settings().Keyring))
	a.say("Read %s of the ledger. Yours: %s, %s given (%d open),\n%s received, %s.", plural(int(got.Entries), "entry", "entries"),
		plural(got.Records, "record", "records"), plural(got.Consents, "consent", "consents"), got.Open,
		plural(got.Received, "consent", "consents"), plural(got.Contacts, "contact", "contacts"))
	for _, id := range got.Finished {
		a.say("Finished a consent that was interrupted: %s.", short(id))
	}
	for _, id := range got.Revoked {
		a.say("Revoked consent %s: it was interrupted, and the store does not hold what it needs.", short(id))
	}
	for _, id := range got.Waiting {
		a.say("Consent %s was interrupted, and the store does not hold what it needs: its revocation is signed and waits.", short(id))
	}
	for _, l := range got.Lost {
		a.say("%s", lostText(l))
	}
	if got.NoKeeper != nil {
		a.say("No keeper can be asked now whether it holds the shares of your open consents, without which they cannot be fetched: carekey sync asks again.")
	}
	for _, l := range got.Ledgers {
		a.say("The wallet was also on ledger %s, %s.", short(l.ID), l.At)
	}
	if got.NoTables {
		a.say("Tables that you imported to hold parts of records back are not on the ledger: import them again before you grant: carekey record tables import FILE")
	}
	if got.Contacts == 0 && got.Consents > 0 {
		a.say("No contacts came back: consents show their recipients by address.")
	}
	a.say("\nledger %s, %s\n%s", short(id), props.Reach, groundOf(w).says(eachOpening))
	a.data(w.Address())
	if order != "" {
		a.say("The order of this ledger is kept elsewhere, and this copy follows it: all can be read, and nothing can be entered before they are together again.")
		a.next("%s", a.ours(order))
	} else {
		a.next("carekey status")
	}
	got.Finished, got.Revoked = list(got.Finished, same), list(got.Revoked, same) // lists are never null
	got.Waiting, got.Lost = list(got.Waiting, same), list(got.Lost, same)
	return a.result(restoredJSON{w.Address(), w.Name(), id, got, list(got.Ledgers, func(l wallet.Place) crypto.LedgerID { return l.ID }), got.NoKeeper != nil, files, order != ""})
}

type restoredJSON struct {
	Address crypto.Address  `json:"address"`
	Name    string          `json:"name"`
	Ledger  crypto.LedgerID `json:"ledger"`
	wallet.Restored
	Ledgers  []crypto.LedgerID `json:"ledgers"`  // others that the wallet was on
	NoKeeper bool              `json:"noKeeper"` // the keepers could not be asked for the shares of open consents: carekey sync
	Damaged  []string          `json:"damaged"`  // files of the backup, of its ledger or below wallet/, that are not what was written
	// Follows: the ledger is a copy that follows an order kept elsewhere. Nothing can
	// be entered before they are together again: carekey ledger join ORDER --store DIR.
	Follows bool `json:"follows"`
}

// lostText names what the store does not have.
func lostText(l wallet.Lost) string {
	state := "is not in the store"
	if l.Damaged {
		state = "is in the store, but not what was signed"
	}
	switch l.What {
	case "metadata":
		return fmt.Sprintf("Lost: the description of record %s, version %d, %s.", short(l.ID), l.Version, state)
	case "content":
		return fmt.Sprintf("Lost: the content of record %s, version %d (%s), %s.", short(l.ID), l.Version, cli.Clean(l.Title), state)
	case "terms":
		return fmt.Sprintf("Lost: the terms of consent %s %s; its status and its openings are known.", short(l.ID), state)
	}
	return fmt.Sprintf("Lost: the terms of consent %s, given to you, %s.", short(l.ID), state)
}
