package health

import (
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/wallet/payload"
)

// Sensitivity is what a part of a record may say that is given only if it is named.
type Sensitivity string

// The sensitivities, each with the codes of HL7 v3-ActCode that it stands for
// (http://terminology.hl7.org/CodeSystem/v3-ActCode).
const (
	MentalHealth Sensitivity = "mental-health" // MH, PSY, PSYTHPN, BH
	SubstanceUse Sensitivity = "substance-use" // SUD, ETH, ETHUD, OPIOIDUD
	Reproductive Sensitivity = "reproductive"  // contraception, pregnancy, fertility: no code of its own
	HIV          Sensitivity = "hiv"           // HIV
	SexualHealth Sensitivity = "sexual-health" // SEX, STD
	Violence     Sensitivity = "violence"      // VIO, SDV, MST
	Genetic      Sensitivity = "genetic"       // GDIS
	SickleCell   Sensitivity = "sickle-cell"   // SCA
)

// Unclassified is what a correction adds to a part that should be held back though no
// table knows why, or drops from one that the tables do not understand. It is none of
// [Sensitivities].
const Unclassified Sensitivity = "unclassified"

// Documents is the category of what says in plain words what other parts say in codes. It
// goes only where it is named.
const Documents payload.Category = "documents"

// Demographics is the category of the persons that a record is about. It goes along with
// every other one unless it is named in [Selection].Without.
const Demographics payload.Category = "demographics"

var sensitivities = []Sensitivity{MentalHealth, SubstanceUse, Reproductive, HIV, SexualHealth, Violence, Genetic, SickleCell}

// Sensitivities returns all of them, always in the same order.
func Sensitivities() []Sensitivity { return slices.Clone(sensitivities) }

// Valid reports whether s is one of [Sensitivities].
func (s Sensitivity) Valid() bool { return slices.Contains(sensitivities, s) }

// Label is what the tables say of a part. Slices are in a fixed order: two labels of the
// same part by the same tables and corrections are deeply equal, in whatever order the
// parts stand in their file, but for the numbers of parts in Why, and for which reasons
// stand there if there are more than 20,000 in a file.
type Label struct {
	Type         string           `json:"type"` // resourceType; of a narrative that of its resource
	Says         string           `json:"says"` // in the file's own words, at most 200 characters; "" if it has none
	Category     payload.Category `json:"category"`
	Sensitive    []Sensitivity    `json:"sensitive,omitempty"`    // in the order of [Sensitivities]
	Unclassified []string         `json:"unclassified,omitempty"` // kinds of what the tables do not understand, such as "free text"
	Date         string           `json:"date,omitempty"`         // clinical date, YYYY[-MM[-DD]] as it is written; "" if it has none
	Why          []Reason         `json:"why,omitempty"`
}

// Reason is why a label has one of its words.
type Reason struct {
	Of      string `json:"of"`      // the sensitivity, kind or category that it supports
	Because string `json:"because"` // the fact: a code, a word, a member of the resource
	Table   string `json:"table"`   // the table and its line, "points to part 17" (counted from 1), or "yours"
}

// Correction is what the owner of a record says of a part of it: it holds against every
// table.
type Correction struct {
	Category payload.Category // "" leaves it
	Add      []Sensitivity    // [Unclassified] is allowed
	Drop     []Sensitivity    // never had again, neither by a code nor by what the part points to
}

// Label says what each part of a cut is, in their order, by the rules of LABELS.md. fix
// returns what the owner said of the part with this [Part.Sum]; it may be nil. A part that
// is not read, since it has more than half a million values, is unclassified.
//
// It takes about as long as encoding/json needs to read the file, and keeps one part in
// memory at a time, with what was found in the others.
func (t *Tables) Label(c *Cut, fix func(sum crypto.Hash) (Correction, bool)) []Label {
	r := &reader{Tables: t, strings: make(map[string]met, 2*len(c.Parts)), systems: map[string]*system{}, plain: map[codeOf]bool{}, ids: map[string]bool{}}
	r.nodes.kinds = t.members
	w := &web{all: make([]facts, len(c.Parts)), names: make([]name, 0, 4*len(c.Parts))}
	for i := range c.Parts {
		p := &c.Parts[i]
		f := &w.all[i]
		f.typ = p.Type
		if r.begin(i, f); p.Text {
			r.narrative(p)
		} else if at, err := p.read(&r.nodes); err != nil || at < 0 {
			f.unread()
		} else {
			r.entry(p, at)
			f.how = t.types[p.Type].pointed
			w.name(i, &r.nodes, at)
		}
		if c.rules && !p.Text {
			f.unclassified(kindFileRules, "implicitRules of the file", "")
		}
		if fix != nil {
			if correction, ok := fix(p.Sum()); ok {
				f.correct(correction)
			}
		}
	}
	r.strings = nil // the largest of what was found, and not needed any more
	w.lead(&r.refs)
	w.inherit()
	labels := make([]Label, len(w.all))
	for i := range labels {
		labels[i] = w.label(i, c.Parts[i].Text)
	}
	return labels
}
