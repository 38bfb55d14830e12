package cli

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

type word string

type deepest struct {
	Lost string `json:"name"`
	Deep int    `json:"deep"`
}

type inner struct {
	deepest
	Name  string `json:"name"`
	Plain string
}

type other struct{ Plain string }

type outer struct {
	inner
	other                  // whose Plain and inner's are both not printed
	*maybe                 // whose fields may not be there
	Word   word            `json:"word"`
	Hidden string          `json:"-"`
	secret string          //lint:ignore U1000 not printed
	Null   *int            `json:"null"`
	Never  *int            `json:"never,omitempty"`
	When   time.Time       `json:"when,omitzero"`
	Many   map[string]uint `json:"many"`
	Four   [4]bool         `json:"four"`
	Raw    json.RawMessage `json:"raw"`
}

type maybe struct {
	There float64 `json:"there"`
}

// The schema of a struct has the fields that encoding/json prints, in their order.
func TestSchema(t *testing.T) {
	s := Schemas{Texts: map[reflect.Type]Schema{reflect.TypeFor[word](): OneOf[word]("a", "b")}}
	b, err := json.Marshal(s.of(reflect.TypeFor[outer]()))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"type":"object","properties":{"deep":{"type":"integer"},"name":{"type":"string"},"there":{"type":"number"},` +
		`"word":{"type":"string","enum":["a","b"]},"null":{"anyOf":[{"type":"integer"},{"type":"null"}]},"never":{"type":"integer"},` +
		`"when":{"type":"string","format":"date-time"},"many":{"type":"object","additionalProperties":{"type":"integer","minimum":0}},` +
		`"four":{"type":"array","items":{"type":"boolean"},"minItems":4,"maxItems":4},"raw":{}},` +
		`"required":["deep","name","word","null","many","four","raw"]}`
	if string(b) != want {
		t.Errorf("%s, not\n%s", b, want)
	}
	var fields map[string]any
	printed, err := json.Marshal(outer{maybe: &maybe{}, Never: new(int), When: time.Unix(0, 0), Raw: json.RawMessage("1")})
	if err != nil || json.Unmarshal(printed, &fields) != nil || len(fields) != 11-1 {
		t.Errorf("%d fields are printed: %s", len(fields), printed)
	}
}
