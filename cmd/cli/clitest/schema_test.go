package clitest

import "testing"

// What a program prints is compared with more than others would compare: nothing is
// unnamed, and a time is one.
func TestStrict(t *testing.T) {
	result, reported, err := compiled([]byte(`{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"type": "object",
		"properties": {
			"when": {"type": "string", "format": "date-time"},
			"counts": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}},
			"one": {"anyOf": [{"type": "array", "items": {"type": "object", "properties": {"word": {"enum": ["a", "b"]}}, "required": []}}, {"type": "null"}]}
		},
		"required": ["when"],
		"$defs": {"error": {"type": "object", "properties": {"code": {"type": "string", "pattern": "^[a-z]+$"}}, "required": ["code"]}}
	}`))
	if err != nil {
		t.Fatal(err)
	}
	for text, ok := range map[string]bool{
		`{"when": "2026-11-21T12:30:00Z"}`:                                    true,
		`{"when": "2026-11-21T12:30:00.5+01:00", "one": null}`:                true,
		`{"when": "2026-11-21T12:30:00Z", "counts": {"x": 1}}`:                true,
		`{"when": "2026-11-21T12:30:00Z", "one": [{"word": "a"}, {}]}`:        true,
		`{"when": "2026-11-21T12:30:00Z"} {}`:                                 false,
		`{"when": "2026-11-21 12:30:00Z"}`:                                    false,
		`{"when": "2026-13-21T12:30:00Z"}`:                                    false,
		`{"when": ""}`:                                                        false,
		`{"when": "2026-11-21T12:30:00Z", "more": 1}`:                         false,
		`{"when": "2026-11-21T12:30:00Z", "counts": {"x": -1}}`:               false,
		`{"when": "2026-11-21T12:30:00Z", "counts": {"x": 1.5}}`:              false,
		`{"when": "2026-11-21T12:30:00Z", "one": [{"word": "c"}]}`:            false,
		`{"when": "2026-11-21T12:30:00Z", "one": [{"word": "a", "more": 1}]}`: false,
		`{"when": null}`: false,
		`{}`:             false,
		`[]`:             false,
		``:               false,
	} {
		if err := valid(result, []byte(text)); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, ok := range map[string]bool{`{"code": "away"}`: true, `{"code": "Away"}`: false, `{"code": "away", "more": 1}`: false} {
		if err := valid(reported, []byte(text)); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, bad := range []string{`{"type": "object"}`, `{"type": "object", "$defs": {"error": {"pattern": "("}}}`, `{"type": 1, "$defs": {"error": {}}}`, ``} {
		if _, _, err := compiled([]byte(bad)); err == nil {
			t.Errorf("%s is a schema", bad)
		}
	}
}
