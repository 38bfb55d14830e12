package wallet_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
)

func roleText(name, days string) []byte {
	return []byte(`{"v":1,"name":"` + name + `","categories":["labs","vitals"],"sensitive":["hiv"],"purposes":["TREAT"],"maxDays":` + days + `}`)
}

// Roles of the owner's own are on all of her machines, and come back with a restore.
func TestRoles(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	words := crypto.NewEntropy()
	laptop, phone := tn.device("laptop", words), tn.device("phone", words)
	names := func(w *wallet.Wallet) (own []string) {
		t.Helper()
		must(w.Records().List(ctx))(t) // takes up what the other one wrote
		all, unreadable := w.Roles().List()
		for _, r := range all {
			if !r.BuiltIn {
				own = append(own, r.Name)
			}
		}
		if len(all)-len(own) != len(health.BuiltInRoles()) || len(unreadable) > 0 {
			t.Errorf("%d roles, %d unreadable", len(all), len(unreadable))
		}
		return own
	}
	if r := must(laptop.Roles().Add(ctx, roleText("Dietician", "30")))(t); r.Name != "Dietician" || r.MaxDays != 30 {
		t.Errorf("%+v", r)
	}
	must(laptop.Roles().Add(ctx, roleText("midwife", "300")))(t)
	keep(t, laptop)
	if must(laptop.Roles().Add(ctx, roleText("midwife", "300")))(t); !laptop.Book().IsKept() {
		t.Error("the same role again is a change")
	}
	if got := names(phone); !slices.Equal(got, []string{"Dietician", "midwife"}) {
		t.Errorf("on the other machine: %q", got)
	}
	must(phone.Roles().Add(ctx, roleText("Dietician", "60")))(t)
	if err := phone.Roles().Remove(ctx, "midwife"); err != nil {
		t.Fatal(err)
	}
	keep(t, phone)
	for _, w := range []*wallet.Wallet{laptop, must(restoredOf(tn, words))(t)} {
		if got := names(w); !slices.Equal(got, []string{"Dietician"}) {
			t.Errorf("in the end: %q", got)
		}
		if r, err := w.Roles().Named(" Dietician"); err != nil || r.MaxDays != 60 || r.BuiltIn {
			t.Errorf("%+v, %v", r, err)
		}
		if _, err := w.Roles().Named("midwife"); !errors.Is(err, wallet.ErrNotFound) {
			t.Errorf("a removed role: %v", err)
		}
	}
	if r, err := laptop.Roles().Named("nurse"); err != nil || !r.BuiltIn {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := laptop.Roles().Add(ctx, roleText("nurse", "30")); !errors.Is(err, wallet.ErrBuiltIn) {
		t.Errorf("another nurse: %v", err)
	}
	for _, name := range []string{"nurse", "nobody"} {
		if err := laptop.Roles().Remove(ctx, name); err == nil {
			t.Errorf("%s was removed", name)
		}
	}
	for name, bad := range map[string][]byte{
		"empty":            nil,
		"10 MB":            append(roleText("x", "30"), make([]byte, 10<<20)...),
		"newer":            []byte(strings.Replace(string(roleText("x", "30")), `"v":1`, `"v":2`, 1)),
		"category":         []byte(strings.Replace(string(roleText("x", "30")), `"labs"`, `"lab"`, 1)),
		"name like a flag": roleText("-x", "30"),
	} {
		if _, err := laptop.Roles().Add(ctx, bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if !laptop.Book().IsKept() {
		t.Error("a refused role is a change")
	}
}

func restoredOf(tn *town, words crypto.Entropy) (*wallet.Wallet, error) {
	w, _, err := wallet.Restore(context.Background(), tn.options("restored"), wallet.RestoreRequest{Entropy: words, At: "x", Name: "Maria"})
	return w, err
}

const ownTable = "system,code,says,what,source,date\nhttp://snomed.info/sct,195967001,hiv,asthma for a test,nowhere,2026-11-29\n"

// An imported table changes labels at once, and cannot be left out by damage.
func TestTables(t *testing.T) {
	lane.OneGoroutine(t)
	ctx := context.Background()
	tn := newTown(t)
	w := tn.person("Maria")
	file := fixture(t, "parts.json")
	r := addFHIR(t, w, "parts.json", file)
	hiv := func() (n int) {
		t.Helper()
		_, parts, err := tn.again("Maria").Records().Parts(ctx, r.ID.String())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range parts {
			if slices.Contains(p.Sensitive, health.HIV) {
				n++
			}
		}
		return n
	}
	before := hiv()
	must(w.Tables().Import(ctx, "/home/maria/asthma.csv", []byte(ownTable)))(t)
	must(w.Tables().Import(ctx, "asthma.csv", []byte(ownTable)))(t)
	if got := must(tn.again("Maria").Tables().Imported())(t); len(got) != 1 || got[0].Name != "asthma.csv" || len(got[0].Rows) != 1 {
		t.Errorf("%+v", got)
	}
	if after := hiv(); after <= before {
		t.Errorf("%d parts with the table, %d without", after, before)
	}
	checkParts(t, w, r, file)
	for _, system := range []string{"*", "icd10", "2.16.840.1.113883.6.96", "http://clinic.example/*"} { // no code is of it
		const head, rest = "system,code,says,what,source,date\n", ",F20,hiv,a line for a test,nowhere,2026-11-29\n"
		if _, err := w.Tables().Import(ctx, "nothing.csv", []byte(head+"ICD-10"+rest+system+rest)); !errors.Is(err, health.ErrTable) || !strings.Contains(err.Error(), system) {
			t.Errorf("a table of system %s: %v", system, err)
		}
	}
	for name, bad := range map[string]string{"empty.csv": "", "rows.csv": "system,code\n", "binary.csv": "\x00", "snomed.csv": ownTable, "": ownTable} {
		if _, err := w.Tables().Import(ctx, name, []byte(bad)); err == nil && name != "" {
			t.Errorf("%s: imported", name)
		}
	}
	path := filepath.Join(tn.dir, "home of Maria", "tables")
	b := must(os.ReadFile(path))(t)
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	var damaged *wallet.DamagedError
	if _, _, err := tn.again("Maria").Records().Parts(ctx, r.ID.String()); !errors.As(err, &damaged) {
		t.Errorf("with a damaged table: %v", err)
	}
	if _, _, err := tn.again("Maria").Records().Add(ctx, fileOf("x.json", append(file, '\n')), wallet.Describe{}, nil); !errors.As(err, &damaged) {
		t.Errorf("with a damaged table: %v", err)
	}
	w = tn.again("Maria")
	if err := w.Tables().Remove(ctx, ""); err != nil {
		t.Fatal(err)
	}
	if after := hiv(); after != before {
		t.Errorf("%d parts after the table was removed, %d before it came", after, before)
	}
	// A file that is gone is no wallet without a table, which would give more.
	must(w.Tables().Import(ctx, "asthma.csv", []byte(ownTable)))(t)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	w = tn.again("Maria")
	if _, _, err := w.Records().Parts(ctx, r.ID.String()); !errors.As(err, &damaged) || !errors.Is(damaged.Coded(), wallet.ErrTables) {
		t.Errorf("without the file of its table: %v", err)
	}
	if err := w.Tables().Remove(ctx, ""); err != nil {
		t.Error(err)
	}
	if after := hiv(); after != before {
		t.Errorf("%d parts after the lost table was removed, %d before it came", after, before)
	}
	for _, name := range []string{"", "asthma.csv"} {
		if err := w.Tables().Remove(ctx, name); !errors.Is(err, wallet.ErrNotFound) {
			t.Errorf("removing %q again: %v", name, err)
		}
	}
	for i := range wallet.MaxTables + 1 {
		if _, err := w.Tables().Import(ctx, strings.Repeat("x", i+1), []byte(ownTable)); (err == nil) != (i < wallet.MaxTables) {
			t.Errorf("table %d: %v", i+1, err)
		}
	}
	if err := w.Tables().Remove(ctx, "xx"); err != nil {
		t.Error(err)
	}
	if got := must(w.Tables().Imported())(t); len(got) != wallet.MaxTables-1 {
		t.Errorf("%d tables", len(got))
	}
}
