package shlink

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/lane"
)

const (
	goodURL = "https://example.org/s/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	goodKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	patient = `{"resourceType":"Patient","id":"p"}`
)

// linkOf is the link with a payload.
func linkOf(payload string) string {
	return scheme + base64.RawURLEncoding.EncodeToString([]byte(payload))
}

// goodLink is one with these members beside url and key.
func goodLink(more string) string {
	return linkOf(fmt.Sprintf(`{"url":%q,"key":%q%s}`, goodURL, goodKey, more))
}

func parsed(t testing.TB, text string) *Link {
	t.Helper()
	l, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// seal encrypts a file as the specification says, with this header.
func seal(l *Link, header string, file []byte) []byte {
	b64 := base64.RawURLEncoding.EncodeToString
	head := b64([]byte(header))
	if strings.Contains(header, `"zip":"DEF"`) {
		var b bytes.Buffer
		w, _ := flate.NewWriter(&b, flate.BestCompression)
		w.Write(file)
		w.Close()
		file = b.Bytes()
	}
	iv := make([]byte, 12)
	sealed := l.aead.Seal(nil, iv, file, []byte(head))
	at := len(sealed) - 16
	return []byte(head + ".." + b64(iv) + "." + b64(sealed[:at]) + "." + b64(sealed[at:]))
}

const (
	plainHeader = `{"alg":"dir","enc":"A256GCM"}`
	fhirHeader  = `{"alg":"dir","enc":"A256GCM","zip":"DEF","cty":"application/fhir+json"}`
)

// The specification's own examples: a link behind a viewer's address, and a file.
func TestSpecification(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "specification.txt"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(string(b))
	l := parsed(t, lines[0])
	if l.URL() != "https://ehr.example.org/qr/Y9xwkUdtmN9wwoJoN3ffJIhX2UGvCL1JnlPVNL3kDWM/m" || l.Host() != "ehr.example.org" ||
		l.Flags != "LP" || !l.Has('P') || l.Has('U') || l.Label != "Back-to-school immunizations for Oliver Brown" || !l.Until.IsZero() {
		t.Errorf("%q %q %q", l.URL(), l.Flags, l.Label)
	}
	file, contentType, err := l.open([]byte(lines[1] + "\n"))
	if err != nil || contentType != TypeCard || !strings.HasPrefix(strings.Join(strings.Fields(string(file)), ""), `{"verifiableCredential":["eyJ6aXAiOiJERUYi`) {
		t.Errorf("%.60q %q %v", file, contentType, err)
	}
	f := File{Body: file}
	if err := f.fits(""); err != nil || f.Type != TypeCard {
		t.Error(f.Type, err)
	}
}

// The guide's demonstration: an International Patient Summary, and a file that is no JWE.
func TestPublishedFiles(t *testing.T) {
	dir := os.Getenv("CAREKEY_TESTDATA")
	if dir == "" {
		if os.Getenv("CAREKEY_NO_SKIP") != "" {
			t.Fatal("CAREKEY_TESTDATA is not set")
		}
		t.Skip("CAREKEY_TESTDATA is not set: no published vectors")
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, "data", "fhir", "shl-shc-vectors", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	l := parsed(t, strings.TrimSpace(string(read("IPS_IG-bundle-01-shl.txt"))))
	sealed := read("IPS_IG-bundle-01-enc.txt")
	file, said, err := l.open(sealed)
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(file, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(read("IPS_IG-bundle-01.json"), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Error("it is another file")
	}
	f := File{Body: file}
	if err := f.fits(said); err != nil || f.Type != TypeFHIR {
		t.Error(f.Type, err)
	}
	if _, _, err := l.open(read("example-00-d-jws.txt")); err == nil {
		t.Error("a JWS is taken for a JWE")
	}
	for _, at := range []int{3, 120, len(sealed) / 2, len(sealed) - 8} {
		flipped := bytes.Clone(sealed)
		flipped[at] ^= 1
		if _, _, err := l.open(flipped); err == nil {
			t.Errorf("byte %d changed, and it opens", at)
		}
	}
}

// What the specification lets a reader pass over is passed over; what nobody can mean is
// refused, and says why.
func TestLinks(t *testing.T) {
	for more, check := range map[string]func(*Link) bool{
		``:                        func(l *Link) bool { return l.Flags == "" && l.Until.IsZero() },
		`,"flag":"LU"`:            func(l *Link) bool { return l.Has('U') && l.Has('L') && !l.Has('P') },
		`,"flag":"LUXé"`:          func(l *Link) bool { return l.Has('U') && l.Flags == "LUXé" }, // unknown ones are passed over
		`,"_mine":{"a":[1]}`:      func(l *Link) bool { return true },
		`,"extension":[],"x":3`:   func(l *Link) bool { return true },
		`,"v":1`:                  func(l *Link) bool { return true },
		`,"v":1.0`:                func(l *Link) bool { return true },
		`,"exp":1796036400`:       func(l *Link) bool { return l.Until.Equal(time.Unix(1796036400, 0)) },
		`,"exp":1796036400.75`:    func(l *Link) bool { return l.Until.Equal(time.Unix(1796036400, 0)) },
		`,"exp":1796036400000`:    func(l *Link) bool { return l.Until.IsZero() }, // milliseconds: no time that can be
		`,"exp":-1`:               func(l *Link) bool { return l.Until.IsZero() },
		`,"exp":1e300`:            func(l *Link) bool { return l.Until.IsZero() },
		`,"label":"\u001b[2Jx"`:   func(l *Link) bool { return l.Label == "\x1b[2Jx" }, // shown only cleaned
		`,"URL":"https://x.test"`: func(l *Link) bool { return l.Host() == "example.org" },
		`,"label":"` + strings.Repeat("é", 80) + `"`: func(l *Link) bool { return len(l.Label) == 160 },
	} {
		l, err := Parse(goodLink(more))
		if err != nil || !check(l) {
			t.Errorf("%s: %v", more, err)
		}
	}
	of := func(url, key string) string { return linkOf(fmt.Sprintf(`{"url":%q,"key":%q}`, url, key)) }
	for text, why := range map[string]string{
		"https://example.org/":                 "does not begin",
		"shlink:":                              "does not begin",
		"shlink:/":                             "base64url",
		"shlink:/a":                            "base64url",
		"shlink:/" + strings.Repeat("A", 9000): "longer than 8192",
		goodLink("") + "=":                     "base64url",
		goodLink("")[:40] + "\n" + goodLink("")[40:]: "base64url",
		linkOf(`[]`):                                                 "no object",
		linkOf(`{"url":1`):                                           "does not parse",
		linkOf("{\"url\":\"\xff\"}"):                                 "UTF-8",
		linkOf(`{"key":"` + goodKey + `"}`):                          "no url",
		linkOf(`{"url":"` + goodURL + `"}`):                          "no key",
		goodLink(`,"url":"https://x.test/"`):                         "twice",
		goodLink(`,"key":"` + goodKey + `"`):                         "twice",
		goodLink(`,"flag":"PU"`):                                     "exclude",
		goodLink(`,"flag":["U"]`):                                    "flag is no text",
		goodLink(`,"label":7`):                                       "label is no text",
		goodLink(`,"label":"` + strings.Repeat("x", 81) + `"`):       "longer than 80",
		goodLink(`,"exp":"1796036400"`):                              "exp is no number",
		goodLink(`,"exp":null`):                                      "exp is no number",
		goodLink(`,"v":"1"`):                                         "v is no number",
		of(goodURL, goodKey[:42]):                                    "43 characters",
		of(goodURL, goodKey+"A"):                                     "43 characters",
		of(goodURL, goodKey[:42]+"9"):                                "43 characters", // bits that must be 0
		of(goodURL, goodKey[:42]+"+"):                                "43 characters",
		of("https://example.org/"+strings.Repeat("x", 109), goodKey): "longer than 128",
		of("http://example.org/", goodKey):                           "not of https",
		of("file:///etc/passwd", goodKey):                            "not of https",
		of("https:///s", goodKey):                                    "no server",
		of("https:s", goodKey):                                       "no server",
		of("https://you@example.org/", goodKey):                      "user's name",
		of("https://example.org/#x", goodKey):                        "fragment",
		of("https://exämple.org/", goodKey):                          "characters",
		of("https://example.org/a b", goodKey):                       "characters",
		of("https://example.org\\@x.test/", goodKey):                 "characters",
		of("https://example.org:x/", goodKey):                        "is none",
	} {
		_, err := Parse(text)
		e, ok := fault.As(err, ErrLink)
		if !ok || !strings.Contains(fault.Get[string](e, "why"), why) {
			t.Errorf("%.90s: %v, want %q", text, err, why)
		}
	}
	if _, err := Parse(goodLink(`,"v":2`)); !isCode(err, ErrVersion) {
		t.Error(err)
	}
	if _, err := Parse(of("https://example.org/"+strings.Repeat("x", 108), goodKey)); err != nil {
		t.Error("a url of 128:", err)
	}
	for _, like := range []string{"SHLINK:/x", "https://v.example/#shlink:/x", "shlink:/"} {
		if !Is(like) {
			t.Errorf("%s does not look like a link", like)
		}
	}
	for _, other := range []string{"", "shlink", "https://v.example/shlink:/x", "carekey-fetch1aa", "#"} {
		if Is(other) {
			t.Errorf("%s looks like a link", other)
		}
	}
	if s := fmt.Sprintf("%v %+v %#v %s %x", parsed(t, goodLink("")), parsed(t, goodLink("")), parsed(t, goodLink("")), parsed(t, goodLink("")), parsed(t, goodLink(""))); strings.Trim(s, "(link) ") != "" {
		t.Errorf("a link prints %s", s)
	}
}

func isCode(err error, c fault.Code) bool { _, ok := fault.As(err, c); return ok }

// Threat: a file of another algorithm, or one that inflates to any size.
func TestFiles(t *testing.T) {
	lane.OneGoroutine(t)
	l := parsed(t, goodLink(""))
	for _, header := range []string{plainHeader, fhirHeader, `{"enc":"A256GCM","alg":"dir","cty":"fhir+json","kid":"x"}`, `{"alg":"dir","enc":"A256GCM","cty":"application/fhir+json; fhirVersion=4.0.1"}`} {
		file, said, err := l.open(seal(l, header, []byte(patient)))
		if err != nil || string(file) != patient || said != "" && said != TypeFHIR {
			t.Errorf("%s: %q %q %v", header, file, said, err)
		}
	}
	good := string(seal(l, plainHeader, []byte(patient)))
	pieces := strings.Split(good, ".")
	with := func(at int, piece string) string {
		p := strings.Split(good, ".")
		p[at] = piece
		return strings.Join(p, ".")
	}
	bomb := seal(l, fhirHeader, bytes.Repeat([]byte{' '}, MaxFile+1))
	if len(bomb) > 200<<10 {
		t.Fatalf("the bomb has %d bytes", len(bomb))
	}
	for jwe, why := range map[string]string{
		"":                                  "five pieces",
		"a.b.c.d":                           "five pieces",
		good + ".":                          "five pieces",
		with(3, "!"):                        "base64url",
		with(1, "AAAA"):                     "other sizes", // an encrypted key
		with(2, "AAAA"):                     "other sizes",
		with(4, "AAAA"):                     "other sizes",
		with(3, pieces[3]+"AAAA"):           "changed",
		with(2, "AAAAAAAAAAAAAAAB"):         "changed",
		string(bomb):                        "more than 67108864",
		strings.Repeat("A", maxSealed+1):    "more than",
		with(0, strings.Repeat("A", 8<<10)): "base64url",
		string(seal(l, `{"alg":"A256KW","enc":"A256GCM"}`, nil)):                              "another algorithm",
		string(seal(l, `{"alg":"dir","enc":"A128GCM"}`, nil)):                                 "another algorithm",
		string(seal(l, `{"alg":"none","enc":"A256GCM"}`, nil)):                                "another algorithm",
		string(seal(l, `{"ALG":"dir","enc":"A256GCM"}`, nil)):                                 "another algorithm",
		string(seal(l, `{"alg":"dir","alg":"dir","enc":"A256GCM"}`, nil)):                     "twice",
		string(seal(l, `{"alg":"dir","enc":"A256GCM","crit":["exp"]}`, nil)):                  "extension",
		string(seal(l, `{"alg":"dir","enc":"A256GCM","zip":"GZ"}`, nil)):                      "something else",
		string(seal(l, `{"alg":"dir","enc":"A256GCM","cty":1}`, nil)):                         "no text",
		strings.Replace(string(seal(l, plainHeader, nil)), pieces[0], encoded(fhirHeader), 1): "changed",
	} {
		if _, _, err := l.open([]byte(jwe)); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%.80s: %v, want %q", jwe, err, why)
		}
	}
	other := parsed(t, linkOf(fmt.Sprintf(`{"url":%q,"key":%q}`, goodURL, "B"+goodKey[1:])))
	if _, _, err := other.open([]byte(good)); err == nil {
		t.Error("another key opens it")
	}
	// A header that says DEFLATE over what is none.
	notDeflated := seal(l, `{"alg":"dir","enc":"A256GCM","zip":"D\u0045F"}`, []byte(patient))
	if _, _, err := l.open(notDeflated); err == nil || !strings.Contains(err.Error(), "DEFLATE") {
		t.Error(err)
	}
}

func encoded(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// A file is what it and the manifest say, and is JSON of that type.
func TestTypes(t *testing.T) {
	for _, c := range []struct{ manifest, said, body, is, why string }{
		{"", "", patient, TypeFHIR, ""},
		{"", TypeFHIR, patient, TypeFHIR, ""},
		{TypeFHIR, "", patient, TypeFHIR, ""},
		{TypeFHIR, TypeFHIR, patient, TypeFHIR, ""},
		{"", "", `{"verifiableCredential":[]}`, TypeCard, ""},
		{TypeAccess, "", `{"access_token":"x"}`, TypeAccess, ""},
		{TypeFHIR, TypeCard, patient, "", "another type"},
		{"text/html", "", patient, "", "no link has"},
		{"", "application/pdf", "%PDF", "", "no link has"},
		{TypeFHIR, "", "<html>", "", "does not parse"},
		{TypeFHIR, "", `[]`, "", "no object"},
		{TypeFHIR, "", `{"resourceType":7}`, "", "no FHIR"},
		{TypeFHIR, "", `{"ResourceType":"Patient"}`, "", "no FHIR"},
		{TypeFHIR, "", `{"resourceType":"Patient","resourceType":"Bundle"}`, "", "twice"},
	} {
		f := File{Type: c.manifest, Body: []byte(c.body)}
		err := f.fits(c.said)
		if c.why == "" && (err != nil || f.Type != c.is) || c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why)) {
			t.Errorf("%+v: %s, %v", c, f.Type, err)
		}
	}
}

func TestManifests(t *testing.T) {
	files, err := parseManifest([]byte(`{"list":{"resourceType":"List"},"files":[
		{"contentType":"application/fhir+json;fhirVersion=4.0.1","embedded":"a.b","lastUpdated":"2026-01-01T00:00:00Z","status":"finalized","fhirVersion":"4.0.1","location":null},
		{"contentType":"application/smart-health-card","location":"https://x.test/y","more":1}]}`))
	want := []sealed{
		{File: File{Type: TypeFHIR, Updated: "2026-01-01T00:00:00Z", Status: "finalized", FHIRVersion: "4.0.1"}, embedded: []byte("a.b")},
		{File: File{Type: TypeCard}, embedded: []byte{}, location: "https://x.test/y"},
	}
	if err != nil || !reflect.DeepEqual(files, want) {
		t.Errorf("%+v, %v", files, err)
	}
	for text, why := range map[string]string{
		``: "parse", `[]`: "no object", `{}`: "no list", `{"files":{}}`: "no list", `{"files":null}`: "no list", `{"files":[1]}`: "no object",
		`{"files":[{"embedded":"x"}]}`:                                    "no type",
		`{"files":[{"contentType":"application/fhir+json"}]}`:             "nowhere",
		`{"files":[{"contentType":1,"embedded":"x"}]}`:                    "no text",
		`{"files":[{"contentType":"a/b","embedded":"x","embedded":"y"}]}`: "twice",
		`{"files":[` + strings.Repeat(`{},`, 256) + `{}]}`:                "more than 256",
	} {
		if _, err := parseManifest([]byte(text)); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%.60s: %v, want %q", text, err, why)
		}
	}
}

func FuzzLink(f *testing.F) {
	f.Add(goodLink(`,"flag":"LP","exp":1796036400,"label":"x","v":1`))
	f.Add("https://v.example/#" + goodLink(""))
	f.Add(linkOf(`{}`))
	f.Fuzz(func(t *testing.T, text string) {
		l, err := Parse(text)
		if (l == nil) == (err == nil) {
			t.Fatal(l, err)
		}
		if err != nil {
			return
		}
		if !Is(text) || len(l.URL()) > 3*maxURL || l.Has('U') && l.Has('P') || !strings.HasPrefix(l.URL(), "https://") || l.Host() == "" {
			t.Errorf("%q: %q %q", text, l.URL(), l.Flags)
		}
	})
}

func FuzzFile(f *testing.F) {
	l := parsed(f, goodLink(""))
	for _, header := range []string{plainHeader, fhirHeader} {
		f.Add(header, []byte(patient), false)
		f.Add(header, seal(l, header, []byte(patient)), true)
	}
	f.Fuzz(func(t *testing.T, header string, file []byte, raw bool) {
		if !raw {
			file = seal(l, header, file)
		}
		got, said, err := l.open(file)
		if err != nil {
			return
		}
		if len(got) > MaxFile {
			t.Fatal(len(got))
		}
		opened := File{Body: got}
		if opened.fits(said) == nil && !json.Valid(got) {
			t.Errorf("%q is no JSON", got)
		}
	})
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"files":[{"contentType":"application/fhir+json","embedded":"a.b","status":"finalized"}]}`))
	f.Add([]byte(`{"files":[{"contentType":"application/smart-health-card","location":"https://x.test/y"}],"list":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		files, err := parseManifest(b)
		if err != nil {
			return
		}
		for _, f := range files {
			if f.Type == "" || len(f.embedded) == 0 && f.location == "" {
				t.Errorf("%q: %+v", b, f)
			}
		}
	})
}
