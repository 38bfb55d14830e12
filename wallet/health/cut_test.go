package health

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/carekey/carekey/crypto"
)

// Another program, written from crypto/FORMAT.md, cuts every file of its list into the same
// parts, splits as many of them, and takes as many for FHIR. Under salts that are given both
// have one head over the parts: that is what an issuer's signature holds on to.
func TestCutIsThatOfAnother(t *testing.T) {
	b, err := os.ReadFile("../../testdata/vectors/cut.json")
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Salts string
		Cases []struct {
			Name, Called, File, Hex string
			FHIR                    bool
			Form                    string
			Parts                   []struct {
				Entry     int
				Narrative bool
				Bytes     string
			}
			Root *crypto.Hash
		}
	}
	if err := json.Unmarshal(b, &list); err != nil || len(list.Cases) < 200 {
		t.Fatal(err, len(list.Cases))
	}
	given, err := hex.DecodeString(list.Salts)
	if err != nil || len(given) != 32 {
		t.Fatal(err)
	}
	salts := crypto.PartSaltsFrom((*[32]byte)(given))
	seed := crypto.NewEntropy().Root().Seed(crypto.LedgerID{1}, crypto.NewNonce())
	keys := seed.Parts(crypto.LedgerID{1}, seed.Key().Public(), &salts)
	for _, c := range list.Cases {
		file := []byte(c.File)
		if c.Hex != "" {
			if file, err = hex.DecodeString(c.Hex); err != nil {
				t.Fatal(err)
			}
		}
		if got := IsFHIR(c.Called, file); got != c.FHIR {
			t.Errorf("%s: FHIR %v", c.Name, got)
		}
		cut, err := Split(file)
		if c.Parts == nil {
			if !errors.Is(err, ErrNotSplit) || cut != nil {
				t.Errorf("%s: split, %v", c.Name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if cut.Form != c.Form || len(cut.Parts) != len(c.Parts) {
			t.Errorf("%s: %s of %d parts, not %s of %d", c.Name, cut.Form, len(cut.Parts), c.Form, len(c.Parts))
			continue
		}
		var leaves []crypto.Hash
		var salt crypto.Salt
		for i := range cut.Parts {
			p, want := &cut.Parts[i], c.Parts[i]
			body := p.Append(nil)
			if p.Entry != want.Entry || p.Text != want.Narrative || string(body) != want.Bytes {
				t.Errorf("%s, part %d: entry %d, %v, %q, not %+v", c.Name, i, p.Entry, p.Text, body, want)
			}
			if p.Text {
				body = append(crypto.NarrativeHead(salt, leaves[i-1]), body...)
			}
			var leaf crypto.Hash
			salt, leaf, _ = keys.Leaf(i, body)
			leaves = append(leaves, leaf)
		}
		if f := keys.Frame(leaves); c.Root == nil || f.Root != *c.Root {
			t.Errorf("%s: another root", c.Name)
		}
	}
}
