package wallet_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/carekey/carekey/wallet"
)

// A search finds what a person means, whatever case and accents; dates are whole years,
// months or days; and what is in a record that was split counts.
func TestFindRecords(t *testing.T) {
	ctx := context.Background()
	w := newTown(t).person("Maria")
	for name, d := range map[string]wallet.Describe{
		"scan.pdf":  {Title: "Röntgen Thorax", Category: "images", Date: "2026-05-04"},
		"blood.txt": {Title: "Εξετάσεις αίματος", Category: "labs", Date: "2025-12-31"},
		"notes.txt": {Title: "INR diary"},
	} {
		if _, _, err := w.Records().Add(ctx, source(name, 1), d, nil); err != nil {
			t.Fatal(err)
		}
	}
	bundle := `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"AllergyIntolerance","code":{"text":"Latex"},"recordedDate":"2024-01-02"}}]}`
	add(t, w, "bundle.json", bundle)
	for _, test := range []struct {
		q    wallet.RecordQuery
		want []string
	}{
		{wallet.RecordQuery{}, []string{"INR diary", "Latex", "Röntgen Thorax", "Εξετάσεις αίματος"}},
		{wallet.RecordQuery{Search: "rontgen"}, []string{"Röntgen Thorax"}},
		{wallet.RecordQuery{Search: "THORAX röNTG"}, []string{"Röntgen Thorax"}},
		{wallet.RecordQuery{Search: "thorax knee"}, nil},
		{wallet.RecordQuery{Search: "ΑΙΜΑΤΟΣ"}, []string{"Εξετάσεις αίματος"}},
		{wallet.RecordQuery{Search: "ΕΞΕΤΑΣΕΙΣ"}, []string{"Εξετάσεις αίματος"}},
		{wallet.RecordQuery{Search: "αιμα"}, []string{"Εξετάσεις αίματος"}},
		{wallet.RecordQuery{Since: "2026"}, []string{"Röntgen Thorax"}},
		{wallet.RecordQuery{Until: "2025"}, []string{"Latex", "Εξετάσεις αίματος"}},
		{wallet.RecordQuery{Since: "2025-12-31", Until: "2026-05-03"}, []string{"Εξετάσεις αίματος"}},
		{wallet.RecordQuery{Category: "labs"}, []string{"Εξετάσεις αίματος"}},
		{wallet.RecordQuery{Category: "allergies"}, []string{"Latex"}},
		{wallet.RecordQuery{Category: "allergies", Search: "diary"}, nil},
	} {
		rs, unknown, err := w.Records().Find(ctx, test.q)
		var got []string
		for _, r := range rs {
			got = append(got, r.Title)
		}
		slices.Sort(got)
		if err != nil || len(unknown) > 0 || !slices.Equal(got, test.want) {
			t.Errorf("%+v: %q, want %q (%v, %v)", test.q, got, test.want, unknown, err)
		}
	}
	for _, q := range []wallet.RecordQuery{{Category: "none"}, {Since: "soon"}, {Since: "2027", Until: "2026"}} {
		if _, _, err := w.Records().Find(ctx, q); !errors.Is(err, wallet.ErrInput) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}
