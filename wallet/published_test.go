package wallet_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
)

// published is the folder that has records of others, or the test ends.
func published(t *testing.T) string {
	t.Helper()
	data := os.Getenv("CAREKEY_TESTDATA")
	if data == "" {
		if os.Getenv("CAREKEY_NO_SKIP") != "" {
			t.Fatal("CAREKEY_TESTDATA is not set")
		}
		t.Skip("CAREKEY_TESTDATA is not set: the folder with data/fhir is not here")
	}
	return data
}

// Records that others made, FHIR bundles and documents of several systems, come
// out of a clinic's fetch byte for byte as the patient added them.
func TestPublishedRecords(t *testing.T) {
	lane.OneGoroutine(t)
	data := published(t)
	ctx := context.Background()
	tn := newTown(t)
	patient, clinic := tn.person("Maria"), tn.person("Dr Smith")
	want := map[contract.ID][]byte{}
	err := filepath.WalkDir(filepath.Join(data, "data", "fhir"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		r, _, err := patient.Records().Add(ctx, wallet.Source{Reader: bytes.NewReader(b), Name: path, Size: int64(len(b))}, wallet.Describe{Category: "documents", OtherPerson: true}, nil)
		want[r.ID] = b
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(want) < 60 {
		t.Fatalf("only %d records were found", len(want))
	}
	if _, _, err := patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String()); err != nil {
		t.Fatal(err)
	}
	plan := must(patient.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", All: true, Select: health.Selection{Whole: true}, NotAfter: must(wallet.EndAfter("30d", tn.now))(t)}))(t)
	_, code, err := patient.Grants().Give(ctx, plan)
	if err != nil {
		t.Fatal(err)
	}
	o := must(clinic.Inbox().OpenByCode(ctx, code, "take-over of care"))(t)
	if len(o.Records) != len(want) {
		t.Fatalf("%d records were granted, want %d", len(o.Records), len(want))
	}
	dir := t.TempDir()
	paths := map[string]bool{}
	to := must(wallet.PrepareFetch(dir, o.Consent, false))(t)
	for i, r := range o.Records {
		path, err := to.Save(ctx, o, i, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, want[r.ID]) {
			t.Errorf("%s: other bytes than were added (%v)", r.Title, err)
		}
		if paths[path] {
			t.Errorf("two records in %s", path)
		}
		paths[path] = true
	}
	t.Logf("%d records", len(want))
}

// Of records that others made every part opens by its key alone, and is what stands in the
// file.
func TestPublishedParts(t *testing.T) {
	lane.OneGoroutine(t)
	data := published(t)
	tn := newTown(t)
	w := tn.person("Maria")
	split := 0
	err := filepath.WalkDir(filepath.Join(data, "data", "fhir"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		r, existing, err := w.Records().Add(context.Background(), fileOf(path, b), wallet.Describe{OtherPerson: true}, nil)
		if err != nil || existing {
			return err
		}
		if _, cerr := health.Split(b); (cerr == nil) != (r.Parts > 0) || (r.Parts > 0) != (r.Whole == "") {
			t.Errorf("%s: %d parts, %q, %v", d.Name(), r.Parts, r.Whole, cerr)
		}
		if r.Parts > 0 {
			split++
			checkParts(t, w, r, b)
		}
		return nil
	})
	if err != nil || split < 20 {
		t.Errorf("%d records were split, %v", split, err)
	}
}
