package wallet

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/wallet/home"
	"github.com/carekey/carekey/wallet/keyring"
)

// This file moves a wallet's key from one place to another. The settings name the
// one place from which it is read, and are replaced whole; a place is made and
// proved before they name it, and given up only after. So a program that is killed
// at any instant leaves a wallet that opens; the worst that stays behind is a copy
// in the place that is no longer used, which the same move, made again, removes.

// MoveKey moves the key of the wallet in dir from one store to another, of the
// other kind. The new copy is read back and opens the wallet before the settings
// name it, and the old one is removed after that. If the settings name the new
// place already, an earlier move was interrupted: what is left of it is done.
// moved tells whether the settings were changed.
//
// Its errors are those of the stores, [ErrWrongKey] if what was found is not this
// wallet's key, and [ErrKeyLeft] after a move that left the old copy. After any
// other error the key is where it was.
func MoveKey(ctx context.Context, opt Options, from, to keyring.Store) (moved bool, err error) {
	s, unlock, err := lockSettings(ctx, opt)
	if err != nil {
		return false, err
	}
	defer unlock()
	if moved = s.Keyring != to.Kind(); moved {
		secret, err := proveKey(ctx, opt.Dir, s.Item, from)
		if err == nil {
			err = to.Set(ctx, s.Item, secret)
		}
		if err != nil {
			return false, err
		}
	}
	if _, err := proveKey(ctx, opt.Dir, s.Item, to); err != nil {
		return false, err
	}
	if moved {
		s.Keyring = to.Kind()
		if err := s.writeAs(opt.Dir, settingsFile); err != nil {
			return false, err
		}
	}
	// From here on the key is in the new place; that an interrupt comes now must
	// not leave the old copy.
	switch err := from.Delete(context.WithoutCancel(ctx), s.Item); {
	case err == nil || isNotFound(err):
		return moved, nil
	case !moved:
		return moved, ErrKeyMayLeft.Of(err, "kind", to.Kind())
	default:
		return moved, ErrKeyLeft.Of(err, "kind", to.Kind())
	}
}

// proveKey reads the key of a store and opens the wallet with it.
func proveKey(ctx context.Context, dir, item string, store keyring.Store) (secret string, err error) {
	if secret, err = store.Get(ctx, item); err == nil {
		err = keyOpens(dir, secret)
	}
	return secret, err
}

// keyOpens tells whether a secret is the key of the wallet in dir.
func keyOpens(dir, secret string) error {
	entropy, err := crypto.DecodeEntropy(secret)
	if err != nil {
		return ErrWrongKey
	}
	defer entropy.Wipe()
	root := entropy.Root()
	defer root.Wipe()
	local := root.LocalKey()
	defer local.Wipe()
	return home.CheckKey(dir, local)
}

// PutKeyBack gives a wallet whose keyring lost its key, or holds something else in
// its place, the key again, from its words. to is the store that the settings
// name. The words of another wallet are a [ErrWrongKey], and change nothing.
func PutKeyBack(ctx context.Context, opt Options, to keyring.Store, entropy crypto.Entropy) error {
	s, unlock, err := lockSettings(ctx, opt)
	if err != nil {
		return err
	}
	defer unlock()
	secret := entropy.Encode()
	if err := keyOpens(opt.Dir, secret); err != nil {
		return err
	}
	if file, ok := to.(*keyring.File); ok {
		return file.Replace(ctx, s.Item, secret)
	}
	// A new item, since nothing of a keyring is overwritten.
	old := s.Item
	s.Item = newItem()
	if err := to.Set(ctx, s.Item, secret); err != nil {
		return err
	}
	if err := s.writeAs(opt.Dir, settingsFile); err != nil {
		return err
	}
	if err := to.Delete(context.WithoutCancel(ctx), old); err != nil && !isNotFound(err) {
		return ErrKeyLeft.Of(err, "kind", to.Kind())
	}
	return nil
}

// newItem is a random name for an item of a keyring.
func newItem() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func isNotFound(err error) bool { return errors.Is(err, keyring.ErrItemNotFound) }

// HoldKey runs change, which changes the key file in its place, while no other
// process moves the key of the wallet in dir.
func HoldKey(ctx context.Context, opt Options, change func(context.Context) error) error {
	unlock, err := opt.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return change(ctx)
}
