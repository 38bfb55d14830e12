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
	"github.com/carekey/carekey/ledgerclient/disk"
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
	keys     *keys

	view  *view.View
	notes *notes                              // of the ledger, kept with its state
	shown map[*view.RecordSet][]ConsentRecord // see shownRecords

	outbox  *outbox.Outbox
	signing chan struct{} // closed once all grants are signed that were to be; nil: none was
	book    keptBook
	saved   savedFiles
	lock    lock
}

// lock is the lock of the wallet's folder, while a method runs.
type lock struct {
	held    bool  // methods that call others take it once
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
	entropy, err := readKey(ctx, opt, s)
	if err != nil {
		return nil, err
	}
	defer entropy.Wipe()
	w := assemble(opt, s, client, newKeys(entropy))
	if err := w.readState(); err != nil {
		return nil, err
	}
	return w, nil
}

// readKey takes the wallet's key out of the keyring.
func readKey(ctx context.Context, opt Options, s Settings) (crypto.Entropy, error) {
	secret, err := opt.Keyring.Get(ctx, s.Item)
	if err != nil {
		return crypto.Entropy{}, err
	}
	entropy, err := crypto.DecodeEntropy(secret)
	if err != nil {
		return crypto.Entropy{}, &WrongKeyError{}
	}
	return entropy, nil
}

// assemble makes a wallet of which nothing is read yet.
func assemble(opt Options, s Settings, client *ledgerclient.Client, k *keys) *Wallet {
	if opt.Now != nil {
		client.Now = opt.Now
	} else {
		opt.Now = time.Now
	}
	client.AnyAge = opt.Revoking
	w := &Wallet{opt: opt, settings: s, client: client, keys: k, notes: &notes{}, shown: map[*view.RecordSet][]ConsentRecord{}}
	w.opt.Wait = opt.waitOrDefault()
	w.home = home.Folder{Dir: opt.Dir, Ledger: home.LedgerFolder(client.ID()), Key: k.local}
	w.view = view.New(view.Options{Home: w.home, Client: client, Root: k.root, Identity: k.identity, Now: opt.Now, AcceptClock: opt.AcceptClock, Revoking: opt.Revoking, Notes: w.notes})
	w.outbox = &outbox.Outbox{Client: client, Log: w.view, Owner: owner{w}, Home: w.home, Now: opt.Now}
	return w
}

func (o Options) waitOrDefault() time.Duration { return cmp.Or(o.Wait, 30*time.Second) }

func isNoWallet(err error) bool {
	var no *NoWalletError
	return errors.As(err, &no)
}

// Name is what the owner calls herself.
func (w *Wallet) Name() string { return w.book.Name }

// Address is the wallet's own address.
func (w *Wallet) Address() crypto.Address { return w.keys.identity().Address() }

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

// Uncompared tells that the head of the ledger that was seen before cannot be read, so
// that the ledger was followed from its beginning, whatever it showed before.
func (lg Log) Uncompared() bool {
	return slices.ContainsFunc(lg.w.view.Unwritten(), func(err error) bool {
		damaged, ok := errors.AsType[*DamagedError](err)
		newer, too := errors.AsType[*VersionError](err)
		return ok && damaged.File == lg.w.home.In(home.StateFile) || too && newer.What == lg.w.home.In(home.StateFile)
	})
}

// with runs f with the wallet's lock, on the newest state: what other processes
// wrote is read, interrupted changes are finished, and the ledger is followed to
// its head, or is behind if the ledger is out of reach. State that f changed is
// written before the lock is given up.
func (w *Wallet) with(ctx context.Context, f func() error) error {
	return w.locked(ctx, false, func() error { return errors.Join(f(), w.save()) })
}

// look is with for what changes nothing but what can be learned again: it works where
// nothing can be written.
func (w *Wallet) look(ctx context.Context, f func() error) error {
	return w.locked(ctx, true, func() error {
		err := f()
		w.trySave()
		return err
	})
}

// locked is with and look. lax tells that the lock is not needed where it cannot be had.
func (w *Wallet) locked(ctx context.Context, lax bool, f func() error) (err error) {
	if w.lock.held {
		return f()
	}
	defer func() { err = w.keepEvidence(err) }()
	w.view.ForgetUnwritten()
	unlock, noLock := home.Lock(ctx, w.home.Dir, w.opt.Wait)
	if noLock != nil {
		if ctx.Err() != nil || !w.opt.Revoking && (!lax || is[*BusyError](noLock)) {
			return noLock
		}
		// Nothing is written without the lock but new revocations into the journal. Who
		// waited for it in vain does not wait as long for the next step.
		w.lock.missing, w.opt.Wait = cmp.Or(w.lock.missing, noLock), time.Millisecond
		w.view.AddUnwritten(w.lock.missing)
		unlock = func() {}
	}
	w.lock.held = true
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
	if w.lock.keyless != nil && !slices.ContainsFunc(w.view.Threads(), func(t *view.Thread) bool { return t.Role == view.OwnGrant }) {
		return cmp.Or(w.view.Behind(), w.lock.keyless) // with this key there is nothing to end
	}
	if noLock == nil {
		w.tidy()
	}
	// What cannot be finished now does not keep anybody from looking; carryOut
	// refuses to begin anything behind it.
	w.outbox.Finish(ctx, noLock)
	if w.view.News() {
		if err := w.Book().lookAtNews(ctx); err != nil && !w.opt.Revoking {
			return err
		}
	}
	return f()
}

// tidy removes half-written files: under the lock nobody is writing them. What cannot be
// removed is garbage, and the next run tries again.
func (w *Wallet) tidy() {
	for _, dir := range []string{w.home.Dir, w.home.Path(w.home.Ledger), w.home.Path(w.home.In(home.JournalDir))} {
		beside, _ := disk.ReadDir(dir)
		for _, e := range beside {
			if atomicfile.IsTemp(e) {
				os.Remove(filepath.Join(dir, e.Name()))
			}
		}
	}
}

// lookAtNews takes up what another machine with the same key wrote into the book.
func (bk Book) lookAtNews(ctx context.Context) error {
	if bk.w.view.Away() != nil {
		return nil
	}
	err := bk.w.Records().describeAll(ctx)
	if err == nil && bk.w.view.Away() == nil {
		_, err = bk.readPages(ctx)
	}
	if bk.w.view.DoWithout(err) || bk.w.view.Away() != nil {
		return nil // next time
	}
	if err == nil && bk.w.view.News() {
		bk.w.view.SetNews(false)
	}
	return err
}

// HourTime is the beginning of a ledger hour.
func HourTime(h contract.Hour) time.Time { return time.Unix(int64(h)*3600, 0).UTC() }

// Doubt returns what the clock says if it disagrees with the ledger's time, so that
// what is open is judged without it; zero if it does not. It disagrees if it is before
// the last entry (of that ledger hour), or too far from the newest head, or, where heads carry no time, more
// than ledgerclient.MaxIdle past the last entry, unless a person says that it is right.
func (lg Log) Doubt() (clock time.Time, last contract.Hour) {
	return lg.w.view.Doubt(), lg.w.view.Pin().Hour
}
