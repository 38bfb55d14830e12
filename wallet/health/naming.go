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
	known := map[string]bool{} // in lower case
	add := func(words ...string) {
		for _, w := range words {
			if utf8.RuneCountInString(w) >= 3 {
				known[strings.ToLower(w)] = true
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
		if err != nil || says(v, known) { // what is not read may say it
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

// says reports whether one of the known texts stands in a value, not within a word.
func says(v any, known map[string]bool) bool {
	switch v := v.(type) {
	case string:
		s := strings.ToLower(v)
		for k := range known {
			for from := 0; ; {
				at := strings.Index(s[from:], k)
				if at < 0 {
					break
				}
				at += from
				before, _ := utf8.DecodeLastRuneInString(s[:at])
				after, _ := utf8.DecodeRuneInString(s[at+len(k):])
				if notWord(before) && notWord(after) {
					return true
				}
				from = at + 1
			}
		}
	case []any:
		for _, x := range v {
			if says(x, known) {
				return true
			}
		}
	case map[string]any:
		for _, x := range v {
			if says(x, known) {
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
