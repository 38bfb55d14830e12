package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/keyring"
	"github.com/carekey/carekey/wallet/keyring/agent"
)

// errNotHeld: a key file was not opened, and what may hold its key unlocked cannot be used.
// held, why not; then, what to do about that
const errNotHeld fault.Code = "not-held"

// keys is where the key of the wallet in a place is or will be.
type keys struct {
	*app
	place
}

func (a *app) keys(p place) keys { return keys{a, p} }

// of returns the store of that kind.
func (k keys) of(kind string) keyring.Store {
	if kind == keyring.KindFile {
		return &keyring.File{Path: k.file(), Passphrase: k.passphrase, WorkFactor: k.workFactor}
	}
	system := &keyring.OS{
		Timeout:       k.timeout(envKeyringTimeout),
		PromptTimeout: k.timeout(envPromptTimeout),
		NoPrompt:      k.flags.noInput && k.ask == nil,
	}
	if k.interactive() {
		system.Asking = func() { k.say("Your keyring asks for its password: look for its window.") }
	}
	return system
}

// quiet is the wallet's own store, for what asks nobody for a keyring's password.
func (k keys) quiet(ctx context.Context) keyring.Store {
	store := k.usable(ctx, k.of(k.settings.Keyring))
	if system, ok := store.(*keyring.OS); ok {
		system.NoPrompt = true
	}
	return store
}

// early begins to read the key while other things are opened, where that asks
// nothing on the terminal.
func (k keys) early(ctx context.Context) (keyring.Store, error) {
	if k.key != nil {
		return k.key, nil
	}
	if k.settings.Keyring == keyring.KindOS {
		return k.read(ctx)
	}
	return k.own(ctx)
}

// read begins to read the wallet's key and returns a store that has it: what
// else a command needs it for, the keyring is asked once.
func (k keys) read(ctx context.Context) (keyring.Store, error) {
	store, err := k.own(ctx)
	if err != nil || unlocked(store) {
		return store, err
	}
	return keyring.Ahead(ctx, store, k.settings.Item), nil
}

// itself is read for what needs the key itself, which nobody has who holds it unlocked.
func (k keys) itself(ctx context.Context) (keyring.Store, error) {
	store, err := k.kept()
	if err != nil {
		return nil, err
	}
	return keyring.Ahead(ctx, store, k.settings.Item), nil
}

// unlocked reports whether a store's key is held unlocked: it is not to be read.
func unlocked(s keyring.Store) bool {
	_, ok := s.(keyring.Unlocked)
	return ok
}

// agent is where the agent of the key file is to be found.
func (k keys) agent() agent.Place {
	home := filepath.Dir(filepath.Dir(k.dir)) // see wallet.ProfileDir
	return agent.Place{Runtime: k.env(envXDGRuntime), Home: home, KeyFile: k.file(), Item: k.settings.Item, Patience: k.holderPatience}
}

// held is a store with what holds its key unlocked, or the store itself if nothing does;
// why, if something may and cannot be used.
func (k keys) held(ctx context.Context, store keyring.Store) (out keyring.Store, why error) {
	if store.Kind() != keyring.KindFile {
		return store, nil
	}
	c, err := agent.Dial(ctx, k.agent())
	if err == nil {
		return keyring.Unlocked{Store: store, Until: c.Until, Keys: c.Keys, Close: c.Close}, nil
	}
	if e, _ := fault.As(err, agent.ErrNotUnlocked); e.Code == agent.ErrNotUnlocked || e.Code == agent.ErrSystem {
		err = nil
	}
	return store, err
}

// usable is held for what then asks for the passphrase. Why that has to be is said before,
// or where nobody is talked to with the error, if there is no passphrase either.
func (k keys) usable(ctx context.Context, store keyring.Store) keyring.Store {
	store, why := k.held(ctx, store)
	if why == nil {
		return store
	}
	f := explain(why)
	if k.talks() && k.ask == nil {
		k.say("Your key may be unlocked, and that cannot be used: %s.\nTo use it: %s", f.Message, f.Hint)
		return store
	}
	return notHeld{store, f}
}

// notHeld is a key file whose errors say why it has to be opened.
type notHeld struct {
	keyring.Store
	why failure
}

func (s notHeld) Get(ctx context.Context, id string) (string, error) {
	secret, err := s.Store.Get(ctx, id)
	if err != nil {
		err = errNotHeld.Of(err, "held", s.why.Message, "then", s.why.Hint)
	}
	return secret, err
}

// unlock opens the key file and starts what holds its key.
func (k keys) unlock(ctx context.Context, held time.Duration) (until time.Time, err error) {
	if err := agent.Prepare(k.agent(), held); err != nil {
		return until, err
	}
	root, err := wallet.Root(ctx, wallet.Options{Dir: k.dir, Keyring: k.of(keyring.KindFile)})
	if err != nil {
		return until, err
	}
	defer root.Wipe()
	return agent.Start(ctx, k.agent(), held, root)
}

// lock ends what holds the key unlocked; was reports whether anything did.
func (k keys) lock(ctx context.Context) (was bool, err error) { return agent.End(ctx, k.agent()) }

// unasked is read for what offers something while a person types: nil if the key cannot be
// had without a question. A keyring has a second to answer.
func (k keys) unasked(ctx context.Context) keyring.Store {
	soon, stop := context.WithTimeout(ctx, time.Second)
	defer stop()
	store := k.quiet(soon)
	if unlocked(store) {
		return store
	}
	if system, ok := store.(*keyring.OS); ok {
		system.Timeout = min(cmp.Or(system.Timeout, time.Second), time.Second)
	} else if f, err := os.Stat(k.env(envPassphrase)); err != nil || !f.Mode().IsRegular() { // a pipe would be waited for
		return nil
	}
	return keyring.Ahead(ctx, store, k.settings.Item)
}

// sight looks for the key in one of the places, without asking
// anybody. What is not there is an error; of what is in a locked keyring that may
// not be known.
func (k keys) sight(ctx context.Context, kind string) (seen keyring.Sight, err error) {
	if kind == keyring.KindOS {
		system, ok := k.of(kind).(*keyring.OS)
		if !ok {
			return seen, keyring.ErrUnsupported
		}
		if seen, err = system.Look(ctx, k.settings.Item); err != nil {
			return seen, err
		}
	} else {
		err = keyring.LooksLikeKeyFile(k.file())
		if err != nil && !errors.Is(err, keyring.ErrItemNotFound) {
			seen.Found = errors.Is(err, keyring.ErrDamaged)
			return seen, err
		}
		seen.Found, seen.Locked = err == nil, err == nil
	}
	if !seen.Found && !seen.Locked {
		return seen, keyring.ErrItemNotFound.With("kind", kind)
	}
	return seen, nil
}

func (k keys) file() string { return filepath.Join(k.dir, keyring.FileName) }

// probe finds out whether a new key could be stored, before a person
// writes 24 words down for nothing.
func (k keys) probe(ctx context.Context, kind string) error {
	if kind == keyring.KindFile {
		if _, err := os.Lstat(k.file()); err == nil {
			return keyring.ErrItemExists
		}
		b, err := k.passphrase(ctx, true) // before anything is made, or shown to be written down
		clear(b)
		return err
	}
	_, err := k.of(kind).Get(ctx, keyring.NewID())
	if errors.Is(err, keyring.ErrItemNotFound) {
		return nil
	}
	return err
}

// own is the store that holds the key of the wallet, with what holds it unlocked.
func (k keys) own(ctx context.Context) (keyring.Store, error) {
	store, err := k.kept()
	if err != nil {
		return nil, err
	}
	return k.usable(ctx, store), nil
}

// kept is the store that holds the key of the wallet, unless the environment
// asks for another one.
func (k keys) kept() (keyring.Store, error) {
	kind, err := k.keyringKind()
	if err != nil {
		return nil, err
	}
	if kind != "" && kind != k.settings.Keyring {
		return nil, usage(fmt.Sprintf("%s=%s, but the key of this wallet is kept in: %s", envKeyring, kind, keyringWords(k.settings.Keyring)),
			"set "+envKeyring+"="+k.settings.Keyring+", or leave it unset")
	}
	return k.of(k.settings.Keyring), nil
}

func keyringWords(kind string) string {
	if kind == "file" {
		return "a key file under a passphrase"
	}
	return "the keyring of the operating system"
}

// finishRemoval ends a removal that was interrupted, and removes what an interrupted
// init left, if there is one.
func (k keys) finishRemoval(ctx context.Context) error {
	mark, s := wallet.Unfinished(k.dir)
	if mark != wallet.BeingRemoved && mark != wallet.BeingMade {
		return nil
	}
	return wallet.FinishRemoval(ctx, wallet.Options{Dir: k.dir, Keyring: k.of(s.Keyring)})
}
