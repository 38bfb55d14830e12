package health

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
)

const auditGolden = "../../testdata/fhir/audit-export.json"

// happenings has one of every kind that is mapped in a way of its own.
func happenings(t *testing.T) []Happened {
	cs := samples(t)
	nobody := cs[0]
	nobody.ID = id(17)
	nobody.Address, nobody.To, nobody.Records, nobody.Purpose = crypto.Address{}, "", nil, ""
	noon := hour(t, "2026-11-21T12:00:00Z")
	return []Happened{
		{Consent: cs[0], Hour: noon, Said: "check-up <1>\x1b"},
		{Consent: cs[1], Hour: noon, Quiet: "the recipient gave no reason"},
		{Consent: cs[5], Hour: noon, Said: "test"},
		{Consent: cs[6], Hour: noon, Said: "parts"},
		{Consent: nobody, Hour: noon, Quiet: "what the recipient said cannot be read"},
		{Consent: cs[1], Hour: noon, Keeper: 1, Because: "revoked"},
		{Consent: cs[1], Hour: noon, Keeper: 1, Because: "revoked", Nth: 1},
		{Consent: nobody, Hour: noon, Keeper: 2, More: 17},
	}
}

func TestAuditGolden(t *testing.T) {
	got := marshal(t, NewAuditBundle(maria, happenings(t)), "  ")
	if *update {
		if err := os.WriteFile(auditGolden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(auditGolden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the export is not %s (-update writes it anew):\n%s", auditGolden, got)
	}
}

// happen makes anything that a wallet can see happen.
func happen(r *rand.Rand) Happened {
	h := Happened{Consent: generate(r), Hour: at(1 + r.IntN(600_000)), Nth: r.IntN(3)}
	h.Said = generate(r).To
	if h.Quiet = ""; clean(h.Said) == "" {
		h.Quiet = "the recipient gave no reason"
	}
	if r.IntN(4) == 0 {
		h.Consent.Address, h.Consent.Records, h.Consent.Purpose = crypto.Address{}, nil, ""
	}
	if r.IntN(2) == 0 {
		h.Keeper, h.Because = 1+r.IntN(9), "revoked"
	}
	if h.Keeper > 0 && r.IntN(3) == 0 {
		h.More, h.Because = 1+r.IntN(1000), ""
	}
	return h
}

// Whatever happened, each is written once, with R4's patterns for texts; what is not known
// is not said, and what was refused is never written as an opening.
func TestEveryEventExports(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	seen := map[string]bool{}
	for range 2000 {
		h := happen(r)
		b := NewAuditBundle(maria, []Happened{h})
		e, ok := b.Entry[1].Resource.(*AuditEvent)
		if !ok || len(b.Entry) != 2 || seen[e.ID] || !idPattern.MatchString(e.ID) || !timePattern.MatchString(e.Recorded) {
			t.Fatalf("%+v of %+v", e, h)
		}
		seen[e.ID] = true
		if again := NewAuditBundle(maria, []Happened{h}).Entry[1].Resource.(*AuditEvent); again.ID != e.ID {
			t.Fatalf("%s and %s", e.ID, again.ID)
		}
		refused := h.Keeper > 0
		if (e.Outcome == "0") == refused || strings.HasPrefix(e.OutcomeDesc, "refused: ") != refused || (e.Period.End == "") != (h.More > 0) {
			t.Fatalf("%+v of %+v", e, h)
		}
		if known := e.Agent[0].Who.Identifier != nil || e.Agent[1].Who.Identifier != nil && refused; known == h.Consent.Address.IsZero() {
			t.Fatalf("%+v of %+v", e, h)
		}
		plainTexts(t, e)
	}
}

// Three validators that are not ours, and the rules of IHE's profiles, accept the golden
// bundle and 100 generated events; and they catch it when an export is spoiled.
func TestAuditValidators(t *testing.T) {
	lane.OneGoroutine(t)
	dir := needNode(t)
	r := rand.New(rand.NewPCG(7, 8))
	var lines bytes.Buffer
	for range 10 {
		var hs []Happened
		for range 10 {
			hs = append(hs, happen(r))
		}
		lines.Write(marshal(t, NewAuditBundle(maria, hs), ""))
	}
	lines.Write(marshal(t, NewAuditBundle(maria, nil), ""))
	file := filepath.Join(t.TempDir(), "bundles.ndjson")
	if err := os.WriteFile(file, lines.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Abs(auditGolden)
	if err != nil {
		t.Fatal(err)
	}
	validators(t, dir, "validate", path, file)
	validators(t, dir, "mutants", path)
}
