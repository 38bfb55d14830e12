package health

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Naming counts, of some parts of a cut, those that say whose they are: somewhere in a text
// of theirs stands a name of three letters or more of somebody who has a Patient in the
// cut, an identifier, a reference to the Patient, or the day of birth. What is not
// found may say it all the same, in other words.
func (c *Cut) Naming(parts []int) int {
	known := naming{words: map[string]bool{}}
	add := func(words ...string) {
		for _, w := range words {
			if w = strings.ToLower(w); utf8.RuneCountInString(w) >= 3 && len(w) <= maxNaming {
				known.words[w] = true
				known.long[len(w)] = true
			}
		}
	}
	for i := range c.Parts {
		p := &c.Parts[i]
		if p.Text || p.Type != "Patient" {
			continue
		}
		entry, r, err := p.decode()
		if err != nil {
			continue
		}
		url, _ := entry["fullUrl"].(string)
		add(url)
		if id, _ := r["id"].(string); id != "" {
			add("Patient/" + id)
		}
		if born, _ := r["birthDate"].(string); len(born) == len("2006-01-02") {
			add(born)
		}
		names, _ := r["name"].([]any)
		for _, n := range names {
			each(n, func(s string) { add(strings.FieldsFunc(s, notWord)...) }, "family", "given", "text")
		}
		ids, _ := r["identifier"].([]any)
		for _, n := range ids {
			each(n, func(s string) { add(s) }, "value")
		}
	}
	n := 0
	var b []byte
	for _, i := range parts {
		p := &c.Parts[i]
		b = p.Append(b[:0])
		if p.Text { // a member of an object
			b = append(append([]byte("{"), trimCommas(b)...), '}')
		}
		v, err := decode(b)
		if err != nil || known.in(v) { // what is not read may say it
			n++
		}
	}
	return n
}

// each hands on the texts in some members of an object.
func each(v any, f func(string), members ...string) {
	m, _ := v.(map[string]any)
	for _, name := range members {
		switch v := m[name].(type) {
		case string:
			f(v)
		case []any:
			for _, x := range v {
				if s, ok := x.(string); ok {
					f(s)
				}
			}
		}
	}
}

// maxNaming is the longest word, identifier or address by which somebody is known, in bytes.
const maxNaming = 200

// naming is how somebody is known, in lower case.
type naming struct {
	words map[string]bool
	long  [maxNaming + 1]bool // which lengths there are, so that the number of words does not matter
}

// in reports whether one of the known texts stands in a value, not within a word.
func (k *naming) in(v any) bool {
	switch v := v.(type) {
	case string:
		s := strings.ToLower(v)
		ends := make([]bool, len(s)+1) // where a word may end
		for i, r := range s {
			ends[i] = notWord(r)
		}
		ends[len(s)] = true
		before := ' '
		for i, r := range s {
			if notWord(before) {
				for n := 3; n <= min(maxNaming, len(s)-i); n++ {
					if k.long[n] && ends[i+n] && k.words[s[i:i+n]] {
						return true
					}
				}
			}
			before = r
		}
	case []any:
		for _, x := range v {
			if k.in(x) {
				return true
			}
		}
	case map[string]any:
		for _, x := range v {
			if k.in(x) {
				return true
			}
		}
	}
	return false
}

// notWord reports whether a character belongs to no word; nothing at all does not either.
func notWord(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }

// trimCommas takes off the comma that a narrative was cut out with.
func trimCommas(b []byte) []byte {
	return []byte(strings.Trim(string(b), ", \t\r\n"))
}
