package wallet_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/keyring"
)

// at is when the examples happen: clocks are given.
func at() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// people are wallets with a ledger in a folder between them, each with its key in a file.
func people(names ...string) (all []*wallet.Wallet, end func()) {
	dir, err := os.MkdirTemp("", "carekey-example-")
	check(err)
	f, err := folder.Create(filepath.Join(dir, "ledger"), "Example", at)
	check(err)
	ctx := context.Background()
	for i, name := range names {
		home := filepath.Join(dir, fmt.Sprint(i))
		check(os.Mkdir(home, 0o700))
		opt := wallet.Options{Dir: filepath.Join(home, "wallet"), Keyring: keyIn(home), Services: f.Services(), Now: at}
		m, err := wallet.Begin(ctx, opt, "", func(string) keyring.Store { return opt.Keyring })
		check(err)
		w, err := m.Create(ctx, opt.Services, crypto.NewEntropy(), name, filepath.Join(dir, "ledger"), func() error { return nil })
		check(err)
		m.End()
		all = append(all, w)
	}
	return all, func() {
		for _, w := range all {
			w.Wipe()
		}
		f.Close()
		os.RemoveAll(dir)
	}
}

// keyIn is a key file under a passphrase, weak for a test.
func keyIn(dir string) keyring.Store {
	return &keyring.File{Path: filepath.Join(dir, "key"), Passphrase: func(context.Context, bool) ([]byte, error) { return []byte("only an example"), nil }, WorkFactor: 1}
}

// From a record to a consent that is over: what a patient and a clinic do.
func Example() {
	ctx := context.Background()
	all, end := people("Maria", "Dr Smith")
	defer end()
	maria, clinic := all[0], all[1]

	// A record is encrypted for its owner alone.
	letter := "Penicillin: anaphylaxis, 2009"
	record, _, err := maria.Records().Add(ctx, wallet.Source{Reader: strings.NewReader(letter), Name: "letter.txt", Size: int64(len(letter))},
		wallet.Describe{Title: "Allergies", Category: "allergies"}, nil)
	check(err)

	// A consent is planned, shown, and given.
	_, _, err = maria.Contacts().Add(ctx, "Dr Smith", clinic.Address().String())
	check(err)
	until, err := wallet.EndAfter("30d", at())
	check(err)
	plan, err := maria.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", Records: []string{record.ID.String()}, Until: until})
	check(err)
	consent, _, err := maria.Grants().Give(ctx, plan)
	check(err)

	// The clinic finds it, and says why it opens it.
	granted, err := clinic.Inbox().List(ctx)
	check(err)
	fmt.Printf("%s says: %s\n", granted[0].Says, granted[0].Records[0].Title)
	opened, err := clinic.Inbox().OpenByID(ctx, granted[0].Consent.String(), "check-up")
	check(err)
	check(opened.Read(ctx, 0, os.Stdout, nil))
	fmt.Println()

	// Maria sees that, and ends it.
	events, err := maria.Audit().Events(ctx)
	check(err)
	for _, e := range events {
		fmt.Printf("%s %s %q\n", e.What, e.Who, e.Reason)
	}
	_, err = maria.Consents().Revoke(ctx, []contract.ID{consent.ID})
	check(err)
	_, err = clinic.Inbox().OpenByID(ctx, granted[0].Consent.String(), "once more")
	var refused *wallet.RefusedError
	fmt.Println(errors.As(err, &refused) && refused.Rule == contract.RuleRevoked)
	// Output:
	// Maria says: Allergies
	// Penicillin: anaphylaxis, 2009
	// granted Dr Smith ""
	// opened Dr Smith "check-up"
	// true
}

// A wallet is made on a ledger that is there. Its key goes into a keyring, and its words to
// its owner, before there is a wallet.
func ExampleBegin() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "carekey-example-")
	check(err)
	defer os.RemoveAll(dir)
	ledger, err := folder.Create(filepath.Join(dir, "ledger"), "Example", at)
	check(err)
	defer ledger.Close()

	opt := wallet.Options{Dir: filepath.Join(dir, "wallet"), Keyring: keyIn(dir), Services: ledger.Services(), Now: at}
	making, err := wallet.Begin(ctx, opt, "", func(string) keyring.Store { return opt.Keyring })
	check(err)
	entropy := crypto.NewEntropy()
	w, err := making.Create(ctx, opt.Services, entropy, "Maria", filepath.Join(dir, "ledger"), func() error {
		fmt.Println(len(entropy.Words()), "words to be written on paper")
		return nil
	})
	making.End()
	check(err)
	w.Wipe()

	// Another process.
	w, err = wallet.Open(ctx, opt)
	check(err)
	defer w.Wipe()
	fmt.Println(w.Name(), "on", w.LedgerName())
	// Output:
	// 24 words to be written on paper
	// Maria on Example
}

// What a role gets of a record is known, and can be shown, before anything is signed.
func ExampleGrants_Plan() {
	ctx := context.Background()
	all, end := people("Maria", "Ward 3")
	defer end()
	maria, ward := all[0], all[1]
	file, err := os.Open(filepath.Join("..", "testdata", "fhir", "parts.json"))
	check(err)
	defer file.Close()
	_, _, err = maria.Records().Add(ctx, wallet.Source{Reader: file, Name: file.Name(), Size: -1}, wallet.Describe{}, nil)
	check(err)
	_, _, err = maria.Contacts().Add(ctx, "Ward 3", ward.Address().String())
	check(err)

	until, err := wallet.EndAfter("7d", at())
	check(err)
	plan, err := maria.Grants().Plan(ctx, wallet.GrantRequest{To: "Ward 3", Select: health.Selection{Role: "nurse"}, Until: until})
	check(err)
	goes, stays := 0, map[string]int{}
	for part := range plan.Entries() {
		if part.Stays == "" {
			goes++
		} else {
			stays[part.Stays]++
		}
	}
	fmt.Println(goes, "go", stays)
	for _, w := range plan.Warnings {
		fmt.Println(w.Kind)
	}
	// Output:
	// 8 go map[category:3 sensitive:2]
	// unverified
	// unseen
}

// Words and a ledger bring everything back.
func ExampleRestore() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "carekey-example-")
	check(err)
	defer os.RemoveAll(dir)
	ledger, err := folder.Create(filepath.Join(dir, "ledger"), "Example", at)
	check(err)
	defer ledger.Close()
	lost := wallet.Options{Dir: filepath.Join(dir, "lost"), Keyring: keyIn(dir), Services: ledger.Services(), Now: at}
	making, err := wallet.Begin(ctx, lost, "", func(string) keyring.Store { return lost.Keyring })
	check(err)
	entropy := crypto.NewEntropy()
	words := entropy.Words()
	w, err := making.Create(ctx, lost.Services, entropy, "Maria", filepath.Join(dir, "ledger"), func() error { return nil })
	check(err)
	making.End()
	_, _, err = w.Records().Add(ctx, wallet.Source{Reader: strings.NewReader("shadow"), Name: "scan.txt", Size: 6}, wallet.Describe{}, nil)
	check(err)
	_, err = w.Book().Keep(ctx) // her name goes onto the ledger too, sealed
	check(err)
	w.Wipe()

	found, err := crypto.EntropyFromWords(words)
	check(err)
	home := filepath.Join(dir, "new")
	check(os.Mkdir(home, 0o700))
	opt := wallet.Options{Dir: filepath.Join(home, "wallet"), Keyring: keyIn(home), Services: ledger.Services(), Now: at}
	w, restored, err := wallet.Restore(ctx, opt, wallet.RestoreRequest{Entropy: found, At: filepath.Join(dir, "ledger")})
	check(err)
	defer w.Wipe()
	fmt.Println(w.Name(), restored.Records, len(restored.Lost))
	// Output:
	// Maria 1 0
}
