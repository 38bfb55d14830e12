package wallet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/batch"
)

// fileOfContacts is a CSV of n people.
func fileOfContacts(n int) ([]byte, []string) {
	rows := make([]string, n)
	ledgerclient.Parallel(n, func(i int) { rows[i] = crypto.NewEntropy().Root().Identity().Address().String() })
	var b bytes.Buffer
	b.WriteString("name,address,ref\n")
	for i, a := range rows {
		fmt.Fprintf(&b, "Patient %05d,%s,MRN-%d\n", i, a, i)
	}
	return b.Bytes(), rows
}

// imported reads a file and adds what it says.
func imported(t testing.TB, w *wallet.Wallet, file []byte) {
	t.Helper()
	f, err := batch.ReadContacts(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var people []wallet.Contact
	for _, r := range f.Rows {
		people = append(people, r.Contact)
	}
	_, taken, err := w.Contacts().Import(context.Background(), people)
	if err == nil && len(taken) > 0 {
		err = errors.New("a name is taken")
	}
	if err == nil {
		_, err = w.Book().Keep(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// However many contacts are imported, the book is entered once, and not again for the same
// ones; a wallet that is opened later knows all of them.
func TestImportEntersOnce(t *testing.T) {
	tn := newTown(t)
	w := tn.person("Maria")
	ctx := context.Background()
	size := func() uint64 {
		n, _, _, err := w.Log().Head(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	file, _ := fileOfContacts(30)
	before := size()
	imported(t, w, file)
	if n := size() - before; n != 1 {
		t.Errorf("%d entries for 30 contacts", n)
	}
	before = size()
	if imported(t, w, file); size() != before {
		t.Error("nothing changed, and the book was entered")
	}
	again := tn.again("Maria").Contacts().List()
	if len(again) != 30 || again[7].Ref != "MRN-7" {
		t.Errorf("%d contacts, %+v", len(again), again[min(7, len(again)-1)])
	}
}

// BenchmarkBudgetImport imports 10,000 contacts from CSV, entered on the ledger, and
// prints how much of the time the checks of their signatures alone take on all cores
// (ratio), what a wallet with all of them takes to open in parts of that (open), and what
// the first command after it does, which reads back what was entered (next).
func BenchmarkBudgetImport(b *testing.B) {
	const n = 10_000
	tn := newTown(b)
	w := tn.person("Maria")
	file, addresses := fileOfContacts(n)
	var checks, all, opens, next stopwatch
	for range b.N {
		checks.start()
		ledgerclient.Parallel(n, func(i int) {
			if _, err := crypto.ParseAddress(addresses[i]); err != nil {
				b.Error(err)
			}
		})
		checks.stop()
		all.start()
		imported(b, w, file)
		all.stop()
		opens.start()
		again := tn.again("Maria")
		opens.stop()
		next.start()
		if _, err := again.Changes().Sync(context.Background()); err != nil {
			b.Fatal(err)
		}
		next.stop()
		if len(again.Contacts().List()) != n {
			b.Fatal("not all are there")
		}
	}
	b.ReportMetric(float64(checks.took)/float64(all.took), "ratio")
	b.ReportMetric(float64(opens.took)/float64(checks.took), "open")
	b.ReportMetric(float64(next.took)/float64(checks.took), "next")
	b.ReportMetric(all.took.Seconds()/float64(b.N), "s/import")
	b.ReportMetric(2, "budget-max-s")
	b.ReportMetric(0, "ns/op")
}
