package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/cmd/hardening"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/keyring"
	"github.com/carekey/carekey/wallet/keyring/agent"
	"github.com/spf13/cobra"
)

func newKeyring(a *app) *cobra.Command {
	var fresh passphraseSource
	var file string
	status := &cobra.Command{
		Use: "status", Short: "Where the key of this wallet is, and whether it can be had",
		Long: `Where the key of this wallet is, and whether it can be had. Nothing is unlocked, and
nobody is asked for anything. Exit 0 if the key is there, 4 if it is not or if that
cannot be seen.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return keyrings{a}.status(cmd.Context()) },
	}
	move := &cobra.Command{
		Use:   "move os|file",
		Short: "Keep the key in the system's keyring, or in a file under a passphrase",
		Args:  cli.Takes(1, 1),
		Long: `Keep the key in the keyring of the operating system (os), or in a file under a
passphrase (file). The new copy is read back and opens the wallet before the old one
is removed. If the program is ended meanwhile, the wallet opens, and the same
command finishes what was begun.`,
		ValidArgs: []string{keyring.KindOS, keyring.KindFile},
		RunE:      func(cmd *cobra.Command, args []string) error { return keyrings{a}.move(cmd.Context(), args[0]) },
	}
	passwd := &cobra.Command{
		Use:   "passwd [--new-passphrase-file FILE | --new-passphrase-fd N]",
		Short: "Change the passphrase of the key file",
		Long: `Change the passphrase of the key file. Who has an old copy of the file can still open
that with the old passphrase.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fresh.name = "--new-passphrase-file or --new-passphrase-fd"
			a.passphrases.fresh = &fresh
			return keyrings{a}.passwd(cmd.Context())
		},
	}
	passwd.Flags().StringVar(&fresh.file, "new-passphrase-file", "", "`FILE` whose first line is the new passphrase")
	passwd.Flags().IntVar(&fresh.fd, "new-passphrase-fd", -1, "read the new passphrase from descriptor `N`")
	passwd.Flags().Lookup("new-passphrase-fd").DefValue = "0" // what the help leaves out
	restore := &cobra.Command{
		Use:   "restore [--words-file FILE]",
		Short: "Put a key that the keyring lost back, from the 24 words",
		Long: `Put the key of this wallet back into its keyring from the 24 words: after the keyring
lost it, another program changed it, or the passphrase of the key file was forgotten.
Words of another wallet change nothing.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return keyrings{a}.restore(cmd.Context(), file) },
	}
	restore.Flags().StringVar(&file, "words-file", "", "read the 24 words from `FILE`")
	return group("keyring", "Where your key is kept, and whether it is locked", status, keyrings{a}.newUnlock(), keyrings{a}.newLock(), move, passwd, restore)
}

func (a keyrings) newUnlock() *cobra.Command {
	var held time.Duration
	c := &cobra.Command{
		Use:   "unlock [--for TIME]",
		Short: "Unlock the key file for a time, so that commands ask for no passphrase",
		Long: `Unlock the key file for a time: its passphrase is asked for once, and commands that
follow ask for none. Every program that runs as you can use your key meanwhile, as with
an unlocked keyring: the passphrase no longer closes the file. None gets the key itself:
the 24 words, another passphrase and another place for the key ask for it as before.

A process of this program, carekey-agent, holds the key in memory that is not swapped.
It ends when the time is over, also while the computer sleeps; with carekey lock; when the
computer slept; when the key file changes; and when you log out, if the system then removes
the folder that XDG_RUNTIME_DIR names: where it names none that is said. Unlocking again
begins the time anew, in whichever session, and ends what was unlocked in another one.
Hibernation and snapshots of a virtual machine write memory all the same.

On Linux and macOS; on Windows keep the key in the system's keyring.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.unlock(cmd.Context(), held) },
	}
	c.Flags().DurationVar(&held, "for", 15*time.Minute, "how long, `TIME`: 90s, 15m or 8h; a day at most")
	c.Flags().Lookup("for").DefValue = "15m"
	return c
}

func (a keyrings) newLock() *cobra.Command {
	return &cobra.Command{
		Use: "lock", Short: "Lock the key file again before its time",
		Long: `Lock the key file that was unlocked, before its time: what holds its key ends at once, and
the next command asks for the passphrase. A command that runs meanwhile fails, and nothing
of it is left half-done. What a program has read while the key was unlocked it keeps.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.lock(cmd.Context()) },
	}
}

// keyrings is what is done with the place of a wallet's key.
type keyrings struct{ *app }

func otherKind(kind string) string {
	if kind == keyring.KindOS {
		return keyring.KindFile
	}
	return keyring.KindOS
}

// custody is what can be seen of a wallet's key without asking for it.
type custody struct {
	Kind     string   `json:"kind"`  // "os" or "file"
	Found    bool     `json:"found"` // the key, or something under its name, is there
	Locked   bool     `json:"locked"`
	Problem  *failure `json:"problem"` // why it cannot be had or seen; null if it can
	why      error    // the same
	LeftCopy bool     `json:"leftCopy"` // there is one in the other place too, as after an interrupted move
	File     string   `json:"file"`     // the key file, if that is where the key is

	UnlockedUntil string    `json:"unlockedUntil,omitempty"` // of a key file
	until         time.Time // the same
	Unusable      *failure  `json:"unusable,omitempty"` // why what may hold a key file unlocked cannot be used
}

// custody looks at both places.
func (k keys) custody(ctx context.Context) custody {
	c := custody{Kind: k.settings.Keyring}
	seen, err := k.sight(ctx, c.Kind)
	if c.Found, c.Locked = seen.Found, seen.Locked; err != nil {
		f := explain(err)
		c.Problem, c.why = &f, err
	}
	if c.Kind == keyring.KindFile {
		c.File = k.file()
		store, err := k.held(ctx, k.of(c.Kind))
		if u, ok := store.(keyring.Unlocked); ok {
			c.Locked, c.until, c.UnlockedUntil = false, u.Until, instant(u.Until)
			u.Close()
		}
		if err != nil {
			f := explain(err)
			c.Unusable = &f
		}
	}
	left, _ := k.sight(ctx, otherKind(c.Kind))
	c.LeftCopy = left.Found // whatever is wrong with it
	return c
}

func (a keyrings) status(ctx context.Context) error {
	p, err := a.ownPlace()
	if err != nil {
		return err
	}
	c := a.keys(p).custody(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	a.show(c)
	if err = a.result(c); err == nil && c.Problem != nil {
		err = c.why
	}
	return err
}

func (a keyrings) show(c custody) {
	state := "there"
	switch {
	case c.Problem != nil:
		state = "cannot be had"
	case c.Kind == keyring.KindFile:
		state = "there, in " + c.File
	case c.Locked && !c.Found:
		state = "cannot be seen while the keyring is locked"
	}
	rows := cli.Rows{{"kept in", keyringWords(c.Kind)}, {"the key", state}}
	if c.Kind == keyring.KindOS && c.Problem == nil {
		locked := "unlocked"
		if c.Locked {
			locked = "locked: it will ask for its password"
		}
		rows.Add("keyring", locked)
	}
	if c.Kind == keyring.KindFile && c.Problem == nil {
		locked := "locked: its passphrase is asked for each time"
		if !c.until.IsZero() {
			locked = "unlocked until " + clockTime(c.until, a.now()) + a.ours(", for every program that runs as you\nto lock it before: carekey lock")
		}
		rows.Add("key file", locked)
		if c.Unusable != nil {
			rows.Add("unlocked", "it may be, and that cannot be used: "+c.Unusable.Message+"\nto use it: "+a.ours(c.Unusable.Hint))
		}
	}
	if c.LeftCopy {
		rows.Add("also in", keyringWords(otherKind(c.Kind))+a.ours(", as an interrupted move leaves it\nto remove that copy: carekey keyring move ")+c.Kind)
	}
	a.rows(rows)
}

// clockTime is the time until when something holds, today or on another day: never before
// it, so that a minute that has begun is taken whole.
func clockTime(t, now time.Time) string {
	t, now = t.Add(time.Minute-1).Truncate(time.Minute).Local(), now.Local()
	if t.Year() == now.Year() && t.YearDay() == now.YearDay() {
		return t.Format("15:04")
	}
	return t.Format(dayLayout)
}

func (a keyrings) unlock(ctx context.Context, held time.Duration) error {
	p, err := a.ownPlace()
	if err != nil {
		return err
	}
	if p.settings.Keyring != keyring.KindFile {
		return usage("the key of this wallet is in "+keyringWords(p.settings.Keyring)+", which has its own lock", "to keep it in a file under a passphrase: carekey keyring move file")
	}
	until, err := a.keys(p).unlock(ctx, held)
	if err != nil {
		return err
	}
	a.say("%s", a.asProfile(fmt.Sprintf("Until %s every program that runs as you can use your key, as with an unlocked keyring: the passphrase of its file no longer closes it. To lock it before: carekey lock", clockTime(until, a.now()))))
	if a.env(envXDGRuntime) == "" {
		a.say("That you log out does not lock it: " + envXDGRuntime + " names no folder that the system removes then.")
	}
	return a.result(unlockedJSON{instant(until)})
}

type unlockedJSON struct {
	UnlockedUntil string `json:"unlockedUntil"`
}

func (a keyrings) lock(ctx context.Context) error {
	p, err := a.ownPlace()
	if err != nil {
		return err
	}
	was, err := a.keys(p).lock(ctx)
	if err != nil {
		return err
	}
	switch {
	case was:
		a.say("%s", a.asProfile("Your key is locked. The next command asks for its passphrase."))
	case p.settings.Keyring == keyring.KindFile:
		a.say("%s", a.asProfile("Your key was not unlocked here. If it was in another session, that has ended too."))
	default:
		a.say("The key of this wallet is in %s, which has its own lock.", keyringWords(p.settings.Keyring))
	}
	return a.result(lockedJSON{was})
}

type lockedJSON struct {
	Was bool `json:"wasUnlocked"`
}

func (a keyrings) move(ctx context.Context, kind string) error {
	if kind != keyring.KindOS && kind != keyring.KindFile {
		return usage("no such keyring: "+cli.Quote(kind), "it goes: carekey keyring move os, or carekey keyring move file")
	}
	p, err := a.ownPlace()
	if err != nil {
		return err
	}
	if env, err := a.keyringKind(); err != nil {
		return err
	} else if env != "" && env != kind {
		return usage(envKeyring+"="+env+" is set, and no command would find the key where you want it", "set "+envKeyring+"="+kind+", or leave it unset")
	}
	from, to := a.keys(p).of(otherKind(kind)), a.keys(p).of(kind)
	moved, err := wallet.MoveKey(ctx, wallet.Options{Dir: p.dir}, from, to)
	if kind == keyring.KindFile && p.settings.Keyring != kind && errors.Is(err, keyring.ErrDamaged) {
		return usage(a.keys(p).file()+" is no key file, and in the way", "to remove it: carekey keyring move "+otherKind(kind)+"; then try again")
	}
	if err != nil {
		return err
	}
	if moved {
		a.say("The key of this wallet is now in %s, and no longer in %s.", keyringWords(kind), keyringWords(otherKind(kind)))
	} else {
		a.say("The key of this wallet is in %s already.", keyringWords(kind))
	}
	return a.result(keyMovedJSON{kind, moved})
}

type keyMovedJSON struct {
	Kind  string `json:"kind"` // "os" or "file", where the key is now
	Moved bool   `json:"moved"`
}

func (a keyrings) passwd(ctx context.Context) error {
	p, err := a.ownPlace()
	if err != nil {
		return err
	}
	changer, ok := a.keys(p).of(p.settings.Keyring).(interface{ ChangePassphrase(context.Context) error })
	if !ok {
		return usage("the key of this wallet is in "+keyringWords(p.settings.Keyring)+", which has its own password", "to keep it in a file under a passphrase: carekey keyring move file")
	}
	if err := wallet.HoldKey(ctx, wallet.Options{Dir: p.dir}, changer.ChangePassphrase); err != nil {
		return err
	}
	a.say("The key file has its new passphrase.")
	if a.env(envPassphrase) != "" {
		a.say("Put it into %s too, since %s names that file.", cli.Quote(a.env(envPassphrase)), envPassphrase)
	}
	return a.result(keyChangedJSON{true})
}

type keyChangedJSON struct {
	Changed bool `json:"changed"`
}

func (a keyrings) restore(ctx context.Context, file string) error {
	p, err := a.ownPlace()
	if err != nil {
		return err
	}
	entropy, err := a.readWords(ctx, file)
	if err != nil {
		return err
	}
	defer entropy.Wipe()
	if err := wallet.PutKeyBack(ctx, wallet.Options{Dir: p.dir}, a.keys(p).of(p.settings.Keyring), entropy); err != nil {
		if errors.Is(err, wallet.ErrWrongKey) {
			return usage("these are the words of another wallet: nothing was changed", "which wallet is meant: --profile NAME, "+envHome)
		}
		return err
	}
	a.say("The key of this wallet is in %s again.", keyringWords(p.settings.Keyring))
	return a.result(keyBackJSON{p.settings.Keyring})
}

type keyBackJSON struct {
	Kind string `json:"kind"`
}

// hold is a run of the program as an agent.
func (a keyrings) hold() int {
	if err := hardening.Process(); err != nil {
		return cli.ExitUnexpected
	}
	debug.SetGCPercent(10) // it waits: what a use leaves is given back soon
	ctx, stop := hardening.Signals()
	defer stop()
	ctx, stop = signal.NotifyContext(ctx, syscall.SIGHUP)
	defer stop()
	if err := agent.Serve(ctx, a.in, a.out); err != nil {
		return cli.ExitUnexpected // who has started it was told
	}
	return 0
}
