package shlink

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"strings"

	"github.com/carekey/carekey/crypto/fault"
)

// ErrAnswer: what a link's server answered is not what the specification says, or was
// changed on the way. host, why
const ErrAnswer fault.Code = "link-answer"

const (
	// MaxFile is the size of the largest file that is opened, in bytes, deflated or not.
	MaxFile = 64 << 20
	// maxSealed is that of the largest JWE: its ciphertext is a third longer in base64url.
	maxSealed = MaxFile/3*4 + 64<<10
	maxHeader = 4 << 10 // of a JWE, in base64url
)

// Types of what a link holds.
const (
	TypeFHIR   = "application/fhir+json"
	TypeCard   = "application/smart-health-card"
	TypeAccess = "application/smart-api-access"
)

// open decrypts a file: a compact JWE. It returns its type too, "" if it says none.
func (l *Link) open(jwe []byte) (file []byte, contentType string, err error) {
	if len(jwe) > maxSealed {
		return nil, "", fmt.Errorf("a file has more than %d bytes", maxSealed)
	}
	parts := strings.Split(strings.Trim(string(jwe), " \t\r\n"), ".")
	if len(parts) != 5 {
		return nil, "", fmt.Errorf("a file is no JWE of five pieces")
	}
	var raw [5][]byte
	for i, p := range parts {
		if raw[i], err = unbase64(p); err != nil || len(parts[0]) > maxHeader {
			return nil, "", fmt.Errorf("a file is no JWE: its pieces are not base64url")
		}
	}
	header, err := members(raw[0])
	if err != nil {
		return nil, "", fmt.Errorf("the header of a file: %w", err)
	}
	is := func(name, want string) bool { got, ok := textOf(header[name]); return ok && got == want }
	_, crit := header["crit"]
	_, zip := header["zip"]
	switch {
	case !is("alg", "dir") || !is("enc", "A256GCM"):
		return nil, "", fmt.Errorf("a file is encrypted with another algorithm than dir and A256GCM")
	case crit:
		return nil, "", fmt.Errorf("a file asks for an extension of JWE")
	case zip && !is("zip", "DEF"):
		return nil, "", fmt.Errorf("a file is compressed with something else than DEF")
	case len(raw[1]) != 0 || len(raw[2]) != l.aead.NonceSize() || len(raw[4]) != l.aead.Overhead():
		return nil, "", fmt.Errorf("a file is no JWE of this algorithm: its pieces have other sizes")
	}
	if cty, ok := header["cty"]; ok {
		if contentType, ok = textOf(cty); !ok {
			return nil, "", fmt.Errorf("the type of a file is no text")
		}
		contentType = mediaType(contentType)
	}
	if file, err = l.aead.Open(nil, raw[2], append(raw[3], raw[4]...), []byte(parts[0])); err != nil {
		return nil, "", fmt.Errorf("a file was not encrypted with the link's key, or was changed")
	}
	if zip {
		if file, err = io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(file)), MaxFile+1)); err != nil {
			return nil, "", fmt.Errorf("a file is not whole DEFLATE")
		}
	}
	if len(file) > MaxFile {
		return nil, "", fmt.Errorf("a file has more than %d bytes", MaxFile)
	}
	return file, contentType, nil
}

// mediaType is a type without its parameters; JOSE lets application/ be left out.
func mediaType(t string) string {
	if !strings.Contains(t, "/") {
		t = "application/" + t
	}
	if m, _, err := mime.ParseMediaType(t); err == nil {
		return m
	}
	return t
}

// File is one file of a link, opened.
type File struct {
	Type string // [TypeFHIR], [TypeCard] or [TypeAccess]
	Body []byte // JSON
	// What the manifest says of it, each hostile, "" if it does not.
	Updated     string // when it was last changed
	Status      string
	FHIRVersion string
	Host        string // who served it, as [Link.Host]
}

// sealed is a file of a manifest.
type sealed struct {
	File
	embedded []byte
	location string
}

// maxFiles is how many files of a manifest are opened.
const maxFiles = 256

// parseManifest reads a manifest.
func parseManifest(b []byte) ([]sealed, error) {
	m, err := members(b)
	if err != nil {
		return nil, fmt.Errorf("the manifest: %w", err)
	}
	var files []json.RawMessage
	if raw := m["files"]; len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &files) != nil {
		return nil, fmt.Errorf("the manifest has no list of files")
	}
	if len(files) > maxFiles {
		return nil, fmt.Errorf("the manifest has more than %d files", maxFiles)
	}
	all := make([]sealed, len(files))
	for i, raw := range files {
		f, err := members(raw)
		if err != nil {
			return nil, fmt.Errorf("file %d of the manifest: %w", i+1, err)
		}
		s := &all[i]
		embedded := ""
		for name, into := range map[string]*string{"contentType": &s.Type, "embedded": &embedded, "location": &s.location,
			"lastUpdated": &s.Updated, "status": &s.Status, "fhirVersion": &s.FHIRVersion} {
			if value, ok := f[name]; ok && string(value) != "null" {
				if *into, ok = textOf(value); !ok {
					return nil, fmt.Errorf("file %d of the manifest: %s is no text", i+1, name)
				}
			}
		}
		if s.Type == "" || embedded == "" && s.location == "" {
			return nil, fmt.Errorf("file %d of the manifest has no type, or is nowhere", i+1)
		}
		s.Type, s.embedded = mediaType(s.Type), []byte(embedded)
	}
	return all, nil
}

// fits reports what is wrong with a file that was opened; said is the type that it says of
// itself.
func (f *File) fits(said string) error {
	switch {
	case f.Type == "" && said != "":
		f.Type = said
	case said != "" && said != f.Type:
		return fmt.Errorf("a file says that it is of another type than the manifest says")
	}
	body, err := members(f.Body)
	if f.Type == "" { // the file of a link with U that does not say what it is
		if f.Type = TypeFHIR; body["verifiableCredential"] != nil {
			f.Type = TypeCard
		}
	}
	if f.Type != TypeFHIR && f.Type != TypeCard && f.Type != TypeAccess {
		return fmt.Errorf("a file is of a type that no link has")
	}
	if err != nil {
		return fmt.Errorf("a file is not the JSON it should be: %w", err)
	}
	if _, ok := textOf(body["resourceType"]); f.Type == TypeFHIR && !ok {
		return fmt.Errorf("a file is no FHIR resource")
	}
	return nil
}
