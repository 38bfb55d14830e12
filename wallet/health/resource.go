package health

// The parts of FHIR R4 resources that are written, in the order of the
// specification's tables.

// Bundle is a collection: the patient first, then her consents.
type Bundle struct {
	ResourceType string  `json:"resourceType"`
	Type         string  `json:"type"`
	Entry        []Entry `json:"entry"`
}

// Entry is one resource of a bundle.
type Entry struct {
	FullURL  string `json:"fullUrl"`
	Resource any    `json:"resource"` // *Patient or *Consent
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

// Identifier, HumanName, CodeableConcept, Coding, Reference and Period are R4's
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
		Reference  string      `json:"reference,omitempty"`
		Type       string      `json:"type,omitempty"`
		Identifier *Identifier `json:"identifier,omitempty"`
		Display    string      `json:"display,omitempty"`
	}
	Period struct {
		Start string `json:"start,omitempty"`
		End   string `json:"end"`
	}
)
