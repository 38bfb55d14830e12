package wallet_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/home"
	"github.com/carekey/carekey/wallet/keyring"
)

// stubborn is a keyring that deletes nothing as long as it is.
type stubborn struct {
	*memoryKeyring
	on bool
}

var errStubborn = errors.New("no")

func (k *stubborn) Delete(ctx context.Context, id string) error {
	if k.on {
		return errStubborn
	}
	if _, err := k.Get(ctx, id); err != nil {
		return err
	}
	return k.memoryKeyring.Delete(ctx, id)
}

// A removal that stops in the middle is ended later, leaves no key in the keyring
// and no wallet that half works.
func TestRemove(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	home := filepath.Join(tn.dir, "home")
	opt := tn.options("unused")
	opt.Dir, opt.Profile = wallet.ProfileDir(home, "leo"), "leo"
	keys := &stubborn{memoryKeyring: tn.keys}
	opt.Keyring = keys
	create := func() {
		t.Helper()
		if _, err := wallet.Create(ctx, opt, crypto.NewEntropy(), "Leo", tn.ledgerDir()); err != nil {
			t.Fatal(err)
		}
	}
	gone := func(step string) {
		t.Helper()
		if _, err := os.Stat(opt.Dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the folder is still there: %v", step, err)
		}
		if len(tn.keys.items) != 0 {
			t.Errorf("%s: %d keys are left", step, len(tn.keys.items))
		}
	}
	create()
	if p, owner, err := wallet.ReadProfile(ctx, opt); p != "leo" || owner != "Leo" || err != nil {
		t.Errorf("%q %q %v", p, owner, err)
	}
	if all := must(wallet.Profiles(home))(t); len(all) != 1 || all[0].Dir != opt.Dir || all[0].Removing {
		t.Errorf("%+v", all)
	}
	if err := wallet.Remove(ctx, opt); err != nil {
		t.Fatal(err)
	}
	gone("removed")

	// The keyring refuses: no wallet any more, and nothing is forgotten.
	create()
	keys.on = true
	if err := wallet.Remove(ctx, opt); !errors.Is(err, errStubborn) {
		t.Fatal(err)
	}
	if _, err := wallet.Open(ctx, opt); !errors.Is(err, wallet.ErrNoWallet) {
		t.Errorf("opened: %v", err)
	}
	if all := must(wallet.Profiles(home))(t); len(all) != 1 || !all[0].Removing {
		t.Errorf("%+v", all)
	}
	if mark, s := wallet.Unfinished(opt.Dir); mark != wallet.BeingRemoved || s.Keyring != keyring.KindOS {
		t.Errorf("%s %q", s.Keyring, mark)
	}
	keys.on = false
	if err := wallet.FinishRemoval(ctx, opt); err != nil {
		t.Fatal(err)
	}
	gone("finished")

	// Killed after the key was deleted: it is not missed.
	create()
	keys.on = true
	wallet.Remove(ctx, opt)
	keys.on = false
	clear(tn.keys.items)
	if err := wallet.FinishRemoval(ctx, opt); err != nil {
		t.Fatal(err)
	}
	gone("finished without a key")
	if err := wallet.FinishRemoval(ctx, opt); err != nil {
		t.Errorf("nothing to finish: %v", err)
	}
	if err := wallet.Remove(ctx, opt); err == nil {
		t.Error("removed what is not there")
	}
}

// A sealed file that lost its bytes is damaged, and not a wallet without contacts.
func TestEmptySealedFiles(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	w := tn.person("Maria")
	add(t, w, "a.txt", "a")
	opt := tn.options("Maria")
	for _, glob := range []string{"state", "ledgers/*/state"} {
		names, err := filepath.Glob(filepath.Join(opt.Dir, glob))
		if err != nil || len(names) != 1 {
			t.Fatal(names, err)
		}
		b, err := os.ReadFile(names[0])
		if err == nil {
			err = os.Truncate(names[0], 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		var damaged *wallet.DamagedError
		if _, err := wallet.Open(ctx, opt); !errors.As(err, &damaged) {
			t.Errorf("%s: %v", glob, err)
		}
		if err := os.WriteFile(names[0], b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := wallet.Open(ctx, opt); err != nil {
		t.Error(err)
	}
}

// A wallet is not removed before it can come back; an empty one may go.
func TestMayBeRemoved(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	w := tn.person("Maria")
	if err := w.Backup().MayBeRemoved(ctx); err != nil {
		t.Errorf("an empty one: %v", err)
	}
	add(t, w, "a.txt", "a")
	check := func(words, backup bool) {
		t.Helper()
		err := w.Backup().MayBeRemoved(ctx)
		unsafe, _ := fault.As(err, wallet.ErrUnsafe)
		if fault.Get[bool](unsafe, "words") != words || fault.Get[bool](unsafe, "backup") != backup || (err == nil) != (!words && !backup) {
			t.Errorf("%+v %v", unsafe, err)
		}
	}
	check(true, true)
	if err := w.Backup().SetWordsChecked(ctx); err != nil {
		t.Fatal(err)
	}
	check(false, true)
	if err := w.Backup().SetDone(ctx, 2); err != nil {
		t.Fatal(err)
	}
	check(false, false)

	// What was given to a wallet is gone with it too.
	doctor := tn.person("Dr Smith")
	must2(w.Contacts().Add(ctx, "Dr Smith", doctor.Address().String()))(t)
	grant(t, w, "Dr Smith", tn.now)
	if err := doctor.Backup().MayBeRemoved(ctx); err == nil {
		t.Error("a wallet with something in its inbox may be removed")
	}

	tn.now = tn.now.Add(wallet.BackupDue + 1)
	check(false, true)
	tn.now = tn.now.Add(wallet.WordsCheckDue)
	check(true, true)
}

// A backup's head binds the ledger that a wallet is restored on: an older one is
// found out, and another wallet's files are not taken.
func TestRestoreWithSavedFiles(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	seed := crypto.NewEntropy()
	old := tn.device("old", seed)
	add(t, old, "a.txt", "a")
	before := filepath.Join(tn.dir, "before")
	if err := os.CopyFS(before, os.DirFS(tn.ledgerDir())); err != nil {
		t.Fatal(err)
	}
	must2(old.Contacts().Add(ctx, "Dr Smith", tn.person("Dr Smith").Address().String()))(t)
	add(t, old, "b.txt", "b")
	saved := filepath.Join(tn.dir, "saved")
	save := func() {
		t.Helper()
		if err := must(old.Backup().Save(ctx, saved))(t)(); err != nil {
			t.Fatal(err)
		}
	}
	save()
	must(old.Tables().Import(ctx, "once.csv", []byte(ownTable)))(t)
	save()
	if err := old.Tables().Remove(ctx, ""); err != nil {
		t.Fatal(err)
	}
	save()
	if _, err := os.Stat(filepath.Join(saved, home.TablesFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a table that was removed is in the backup: %v", err)
	}
	must(old.Tables().Import(ctx, "own.csv", []byte(ownTable)))(t)
	save()
	tables := func(w *wallet.Wallet) (names []string) {
		for _, table := range must(w.Tables().Imported())(t) {
			names = append(names, table.Name)
		}
		return names
	}
	other := tn.person("Eve")
	if _, err := other.Backup().Save(ctx, saved); !errors.Is(err, wallet.ErrForeignBackup) {
		t.Errorf("another wallet's backup was overwritten: %v", err)
	}
	if _, err := other.Backup().Save(ctx, tn.dir); !isExists(err) {
		t.Errorf("a folder with something in it: %v", err)
	}
	request := wallet.RestoreRequest{Entropy: seed, At: tn.ledgerDir(), Saved: saved}
	// The contact was on no ledger, and comes from the backup.
	w, got, err := wallet.Restore(ctx, tn.options("new"), request)
	if err != nil || got.Contacts != 1 || w.Contacts().List()[0].Name != "Dr Smith" || w.Name() != "Maria" || !slices.Equal(tables(w), []string{"own.csv"}) {
		t.Fatalf("%+v %v", got, err)
	}
	request.Entropy = crypto.NewEntropy()
	if _, _, err := wallet.Restore(ctx, tn.options("third"), request); !errors.Is(err, wallet.ErrForeignBackup) {
		t.Errorf("words of another wallet: %v", err)
	}
	request.Entropy = seed
	if err := os.Rename(tn.ledgerDir(), filepath.Join(tn.dir, "newer")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(before, tn.ledgerDir()); err != nil {
		t.Fatal(err)
	}
	var rollback *ledgerclient.RollbackError
	for range 2 { // also when it goes on with what the first try left
		if _, _, err := wallet.Restore(ctx, tn.options("fourth"), request); !errors.As(err, &rollback) {
			t.Errorf("on an older ledger: %v", err)
		}
	}
	// A bit in one of the files: all else comes back, and what does not is named.
	if err := errors.Join(os.RemoveAll(tn.ledgerDir()), os.Rename(filepath.Join(tn.dir, "newer"), tn.ledgerDir())); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(saved, "ledgers", "*", "state"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	for file, contacts := range map[string]int{"state": 0, "key-check": 1, "tables": 1, "ledgers/" + filepath.Base(filepath.Dir(files[0])) + "/state": 1} {
		path := filepath.Join(saved, filepath.FromSlash(file))
		whole := must(os.ReadFile(path))(t)
		flipped := bytes.Clone(whole)
		flipped[len(flipped)/2] ^= 1
		if err := os.WriteFile(path, flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		request.Name = "Maria" // the book was on no ledger
		w, got, err := wallet.Restore(ctx, tn.options(file), request)
		if err != nil || got.Records != 2 || got.Contacts != contacts || len(got.Damaged) != 1 || got.Damaged[0].File != file || (len(tables(w)) == 0) != (file == "tables") {
			t.Errorf("%s: %+v %v", file, got, err)
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
