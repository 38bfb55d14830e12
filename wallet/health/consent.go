package health

import (
	"encoding/hex"
	"fmt"
	"html"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
)

// PolicyURI is Consent.policy.uri: the text in policy-1.md. Another meaning gets
// another number.
const PolicyURI = "https://github.com/carekey/carekey/blob/main/wallet/health/policy-1.md"

// PartsPolicyURI is the same of a consent that gives parts of a record: the text in
// policy-2.md.
const PartsPolicyURI = "https://github.com/carekey/carekey/blob/main/wallet/health/policy-2.md"

// Systems of the identifiers that are carekey's own.
const (
	ConsentSystem = "https://github.com/carekey/carekey/fhir/consent" // ledger id / id of the grant's entry
	RecordSystem  = "https://github.com/carekey/carekey/fhir/record"  // id of the record's entry / version
	PartSystem    = "https://github.com/carekey/carekey/fhir/part"    // id of the grant's entry / of the record's / version: the parts of it that this grant gives
)

// Code systems.
const (
	uriSystem     = "urn:ietf:rfc:3986" // the value is a URI
	loinc         = "http://loinc.org"
	actCode       = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
	actReason     = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
	consentScope  = "http://terminology.hl7.org/CodeSystem/consentscope"
	consentKind   = "http://terminology.hl7.org/CodeSystem/consentcategorycodes"
	participation = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
)

// purposes are the codes that a grant can carry with HL7's words for them
// (v3-ActReason of R4).
var purposes = map[string]string{
	"TREAT":    "treatment",
	"HPAYMT":   "healthcare payment",
	"HOPERAT":  "healthcare operations",
	"HRESCH":   "healthcare research",
	"CLINTRCH": "clinical trial research",
	"PATRQT":   "patient requested",
	"FAMRQT":   "family requested",
	"PWATRNY":  "power of attorney",
	"SUPNWK":   "support network",
	"PUBHLTH":  "public health",
	"HTEST":    "test health data",
}

// Giver is whose consents are written.
type Giver struct {
	Name    string         // what she calls herself
	Address crypto.Address // her own
}

// Given is a consent, in plain values. Times are whole hours, which is what a ledger has.
type Given struct {
	Ledger  crypto.LedgerID
	ID      crypto.Hash // of the grant's entry
	To      string      // what the giver calls the recipient
	Address crypto.Address
	Records []GivenRecord
	Purpose string    // code of v3-ActReason
	Granted time.Time // when the ledger took it
	From    time.Time // zero: from then on
	Until   time.Time // the exact end; zero: not known
	Status  string    // active, upcoming, expired or revoked
	Revoked time.Time // of a revoked one
	AsOf    time.Time // when the ledger was followed last, if it is out of reach; else zero
}

// GivenRecord is a version of a record that a consent is for.
type GivenRecord struct {
	ID      crypto.Hash
	Version int
	Title   string
	Part    string // what of it, in words, if only parts of it are given; else "". The title is not written then: it is of the whole
}

// ErrUnmappable: a consent cannot be written as FHIR without saying something that it
// does not. consent, why
const ErrUnmappable fault.Code = "not-mappable"

// NewBundle writes consents, in their order. Its error is [ErrUnmappable], of the
// first that cannot be written.
func NewBundle(g Giver, consents []Given) (*Bundle, error) {
	p := g.patient()
	b := &Bundle{ResourceType: "Bundle", Type: "collection", Entry: []Entry{{urn(p.ID), p}}}
	for i := range consents {
		c, err := NewConsent(g, &consents[i])
		if err != nil {
			return nil, err
		}
		b.Entry = append(b.Entry, Entry{urn(c.ID), c})
	}
	return b, nil
}

func (g *Giver) patient() *Patient {
	p := &Patient{ResourceType: "Patient", ID: g.id(), Identifier: []Identifier{keyIdentifier(g.Address)}}
	if name := clean(g.Name); name != "" {
		p.Name = []HumanName{{name}}
	}
	return p
}

// id is the same in every export of one wallet, so that importing twice makes no
// second patient.
func (g *Giver) id() string {
	h := crypto.TaggedHash(crypto.TagFHIRPatient, g.Address.Sign[:])
	return uuid([16]byte(h[:]))
}

func (g *Giver) reference() Reference {
	k := keyIdentifier(g.Address)
	return Reference{Reference: urn(g.id()), Type: "Patient", Identifier: &k, Display: clean(g.Name)}
}

// NewConsent writes one consent. Its error is [ErrUnmappable].
func NewConsent(g Giver, c *Given) (*Consent, error) {
	cannot := func(why string) (*Consent, error) { return nil, ErrUnmappable.With("consent", c.ID, "why", why) }
	purpose, known := purposes[c.Purpose]
	switch {
	case c.Address.IsZero() || len(c.Records) == 0:
		// A Consent without actor or data would permit everybody, or everything.
		return cannot("whom and what it is for is not known")
	case !known:
		return cannot("its purpose is not known")
	}
	out := &Consent{
		ResourceType: "Consent",
		ID:           uuid([16]byte(c.ID[:])),
		Meta:         Meta{VersionID: "1", LastUpdated: instant(c.Granted)},
		Status:       "active",
		Scope:        concept(consentScope, "patient-privacy"),
		Category:     []CodeableConcept{concept(loinc, "59284-0"), concept(actCode, "IDSCL")},
		Patient:      g.reference(),
		DateTime:     instant(c.Granted),
		Performer:    []Reference{g.reference()},
		Policy:       []Policy{{PolicyURI}},
	}
	out.Identifier = []Identifier{{uriSystem, urn(out.ID)}, {ConsentSystem, c.Ledger.String() + "/" + c.ID.String()}}
	switch c.Status {
	case "active", "upcoming", "expired":
	case "revoked":
		out.Status = "inactive"
		out.Meta.VersionID, out.Meta.LastUpdated = "2", instant(slices.MaxFunc([]time.Time{c.Revoked, c.Granted}, time.Time.Compare))
	default:
		return cannot("its status is not known")
	}
	switch c.Purpose {
	case "HRESCH", "CLINTRCH":
		// The scope stays: R4's scope "research" is consent to take part in a protocol.
		out.Category = append(out.Category, concept(consentKind, "research"))
	case "HTEST":
		out.Meta.Security = []Coding{{actReason, "HTEST", purpose}}
	}
	to := keyIdentifier(c.Address)
	out.Provision = Provision{
		Type:    "permit",
		Period:  Period{End: lastSecond(c.Until)},
		Actor:   []Actor{{concept(participation, "IRCP"), Reference{Identifier: &to, Display: clean(c.To)}}},
		Purpose: []Coding{{actReason, c.Purpose, purpose}},
	}
	if !c.From.IsZero() {
		out.Provision.Period.Start = instant(c.From)
	}
	if c.Until.IsZero() || !c.From.Before(c.Until) || c.Until.Year() > 9999 {
		return cannot("its window has no dates")
	}
	for _, r := range c.Records {
		if r.Part != "" {
			out.Policy[0].URI = PartsPolicyURI
		}
		id, title := r.named(c.ID)
		out.Provision.Data = append(out.Provision.Data, Data{"instance", Reference{Identifier: &id, Display: title}})
	}
	out.Text = narrative(g, c, purpose)
	return out, nil
}

// named is what a record is called in what is written of a consent with that id.
func (r *GivenRecord) named(consent crypto.Hash) (id Identifier, title string) {
	id = Identifier{RecordSystem, fmt.Sprintf("%s/%d", r.ID, r.Version)}
	if r.Part != "" {
		return Identifier{PartSystem, consent.String() + "/" + id.Value}, clean(partOf + r.Part)
	}
	return id, clean(r.Title)
}

// partOf begins what is said of a record of which parts are given.
const partOf = "Part of a record: "

// narrative is the consent in plain language.
func narrative(g Giver, c *Given, purpose string) Narrative {
	name := func(s string, a crypto.Address) string {
		if s = clean(s); s == "" {
			s = didKey(a.Sign)
		}
		return html.EscapeString(s)
	}
	var b strings.Builder
	from := ""
	if !c.From.IsZero() {
		from = " from " + instant(c.From)
	}
	fmt.Fprintf(&b, `<div xmlns="http://www.w3.org/1999/xhtml"><p>%s permits %s to read, for the purpose of %s,%s until %s:</p><ul>`,
		name(g.Name, g.Address), name(c.To, c.Address), purpose, from, lastSecond(c.Until))
	for _, r := range c.Records {
		title := clean(r.Title)
		if r.Part != "" {
			title = clean(partOf + r.Part)
		}
		if title == "" {
			title = r.ID.String()
		}
		fmt.Fprintf(&b, "<li>%s, version %d</li>", html.EscapeString(title), r.Version)
	}
	b.WriteString("</ul>")
	if c.Status == "revoked" {
		fmt.Fprintf(&b, "<p>Revoked: %s</p>", instant(c.Revoked))
	}
	if !c.AsOf.IsZero() {
		fmt.Fprintf(&b, "<p>As of %s: the ledger was out of reach since, and what came then is not known.</p>", instant(c.AsOf))
	}
	b.WriteString("</div>")
	return Narrative{"generated", b.String()}
}

func concept(system, code string) CodeableConcept {
	return CodeableConcept{[]Coding{{System: system, Code: code}}}
}

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// lastSecond is the end of a period that FHIR counts with its end: a consent's end is
// the first moment that is not in it.
func lastSecond(end time.Time) string { return instant(end.Add(-time.Second)) }

func urn(id string) string { return "urn:uuid:" + id }

// uuid is a version 8 UUID (RFC 9562) of bytes that are a hash.
func uuid(b [16]byte) string {
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b[:])
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// clean makes an R4 string of a name or a title: no control characters, no space
// but ' ' (the type's pattern is [ \r\n\t\S]+), none at the ends, and nothing that
// XHTML cannot hold.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), unicode.IsSpace(r), r == '\uFEFF':
			return ' '
		case r&0xFFFE == 0xFFFE:
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
	return strings.Join(strings.Fields(s), " ")
}
