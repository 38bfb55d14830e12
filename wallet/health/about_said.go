package health

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// saidPersons are whom resources say in words that they are about. A file without a Patient
// says so in nothing else, and of two that stand in one file a reference may name another
// than the Patient that it leads to.
type saidPersons struct {
	seen map[string]bool // references as they stand there
	all  []Person
}

var subjectMembers = [][]byte{[]byte(`"subject"`), []byte(`"patient"`), []byte(`"beneficiary"`)}

// read takes whom a resource says that it is about.
func (s *saidPersons) read(p *Part) {
	for _, b := range [][]byte{p.head, p.tail} {
		for _, member := range subjectMembers {
			for at := bytes.Index(b, member); at >= 0; {
				rest := b[at+len(member):]
				if value, ok := bytes.CutPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte(":")); ok {
					s.take(object(bytes.TrimLeft(value, " \t\r\n")))
				}
				next := bytes.Index(rest, member)
				if next < 0 {
					break
				}
				at += len(member) + next
			}
		}
	}
}

// object is the JSON object that b begins with; nil if it begins with none.
func object(b []byte) []byte {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				return b[:i+1]
			}
		}
		if depth == 0 {
			return nil
		}
	}
	return nil
}

func (s *saidPersons) take(reference []byte) {
	if reference == nil || s.seen[string(reference)] || len(s.all) == MaxPersons {
		return
	}
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	s.seen[string(reference)] = true
	var r map[string]any
	if json.Unmarshal(reference, &r) != nil {
		return
	}
	if kind := str(r, "type"); kind != "" && kind != "Patient" {
		return
	}
	if kind, _, ok := strings.Cut(str(r, "reference"), "/"); ok && kind != "Patient" && fhirType(kind) {
		return // a Group, a Device
	}
	p := Person{Name: cutTo(clean(str(r, "display")), 120), Said: true}
	if len(saidWords(p.Name)) < 2 { // "patient 1", or a first name
		return
	}
	if id, _ := r["identifier"].(map[string]any); str(id, "system") != "" && str(id, "value") != "" {
		p.Identifiers = []Identifier{{strings.TrimSpace(str(id, "system")), strings.TrimSpace(str(id, "value"))}}
	}
	s.all = append(s.all, p)
}

// saidWords are the words of a name without what is none of it, such as a birth date in
// brackets behind it.
func saidWords(name string) []nameWord {
	name, _, _ = strings.Cut(name, "(")
	return slices.DeleteFunc(personWords(name), func(w nameWord) bool {
		return slices.Contains([]string{"patient", "mr", "mrs", "ms", "dr", "prof", "herr", "frau"}, w.plain)
	})
}

// isSaid is Is where one is known by references alone, which write names in their own way:
// the same person if all words of one name are among the other's, in full or as their
// beginnings, and another if not. Identifiers decide as they do of Patients.
func (p *Person) isSaid(q *Person) (same, known bool) {
	if slices.ContainsFunc(p.Identifiers, func(id Identifier) bool { return slices.Contains(q.Identifiers, id) }) {
		return true, true
	}
	a, b := saidWords(p.Name), saidWords(q.Name)
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(a) == 0 {
		return false, false
	}
	return !slices.ContainsFunc(a, func(w nameWord) bool { return !slices.ContainsFunc(b, w.is) }), true
}
