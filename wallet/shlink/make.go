package shlink

import (
	"bytes"
	"compress/flate"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"
)

// Made is a link of one's own.
type Made struct {
	URL   string
	Key   string // 43 characters of base64url
	Flags string
	Until time.Time // zero: it says nothing
	Label string    // at most 80 characters
}

// Text returns the link: bare, as any viewer reads it. It is secret.
func (m Made) Text() string {
	payload := struct {
		URL   string `json:"url"`
		Flags string `json:"flag,omitempty"`
		Key   string `json:"key"`
		Until int64  `json:"exp,omitempty"`
		Label string `json:"label,omitempty"`
	}{m.URL, m.Flags, m.Key, 0, m.Label}
	if !m.Until.IsZero() {
		payload.Until = m.Until.Unix()
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(payload); err != nil {
		panic(err) // texts and a number: cannot fail
	}
	return scheme + base64.RawURLEncoding.EncodeToString(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// sealedHeader is that of every file of one's own.
const sealedHeader = `{"alg":"dir","enc":"A256GCM","cty":"` + TypeFHIR + `","zip":"DEF"}`

// leastClass is the smallest size that a deflated file is padded to, in bytes.
const leastClass = 4096

// Deflate compresses a file of FHIR to raw DEFLATE whose size says little of it: white
// space, which JSON lets follow, fills it up in blocks that are stored as they are, to the
// least of 4096, 6144, 8192, 12288 … bytes. Its server sees no more than that, and the exact
// size of a compressed record can name what is in it.
func Deflate(file []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err = w.Write(file); err != nil {
		return nil, err
	}
	if err := w.Flush(); err != nil { // up to a whole byte, and no end
		return nil, err
	}
	const head, most = 5, 0xffff // bytes of a stored block: its own, and what it stores
	left := class(b.Len()+head) - b.Len()
	for left > head+most {
		left -= store(&b, 0, min(most, left-2*head))
	}
	store(&b, 1, left-head)
	return b.Bytes(), nil
}

// class is the least half octave that holds so many bytes.
func class(size int) int {
	for c := leastClass; ; c *= 2 {
		if size <= c {
			return c
		}
		if size <= c+c/2 {
			return c + c/2
		}
	}
}

// store writes a block of spaces (RFC 1951, 3.2.4); final is 1 in the last one. It returns
// how many bytes it has.
func store(b *bytes.Buffer, final byte, spaces int) int {
	b.WriteByte(final)
	b.Write(binary.LittleEndian.AppendUint16(nil, uint16(spaces)))
	b.Write(binary.LittleEndian.AppendUint16(nil, ^uint16(spaces)))
	b.Write(bytes.Repeat([]byte{' '}, spaces))
	return 5 + spaces
}

// Seal encrypts what Deflate made: a compact JWE. Under one key a nonce is for one
// plaintext only.
func Seal(key cipher.AEAD, nonce [12]byte, deflated []byte) ([]byte, error) {
	if len(deflated) > MaxFile {
		return nil, fmt.Errorf("a file of %d bytes does not go into a link", len(deflated))
	}
	b64 := base64.RawURLEncoding
	out := b64.AppendEncode(nil, []byte(sealedHeader))
	sealed := key.Seal(nil, nonce[:], deflated, out)
	at := len(sealed) - key.Overhead()
	out = b64.AppendEncode(append(out, ".."...), nonce[:])
	out = b64.AppendEncode(append(out, '.'), sealed[:at])
	return b64.AppendEncode(append(out, '.'), sealed[at:]), nil
}
