package shlink

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

func TestMadeText(t *testing.T) {
	m := Made{URL: goodURL, Key: goodKey, Flags: "P", Until: time.Unix(1796036400, 0).UTC(), Label: "Ann's <allergies> & more"}
	l := parsed(t, m.Text())
	if l.URL() != m.URL || l.Flags != "P" || !l.Until.Equal(m.Until) || l.Label != m.Label {
		t.Errorf("%q %q %v %q", l.URL(), l.Flags, l.Until, l.Label)
	}
	bare, _ := unbase64(strings.TrimPrefix(Made{URL: goodURL, Key: goodKey, Flags: "U"}.Text(), scheme))
	if want := fmt.Sprintf(`{"url":%q,"flag":"U","key":%q}`, goodURL, goodKey); string(bare) != want {
		t.Errorf("%s, want %s", bare, want)
	}
}

// Threat: whoever serves a link guesses from a file's size what is in it.
func TestDeflateClasses(t *testing.T) {
	for _, size := range []int{0, 1, 100, 4080, 4081, 4090, 4096, 5000, 6130, 6144, 70_000, 98_304, 200_000} {
		// Digits by a rule of their own do not compress to nothing.
		file := []byte(`{"resourceType":"Basic","id":"`)
		for x := uint32(1); len(file) < size; x = x*1664525 + 1013904223 {
			file = fmt.Appendf(file, "%08x", x)
		}
		file = append(file, `"}`...)
		deflated, err := Deflate(file)
		if err != nil {
			t.Fatal(err)
		}
		c := len(deflated)
		for c%2 == 0 {
			c /= 2
		}
		if len(deflated) < leastClass || c != 1 && c != 3 {
			t.Errorf("%d bytes come to %d", len(file), len(deflated))
		}
		in := bytes.NewReader(deflated)
		back, err := io.ReadAll(flate.NewReader(in))
		if err != nil || in.Len() != 0 || !bytes.Equal(bytes.TrimRight(back, " "), file) || !json.Valid(back) {
			t.Errorf("%d bytes: %d come back, %d are left, %v", len(file), len(back), in.Len(), err)
		}
	}
}

func TestSealed(t *testing.T) {
	l := parsed(t, Made{URL: goodURL, Key: goodKey}.Text())
	deflated, err := Deflate([]byte(patient))
	if err != nil {
		t.Fatal(err)
	}
	jwe, err := Seal(l.aead, [12]byte{1}, deflated)
	if err != nil {
		t.Fatal(err)
	}
	file, said, err := l.open(jwe)
	if err != nil || said != TypeFHIR || strings.TrimRight(string(file), " ") != patient {
		t.Errorf("%.60q %q %v", file, said, err)
	}
	other, err := Seal(l.aead, [12]byte{2}, deflated)
	if err != nil || bytes.Equal(jwe, other) || len(jwe) != len(other) {
		t.Error(err)
	}
	if _, err := Seal(l.aead, [12]byte{}, make([]byte, MaxFile+1)); err == nil {
		t.Error("a file that no reader takes is made")
	}
}
