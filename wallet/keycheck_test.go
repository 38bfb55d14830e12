package wallet_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/keyring"
)

// A key check that was changed is damaged, and not of another wallet, as long as the key
// opens anything else; another wallet's key is told from it. Damage is no reason to keep
// a wallet from writing its own backup again.
func TestDamagedKeyCheck(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	words := crypto.NewEntropy()
	w := must(wallet.Create(ctx, tn.options("Maria"), words, "Maria", "x"))(t)
	dir := filepath.Join(tn.dir, "home of Maria")
	saved := filepath.Join(tn.dir, "saved")
	if err := must(w.Backup().Save(ctx, saved))(t)(); err != nil {
		t.Fatal(err)
	}
	for _, in := range []string{dir, saved} {
		path := filepath.Join(in, "key-check")
		b := must(os.ReadFile(path))(t)
		b[len(b)-1] ^= 1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := wallet.PutKeyBack(ctx, tn.options("Maria"), tn.keys, words); !errors.As(err, new(*wallet.DamagedError)) {
		t.Errorf("one's own words: %v", err)
	}
	if err := wallet.PutKeyBack(ctx, tn.options("Maria"), tn.keys, crypto.NewEntropy()); !errors.Is(err, wallet.ErrWrongKey) {
		t.Errorf("other words: %v", err)
	}
	if err := wallet.CheckSaved(saved, words); err != nil {
		t.Errorf("one's own backup: %v", err)
	}
	if err := wallet.CheckSaved(saved, crypto.NewEntropy()); !errors.Is(err, wallet.ErrForeignBackup) {
		t.Errorf("somebody else's backup: %v", err)
	}
}

// unsure is a keyring that keeps a key and does not say so.
type unsure struct {
	*memoryKeyring
	why   error // instead
	keeps bool  // also when told to delete it
}

func (k unsure) Set(ctx context.Context, id, secret string) error {
	return errors.Join(k.memoryKeyring.Set(ctx, id, secret), k.why)
}

func (k unsure) Delete(ctx context.Context, id string) error {
	if k.keeps {
		return keyring.ErrNotDeleted
	}
	return k.memoryKeyring.Delete(ctx, id)
}

// A wallet that was not made leaves no key behind, or says that one may be there: then
// the next run removes it.
func TestNoKeyStaysBehind(t *testing.T) {
	for _, why := range []error{keyring.ErrNotStored, keyring.ErrTimeout.With("op", "set"), keyring.ErrBrokeOff} {
		for _, keeps := range []bool{false, true} {
			tn := newTown(t)
			opt := tn.options("Maria")
			opt.Keyring = unsure{tn.keys, why, keeps}
			_, err := wallet.Create(context.Background(), opt, crypto.NewEntropy(), "Maria", "x")
			mark, _ := wallet.Unfinished(opt.Dir)
			unfinished := mark == wallet.BeingMade
			if !errors.Is(err, why) || errors.Is(err, keyring.ErrNotDeleted) != keeps || errors.Is(err, wallet.ErrLeftBehind) != (keeps && errors.Is(why, keyring.ErrNotStored)) || (len(tn.keys.items) > 0) != keeps || unfinished != keeps {
				t.Errorf("%v, keeps %t: %d keys, unfinished %t, %v", why, keeps, len(tn.keys.items), unfinished, err)
			}
			opt.Keyring = tn.keys
			if must(wallet.Create(context.Background(), opt, crypto.NewEntropy(), "Maria", "x"))(t); len(tn.keys.items) != 1 {
				t.Errorf("%v, keeps %t: %d keys after the next run", why, keeps, len(tn.keys.items))
			}
		}
	}
}
