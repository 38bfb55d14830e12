package health

import (
	"bytes"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto/fault"
)

// Files of a folder become one record whose entries are theirs, byte for byte but for ends
// of lines.
func TestAppendLines(t *testing.T) {
	pretty := "{\n  \"resourceType\": \"Patient\",\r\n  \"id\": \"a\\nb\"\n}\n"
	c, d, e := `{"resourceType":"Condition","id":"c"}`, `{"resourceType":"Condition","id":"d"}`, `{"resourceType":"Observation","id":"e"}`
	var got []byte
	for _, file := range []string{pretty, c + "\n\n" + d + "\r\n", " " + e + " "} {
		var err error
		if got, err = AppendLines(got, []byte(file)); err != nil {
			t.Fatal(err)
		}
	}
	cut, err := Split(got)
	if err != nil || cut.Form != FormLines || len(cut.Parts) != 4 {
		t.Fatalf("%v, %+v of %q", err, cut, got)
	}
	flat := strings.NewReplacer("\r", " ", "\n", " ").Replace(strings.TrimSpace(pretty))
	for i, want := range []string{flat, c, d, e} {
		if p := cut.Parts[i].Append(nil); string(p) != want {
			t.Errorf("%q is not %q", p, want)
		}
	}
	if again, err := AppendLines(nil, got); err != nil || !bytes.Equal(again, got) {
		t.Errorf("the lines themselves: %v, %q", err, again)
	}
}

// What cannot be a line is said.
func TestAppendLinesRefuses(t *testing.T) {
	half := bytes.Repeat([]byte(" "), MaxSplit/2)
	copy(half, `{"resourceType":"Patient","id":"`)
	copy(half[len(half)-2:], `"}`)
	for _, bad := range []struct{ lines, file, why string }{
		{"", `{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient","id":"a"}}]}`, "a Bundle is a record of its own"},
		{"", `{"resourceType":"Bundle","id":"a"}` + "\n" + `{"resourceType":"Patient","id":"a"}`, "a Bundle is a record of its own"},
		{"", `{"resourceType":"Patient","resourceType":"Patient"}`, "line 1: "},
		{"", `{"a":1}`, "resourceType"},
		{"", "", "it is empty"},
		{string(half) + "\n", string(half), "larger than 32 MiB"},
	} {
		_, err := AppendLines([]byte(bad.lines), []byte(bad.file))
		e, _ := fault.As(err, ErrNotSplit)
		if why := fault.Get[string](e, "why"); !strings.Contains(why, bad.why) {
			t.Errorf("%.60q: %v, not %q", bad.file, err, bad.why)
		}
	}
}
