package wallet

import (
	"context"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/wallet/home"
	"github.com/carekey/carekey/wallet/keyring"
)

// readKey takes the wallet's key out of the keyring.
func readKey(ctx context.Context, store keyring.Store, item string) (crypto.Entropy, error) {
	secret, err := store.Get(ctx, item)
	if err != nil {
		return crypto.Entropy{}, err
	}
	entropy, err := crypto.DecodeEntropy(secret)
	if err != nil {
		return crypto.Entropy{}, ErrWrongKey
	}
	return entropy, nil
}

// openKeys are the wallet's keys on a ledger: those that are held unlocked, if they are.
func openKeys(ctx context.Context, store keyring.Store, item string, l crypto.LedgerID) (*crypto.Keys, error) {
	if u, ok := store.(keyring.Unlocked); ok {
		return u.Keys(l)
	}
	entropy, err := readKey(ctx, store, item)
	if err != nil {
		return nil, err
	}
	defer entropy.Wipe()
	return entropy.Root().Keys(l), nil
}

// provenKeys are those of the wallet in dir, for what no ledger is needed for; they
// open its files.
func provenKeys(ctx context.Context, dir string, store keyring.Store) (*crypto.Keys, error) {
	s, err := ReadSettings(dir)
	if err != nil {
		return nil, err
	}
	k, err := openKeys(ctx, store, s.Item, crypto.LedgerID{})
	if err != nil {
		return nil, err
	}
	if err := home.CheckKey(dir, k.LocalKey()); err != nil {
		k.Wipe()
		return nil, err
	}
	return k, nil
}

// signer signs messages, whose signing knows of no failure, as a counterparty: err tells.
type signer struct {
	*crypto.Counterparty
	err error
}

func (s *signer) Sign(digest crypto.Hash) (sig crypto.Signature) {
	sig, s.err = s.Counterparty.Sign(digest)
	return sig
}
