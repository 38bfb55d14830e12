package wallet_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
)

// Promise: who was given all of a record but one part, knows every byte of the rest and every
// body that could stand there, has as many candidates left as there are of one class: neither
// where the region of the parts begins nor where it ends tells more than that.
func TestOffsetsLeaveCandidates(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	p := &partTown{town: tn, patient: tn.person("Maria")}
	smith := p.to(t, "Dr Smith")
	random := rand.New(rand.NewPCG(10, 1))
	// Results of twelve kinds with forty codes each, whose name stands in them twice.
	var dictionary []string
	for kind := range 12 {
		frame := strings.Repeat("f", 400+random.IntN(180)+180*kind)
		for code := range 40 {
			name := strings.Repeat(string(rune('a'+code%26)), 4+random.IntN(66))
			dictionary = append(dictionary, fmt.Sprintf(`{"resource":{"resourceType":"Observation","id":%q,"code":{"coding":[{"display":%q}],"text":%q}}}`, frame, name, name))
		}
	}
	fileOfBodies := func(bodies []string) []byte {
		return []byte(`{"resourceType":"Bundle","entry":[` + strings.Join(bodies, ",") + `]}`)
	}
	everyWord := slices.Concat(health.Sensitivities(), []health.Sensitivity{health.Unclassified})
	for range lane.Pick(20, 4, 1) {
		for _, n := range []int{3, 5, 9, 20} {
			var bodies []string
			for range n {
				bodies = append(bodies, dictionary[random.IntN(len(dictionary))])
			}
			withheld := random.IntN(n)
			file := fileOfBodies(bodies)
			r := addFHIR(t, p.patient, "x.json", file)
			var numbers []int
			for i := range n {
				numbers = append(numbers, i+1)
			}
			id := r.ID.String()
			must(p.patient.Records().Correct(ctx, id, numbers, health.Correction{Drop: everyWord}))(t)
			must(p.patient.Records().Correct(ctx, id, []int{withheld + 1}, health.Correction{Add: []health.Sensitivity{health.HIV}}))(t)
			m, _, parts, err := p.patient.Records().OwnedParts(ctx, r.ID)
			if err != nil {
				t.Fatal(err)
			}
			given := slices.DeleteFunc(slices.Clone(parts), func(x wallet.OwnedPart) bool { return slices.Contains(x.Label.Sensitive, health.HIV) })
			if len(given) == len(parts) {
				t.Fatal("nothing is withheld")
			}
			env := smith.get(t, p.give(t, "Dr Smith", health.Selection{}, id).ID).env
			e := env.Parts[0]
			if len(e.Items) != len(given) {
				t.Fatalf("%d of %d parts were given", len(e.Items), len(parts))
			}
			// What he would see if that body stood there. What age adds to a file so small he knows.
			added := m.AgeSize - int64(len(file))
			places := func(body string) [2]int64 {
				changed := slices.Clone(bodies)
				changed[withheld] = body
				file, size, spare := int64(len(fileOfBodies(changed))), int64(crypto.FrameSize(e.Slots)), int64(0)
				for _, b := range changed {
					size += int64(crypto.PartClass(len(b)) + crypto.PartOverhead)
					spare += int64(crypto.PartClass(len(b)) - len(b))
				}
				start := crypto.PartsStart(file, added+file, spare)
				return [2]int64{start, crypto.PadLength(start + size)}
			}
			if seen := [2]int64{e.Start, e.End}; places(bodies[withheld]) != seen || e.ContentSize != e.End {
				t.Fatalf("%v, and not %v", seen, places(bodies[withheld]))
			}
			class, candidates, ofClass := crypto.PartClass(len(bodies[withheld])), 0, 0
			for _, body := range dictionary {
				if crypto.PartClass(len(body)) == class { // which the items around it tell him
					ofClass++
					if places(body) == places(bodies[withheld]) {
						candidates++
					}
				}
			}
			if candidates < ofClass || candidates < 20 {
				t.Errorf("%d parts, %d bytes: %d candidates of %d in the class", n, len(file), candidates, ofClass)
			}
		}
	}
}

// Promise: the secret that the salts of a record's parts derive from, an issuer's, is in
// nothing that anybody is given, neither with parts of the record nor with all of it: with
// it each guess of a part could be tested.
func TestSaltsAreGivenToNobody(t *testing.T) {
	ctx := context.Background()
	p := &partTown{town: newTown(t), file: canaryFile(0)}
	p.patient = p.person("Maria")
	secret := [32]byte([]byte("the secret of an issuer, 32 byte"))
	p.record = must(p.patient.Records().AddSalted(ctx, fileOf("salted.json", p.file), secret))(t)
	smith, jones := p.to(t, "Dr Smith"), p.withWallet(t, "Dr Jones")
	for _, sel := range []health.Selection{{}, {Whole: true}} {
		g := smith.get(t, p.give(t, "Dr Smith", sel, p.record.ID.String()).ID)
		g.output = received(t, jones, p.give(t, "Dr Jones", sel, p.record.ID.String()).ID)
		if len(g.env.Records)+len(g.env.Parts) != 1 {
			t.Fatalf("%+v", g.env)
		}
		if found := g.search(t, map[string][]byte{"salts": secret[:]}); len(found) > 0 {
			t.Errorf("%+v: found %s", sel, strings.Join(found, ", "))
		}
	}
	if m, _, _, err := p.patient.Records().OwnedParts(ctx, p.record.ID); err != nil || m.Parts.Salts == nil || [32]byte(*m.Parts.Salts) != secret {
		t.Error("the owner does not have them either", err)
	}
}
