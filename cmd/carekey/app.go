package main

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/carekey/carekey/cmd/hardening"
	"github.com/carekey/carekey/wallet/keyring"
)

// app is one run of the program. This file is the only one that names a keyring, as
// open.go is for backends; tests make an app of their own with another clock.
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
