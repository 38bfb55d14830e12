package health

import (
	"slices"

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
// parts stand in their file, but for the numbers of parts in Why.
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
