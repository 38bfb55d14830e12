package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/keyring"
	"github.com/spf13/cobra"
)

// Threat: a watch that waits for hours keeps what holds the key from others. What a command
// asked it is left when the command is done, also when it has failed.
func TestHeldKeyIsLeft(t *testing.T) {
	dir := t.TempDir()
	env := map[string]string{envHome: filepath.Join(dir, "home"), envLedger: filepath.Join(dir, "ledger"), envKeyring: keyring.KindFile, envPassphrase: filepath.Join(dir, "passphrase")}
	a := testApp(env)
	if err := os.WriteFile(filepath.Join(dir, "passphrase"), []byte("correct horse"), 0o600); err != nil {
		t.Fatal(err)
	}
	said, err := os.Create(filepath.Join(dir, "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	a.out, a.err = said, said
	if exit := a.run([]string{"init", "--name", "Maria", "--new-ledger", "--words-file", filepath.Join(dir, "words")}); exit != 0 {
		b, _ := os.ReadFile(said.Name())
		t.Fatalf("exit %d\n%s", exit, b)
	}
	a = testApp(env) // the other one has wiped its passphrase
	a.err = said
	p, err := a.ownPlace()
	if err != nil {
		t.Fatal(err)
	}
	store := a.keys(p).of(keyring.KindFile)
	root, err := wallet.Root(t.Context(), wallet.Options{Dir: p.dir, Keyring: store})
	if err != nil {
		t.Fatal(err)
	}
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	for name, keys := range map[string]func(l crypto.LedgerID) (*crypto.Keys, error){
		"done":   func(l crypto.LedgerID) (*crypto.Keys, error) { return root.Keys(l), nil },
		"locked": func(crypto.LedgerID) (*crypto.Keys, error) { return nil, crypto.ErrKeyLocked },
	} {
		closed := 0
		a.key = keyring.Unlocked{Store: store, Keys: keys, Close: func() { closed++ }}
		err := a.withLedgers(cmd, looks, alone, func(context.Context, *session) error {
			if closed > 0 {
				t.Errorf("%s: left while it is used", name)
			}
			return nil
		})
		if closed != 1 || (err == nil) != (name == "done") {
			t.Errorf("%s: left %d times, %v", name, closed, err)
		}
	}
}
