package cli

import (
	"bytes"
	"encoding/json"
	"testing"
)

// A list is written piece by piece as it would be as a whole.
func TestWriteList(t *testing.T) {
	type item struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
		None *int     `json:"none,omitempty"`
	}
	for _, v := range []any{
		[]item{}, []item{{"a<b", nil, nil}}, []item{{"a", []string{"x", "y"}, new(int)}, {"", []string{}, nil}}, []string{"a", "b"}, [][]int{{1}, {}}, []int(nil), []byte("text"), json.RawMessage(`[1]`),
	} {
		var want, got bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(v); err != nil {
			t.Fatal(err)
		}
		if err := WriteJSON(&got, v, true); err != nil || got.String() != want.String() {
			t.Errorf("%v\n%s\nnot\n%s", err, got.String(), want.String())
		}
	}
}
