package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/wallet/keyring"
	"github.com/spf13/cobra"
)

// app is one run of the program. Tests make one of their own with another clock.
type app struct {
	console
	lookup     func(name string) (string, bool) // the environment
	now        func() time.Time
	wait       func(ctx context.Context, d time.Duration) error // lets time pass; the error of ctx, if that ends first
	workFactor int                                              // scrypt's, of new passphrase files; 0 is the default
	patience   time.Duration                                    // with a node, an order's program, a folder in use; 0 is the default of each

	holderPatience time.Duration // the same of what holds a key unlocked

	// ask asks for a passphrase where there is no terminal to ask on; nil: nobody can.
	ask func(prompt string) ([]byte, error)

	passphrases *passphrases
	key         keyring.Store // has read the wallet's key already; nil if nobody did
}

func newApp() *app {
	return &app{console: console{
		in:    os.Stdin,
		out:   os.Stdout,
		err:   os.Stderr,
		flags: flags{passphraseFD: -1},
	}, lookup: os.LookupEnv, now: time.Now, wait: sleep, passphrases: new(passphrases)}
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
	envBy             = "CAREKEY_BY"              // who looks, as fetch --by
	envLocked         = "CAREKEY_LOCKED"          // from the program to itself: its screen locked at that place
	envXDGData        = "XDG_DATA_HOME"
	envXDGRuntime     = "XDG_RUNTIME_DIR"
)

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

// keyringKind is what the environment asks for; "" if it does not.
func (a *app) keyringKind() (string, error) {
	switch k := a.env(envKeyring); k {
	case "", keyring.KindOS, keyring.KindFile:
		return k, nil
	default:
		return "", usage(envKeyring+"="+k+": no such keyring", "use os or file")
	}
}

// group is a command that only holds others.
func group(use, short string, cmds ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cli.NoVerb,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(cmds...)
	return c
}

// acceptClock gives a command that writes entries the flag for a clock in doubt.
func acceptClock(a *app, cmds ...*cobra.Command) {
	for _, c := range cmds {
		c.Flags().BoolVar(&a.flags.acceptClock, "accept-clock", false, "believe the clock although it is more than 31 days past the ledger's last entry")
	}
}

var usage = cli.Usage

// is reports whether an error of type E is in err's chain.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// sleep waits; ctx's error if that is done first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
