package payload

import (
	"maps"
	"slices"
	"strings"
)

// Category is the kind of a record in a patient's words. The list is fixed: a
// category is what a grant can select by.
type Category string

// Categories lists every category with the FHIR R4 resources it stands for
// (http://hl7.org/fhir/R4/resourcelist.html). Records that are not FHIR get the
// category their owner names.
var categories = map[Category]string{
	"allergies":     "AllergyIntolerance",
	"medications":   "Medication, MedicationRequest, MedicationStatement, MedicationDispense",
	"problems":      "Condition",
	"immunizations": "Immunization",
	"labs":          "Observation of category laboratory, DiagnosticReport",
	"vitals":        "Observation of category vital-signs",
	"documents":     "DocumentReference, Composition, List, Binary, notes and letters",
	"images":        "ImagingStudy, Media",
	"claims":        "Claim, ExplanationOfBenefit, Coverage",
	"devices":       "Device, DeviceUseStatement: implants and aids",
	"demographics":  "Patient, RelatedPerson",
	"other":         "anything else, and what was given no category",
}

// Other is the category of a record that was given none.
const Other Category = "other"

// Categories returns the names in alphabetical order, "other" last.
func Categories() []Category {
	all := slices.Sorted(maps.Keys(categories))
	return append(slices.DeleteFunc(all, func(c Category) bool { return c == Other }), Other)
}

// Valid reports whether c is on the list.
func (c Category) Valid() bool { _, ok := categories[c]; return ok }

// Covers names the FHIR resources that c stands for.
func (c Category) Covers() string { return categories[c] }

// ParseCategory reads a category's name, ignoring case; false if it is none.
func ParseCategory(s string) (Category, bool) {
	c := Category(strings.ToLower(strings.TrimSpace(s)))
	return c, c.Valid()
}

// Purpose is why a record may be opened: a code of HL7 v3-ActReason
// (http://terminology.hl7.org/CodeSystem/v3-ActReason).
type Purpose string

// purposes maps the codes a grant may carry to plain words. Emergency access
// (ETREAT and its child BTG) is not a purpose of an ordinary grant.
var purposes = map[Purpose]string{
	"TREAT":    "treatment",
	"HPAYMT":   "payment",
	"HOPERAT":  "operations",
	"HRESCH":   "research",
	"CLINTRCH": "clinical-trial",
	"PATRQT":   "patient-request",
	"FAMRQT":   "family-request",
	"PWATRNY":  "power-of-attorney",
	"SUPNWK":   "support-network",
	"PUBHLTH":  "public-health",
	"HTEST":    "test",
}

// Treatment is the purpose when none is named.
const Treatment Purpose = "TREAT"

// Word is the purpose in plain words; a code that is not on the list is its own.
func (p Purpose) Word() string {
	if w, ok := purposes[p]; ok {
		return w
	}
	return string(p)
}

// Purposes returns the plain words in alphabetical order.
func Purposes() []string { return slices.Sorted(maps.Values(purposes)) }

// ParsePurpose reads a plain word or an HL7 code, ignoring case; false if it is none.
func ParsePurpose(s string) (Purpose, bool) {
	t := strings.TrimSpace(s)
	for p, w := range purposes {
		if strings.EqualFold(t, w) || strings.EqualFold(t, string(p)) {
			return p, true
		}
	}
	return "", false
}
