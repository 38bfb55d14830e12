package wallet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/atomicfile"
	"github.com/carekey/carekey/wallet/home"
	"github.com/carekey/carekey/wallet/keyring"
	"github.com/carekey/carekey/wallet/outbox"
	"github.com/carekey/carekey/wallet/view"
)

// Options say where a wallet is and what it works with.
type Options struct {
	Dir      string                // the profile's folder; see ProfileDir
	Keyring  keyring.Store         // where its key is
	Services ledgerclient.Services // one of its ledgers, with store and keepers
	Ledger   crypto.LedgerID       // which one that must be; zero means any that the wallet is on, and the default if it is out of reach
	Now      func() time.Time      // the clock; nil means time.Now
	Wait     time.Duration         // how long to wait for another process that uses the wallet; 0 means 30 s
	Profile  string                // what the person calls the profile; kept sealed, for listing
	// AcceptClock: a person says that the clock is right, however long the ledger was
	// idle. See Log.Doubt.
	AcceptClock bool
	// Revoking: the wallet is opened to end consents, which needs its key and the ledger
	// and nothing else of the folder. What cannot be read, locked or written of it is
	// passed over (Unwritten tells), and so are the ages of heads.
	Revoking bool
}

// Wallet is an unlocked wallet with one of its ledgers open. Its methods may be
// called by one goroutine at a time; any number of processes may open the same
// wallet.
type Wallet struct {
	// BeforeOpening, if it is set, is called when the terms of a consent are verified and
	// nothing of it was entered or asked for yet. With its error nothing will be.
	BeforeOpening func(Received) error

	opt      Options
	home     home.Folder
	settings Settings
	client   *ledgerclient.Client
	keys     *crypto.Keys

	view   *view.View
	notes  *notes                              // of the ledger, kept with its state
	shown  map[*view.RecordSet][]ConsentRecord // see shownRecords
	linkAt map[crypto.Address]bool             // see Links.has

	outbox    *outbox.Outbox
	undecided time.Time     // when this process found that the ledger does not decide; see Changes.rest
	signing   chan struct{} // closed once all grants are signed that were to be; nil: none was
	book      keptBook
	tables    keptTables
	lock      lock
}

// lock is the lock of the wallet's folder, while a method runs.
type lock struct {
	held    bool  // methods that call others take it once
	tried   bool  // since it was taken the terms of what others gave were read: not more of them are now
	missing error // why it could not be had when it was waited for; nil if it could
	keyless error // why nothing in the folder shows that the key is the wallet's; nil if something does
}

// Open unlocks the wallet in opt.Dir with the ledger of opt.Services, which must be
// one that the wallet is on. It may be out of reach: then the wallet shows what it
// verified last, and what is signed waits in the journal.
func Open(ctx context.Context, opt Options) (*Wallet, error) {
	s, err := ReadSettings(opt.Dir)
	if err != nil {
		return nil, err
	}
	client, err := connect(ctx, opt.Dir, s, opt.Services, opt.Ledger)
	if err != nil {
		return nil, err
	}
	keys, err := openKeys(ctx, opt.Keyring, s.Item, client.ID())
	if err != nil {
		return nil, err
	}
	w := assemble(opt, s, client, keys)
	if err := w.readState(); err != nil {
		return nil, err
	}
	return w, nil
}

// assemble makes a wallet of which nothing is read yet.
func assemble(opt Options, s Settings, client *ledgerclient.Client, k *crypto.Keys) *Wallet {
	if opt.Now != nil {
		client.Now = opt.Now
	} else {
		opt.Now = time.Now
	}
	client.AnyAge = opt.Revoking
	w := &Wallet{opt: opt, settings: s, client: client, keys: k, notes: &notes{}, shown: map[*view.RecordSet][]ConsentRecord{}, linkAt: map[crypto.Address]bool{}}
	w.opt.Wait = cmp.Or(opt.Wait, patience)
	w.home = home.Folder{Dir: opt.Dir, Ledger: home.LedgerFolder(client.ID()), Key: k.LocalKey()}
	w.view = view.New(view.Options{Home: w.home, Client: client, Keys: k, Now: opt.Now, AcceptClock: opt.AcceptClock, Revoking: opt.Revoking, Notes: w.notes})
	w.outbox = &outbox.Outbox{Client: client, Log: w.view, Owner: owner{w}, Home: w.home, Now: opt.Now}
	return w
}

// patience is how long a wallet is waited for that another process uses, if nobody says.
const patience = 30 * time.Second

// lock takes the lock of the wallet's folder.
func (o Options) lock(ctx context.Context) (unlock func(), err error) {
	return home.Lock(ctx, o.Dir, cmp.Or(o.Wait, patience))
}

// Name is what the owner calls herself.
func (w *Wallet) Name() string { return w.book.Facts.Name.Value }

// Address is the wallet's own address.
func (w *Wallet) Address() crypto.Address { return w.keys.Address() }

// Card is what the owner hands to others. place says where the ledger is, see
// [crypto.Card]. An [ErrInput] says that the name does not fit.
func (w *Wallet) Card(place string) (crypto.Card, error) {
	name, err := CheckName("name", w.Name())
	if err != nil {
		return crypto.Card{}, err
	}
	if len(name) > math.MaxUint8 {
		return crypto.Card{}, badInput("name", name, "is longer than the 255 bytes that fit on a card")
	}
	return crypto.NewCard(w.keys, name, place)
}

// Ledger tells which of its ledgers the wallet was opened with and what its
// backend can do.
func (w *Wallet) Ledger() (crypto.LedgerID, ledgerclient.Properties) {
	return w.client.ID(), w.client.Ledger.Properties()
}

// Settings are the wallet's unsealed settings.
func (w *Wallet) Settings() Settings { return w.settings }

// Unwritten returns why what the last method learned or did was not written into the
// wallet's folder, and which files of it could not be read; nil if all was. All that
// it did holds all the same: the ledger has it, and the next use finds it there.
func (w *Wallet) Unwritten() []error { return w.view.Unwritten() }

// with runs f with the wallet's lock, on the newest state: what other processes
// wrote is read, interrupted changes are finished, and the ledger is followed to
// its head, or is behind if the ledger is out of reach. A [ledgerclient.ErrStale] is an
// error. State that f changed is written before the lock is given up.
func (w *Wallet) with(ctx context.Context, f func() error) error {
	return w.locked(ctx, changing, func() error {
		err := f()
		w.Changes().noteUndecided()
		if lost := w.keys.Lost(); lost != nil {
			return lost
		}
		return errors.Join(err, w.save())
	})
}

// Look runs f as Together does, for what changes nothing but what can be learned again: it
// works where nothing can be written, and on a head of any time: see [Log.OutOfReach].
func (w *Wallet) Look(ctx context.Context, f func() error) error { return w.look(ctx, looking, f) }

func (w *Wallet) look(ctx context.Context, p purpose, f func() error) error {
	return w.locked(ctx, p, func() error {
		err := f()
		w.Changes().noteUndecided()
		if lost := w.keys.Lost(); lost != nil {
			return lost
		}
		w.trySave()
		return err
	})
}

// purpose is what the wallet's lock is wanted for.
type purpose int

const (
	changing purpose = iota // something: not without the lock
	looking                 // and nothing else
	syncing                 // looking, and what waits is to be submitted whatever is known
)

// locked is with and Look.
func (w *Wallet) locked(ctx context.Context, p purpose, f func() error) (err error) {
	if w.lock.held {
		return f()
	}
	defer func() { err = w.keepEvidence(err) }()
	w.view.ForgetUnwritten()
	unlock, noLock := w.opt.lock(ctx)
	if noLock != nil {
		if ctx.Err() != nil || !w.opt.Revoking && (p == changing || errors.Is(noLock, ErrBusy)) {
			return noLock
		}
		// Nothing is written without the lock but new revocations into the journal. Who
		// waited for it in vain does not wait as long for the next step.
		w.lock.missing, w.opt.Wait = cmp.Or(w.lock.missing, noLock), time.Millisecond
		w.view.AddUnwritten(w.lock.missing)
		unlock = func() {}
	}
	w.lock.held, w.lock.tried = true, false
	defer func() { w.lock.held = false; unlock() }()
	if err := w.readState(); err != nil {
		return err
	}
	if w.book.Profile == "" && w.opt.Profile != "" {
		w.book.Profile, w.book.dirty = w.opt.Profile, true
	}
	if err := w.view.CatchUp(ctx); err != nil {
		return err
	}
	if p == changing && w.view.Stale() {
		return w.view.Behind()
	}
	if w.lock.keyless != nil && len(slices.Collect(w.view.Of(view.OwnGrant))) == 0 {
		return cmp.Or(w.view.Behind(), w.lock.keyless) // with this key there is nothing to end
	}
	if noLock == nil {
		w.home.Tidy()
	}
	// What cannot be finished now does not keep anybody from looking; carryOut
	// refuses to begin anything behind it.
	w.outbox.Finish(ctx, noLock, w.Changes().rest(p))
	if noLock == nil && !w.opt.Revoking { // which does not wait for a keeper that may be silent
		w.Changes().complete(ctx, false)
	}
	if w.view.News() {
		if err := w.Book().lookAtNews(ctx); err != nil && !w.opt.Revoking {
			return err
		}
	}
	return f()
}

// HourTime is the beginning of a ledger hour.
func HourTime[H ~uint32](h H) time.Time { return time.Unix(int64(h)*3600, 0).UTC() }

// Hour is a ledger hour that is written as a time, RFC 3339; zero as nothing.
type Hour contract.Hour

// MarshalText returns the text form.
func (h Hour) MarshalText() ([]byte, error) {
	if h == 0 {
		return nil, nil
	}
	return HourTime(h).AppendFormat(nil, time.RFC3339), nil
}

// UnmarshalText reads what MarshalText writes.
func (h *Hour) UnmarshalText(b []byte) error {
	*h = 0
	if len(b) == 0 {
		return nil
	}
	t, err := time.Parse(time.RFC3339, string(b))
	*h = Hour(t.Unix() / 3600)
	return err
}

// keepEvidence writes the proof that comes with the error of a forked ledger to a
// file beside the wallet's own, so that its owner can show it to others. It tells
// of nobody: only configurations and signed heads are in it. The same two histories
// yield one file however often they are met.
func (w *Wallet) keepEvidence(err error) error {
	fork, ok := errors.AsType[*ledgerclient.ForkError](err)
	if !ok || fork.Evidence == nil {
		return err
	}
	f, cerr := fork.Evidence.Check()
	if cerr != nil {
		return errors.Join(err, cerr)
	}
	path := filepath.Join(w.home.Dir, fmt.Sprintf("evidence-%x-%x", f.Older.Root[:4], f.Root[:4]))
	if _, serr := os.Stat(path); serr != nil {
		if werr := atomicfile.Write(path, fork.Evidence.Marshal(), 0o600); werr != nil {
			return errors.Join(err, werr)
		}
	}
	return ErrForkProved.Of(err, "file", path)
}

// Wipe overwrites the keys that the wallet holds; it cannot be used afterwards.
// What it cannot reach: the text of the key that the keyring handed out, which is a
// Go string, and copies that arithmetic left on the stack and the heap
// (crypto/FORMAT.md says which).
func (w *Wallet) Wipe() { w.keys.Wipe() }

// connect reads the configuration of one of the wallet's ledgers, from the wallet's
// own folder if the ledger itself cannot be reached. id is the ledger that is meant;
// zero is whichever answers, or the default.
func connect(ctx context.Context, dir string, s Settings, services ledgerclient.Services, id crypto.LedgerID) (*ledgerclient.Client, error) {
	client, err := ledgerclient.Connect(ctx, services, id)
	if ledgerclient.Unreachable(err) != nil {
		if id == (crypto.LedgerID{}) {
			id = s.Default
		}
		docs, derr := view.Documents(dir, id)
		if derr != nil {
			return nil, errors.Join(err, derr)
		}
		services.Known = docs
		client, err = ledgerclient.Connect(ctx, services, id)
	}
	if err != nil {
		return nil, err
	}
	if _, ok := s.Ledger(client.ID()); !ok {
		return nil, ledgerclient.ErrForeign.With("want", s.Default, "got", client.ID())
	}
	return client, nil
}

// find returns the thread of that role whose id begins with query, or that it names
// otherwise: see named.
func (w *Wallet) find(ctx context.Context, r view.Role, query, what string) (*view.Thread, error) {
	query, err := named{w, r, what}.meant(ctx, query)
	if err != nil {
		return nil, err
	}
	q := strings.ToLower(text.Code(query))
	if len(q) < minPrefix || len(q) > 64 || strings.Trim(q, "0123456789abcdef") != "" {
		return nil, ErrInput.With("field", what, "value", query, "why", "an id is at least 6 characters of 0-9 and a-f")
	}
	var hits []*view.Thread
	var other *view.Thread // where this wallet is on the other side of the consent than r says
	for _, t := range w.view.Threads() {
		switch {
		case !beginsWith(t.ID, q):
		case t.Role == r:
			hits = append(hits, t)
		case r != view.OwnRecord && (t.Given() || t.Got()):
			other = t
		}
	}
	switch len(hits) {
	case 0:
		if r == view.OwnRecord && w.Changes().find(AddingRecord, query) != nil || r == view.OwnGrant && w.Changes().find(Granting, query) != nil {
			return nil, ErrPending.Of(w.Changes().Stuck())
		}
		if other != nil && (other.Role == view.OwnLetter || other.Role == view.ReceivedLetter) {
			return nil, notConsent(w.view, other)
		}
		if other != nil && r == view.OwnGrant {
			return nil, ErrNotGiver.With("consent", other.ID)
		}
		if other != nil {
			return nil, ErrNotRecipient.With("consent", other.ID)
		}
		if w.view.Behind() != nil {
			return nil, w.view.Behind() // it may be there by now
		}
		return nil, ErrNotFound.With("noun", what, "query", query)
	case 1:
		return hits[0], nil
	}
	var ids []contract.ID
	for _, t := range hits {
		ids = append(ids, t.ID)
	}
	return nil, ambiguous(query, ids, false)
}

// beginsWith reports whether an id in hexadecimal begins with some of those digits. All ids
// that there are may be compared.
func beginsWith(id contract.ID, q string) bool {
	for i := range min(len(q), 2*len(id)) {
		if digits := id[i/2] >> (4 * (1 - i%2)); "0123456789abcdef"[digits&15] != q[i] {
			return false
		}
	}
	return len(q) <= 2*len(id)
}

// minPrefix is how many characters of an id must be given at least.
const minPrefix = 6

// notes are what a wallet remembers of one of its ledgers beside what the ledger says:
// they stand in the sealed state.
type notes struct {
	Looked      uint64         `json:"looked"`                // log size when `status` last showed what was opened
	Refused     map[string]int `json:"refused,omitempty"`     // refused attempts that `status` has shown, by consent
	Asked       uint64         `json:"asked,omitempty"`       // log index of the consent that `status` asked the keepers about last
	Held        uint64         `json:"held,omitempty"`        // the same of the shares that `sync` asked about
	Given       uint64         `json:"given,omitempty"`       // the same of the one whose lost shares were looked for in the store last
	Completed   int64          `json:"completed,omitempty"`   // when keepers were last tried that lack shares, seconds since 1970
	Book        crypto.Hash    `json:"book"`                  // what of the book stands on this ledger, see book.worth
	BookRead    uint64         `json:"bookRead"`              // log size up to which the book's versions were merged
	BackedUp    backedUp       `json:"backedUp,omitzero"`     // the last backup of this ledger
	Undecided   uint64         `json:"undecided,omitempty"`   // entries of the log when it did not decide what waits: with more it decides again; 0: it did, or that is not known
	UndecidedAt int64          `json:"undecidedAt,omitempty"` // when that was, seconds since 1970
	Strangers   strangers      `json:"strangers,omitzero"`    // what they made this wallet read on the last day on which they did

	Planned map[contract.ID]planned `json:"planned,omitempty"` // what a watch is to open; see Watch

	// Moved is what a move made of record versions and consents of other ledgers; see
	// origin.
	Moved map[string]movedTo `json:"moved,omitempty"`
}

// backedUp tells of a backup that was checked.
type backedUp struct {
	At   int64  `json:"at"`   // seconds since 1970
	Size uint64 `json:"size"` // entries of the log
}

// planned is what a watch notes of a consent, which it found unfetched.
type planned struct {
	At    int64 `json:"at"`              // when it is opened, seconds since 1970; 0: it was given up
	Tries int   `json:"tries,omitempty"` // openings that got as far as the ledger
	Begun bool  `json:"begun,omitempty"` // the last of them did not end: the program did
}

// readState reads the book and what is kept of the ledger. To end consents, what cannot
// be read is read from the ledger.
func (w *Wallet) readState() error {
	w.lock.keyless = nil
	noBook := w.Book().read()
	if noBook != nil && !w.opt.Revoking {
		return noBook
	}
	if err := w.view.Load(); err != nil {
		return err
	}
	if noBook != nil { // the ledger's copy of it is read instead
		w.lock.keyless = w.view.Lost() // unless the ledger knows the key, see locked
		w.notes.BookRead = 0
		w.view.SetNews(true)
		w.view.PassOver(home.BookFile, noBook)
	}
	return nil
}

// save writes what changed. The book comes before the state, which says what of the
// ledger is in it.
func (w *Wallet) save() error {
	if w.book.dirty && len(w.view.Unwritten()) == 0 && !w.view.Disbelieved() {
		w.Book().setLedgers()
		if err := w.home.WriteSealed(home.BookFile, w.book.book); err != nil {
			return err
		}
		w.book.dirty = false
		w.book.read, _ = w.home.Read(home.BookFile) // what is known need not be parsed again: without it, it is
	}
	return w.view.Save()
}

// trySave is save where Unwritten tells that it failed.
func (w *Wallet) trySave() {
	if err := w.save(); err != nil && len(w.view.Unwritten()) == 0 {
		w.view.AddUnwritten(err)
	}
}

// origin is a record version or a consent on the ledger that it came from.
type origin struct {
	Ledger  crypto.LedgerID `json:"ledger"`
	ID      contract.ID     `json:"id"`      // of the record, or of the consent
	Version int             `json:"version"` // from 1; 0 for a consent
}

// movedTo is what an origin became.
type movedTo struct {
	ID      contract.ID `json:"id"`
	Version int         `json:"version"`
}

func (o origin) key() string { return fmt.Sprintf("%s/%s/%d", o.Ledger, o.ID, o.Version) }

// arrived remembers what an origin became.
func (n *notes) arrived(from *origin, to movedTo) {
	if n.Moved == nil {
		n.Moved = map[string]movedTo{}
	}
	n.Moved[from.key()] = to
}
