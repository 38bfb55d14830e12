package health

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/carekey/carekey/crypto"
)

// LedgerSystem is the system of an identifier that is a ledger's id.
const LedgerSystem = "https://github.com/carekey/carekey/fhir/ledger"

// The profiles of IHE Basic Audit Log Patterns for FHIR R4 that are written
// (https://profiles.ihe.net/ITI/BALP).
const (
	disclosureProfile = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PrivacyDisclosure.Source"
	decisionProfile   = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.AuthZconsent"
)

// Code systems of audit events.
const (
	dicom         = "http://dicom.nema.org/resources/ontology/DCM"
	snomedCT      = "http://snomed.info/sct"
	lifecycle     = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
	decisionKind  = "https://profiles.ihe.net/ITI/BALP/CodeSystem/AuthZsubType"
	resourceTypes = "http://hl7.org/fhir/resource-types"
	entityType    = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
	objectRole    = "http://terminology.hl7.org/CodeSystem/object-role"
	sourceType    = "http://terminology.hl7.org/CodeSystem/security-source-type"
	securityRole  = "http://terminology.hl7.org/CodeSystem/extra-security-role-type"
	roleClass     = "http://terminology.hl7.org/CodeSystem/v3-RoleClass"
)

// Happened is an opening of a consent, or an attempt at one that was refused, as far as it is
// known.
type Happened struct {
	Consent Given     // its status and window are not written
	Hour    time.Time // the beginning of the ledger's hour
	Nth     int       // of those that are alike otherwise, from 0

	Said  string // the reason that the recipient gave with an opening, which proves nothing
	Quiet string // why there is none, in words

	Keeper  int    // that refused it, from 1; 0: it was an opening
	Because string // why, a word of the keeper's
	More    int    // so many attempts at Hour or later, of which the keeper has but the number
}

// NewAuditBundle writes what happened, in its order, as R4 AuditEvents of IHE's Basic Audit
// Log Patterns: an opening as a disclosure that the ledger's keepers made, a refused attempt
// as a decision against it. What is not known is said to be unknown: network addresses, the
// recipient's program and organization, the minute. None proves anything by itself: what
// holds is on the ledger.
func NewAuditBundle(g Giver, happened []Happened) *Bundle {
	p := g.patient()
	b := &Bundle{ResourceType: "Bundle", Type: "collection", Entry: []Entry{{urn(p.ID), p}}}
	for i := range happened {
		e := newAuditEvent(g, &happened[i])
		b.Entry = append(b.Entry, Entry{urn(e.ID), e})
	}
	return b
}

func newAuditEvent(g Giver, h *Happened) *AuditEvent {
	e := &AuditEvent{
		ResourceType: "AuditEvent",
		ID:           h.id(),
		Period:       Period{Start: instant(h.Hour), End: lastSecond(h.Hour.Add(time.Hour))},
		Recorded:     instant(h.Hour),
	}
	if h.More > 0 {
		e.Period.End = ""
	}
	c := &h.Consent
	var purpose []CodeableConcept
	if word, known := purposes[c.Purpose]; known {
		purpose = []CodeableConcept{{[]Coding{{actReason, c.Purpose, word}}}}
		if c.Purpose == "HTEST" {
			e.Meta.Security = purpose[0].Coding
		}
	}
	e.PurposeOfEvent = purpose
	to := Reference{Display: clean(c.To)}
	if c.Address.IsZero() {
		to.Extension = absent()
	} else {
		k := keyIdentifier(c.Address)
		to.Identifier = &k
	}
	ledger := Reference{Type: "Device", Identifier: &Identifier{LedgerSystem, c.Ledger.String()}, Display: "the keepers of a carekey ledger"}
	e.Entity = []AuditEntity{
		{What: g.reference(), Type: Coding{entityType, "1", "Person"}, Role: &Coding{objectRole, "1", "Patient"}},
		{What: Reference{Type: "Consent", Identifier: &Identifier{ConsentSystem, c.Ledger.String() + "/" + c.ID.String()}}, Type: Coding{resourceTypes, "Consent", "Consent"}},
	}
	if h.Keeper > 0 {
		ledger.Display = fmt.Sprintf("keeper %d of a carekey ledger", h.Keeper)
		h.refused(e, to, ledger, purpose)
	} else {
		h.opened(e, to, ledger, g.reference())
	}
	e.Source = AuditSource{Observer: ledger, Type: []Coding{{sourceType, "6", "Security Server"}}}
	return e
}

// opened is a disclosure. Its source is who gave the keys, by the patient's consent.
func (h *Happened) opened(e *AuditEvent, to, ledger, patient Reference) {
	e.Meta.Profile = []string{disclosureProfile}
	e.Type = Coding{dicom, "110106", "Export"}
	e.Subtype = []Coding{{lifecycle, "disclose", "Disclose Record Lifecycle Event"}}
	e.Action, e.Outcome = "R", "0"
	if said := clean(h.Said); said != "" {
		e.OutcomeDesc = "opened; the recipient says why: " + said
	} else {
		e.OutcomeDesc = "opened; " + h.Quiet
	}
	nowhere := &Unknown{absent()}
	e.Agent = []AuditAgent{
		{Type: CodeableConcept{[]Coding{{dicom, "110152", "Destination Role ID"}}}, Who: to, Requestor: true, Network: nowhere},
		{Type: CodeableConcept{[]Coding{{dicom, "110153", "Source Role ID"}}}, Who: ledger, Network: nowhere},
		{Type: CodeableConcept{[]Coding{{snomedCT, "429577009", "Patient advocate"}}}, Who: patient},
	}
	for _, r := range h.Consent.Records {
		id, title := r.named(h.Consent.ID)
		e.Entity = append(e.Entity, AuditEntity{What: Reference{Identifier: &id, Display: title}, Type: Coding{entityType, "2", "System Object"}, Role: &Coding{objectRole, "4", "Domain Resource"}})
	}
}

// refused is a decision of a keeper's.
func (h *Happened) refused(e *AuditEvent, to, ledger Reference, purpose []CodeableConcept) {
	e.Meta.Profile = []string{decisionProfile}
	e.Type = Coding{dicom, "110113", "Security Alert"}
	e.Subtype = []Coding{{decisionKind, "AuthZ-Consent", "Authorization Decision using Roles and Consent"}}
	e.Action, e.Outcome = "E", "8"
	e.OutcomeDesc = "refused: " + h.Because
	if h.More > 0 {
		e.OutcomeDesc = fmt.Sprintf("refused: %d more attempts, which the keeper only counted", h.More)
	}
	nobody := Reference{Extension: absent()}
	e.Agent = []AuditAgent{
		{Type: CodeableConcept{[]Coding{{dicom, "110150", "Application"}}}, Who: nobody, Network: &Unknown{absent()}},
		{Type: concept(participation, "IRCP"), Who: to, Requestor: true, PurposeOfUse: purpose},
		{Type: concept(roleClass, "PROV"), Who: nobody},
		{Type: concept(securityRole, "authserver"), Who: ledger},
	}
}

// id is the same in every export.
func (h *Happened) id() string {
	var n [20]byte
	binary.BigEndian.PutUint64(n[:], uint64(h.Hour.Unix()))
	binary.BigEndian.PutUint32(n[8:], uint32(h.Keeper))
	binary.BigEndian.PutUint32(n[12:], uint32(h.Nth))
	binary.BigEndian.PutUint32(n[16:], uint32(min(h.More, 1)))
	sum := crypto.TaggedHash(crypto.TagFHIREvent, h.Consent.Ledger[:], h.Consent.ID[:], n[:], []byte(h.Because))
	return uuid([16]byte(sum[:]))
}

// absent says that something is there and not known
// (http://hl7.org/fhir/R4/extension-data-absent-reason.html).
func absent() []Extension {
	return []Extension{{"http://hl7.org/fhir/StructureDefinition/data-absent-reason", "unknown"}}
}
