package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// Threat: a title, a name or a reason acts on the terminal on which somebody looks at
// --json. Every character comes back as the same value, and none that Clean escapes
// is written as it is.
func TestJSONActsOnNoTerminal(t *testing.T) {
	for _, s := range []string{"\x1b[31m", "\u009b2J", "\u0090q\u009c", "a\x7fb", "fdp.\u202eexe", "\u2066\u200b\ufeff", "\U000e0041\U0010ffff", "\ue000", "\u00a0"} {
		var b bytes.Buffer
		if err := WriteJSON(&b, map[string]string{"title" + s: s}, true); err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer("\n", "").Replace(b.String())
		if got := Clean(text); got != text {
			t.Errorf("%q: %s", s, got)
		}
		var back map[string]string
		if err := json.Unmarshal(b.Bytes(), &back); err != nil || back["title"+s] != s {
			t.Errorf("%q came back as %q, %v", s, back, err)
		}
	}
	const plain = `{"a":"Ελένη 血液検査 🩺 <&> \" \\ \n"}` + "\n"
	var v map[string]string
	if err := json.Unmarshal([]byte(plain), &v); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := WriteJSON(&b, v, false); err != nil || b.String() != plain {
		t.Errorf("%s, %v", b.String(), err)
	}
}

func FuzzWriteJSON(f *testing.F) {
	for _, s := range []string{"", "a", "\x1b]52;c;x\a", "\u009b2J\u202e\U000e0041", "a\xffb", "\u2028\ufffd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var b bytes.Buffer
		if err := WriteJSON(&b, s, false); err != nil {
			t.Fatal(err)
		}
		text := strings.TrimSuffix(b.String(), "\n")
		if Clean(text) != text {
			t.Fatalf("%q", text)
		}
		var back string
		if err := json.Unmarshal(b.Bytes(), &back); err != nil || utf8.ValidString(s) && back != s {
			t.Fatalf("%q came back as %q, %v", s, back, err)
		}
	})
}
