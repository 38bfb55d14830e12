package main

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/hardening"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/order"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/keyring"
)

// app is one run of the program. This file is the only one that names a backend
// or a keyring; tests make an app of their own with another clock.
type app struct {
	in, out, err *os.File
	lookup       func(name string) (string, bool) // the environment
	now          func() time.Time
	workFactor   int           // scrypt's, of new passphrase files; 0 is the default
	patience     time.Duration // how long a node may take to begin an answer; 0 is the default

	// ask asks for a passphrase where there is no terminal to ask on; nil: nobody can.
	ask func(prompt string) ([]byte, error)

	flags       flags
	passphrases passphrases
	key         keyring.Store              // has read the wallet's key already; nil if nobody did
	closed      error                      // why a ledger that a command is about too cannot be opened
	titles      map[crypto.LedgerID]string // of the ledgers, if a command works with several
}

// flags are those that every command has.
type flags struct {
	json, yes, noInput, quiet bool
	profile, ledger           string
	acceptClock               bool // of the commands that write
	passphraseFD              int  // -1 if not given
}

func newApp() *app {
	return &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, lookup: os.LookupEnv, now: time.Now, flags: flags{passphraseFD: -1}}
}

// The environment of the program. Nothing else of it is read here.
const (
	envHome           = "CAREKEY_HOME"            // folder of the wallets
	envProfile        = "CAREKEY_PROFILE"         // which wallet in it
	envLedger         = "CAREKEY_LEDGER"          // which ledger, as --ledger
	envKeyring        = "CAREKEY_KEYRING"         // "os" or "file": where init keeps the key
	envPassphrase     = "CAREKEY_PASSPHRASE_FILE" // file whose first line is the passphrase of the key file
	envKeyringTimeout = "CAREKEY_KEYRING_TIMEOUT" // how long the system's keyring may take to answer
	envPromptTimeout  = "CAREKEY_PROMPT_TIMEOUT"  // how long a person may take to answer its prompt
	envXDGData        = "XDG_DATA_HOME"
)

// run carries out one command line and returns the exit code.
func (a *app) run(args []string) int {
	ctx, stop := hardening.Signals()
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	root := newRoot(a)
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	defer a.passphrases.wipe()
	return a.report(root.ExecuteContext(ctx), args)
}

func (a *app) env(name string) string {
	v, _ := a.lookup(name)
	return v
}

// home is the folder that holds the wallets and the default ledger.
func (a *app) home() (string, error) {
	if h := a.env(envHome); h != "" {
		return filepath.Abs(h)
	}
	if d := a.env(envXDGData); filepath.IsAbs(d) {
		return filepath.Join(d, "carekey"), nil
	}
	user, err := os.UserHomeDir()
	if err != nil {
		return "", usage("no home folder is known", "name one with "+envHome)
	}
	switch runtime.GOOS {
	case "darwin":
		return filepath.Join(user, "Library", "Application Support", "carekey"), nil
	case "windows":
		if d := a.env("LocalAppData"); d != "" {
			return filepath.Join(d, "carekey"), nil
		}
	}
	return filepath.Join(user, ".local", "share", "carekey"), nil
}

// profile is the name of the wallet in the home.
func (a *app) profile() string {
	if a.flags.profile != "" {
		return a.flags.profile
	}
	if p := a.env(envProfile); p != "" {
		return p
	}
	return defaultProfile
}

const defaultProfile = "default"

// keyring returns the store of that kind for the wallet in dir.
func (a *app) keyring(kind, dir string) keyring.Store {
	if kind == keyring.KindFile {
		return &keyring.File{Path: a.keyFile(dir), Passphrase: a.passphrase, WorkFactor: a.workFactor}
	}
	k := &keyring.OS{Timeout: a.timeout(envKeyringTimeout), PromptTimeout: a.timeout(envPromptTimeout), NoPrompt: a.flags.noInput && a.ask == nil}
	if a.interactive() {
		k.Asking = func() { a.say("Your keyring asks for its password: look for its window.") }
	}
	return k
}

// quietKeyring is keyring for what asks nobody for a keyring's password.
func (a *app) quietKeyring(kind, dir string) keyring.Store {
	k := a.keyring(kind, dir)
	if system, ok := k.(*keyring.OS); ok {
		system.NoPrompt = true
	}
	return k
}

// timeout reads a variable that checkTimeouts has admitted; 0 if it is not set.
func (a *app) timeout(name string) time.Duration {
	d, _ := time.ParseDuration(a.env(name))
	return d
}

// checkTimeouts is done before any command.
func (a *app) checkTimeouts() error {
	for _, name := range []string{envKeyringTimeout, envPromptTimeout} {
		v := a.env(name)
		if v == "" {
			continue
		}
		if d, err := time.ParseDuration(v); err != nil || d <= 0 || d > time.Hour {
			return usage(name+"="+v+": not a time between 0 and 1h", "write it like 10s or 2m")
		}
	}
	return nil
}

// keyEarly begins to read the key while other things are opened, where that asks
// nothing on the terminal.
func (a *app) keyEarly(ctx context.Context, p place) (keyring.Store, error) {
	if a.key != nil {
		return a.key, nil
	}
	if p.settings.Keyring == keyring.KindOS {
		return a.readKey(ctx, p)
	}
	return a.keyringOf(p)
}

// readKey begins to read the wallet's key and returns a store that has it: what
// else a command needs it for, the keyring is asked once.
func (a *app) readKey(ctx context.Context, p place) (keyring.Store, error) {
	k, err := a.keyringOf(p)
	if err != nil {
		return nil, err
	}
	return keyring.Ahead(ctx, k, p.settings.Item), nil
}

// lookFor looks for the key of a wallet in one of the places, without asking
// anybody. What is not there is an error; of what is in a locked keyring that may
// not be known.
func (a *app) lookFor(ctx context.Context, kind string, p place) (seen keyring.Sight, err error) {
	if kind == keyring.KindOS {
		k, ok := a.keyring(kind, p.dir).(*keyring.OS)
		if !ok {
			return seen, &keyring.AbsentError{Reason: keyring.Unsupported}
		}
		if seen, err = k.Look(ctx, p.settings.Item); err != nil {
			return seen, err
		}
	} else {
		err = keyring.LooksLikeKeyFile(a.keyFile(p.dir))
		if err != nil && !is[*keyring.ItemNotFoundError](err) {
			seen.Found = is[*keyring.DamagedError](err)
			return seen, err
		}
		seen.Found, seen.Locked = err == nil, err == nil
	}
	if !seen.Found && !seen.Locked {
		return seen, &keyring.ItemNotFoundError{Kind: kind}
	}
	return seen, nil
}

func (a *app) keyFile(dir string) string { return filepath.Join(dir, keyring.FileName) }

// keyringKind is what the environment asks for; "" if it does not.
func (a *app) keyringKind() (string, error) {
	switch k := a.env(envKeyring); k {
	case "", keyring.KindOS, keyring.KindFile:
		return k, nil
	default:
		return "", usage(envKeyring+"="+k+": no such keyring", "use os or file")
	}
}

// probeKeyring finds out whether a new key could be stored, before a person
// writes 24 words down for nothing.
func (a *app) probeKeyring(ctx context.Context, kind, dir string) error {
	if kind == keyring.KindFile {
		if _, err := os.Lstat(a.keyFile(dir)); err == nil {
			return &keyring.ItemExistsError{Kind: kind}
		}
		b, err := a.passphrase(ctx, true) // before anything is made, or shown to be written down
		clear(b)
		return err
	}
	_, err := a.keyring(kind, dir).Get(ctx, keyring.NewID())
	if is[*keyring.ItemNotFoundError](err) {
		return nil
	}
	return err
}

// ledger is an open ledger: what a wallet works with, and the check of all of it.
type ledger struct {
	ledgerclient.Services
	// verify checks everything; what was checked up to the given head before is
	// not checked again. It returns the head and how many signatures it checked.
	verify func(ctx context.Context, size uint64, root crypto.Hash, progress func(done, total uint64)) (uint64, crypto.Hash, uint64, error)
	// copyTo makes a copy in a folder, see folder.Folder.Copy; nil for a ledger
	// that a node keeps.
	copyTo func(ctx context.Context, dst string, progress func(done, total uint64)) (folder.Copied, error)
	// salvage is verify and copyTo of a folder that nobody vouches for, see
	// folder.Folder.Salvage.
	salvage func(ctx context.Context, dst string, verifying, copying func(done, total uint64)) (folder.Copied, []*folder.DamagedError, error)
	// follows tells whether it is a folder that only follows an order, which nobody
	// named with it: then nothing can be entered. nil: it does not.
	follows func(ctx context.Context) bool
	close   func() error
	props   ledgerclient.Properties // known without reaching it
	away    error                   // why it cannot be reached; nil if it can
	trust   [][2]string             // what else of it a person is to compare before joining
}

// ledgerAt is a ledger that was not opened.
func ledgerAt(at string) *ledger {
	done := func() error { return nil }
	if d, ok := parseDirect(at); ok {
		return &ledger{close: done, props: order.Beside(d.url, ledgerAt(d.store).props)}
	}
	if inv, err := node.ParseInvitation(at); err == nil {
		return &ledger{close: done, props: node.Away(inv)}
	}
	return &ledger{close: done, props: ledgerclient.Properties{Gate: ledgerclient.Advisory, Reach: at, Clock: "local", Finality: ledgerclient.Immediate, Operators: 1}}
}

// outOfReach makes of a ledger that does not answer what the wallet in dir verified
// of it last. Its store and keepers are asked all the same, if it has any.
func (l *ledger) outOfReach(dir string, id crypto.LedgerID, why error) error {
	props := l.props
	if l.Ledger != nil {
		props = l.Ledger.Properties()
	}
	known, err := wallet.OutOfReach(dir, id, props, why)
	if err != nil {
		return err
	}
	if l.Store != nil {
		known.Store, known.Keepers = l.Store, l.Keepers
	}
	l.Services, l.away, l.verify = known, why, nil
	return nil
}

// isNoLedger tells whether a folder holds no ledger, such as that of a disk which
// is not plugged in.
func isNoLedger(err error) bool { return is[*folder.NoLedgerError](err) }

// taken says that a folder holds something else.
func taken(dir string) error { return &folder.ExistsError{Dir: dir} }

// sheet is the page that tells how to find a ledger at a node again.
func (a *app) sheet(at wallet.Place, who crypto.Address) (string, error) {
	inv, ok := invitationIn(at.At) // where an order is used directly, the node alone brings all back too
	if !ok {
		return "", &node.InvitationError{Kind: crypto.FaultMalformed}
	}
	s := sheet{ledger: at.ID.String(), name: inv.Name, urls: inv.URLs, node: hex.EncodeToString(inv.Node[:]), invitation: inv.String(), words: wordsOf(who), made: a.now()}
	if !inv.Fingerprint.IsZero() {
		s.fingerprint = inv.Fingerprint.String()
	}
	return s.text(), nil
}

func (a *app) openLedger(ctx context.Context, at string) (*ledger, error) {
	if node.IsInvitation(at) {
		return a.openNode(ctx, at)
	}
	if d, ok := parseDirect(at); ok {
		return a.openDirect(ctx, d)
	}
	return a.openFolder(at)
}

// openDirect opens a ledger whose order the wallet uses itself. Beside a folder that
// is the replica; beside a node it has one of its own in the home.
func (a *app) openDirect(ctx context.Context, d direct) (_ *ledger, err error) {
	var closers []func() error
	closeAll := func() error {
		var errs []error
		for _, f := range slices.Backward(closers) {
			errs = append(errs, f())
		}
		return errors.Join(errs...)
	}
	defer func() {
		if err != nil {
			closeAll()
		}
	}()
	if !node.IsInvitation(d.store) {
		f, err := a.openReplica(ctx, d.store)
		if err != nil {
			return nil, err
		}
		closers = append(closers, f.Close)
		b, err := a.openOrder(ctx, d.url)
		if err != nil {
			return nil, err
		}
		closers = append(closers, b.Close)
		l := ledgerOf(f)
		l.Ledger, l.close = order.NewDirect(d.url, order.NewLedger(b, f, a.now), nil), closeAll
		l.trust = d.trust(b.Properties(), true)
		return l, nil
	}
	l, err := a.openNode(ctx, d.store)
	if err != nil {
		return nil, err
	}
	closers = append(closers, l.close)
	b, err := a.openOrder(ctx, d.url)
	if err != nil {
		return nil, err
	}
	closers = append(closers, b.Close)
	f, err := a.ownReplica(ctx, d, l.Ledger, b)
	if err != nil {
		return nil, err
	}
	closers = append(closers, f.Close)
	l.Ledger, l.close = order.NewDirect(d.url, order.NewLedger(b, f, a.now), l.Ledger), closeAll
	l.trust = append(l.trust, d.trust(b.Properties(), false)...)
	l.props = order.Beside(d.url, l.props)
	return l, nil
}

// openOrder starts the program that keeps an order. One that is there and does not
// answer is a ledger out of reach.
func (a *app) openOrder(ctx context.Context, url string) (order.Backend, error) {
	var talk io.Writer
	if a.talks() {
		talk = a.err
	}
	b, err := order.Start(ctx, url, order.ProgramOptions{Stderr: talk})
	if e, ok := errors.AsType[*order.ProgramError](err); ok && e.Fault != order.BadURL && e.Fault != order.Missing {
		return nil, &ledgerclient.UnreachableError{Service: "ledger", Err: err}
	}
	if err != nil { // no *program.Backend in the interface
		return nil, err
	}
	return b, nil
}

// openReplica opens the folder beside an order, which must not keep one itself.
func (a *app) openReplica(ctx context.Context, dir string) (*folder.Folder, error) {
	f, err := folder.Open(dir, folder.Options{Clock: a.now})
	if err != nil {
		return nil, err
	}
	if _, _, err := f.Consumed(ctx); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// ownReplica opens the replica that the home has of an order beside a node, and
// makes it when there is none. It holds what is public and follows from the order.
func (a *app) ownReplica(ctx context.Context, d direct, l ledgerclient.Ledger, b order.Backend) (*folder.Folder, error) {
	genesis, err := l.Genesis(ctx)
	if err != nil {
		return nil, err
	}
	home, err := a.home()
	if err != nil {
		return nil, err
	}
	dir := d.replica(home)
	f, err := a.openReplica(ctx, dir)
	if !isNoLedger(err) {
		return f, err
	}
	err = order.Beginning(ctx, b, genesis, func(item order.Item, next uint64) (err error) {
		f, err = folder.CreateReplica(dir, genesis, item.Entry, folder.Ordered{Next: next, Hour: item.Hour}, folder.Options{Clock: a.now})
		return err
	})
	if is[*folder.ExistsError](err) { // another process was faster
		return a.openReplica(ctx, dir)
	}
	return f, err
}

// openNode prepares to speak with the node of an invitation. If the wallet knows
// the ledger already, nothing is asked before it is needed.
func (a *app) openNode(ctx context.Context, invitation string) (*ledger, error) {
	inv, err := node.ParseInvitation(invitation)
	if err != nil {
		return nil, err
	}
	home, err := a.home()
	if err != nil {
		return nil, err
	}
	opt := node.Options{Wait: a.patience}
	if doc, err := wallet.Genesis(wallet.ProfileDir(home, a.profile()), inv.Ledger); err == nil {
		opt.Genesis = doc
	}
	n, err := node.Dial(ctx, inv, opt)
	if err != nil {
		return nil, err
	}
	l := &ledger{Services: n.Services(), close: n.Close, props: node.Away(inv), trust: trustIn(inv)}
	l.Now = a.now
	l.verify = func(ctx context.Context, size uint64, root crypto.Hash, progress func(done, total uint64)) (uint64, crypto.Hash, uint64, error) {
		c, err := ledgerclient.Connect(ctx, l.Services, inv.Ledger)
		if err != nil {
			return 0, crypto.Hash{}, 0, err
		}
		return c.VerifyAll(ctx, size, root, progress)
	}
	return l, nil
}

func (a *app) openFolder(dir string) (*ledger, error) {
	f, err := folder.Open(dir, folder.Options{Clock: a.now, AcceptClock: a.flags.acceptClock})
	if err != nil {
		return nil, err
	}
	l := ledgerOf(f)
	l.follows = func(ctx context.Context) bool {
		_, _, err := f.Consumed(ctx)
		return err == nil
	}
	return l, nil
}

// createLedger makes a new ledger in a folder, or in an order with a folder beside it.
func (a *app) createLedger(ctx context.Context, at string) (*ledger, error) {
	const name = "carekey"
	d, ok := parseDirect(at)
	if !ok {
		f, err := folder.Create(at, name, a.now)
		if err != nil {
			return nil, err
		}
		return ledgerOf(f), nil
	}
	founding, err := folder.NewFounding(name)
	if err != nil {
		return nil, err
	}
	if err := a.beginIn(ctx, d, founding); err != nil {
		return nil, err
	}
	return a.openDirect(ctx, d)
}

// beginIn puts a new ledger into an order, with the folder beside it.
func (a *app) beginIn(ctx context.Context, d direct, founding folder.Founding) error {
	if l, err := a.openFolder(d.store); err == nil { // before anything is ordered for ever
		l.close()
		return &folder.ExistsError{Dir: d.store, Ledger: true}
	}
	b, err := a.openOrder(ctx, d.url)
	if err != nil {
		return err
	}
	defer b.Close()
	first, next, err := order.Begin(ctx, b, founding.Entry)
	if err != nil {
		return err
	}
	f, err := folder.CreateFrom(d.store, founding, folder.Ordered{Next: next, Hour: first.Hour}, folder.Options{Clock: a.now})
	if err != nil {
		return err
	}
	return f.Close()
}

func ledgerOf(f *folder.Folder) *ledger {
	return &ledger{
		Services: f.Services(),
		verify: func(ctx context.Context, size uint64, root crypto.Hash, progress func(done, total uint64)) (uint64, crypto.Hash, uint64, error) {
			r, err := f.Verify(ctx, folder.Verified{Size: size, Root: root}, progress)
			return r.Size, r.Root, r.Signatures, err
		},
		copyTo:  f.Copy,
		salvage: f.Salvage,
		close:   f.Close,
	}
}

// maxIdle is how far a folder believes the clock to be past the last entry, in
// hours, without a person's word for it.
const maxIdle = folder.MaxIdle

// checkClock asks a person about a clock that a folder would not believe. It is
// done before anything is signed, so that nothing is left half-done when the
// answer is no.
func (a *app) checkClock(ctx context.Context, l *ledger) error {
	if a.flags.acceptClock || l.Ledger.Properties().Clock != "local" {
		return nil
	}
	last, err := lastHour(ctx, l.Services)
	if err != nil {
		return err
	}
	now := contract.Hour(max(0, a.now().Unix()/3600))
	if now <= last || now-last <= maxIdle {
		return nil
	}
	doubt := &folder.ClockError{Last: last, Now: now}
	if !a.interactive() {
		return doubt
	}
	ok, err := ui.Confirm(ctx, a.in, a.err, explain(doubt).Message+".\nLedger time never goes back: an entry at a wrong hour ends every consent whose end lies before it.",
		"Is your clock right?", true)
	if err != nil {
		return err
	}
	if !ok {
		return errDeclined
	}
	a.flags.acceptClock = true
	return nil
}

// length is the number of the ledger's entries.
func length(ctx context.Context, s ledgerclient.Services) (uint64, error) {
	c, err := ledgerclient.Connect(ctx, s, crypto.LedgerID{})
	if err != nil {
		return 0, err
	}
	head, err := c.Head(ctx)
	return head.Size, err
}

// lastHour is the ledger hour of the newest entry.
func lastHour(ctx context.Context, s ledgerclient.Services) (contract.Hour, error) {
	size, err := length(ctx, s)
	if err != nil {
		return 0, err
	}
	leaves, err := s.Ledger.Leaves(ctx, size-1, size)
	if err != nil {
		return 0, err
	}
	if len(leaves) != 1 {
		return 0, &ledgerclient.TamperedError{What: "leaves"}
	}
	return leaves[0].Hour, nil
}
