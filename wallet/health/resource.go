package health

// The parts of FHIR R4 resources that are written, in the order of the
// specification's tables.

// Bundle is a collection: the patient first, then her consents, or what happened to them.
type Bundle struct {
	ResourceType string  `json:"resourceType"`
	Type         string  `json:"type"`
	Entry        []Entry `json:"entry"`
}

// Entry is one resource of a bundle.
type Entry struct {
	FullURL  string `json:"fullUrl"`
	Resource any    `json:"resource"` // *Patient, *Consent or *AuditEvent
}

// Patient is the person who gave the consents.
type Patient struct {
	ResourceType string       `json:"resourceType"`
	ID           string       `json:"id"`
	Identifier   []Identifier `json:"identifier"`
	Name         []HumanName  `json:"name,omitempty"`
}

// Consent is one consent.
type Consent struct {
	ResourceType string            `json:"resourceType"`
	ID           string            `json:"id"`
	Meta         Meta              `json:"meta"`
	Text         Narrative         `json:"text"`
	Identifier   []Identifier      `json:"identifier"`
	Status       string            `json:"status"`
	Scope        CodeableConcept   `json:"scope"`
	Category     []CodeableConcept `json:"category"`
	Patient      Reference         `json:"patient"`
	DateTime     string            `json:"dateTime"`
	Performer    []Reference       `json:"performer"`
	Policy       []Policy          `json:"policy"`
	Provision    Provision         `json:"provision"`
}

// AuditEvent is an opening of a consent, or an attempt that was refused.
type AuditEvent struct {
	ResourceType   string            `json:"resourceType"`
	ID             string            `json:"id"`
	Meta           AuditMeta         `json:"meta"`
	Type           Coding            `json:"type"`
	Subtype        []Coding          `json:"subtype"`
	Action         string            `json:"action"`
	Period         Period            `json:"period"`
	Recorded       string            `json:"recorded"`
	Outcome        string            `json:"outcome"`
	OutcomeDesc    string            `json:"outcomeDesc"`
	PurposeOfEvent []CodeableConcept `json:"purposeOfEvent,omitempty"`
	Agent          []AuditAgent      `json:"agent"`
	Source         AuditSource       `json:"source"`
	Entity         []AuditEntity     `json:"entity"`
}

// AuditMeta says by which profile an AuditEvent is written.
type AuditMeta struct {
	Profile  []string `json:"profile"`
	Security []Coding `json:"security,omitempty"`
}

// AuditAgent is who took part.
type AuditAgent struct {
	Type         CodeableConcept   `json:"type"`
	Who          Reference         `json:"who"`
	Requestor    bool              `json:"requestor"`
	Network      *Unknown          `json:"network,omitempty"`
	PurposeOfUse []CodeableConcept `json:"purposeOfUse,omitempty"`
}

// Unknown is an element of which nothing is known.
type Unknown struct {
	Extension []Extension `json:"extension"`
}

// AuditSource is who says so.
type AuditSource struct {
	Observer Reference `json:"observer"`
	Type     []Coding  `json:"type"`
}

// AuditEntity is what it is about.
type AuditEntity struct {
	What Reference `json:"what"`
	Type Coding    `json:"type"`
	Role *Coding   `json:"role,omitempty"`
}

// Policy names the text that says how a Consent is to be read.
type Policy struct {
	URI string `json:"uri"`
}

// Provision is what is permitted.
type Provision struct {
	Type    string   `json:"type"`
	Period  Period   `json:"period"`
	Actor   []Actor  `json:"actor"`
	Purpose []Coding `json:"purpose"`
	Data    []Data   `json:"data"`
}

// Actor is who is permitted.
type Actor struct {
	Role      CodeableConcept `json:"role"`
	Reference Reference       `json:"reference"`
}

// Data is what it is about.
type Data struct {
	Meaning   string    `json:"meaning"`
	Reference Reference `json:"reference"`
}

// Meta says which version of a resource this is.
type Meta struct {
	VersionID   string   `json:"versionId"`
	LastUpdated string   `json:"lastUpdated"`
	Security    []Coding `json:"security,omitempty"`
}

// Narrative is the resource in plain language, XHTML.
type Narrative struct {
	Status string `json:"status"`
	Div    string `json:"div"`
}

// Identifier, HumanName, CodeableConcept, Coding, Reference, Period and Extension are R4's
// data types of these names (http://hl7.org/fhir/R4/datatypes.html).
type (
	Identifier struct {
		System string `json:"system"`
		Value  string `json:"value"`
	}
	HumanName struct {
		Text string `json:"text"`
	}
	CodeableConcept struct {
		Coding []Coding `json:"coding"`
	}
	Coding struct {
		System  string `json:"system"`
		Code    string `json:"code"`
		Display string `json:"display,omitempty"`
	}
	Reference struct {
		Extension  []Extension `json:"extension,omitempty"`
		Reference  string      `json:"reference,omitempty"`
		Type       string      `json:"type,omitempty"`
		Identifier *Identifier `json:"identifier,omitempty"`
		Display    string      `json:"display,omitempty"`
	}
	Period struct {
		Start string `json:"start,omitempty"`
		End   string `json:"end,omitempty"`
	}
	Extension struct {
		URL       string `json:"url"`
		ValueCode string `json:"valueCode"`
	}
)
