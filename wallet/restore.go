package wallet

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/home"
	"github.com/carekey/carekey/wallet/outbox"
	"github.com/carekey/carekey/wallet/view"
)

// Restoring is a wallet's life once more: one pass over the ledger finds what is
// the key's own by its self-tags and what is addressed to it by the counterparty
// keys; all else follows from the threads' seeds and the store.
//
// Until the end there is no wallet: the file that will be its settings is called
// `restoring`. What was read is kept beside it, sealed, so that an interrupted
// restore goes on; the key goes into the keyring last but one, the renaming of
// `restoring` is last.

// Recovery brings back what a lost machine had, and ends what it left behind.
type Recovery struct {
	w        *Wallet
	progress func(step RestoreStep, done, total uint64)
	expect   func(entries uint64, most time.Duration)
}

// Recovery returns what brings back what a lost machine had.
func (w *Wallet) Recovery() Recovery {
	return Recovery{w, func(RestoreStep, uint64, uint64) {}, nil}
}

// RestoreRequest says what is to be brought back.
type RestoreRequest struct {
	Entropy crypto.Entropy
	At      string // what the settings will say of where the ledger is
	Name    string // of the owner, where the ledger does not hold it
	// Saved is the folder in which Save put the wallet's files; "" if there is none.
	// Contacts in it are merged, and the ledger must continue what that wallet saw.
	// A file in it that is damaged is passed over: see Restored.Damaged.
	Saved string
	// Progress is told how far a step is; nil is nobody.
	Progress func(step RestoreStep, done, total uint64)
	// Expect is told, before the ledger is read, how many entries are left to read and how
	// long they take at most: if each is a consent that others gave to others, at the pace
	// of some that this computer has just tried. The network is not in it. nil is nobody.
	Expect func(entries uint64, most time.Duration)
}

// RestoreStep is a part of a restore.
type RestoreStep string

const (
	ReadingLedger  RestoreStep = "ledger"  // entries
	ReadingRecords RestoreStep = "records" // threads of one's own and those addressed to one
	AskingKeepers  RestoreStep = "keepers" // consents that may be unfinished
)

// Restored says what a restore brought back.
type Restored struct {
	Entries  uint64          `json:"entries"` // of the ledger, all of them read
	Records  int             `json:"records"` // not removed
	Removed  int             `json:"removed"`
	Consents int             `json:"consents"` // given
	Open     int             `json:"open"`     // of them, active and upcoming
	Received int             `json:"inbox"`    // consents given to this wallet
	Letters  int             `json:"letters"`  // requests and denials, sent and received
	Contacts int             `json:"contacts"`
	Finished []contract.ID   `json:"finished"` // consents whose shares had not reached the keepers, and now have
	Revoked  []contract.ID   `json:"revoked"`  // consents that can never be opened, since the store does not hold them: ended
	Lost     []Lost          `json:"lost"`     // what the store no longer has, or never had
	Waiting  []contract.ID   `json:"waiting"`  // the same, of consents whose revocation is signed and waits
	Ledgers  []Place         `json:"-"`        // other ledgers that the wallet was on
	NoKeeper error           `json:"-"`        // why no keeper could be asked for the shares of the open consents; nil if they were
	Was      string          `json:"-"`        // where the saved wallet had the ledger; "" if there is none
	NoTables bool            `json:"noTables"` // whether tables were imported is not known: there is no backup that tells, and they are on no ledger
	Damaged  []*DamagedError `json:"-"`        // files in Saved that are missing or not what was written, and were passed over
}

// Lost is a payload that is not in the store, or is not what was signed.
type Lost struct {
	What    string      `json:"what"` // "metadata", "content", "terms", "received terms"
	ID      contract.ID `json:"id"`
	Version int         `json:"version,omitempty"` // of a record; 0 otherwise
	Title   string      `json:"title,omitempty"`   // of a record, if its metadata is known
	Damaged bool        `json:"damaged"`           // the store holds something else
}

// Restore makes the wallet of a key that exists already, on a ledger that it was
// used on.
//
// Errors: [ErrExists] if there is a wallet; [ErrNothing] if nothing on the ledger
// is the key's, and then nothing was made; [ErrInput] of "name" if neither the
// ledger nor the request has one, and then what was read is kept. An interrupted
// restore goes on when it is begun again with the same words.
func Restore(ctx context.Context, opt Options, r RestoreRequest) (*Wallet, Restored, error) {
	if r.Name != "" {
		name, err := CheckName("name", r.Name)
		if err != nil {
			return nil, Restored{}, err
		}
		r.Name = name
	}
	unlock, err := lockVacant(ctx, opt)
	if err != nil {
		return nil, Restored{}, err
	}
	defer unlock()
	client, err := ledgerclient.Connect(ctx, opt.Services, crypto.LedgerID{})
	if err != nil {
		return nil, Restored{}, err
	}
	k := r.Entropy.Root().Keys(client.ID())
	var had saved
	if r.Saved != "" {
		if had, err = readSaved(r.Saved, k.LocalKey(), client.ID()); err != nil {
			return nil, Restored{}, err
		}
	}
	w, err := beginRestore(opt, client, k, r.At)
	if err != nil {
		return nil, Restored{}, err
	}
	w.lock.held = true
	defer func() { w.lock.held = false }()
	rc := w.Recovery()
	if r.Progress != nil {
		rc.progress = r.Progress
	}
	rc.expect = r.Expect
	out := Restored{Damaged: had.damaged, NoTables: had.tables == nil && had.book.V == 0}
	if out.Was, err = rc.take(had); err == nil {
		err = rc.restore(ctx, r.Name, &out)
	}
	if err == nil {
		err = rc.end(ctx, opt, r.Entropy)
	}
	if errors.Is(err, ErrNothing) {
		return nil, out, errors.Join(err, clearProfile(opt.Dir))
	}
	if err != nil {
		// What was read is of use to the next try.
		return nil, out, errors.Join(err, w.save())
	}
	return w, out, nil
}

// beginRestore takes up what an interrupted restore of the same words left, or
// begins anew.
func beginRestore(opt Options, client *ledgerclient.Client, k *crypto.Keys, at string) (*Wallet, error) {
	if m, s := Unfinished(opt.Dir); m == BeingRestored && s.Keyring == opt.Keyring.Kind() && s.Default == client.ID() {
		w := assemble(opt, s, client, k)
		if w.readState() == nil {
			return w, nil
		}
	}
	if err := clearProfile(opt.Dir); err != nil {
		return nil, err
	}
	s := newSettings(opt.Keyring, client.ID(), at)
	w := assemble(opt, s, client, k)
	if err := w.writeNew(""); err != nil {
		return nil, err
	}
	return w, s.writeAs(opt.Dir, string(BeingRestored))
}

// take merges the book of a backup, takes its tables over, and makes the head that is known
// from it one that the ledger must continue. was is where the wallet had the ledger.
func (rc Recovery) take(s saved) (was string, err error) {
	rc.w.view.Expect(s.known)
	if s.tables != nil {
		if err := rc.w.home.Write(home.TablesFile, s.tables); err != nil {
			return "", err
		}
		rc.w.book.Tables, rc.w.book.dirty = true, true
	}
	if s.book.V == 0 {
		return "", nil
	}
	for _, l := range s.book.Facts.Ledgers {
		if l.ID == rc.w.client.ID() {
			was = l.At
		}
	}
	rc.w.book.Facts.merge(&s.book.Facts)
	rc.w.book.show()
	rc.w.book.dirty = true
	return was, nil
}

// clearProfile removes what this package writes into a profile's folder, and
// nothing else.
func clearProfile(dir string) error {
	var errs []error
	for _, name := range []string{home.LedgersDir, home.BookFile, home.TablesFile, home.KeyCheckFile, string(BeingRestored)} {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, name)))
	}
	for _, path := range home.HalfWritten(dir) {
		errs = append(errs, os.Remove(path))
	}
	return errors.Join(errs...)
}

func (rc Recovery) restore(ctx context.Context, name string, out *Restored) error {
	head, err := rc.w.client.Head(ctx)
	if err != nil {
		return err
	}
	if from := rc.w.view.Pin().Size; rc.expect != nil && head.Size > from {
		rc.expect(head.Size-from, time.Duration(head.Size-from)*rc.w.view.Pace())
	}
	rc.w.view.Watch = func(done uint64) { rc.progress(ReadingLedger, done, max(done, head.Size)) }
	err = rc.w.view.Follow(ctx, nil)
	rc.w.view.Watch = nil
	out.Entries = rc.w.view.Head().Size
	if err != nil {
		return err
	}
	if len(rc.w.view.Threads()) == 0 {
		return ErrNothing.With("ledger", rc.w.client.ID(), "entries", out.Entries)
	}
	if err := rc.w.save(); err != nil {
		return err
	}
	rc.w.home.Tidy()
	rc.w.outbox.Finish(ctx, nil, nil) // a revocation of an earlier try
	if err := rc.readAll(ctx); err != nil {
		return err
	}
	if _, err := rc.w.Book().readPages(ctx); err != nil {
		return err
	}
	rc.w.view.SetNews(false)
	if rc.w.Name() == "" {
		rc.w.Book().setName(name)
	}
	if rc.w.Name() == "" {
		return ErrInput.With("field", "name", "why", "this ledger does not hold it")
	}
	rc.w.book.dirty = true
	rc.w.notes.Looked = rc.w.view.Pin().Size
	if err := rc.w.save(); err != nil {
		return err
	}
	var lost []contract.ID
	if out.Finished, lost, err = rc.finishGrants(ctx, rc.openGrants()); err == nil {
		err = rc.endLost(ctx, lost, out)
	}
	if away, ok := errors.AsType[*ledgerclient.UnreachableError](err); ok && away.Service == "keeper" {
		out.NoKeeper, err = err, nil // all else is there
	}
	if err != nil {
		return err
	}
	if err := rc.takeStock(ctx, out); err != nil {
		return err
	}
	return rc.w.save()
}

// saveEvery is after how many threads what was read from the store is kept.
const saveEvery = 256

// readAll reads the descriptions and terms of all threads from the store. What is
// kept already is not read again.
func (rc Recovery) readAll(ctx context.Context) error {
	total := uint64(len(rc.w.view.Threads()))
	done := uint64(0)
	for some := range slices.Chunk(rc.w.view.Threads(), ledgerclient.MaxBulk) {
		var own, received []*view.Thread
		for i, t := range some {
			if err := ctx.Err(); err != nil {
				return err
			}
			rc.progress(ReadingRecords, done+uint64(i), total)
			switch {
			case t.Given():
				own = append(own, t)
			case t.Got():
				received = append(received, t)
			case t.Status == contract.StatusOpen:
				if err := cmp.Or(rc.w.Records().describe(ctx, t), rc.w.view.Away()); err != nil {
					return err // what cannot be reached now is not lost
				}
			}
		}
		if err := cmp.Or(rc.w.Consents().ownTerms(ctx, own...), rc.w.Inbox().tryTerms(ctx, received...), rc.w.view.Away()); err != nil {
			return err
		}
		if done += uint64(len(some)); done%saveEvery == 0 {
			rc.w.trySave()
		}
	}
	rc.progress(ReadingRecords, total, total)
	rc.w.trySave()
	return nil
}

// takeStock counts what there is and names what the store does not have.
func (rc Recovery) takeStock(ctx context.Context, out *Restored) error {
	lose := func(what string, t *view.Thread, version int, title string, damage error) {
		out.Lost = append(out.Lost, Lost{What: what, ID: t.ID, Version: version, Title: title, Damaged: damage != nil && !isMissing(damage)})
	}
	for _, t := range rc.w.view.Threads() {
		switch t.Role {
		case view.OwnRecord:
			if t.Status == contract.StatusClosed {
				out.Removed++
				continue
			}
			out.Records++
			for i, m := range t.Versions {
				if m == nil {
					lose("metadata", t, i+1, "", t.Damage())
					continue
				}
				blob, err := stored{rc.w}.blob(ctx, crypto.Locator(m.Content), "content", t.ID)
				if isMissing(err) || isTampered(err) {
					lose("content", t, i+1, m.Title, err)
				} else if err != nil {
					return err
				} else {
					blob.Close()
				}
			}
		case view.OwnGrant:
			out.Consents++
			if s := rc.w.Consents().statusOf(t); s == StatusActive || s == StatusUpcoming {
				out.Open++
			}
			if t.Terms == nil {
				lose("terms", t, 0, "", t.Damage())
			}
		case view.OwnLetter, view.ReceivedLetter:
			out.Letters++
		case view.Received:
			out.Received++
			if t.Terms == nil {
				lose("received terms", t, 0, "", t.Damage())
			}
		}
	}
	out.Contacts = len(rc.w.book.contacts)
	out.Ledgers, _ = rc.w.Book().Elsewhere()
	return nil
}

// finishGrants ends what an interrupted machine left behind it: grants that are on the
// ledger and whose shares a keeper does not hold. All of a grant follows from its seed but
// terms and envelope, which the store has; so it is finished. lost are those without them,
// that nobody can ever open.
func (rc Recovery) finishGrants(ctx context.Context, ts []*view.Thread) (finished, lost []contract.ID, err error) {
	unheld, err := rc.unheld(ctx, ts)
	for some := range slices.Chunk(unheld, saveEvery) {
		var finish []*outbox.Change
		for _, t := range some {
			if err := rc.w.Consents().ownTerms(ctx, t); err == nil && rc.w.Links().has(t) {
				continue // without what its node counts, the share would open it to whoever has the link
			}
			c, err := rc.grantAgain(ctx, t)
			switch {
			case isMissing(err), errors.Is(err, ErrOtherKeepers):
				lost = append(lost, t.ID)
			case isTampered(err): // for a person to look at; ending it cannot be taken back
			case err != nil:
				return finished, lost, err
			default:
				finish = append(finish, c)
			}
		}
		if err := rc.w.outbox.Deposit(ctx, finish); err != nil {
			return finished, lost, err
		}
		for _, c := range finish {
			finished = append(finished, c.ID)
		}
	}
	return finished, lost, err
}

// endLost revokes consents that nobody can ever open, so that the ledger says what is true.
func (rc Recovery) endLost(ctx context.Context, lost []contract.ID, out *Restored) error {
	if len(lost) == 0 {
		return nil
	}
	_, err := rc.w.Consents().Revoke(ctx, lost)
	stuck := rc.w.Changes().Stuck()
	if errors.Is(err, ErrPending) || stuck != nil && (err == nil || errors.Is(err, stuck)) { // it goes out like any other
		out.Waiting = lost
		return nil
	}
	if err == nil {
		out.Revoked = lost
	}
	return err
}

// openGrants are the consents of one's own that are active or upcoming.
func (rc Recovery) openGrants() (open []*view.Thread) {
	for _, t := range rc.w.view.Threads() {
		if !t.Given() {
			continue
		}
		if s := rc.w.Consents().statusOf(t); s == StatusActive || s == StatusUpcoming {
			open = append(open, t)
		}
	}
	return open
}

// FinishGrants deposits the shares of open consents that a keeper does not hold, as
// after its ledger was put back from a backup, when all are gone. If there are many it
// asks about some, others each time, and only if one of them is not held about all. Where others
// watch the questions it asks about those some alone, as Status does, and about none that has
// one keeper: what that lost its recipient is told.
func (rc Recovery) FinishGrants(ctx context.Context) (finished []contract.ID, err error) {
	err = rc.w.with(ctx, func() (err error) {
		if rc.w.view.Away() != nil {
			return nil
		}
		open := rc.openGrants()
		if rc.w.client.Ledger.Properties().Remote {
			open = slices.DeleteFunc(open, func(t *view.Thread) bool { return len(rc.w.keepersOf(t).Keepers) == 1 })
			if len(open) == 0 {
				return nil
			}
			some := turn(open, rc.w.notes.Held)
			rc.w.notes.Held = some[len(some)-1].Index
			lost := rc.w.Audit().lookForShares(ctx, some)
			for _, t := range rc.w.Changes().give(ctx, lost, len(lost)) {
				finished = append(finished, t.ID)
			}
			return nil
		}
		if some := turn(open, rc.w.notes.Held); len(some) < len(open) {
			unheld, err := rc.unheld(ctx, some)
			if err != nil {
				return err
			}
			rc.w.notes.Held = some[len(some)-1].Index
			if len(unheld) == 0 {
				return nil
			}
		}
		finished, _, err = rc.finishGrants(ctx, open)
		return err
	})
	return finished, err
}

// Stock names what of this wallet's the store does not have, and counts the open
// consents without a share at a keeper. asked is false if neither was asked: they are
// out of reach, or others watch the questions and would see what is one person's.
func (rc Recovery) Stock(ctx context.Context) (lost []Lost, noShare int, asked bool, err error) {
	err = rc.w.Look(ctx, func() error {
		if asked = rc.w.view.Away() == nil && !rc.w.client.Ledger.Properties().Remote; !asked {
			return nil
		}
		if err := rc.readAll(ctx); err != nil {
			return err
		}
		var out Restored
		if err := rc.takeStock(ctx, &out); err != nil {
			return err
		}
		lost = out.Lost
		unheld, err := rc.unheld(ctx, rc.openGrants())
		noShare = len(unheld)
		return err
	})
	return lost, noShare, asked, err
}

// unheld are the grants of which a keeper neither holds its share nor has ended it, as far as
// keepers answer.
func (rc Recovery) unheld(ctx context.Context, ts []*view.Thread) (out []*view.Thread, err error) {
	for i := 0; i < len(ts); i += ledgerclient.MaxBulk {
		rc.progress(AskingKeepers, uint64(i), uint64(len(ts)))
		some := ts[i:min(i+ledgerclient.MaxBulk, len(ts))]
		shares, err := rc.w.Consents().shares(ctx, some, nil)
		if err = cmp.Or(ctx.Err(), err); err != nil {
			return nil, err
		}
		for k, s := range shares {
			if s.err != nil && s.held+s.ended+s.none == 0 {
				return nil, s.err
			}
			if s.none > 0 {
				out = append(out, some[k])
			}
		}
	}
	rc.progress(AskingKeepers, uint64(len(ts)), uint64(len(ts)))
	return out, nil
}

// grantAgain rebuilds what is deposited of a grant: [ErrMissing] if the store does
// not hold its terms or its envelope, *ledgerclient.TamperedError if it holds
// something else; [ErrOtherKeepers].
func (rc Recovery) grantAgain(ctx context.Context, t *view.Thread) (*outbox.Change, error) {
	if err := rc.w.Consents().ownTerms(ctx, t); err != nil {
		return nil, err
	}
	if t.Terms == nil && t.Damage() != nil {
		return nil, t.Damage()
	}
	if t.Terms == nil {
		return nil, ErrMissing.With("part", "terms", "id", t.ID)
	}
	tr, err := rc.w.view.Terms(t)
	if err != nil {
		return nil, err
	}
	if config := rc.w.keepersOf(t); tr.N != len(config.Keepers) || tr.K != int(config.Release) {
		return nil, ErrOtherKeepers.With("consent", t.ID)
	}
	opening, err := rc.w.view.Opening(t)
	if err != nil {
		return nil, err
	}
	seed, _, err := rc.w.view.Key(t)
	if err != nil {
		return nil, err
	}
	var pkg contract.GrantPackage
	terms := wanted{at: seed.Locator(t.ID, byte(ledgerclient.PartTerms)), most: maxSmall, what: "terms", id: t.ID, check: func(blob []byte) error {
		if pkg = tr.Pack(crypto.BlobHash(blob)); pkg.Commitment() != opening.Commitment {
			return tampered("terms of consent", t.ID, errCommitment)
		}
		return nil
	}}
	for _, x := range []wanted{terms, envelopeOf(seed.Locator(t.ID, byte(ledgerclient.PartEnvelope)), t, tr)} {
		if _, err := (stored{rc.w}).readBlob(ctx, x); err != nil {
			return nil, err
		}
	}
	return rc.w.Changes().prepare(Granting, *opening, pkg.Marshal(), nil)
}

// end makes a wallet of what was read.
func (rc Recovery) end(ctx context.Context, opt Options, entropy crypto.Entropy) error {
	if err := opt.Keyring.Set(ctx, rc.w.settings.Item, entropy.Encode()); err != nil {
		return err
	}
	return become(rc.w.home.Dir, string(BeingRestored), settingsFile)
}
