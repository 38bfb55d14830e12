package main

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/embedded"
	"github.com/carekey/carekey/ledgerclient/node"
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
	key         keyring.Store // has read the wallet's key already; nil if nobody did
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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
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

// place is where things are before anything is opened.
type place struct {
	home     string
	dir      string // of the wallet
	settings *wallet.Settings
	ledger   string          // where the ledger is: a folder
	id       crypto.LedgerID // which it must be; zero if only where it is was said
	given    bool            // the ledger was named by flag or environment
}

// defaultLedger is the folder inside the home, and how the settings name it: the
// home can be moved with both in it.
const defaultLedger = "ledger"

func (a *app) place() (place, error) {
	var p place
	var err error
	if p.home, err = a.home(); err != nil {
		return p, err
	}
	p.dir = wallet.ProfileDir(p.home, a.profile())
	s, err := wallet.ReadSettings(p.dir)
	if err == nil {
		p.settings = &s
	} else if !is[*wallet.NoWalletError](err) {
		return p, err
	}
	named := a.flags.ledger
	if named == "" {
		named = a.env(envLedger)
	}
	if named == "" {
		if p.settings == nil {
			p.ledger = filepath.Join(p.home, defaultLedger)
			return p, nil
		}
		at, _ := p.settings.Ledger(p.settings.Default)
		p.ledger, p.id = p.reach(at), at.ID
		return p, nil
	}
	p.given = true
	if p.settings != nil {
		at, ok, err := p.joined(named)
		if err != nil {
			return p, err
		}
		if ok {
			p.ledger, p.id = p.reach(at), at.ID
			return p, nil
		}
	}
	if text, ok, err := invitation(named); ok {
		p.ledger = text
		return p, err
	}
	if strings.Contains(named, "://") {
		return p, usage("ledger "+named+": not a folder", "a ledger is a folder or an invitation to a node: --ledger DIR, --ledger carekey-node1...")
	}
	p.ledger, err = filepath.Abs(named)
	return p, err
}

// reach is where a ledger of the wallet is. A folder inside the home moves with it.
func (p *place) reach(at wallet.Place) string {
	if filepath.IsAbs(at.At) || node.IsInvitation(at.At) {
		return at.At
	}
	return filepath.Join(p.home, at.At)
}

// invitation is the invitation to the ledger's node; false for one in a folder.
func (p *place) invitation() (node.Invitation, bool) {
	inv, err := node.ParseInvitation(p.ledger)
	return inv, err == nil
}

// on is the place with another of the wallet's ledgers.
func (p place) on(at wallet.Place) place {
	p.ledger, p.id, p.given = p.reach(at), at.ID, false
	return p
}

// ledgerNamed tells whether flag or environment name a ledger.
func (a *app) ledgerNamed() bool { return a.flags.ledger != "" || a.env(envLedger) != "" }

// joined finds the ledger of the wallet that somebody names by where it is, by its
// name, or by the beginning of its id.
func (p *place) joined(named string) (found wallet.Place, ok bool, err error) {
	path, err := filepath.Abs(named)
	if err != nil {
		return found, false, err
	}
	var invited crypto.LedgerID
	if node.IsInvitation(named) {
		inv, err := node.ParseInvitation(named)
		if err != nil {
			return found, false, err
		}
		invited = inv.Ledger
	}
	var matches []string
	for _, at := range p.settings.Ledgers {
		id := at.ID.String()
		prefix := len(named) >= 6 && strings.HasPrefix(id, strings.ToLower(named))
		if p.reach(at) == path || invited == at.ID {
			return at, true, nil
		}
		if prefix || ledgerName(p.dir, at.ID) == named {
			found, ok = at, true
			matches = append(matches, id)
		}
	}
	if len(matches) > 1 {
		return found, false, &wallet.AmbiguousError{What: "ledger", Query: named, Matches: matches}
	}
	return found, ok, nil
}

// ledgerName is the name that a ledger of the wallet in dir gives itself; "" if its
// configuration cannot be read.
func ledgerName(dir string, id crypto.LedgerID) string {
	doc, err := wallet.Genesis(dir, id)
	if err != nil {
		return ""
	}
	config, err := contract.ParseConfig(doc)
	if err != nil || config.LedgerID() != id {
		return ""
	}
	return config.Name
}

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
		if !a.interactive() {
			b, err := a.passphrase(ctx, true)
			clear(b)
			return err
		}
		return nil
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
	// copyTo makes a copy in a folder, see embedded.Folder.Copy; nil for a ledger
	// that a node keeps.
	copyTo func(ctx context.Context, dst string, progress func(done, total uint64)) (embedded.Copied, error)
	close  func() error
	props  ledgerclient.Properties // known without reaching it
	away   error                   // why it cannot be reached; nil if it can
	trust  [][2]string             // what else of it a person is to compare before joining
}

// invitation is an invitation to a node as settings have it; ok is false for what is
// none at all.
func invitation(named string) (text string, ok bool, err error) {
	if !node.IsInvitation(named) {
		return "", false, nil
	}
	inv, err := node.ParseInvitation(named)
	return inv.String(), true, err
}

// showPlace is where a ledger is, for people: an invitation is long, and the token
// in it is nobody else's business.
func showPlace(where string) string {
	if inv, err := node.ParseInvitation(where); err == nil {
		return inv.URLs[0]
	}
	return where
}

// trustIn says how a node proves to be the one of the invitation.
func trustIn(inv node.Invitation) [][2]string {
	secure := "TLS, vouched for by an authority that this computer trusts"
	switch {
	case strings.HasPrefix(inv.URLs[0], "http://"):
		secure = "none: the node is on this computer"
	case !inv.Fingerprint.IsZero():
		secure = "TLS with the key " + inv.Fingerprint.String()
	}
	out := [][2]string{{"connection", secure}}
	for _, u := range inv.URLs[1:] {
		out = append(out, [2]string{"also at", u})
	}
	if inv.Token != "" {
		out = append(out, [2]string{"token", "the invitation has one: with it the node can tell what comes from you"})
	}
	return out
}

// ledgerAt is a ledger that was not opened.
func ledgerAt(at string) *ledger {
	done := func() error { return nil }
	if inv, err := node.ParseInvitation(at); err == nil {
		return &ledger{close: done, props: node.Away(inv)}
	}
	return &ledger{close: done, props: ledgerclient.Properties{Gate: ledgerclient.Advisory, Reach: at, Clock: "local", Finality: ledgerclient.Immediate}}
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
func isNoLedger(err error) bool { return is[*embedded.NoLedgerError](err) }

// payloadDamage tells whether all that a ledger's verification found is one in the
// store: the log is whole. where names it.
func payloadDamage(err error) (where string, ok bool) {
	e, ok := errors.AsType[*embedded.DamagedError](err)
	if !ok || !strings.HasPrefix(e.File, "store/") {
		return "", false
	}
	return e.File, true
}

// taken says that a folder holds something else.
func taken(dir string) error { return &embedded.ExistsError{Dir: dir} }

// sheet is the page that tells how to find a ledger at a node again.
func (a *app) sheet(at wallet.Place, who crypto.Address) (string, error) {
	inv, err := node.ParseInvitation(at.At)
	if err != nil {
		return "", err
	}
	s := sheet{ledger: at.ID.String(), name: inv.Name, urls: inv.URLs, node: hex.EncodeToString(inv.Node[:]), invitation: at.At, words: wordsOf(who), made: a.now()}
	if !inv.Fingerprint.IsZero() {
		s.fingerprint = inv.Fingerprint.String()
	}
	return s.text(), nil
}

func (a *app) openLedger(ctx context.Context, at string) (*ledger, error) {
	if node.IsInvitation(at) {
		return a.openNode(ctx, at)
	}
	return a.openFolder(at)
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
	f, err := embedded.Open(dir, embedded.Options{Clock: a.now, AcceptClock: a.flags.acceptClock})
	if err != nil {
		return nil, err
	}
	return ledgerOf(f), nil
}

// createLedger makes a new ledger in a folder.
func (a *app) createLedger(dir string) (*ledger, error) {
	f, err := embedded.Create(dir, "carekey", a.now)
	if err != nil {
		return nil, err
	}
	return ledgerOf(f), nil
}

func ledgerOf(f *embedded.Folder) *ledger {
	return &ledger{
		Services: f.Services(),
		verify: func(ctx context.Context, size uint64, root crypto.Hash, progress func(done, total uint64)) (uint64, crypto.Hash, uint64, error) {
			r, err := f.Verify(ctx, embedded.Verified{Size: size, Root: root}, progress)
			return r.Size, r.Root, r.Signatures, err
		},
		copyTo: f.Copy,
		close:  f.Close,
	}
}

// maxIdle is how far a folder believes the clock to be past the last entry, in
// hours, without a person's word for it.
const maxIdle = embedded.MaxIdle

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
	doubt := &embedded.ClockError{Last: last, Now: now}
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
