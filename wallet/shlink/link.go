// Package shlink opens SMART Health Links: of anybody's, at a server that nobody vouches
// for. It follows "SMART Health Links" of HL7's SMART Health Cards and Links, STU1 (1.0.0):
//
//	link     = [viewer #] shlink:/ base64url( payload )
//	payload  = JSON: url, at most 128 characters; key, 43 of base64url, which are 32 bytes;
//	           and what may be missing: exp, seconds since 1970, a hint; flag, letters;
//	           label, at most 80 characters; v, the version, 1
//	flags    = L: what it holds may change   P: there is a passcode   U: url is the file
//	with U   GET url?recipient=WHO is the one file; never with P
//	else     POST url {"recipient", "passcode", "embeddedLengthMax"} is the manifest: files,
//	         each with its contentType, and embedded or at a location
//	file     = compact JWE (RFC 7516), alg dir, enc A256GCM under key, perhaps zip DEF (raw
//	           DEFLATE), perhaps with its type in cty
//	404      the link is over      401 {"remainingAttempts"}: the passcode is wrong
//
// Flags, members and parameters that are not known are passed over, as the specification
// demands. Whoever has a link can open it: it is a secret, and is printed by no verb.
//
// What a link says was written by somebody unknown, and so was all that its server answers.
// So every size has a bound, a member that stands twice is an error, no redirect is
// followed, and nothing is asked but by https, of addresses that are everybody's: of none
// of this computer or of a network of one's own, whatever name they have, unless
// [Client.Local] allows it.
package shlink

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/carekey/carekey/crypto/fault"
)

const (
	// ErrLink: a text is no SMART Health Link. why
	ErrLink fault.Code = "bad-link"
	// ErrVersion: a link is of a version that this program does not read. version
	ErrVersion fault.Code = "link-version"
)

// MaxLabel is how long a label is at most, in characters.
const MaxLabel = 80

const (
	scheme  = "shlink:/"
	maxText = 8 << 10 // characters behind the scheme
	maxURL  = 128
	keyText = 43
	// latest is the last second that can be an end; milliseconds are beyond it.
	latest = 1 << 36
)

// Link is a link that was read. It is as secret as its text.
type Link struct {
	Flags string    // as they stand in it, known or not
	Label string    // what it is about, as its maker says; hostile
	Until time.Time // when it ends, as its maker says, a hint; zero if it says nothing that can be a time
	at    *url.URL
	aead  cipher.AEAD
}

// Format writes no secret, for every verb.
func (l *Link) Format(f fmt.State, _ rune) { io.WriteString(f, "(link)") }

// Is reports whether a text looks like a link, whole or not.
func Is(text string) bool {
	_, ok := behindScheme(text)
	return ok
}

// behindScheme is what is behind the scheme, which begins the text or stands behind a
// viewer's address.
func behindScheme(text string) (string, bool) {
	if at := strings.IndexByte(text, '#'); at >= 0 && !hasScheme(text) {
		text = text[at+1:]
	}
	if !hasScheme(text) {
		return "", false
	}
	return text[len(scheme):], true
}

func hasScheme(text string) bool {
	return len(text) >= len(scheme) && strings.EqualFold(text[:len(scheme)], scheme)
}

func badLink(why string) error { return ErrLink.With("why", why) }

// Parse reads a link. Its errors are [ErrLink] and [ErrVersion].
func Parse(text string) (*Link, error) {
	encoded, ok := behindScheme(text)
	if !ok {
		return nil, badLink("it does not begin with " + scheme)
	}
	if len(encoded) > maxText {
		return nil, badLink(fmt.Sprintf("it is longer than %d characters", maxText))
	}
	b, err := unbase64(encoded)
	if err != nil || len(b) == 0 {
		return nil, badLink("what stands behind " + scheme + " is not whole base64url")
	}
	payload, err := members(b)
	if err != nil {
		return nil, badLink("what is in it is not the JSON it should be: " + err.Error())
	}
	l := &Link{}
	if raw, ok := payload["v"]; ok {
		var v json.Number
		if json.Unmarshal(raw, &v) != nil || raw[0] == '"' {
			return nil, badLink("v is no number")
		}
		if n, err := v.Float64(); err != nil || n != 1 { // 1.0 is 1 in JSON
			return nil, ErrVersion.With("version", v.String())
		}
	}
	if l.at, err = linkURL(payload["url"]); err != nil {
		return nil, err
	}
	if l.aead, err = linkKey(payload["key"]); err != nil {
		return nil, err
	}
	for name, into := range map[string]*string{"flag": &l.Flags, "label": &l.Label} {
		if raw, ok := payload[name]; ok {
			if *into, ok = textOf(raw); !ok {
				return nil, badLink(name + " is no text")
			}
		}
	}
	if l.Has('U') && l.Has('P') {
		return nil, badLink("it has the flags U and P, which exclude each other")
	}
	if utf8.RuneCountInString(l.Label) > MaxLabel {
		return nil, badLink(fmt.Sprintf("its label is longer than %d characters", MaxLabel))
	}
	if raw, ok := payload["exp"]; ok {
		var exp float64
		if json.Unmarshal(raw, &exp) != nil || string(raw) == "null" {
			return nil, badLink("exp is no number")
		}
		if exp >= 0 && exp < latest {
			l.Until = time.Unix(int64(exp), 0).UTC()
		}
	}
	return l, nil
}

// Has reports whether the link has a flag.
func (l *Link) Has(flag byte) bool { return strings.IndexByte(l.Flags, flag) >= 0 }

// Host is who serves the link: a name or an address, with the port if it is not that of
// https.
func (l *Link) Host() string { return hostOf(l.at) }

func hostOf(u *url.URL) string { return strings.ToLower(strings.TrimSuffix(u.Host, ":443")) }

// URL is where the link is. Who has it can count as an opener, and read nothing.
func (l *Link) URL() string { return l.at.String() }

func linkURL(raw json.RawMessage) (*url.URL, error) {
	text, ok := textOf(raw)
	if !ok || text == "" {
		return nil, badLink("it has no url")
	}
	if utf8.RuneCountInString(text) > maxURL {
		return nil, badLink(fmt.Sprintf("its url is longer than %d characters", maxURL))
	}
	u, err := httpsURL(text)
	if err != nil {
		return nil, badLink("its url " + err.Error())
	}
	return u, nil
}

// httpsURL reads an address that may be asked.
func httpsURL(text string) (*url.URL, error) {
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' || c == '\\' {
			return nil, errors.New("has characters that none has")
		}
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("is none")
	case u.Scheme != "https":
		return nil, errors.New("is not of https")
	case u.Hostname() == "" || u.Opaque != "":
		return nil, errors.New("names no server")
	case u.User != nil:
		return nil, errors.New("has a user's name in it")
	case u.Fragment != "" || strings.Contains(text, "#"):
		return nil, errors.New("has a fragment")
	}
	return u, nil
}

func linkKey(raw json.RawMessage) (cipher.AEAD, error) {
	text, ok := textOf(raw)
	if !ok {
		return nil, badLink("it has no key")
	}
	key, err := unbase64(text)
	defer clear(key)
	if len(text) != keyText || err != nil {
		return nil, badLink(fmt.Sprintf("its key is not %d characters of base64url", keyText))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err // can't happen: 32 bytes
	}
	return cipher.NewGCM(block)
}

// unbase64 decodes base64url without padding, and nothing that merely resembles it.
func unbase64(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") { // which the decoder passes over
		return nil, base64.CorruptInputError(0)
	}
	return base64.RawURLEncoding.Strict().DecodeString(text)
}

// textOf is a member that is a text.
func textOf(raw json.RawMessage) (s string, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	return s, json.Unmarshal(raw, &s) == nil
}

// members reads a JSON object as it stands: names are compared exactly, which a struct of
// encoding/json does not, and none may stand twice, since readers differ in which they
// take.
func members(b []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("it is not UTF-8")
	}
	if !json.Valid(b) {
		return nil, errors.New("it does not parse")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	if begin, err := dec.Token(); err != nil || begin != json.Delim('{') {
		return nil, errors.New("it is no object")
	}
	all := map[string]json.RawMessage{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		if _, twice := all[name.(string)]; twice {
			return nil, errors.New("a member stands twice")
		}
		all[name.(string)] = value
	}
	return all, nil
}
