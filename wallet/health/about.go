package health

import (
	"slices"
	"strings"
	"time"
)

// Summary is what a file says of itself.
type Summary struct {
	Title   string   `json:"title,omitempty"`   // at most 120 characters; "" if it has none
	Date    string   `json:"date,omitempty"`    // YYYY-MM-DD; "" if none is given to the day
	Persons []Person `json:"persons,omitempty"` // of whom it has a Patient, or says the name where it says whom a resource is about, each once; at most [MaxPersons]
}

// MaxPersons is how many persons of one file are told apart.
const MaxPersons = 100

// Person is somebody of whom there is a Patient, or whose name stands in a reference.
type Person struct {
	Identifiers []Identifier `json:"identifiers,omitempty"` // with system and value; at most 20
	Name        string       `json:"name,omitempty"`        // "" if not known
	Born        string       `json:"born,omitempty"`        // YYYY, YYYY-MM or YYYY-MM-DD; "" if not known
	Said        bool         `json:"said,omitempty"`        // by references alone
}

// backdrop are the resources that say who and where: what a file is about is another one.
var backdrop = []string{"Patient", "RelatedPerson", "Practitioner", "PractitionerRole", "Organization", "Location", "Provenance"}

// ahead are the resources whose dates are of what was planned or will end.
var ahead = []string{"Appointment", "CarePlan", "Coverage", "Goal", "ImmunizationRecommendation"}

// About says what a file is. Nothing in it is made up:
//   - The title is that of the first Composition; else what the one resource says that is
//     not only a person or place, or the one DiagnosticReport; else "Record of" the one
//     person; else "".
//   - The date is the day of the first Composition; else the newest clinical date that is
//     given to the day and is of something that happened; else the day of the Bundle.
func About(c *Cut) Summary {
	var s Summary
	var subjects, reports []int
	newest := ""
	composed := false
	said := saidPersons{}
	for i := range c.Parts {
		p := &c.Parts[i]
		if p.Text {
			continue
		}
		if !slices.Contains(backdrop, p.Type) {
			subjects = append(subjects, i)
		}
		if !slices.Contains(ahead, p.Type) {
			newest = max(newest, day(p.date()))
		}
		switch {
		case p.Type == "DiagnosticReport":
			reports = append(reports, i)
		case p.Type == "Composition" && !composed:
			composed = true
			if _, r, err := p.decode(); err == nil {
				s.Title, s.Date = str(r, "title"), day(str(r, "date"))
			}
		}
		said.read(p)
		if p.Type == "Patient" || p.contains {
			_, r, _ := p.decode()
			s.add(r)
			contained, _ := r["contained"].([]any)
			for _, r := range contained {
				m, _ := r.(map[string]any)
				s.add(m)
			}
		}
	}
	for _, p := range said.all {
		s.addPerson(p)
	}
	if s.Date == "" {
		s.Date = newest
	}
	if s.Date == "" {
		s.Date = day(c.timestamp)
	}
	s.Title = clean(s.Title)
	for _, only := range [][]int{subjects, reports} {
		if s.Title == "" && len(only) == 1 {
			var ns nodes
			if at, err := c.Parts[only[0]].read(&ns); err == nil {
				s.Title = clean(saysOf(&ns, at))
			}
		}
	}
	if s.Title == "" && len(s.Persons) == 1 && s.Persons[0].Name != "" && !s.Persons[0].Said {
		s.Title = "Record of " + s.Persons[0].Name
	}
	s.Title = cutTo(s.Title, 120)
	return s
}

// add takes the person that a resource describes, if it is a Patient.
func (s *Summary) add(r map[string]any) {
	if str(r, "resourceType") != "Patient" {
		return
	}
	p := Person{Name: cutTo(nameOf(r), 120), Born: str(r, "birthDate")}
	if !isDate(p.Born) {
		p.Born = ""
	}
	list, _ := r["identifier"].([]any)
	for _, v := range list {
		m, _ := v.(map[string]any)
		id := Identifier{strings.TrimSpace(str(m, "system")), strings.TrimSpace(str(m, "value"))}
		if id.System != "" && id.Value != "" && len(id.System)+len(id.Value) <= 512 && len(p.Identifiers) < 20 {
			p.Identifiers = append(p.Identifiers, id)
		}
	}
	s.addPerson(p)
}

func (s *Summary) addPerson(p Person) {
	for i := range s.Persons {
		if same, _ := s.Persons[i].Is(&p); same {
			q := &s.Persons[i]
			for _, id := range p.Identifiers {
				if !slices.Contains(q.Identifiers, id) && len(q.Identifiers) < 20 {
					q.Identifiers = append(q.Identifiers, id)
				}
			}
			return
		}
	}
	if len(s.Persons) < MaxPersons {
		s.Persons = append(s.Persons, p)
	}
}

// Is reports whether p and q are the same person, and whether that is known either way.
// Another birth date decides; else an identifier of both does, which a family may share. Else the
// name does: the same person if it and a whole birth date are equal, another if it differs; an
// identifier of one system with two values does not, since people get new ones.
func (p *Person) Is(q *Person) (same, known bool) {
	if p.Said || q.Said {
		return p.isSaid(q)
	}
	names, births := p.Name != "" && q.Name != "", p.Born != "" && q.Born != ""
	switch {
	case births && !strings.HasPrefix(p.Born, q.Born) && !strings.HasPrefix(q.Born, p.Born):
		return false, true
	case slices.ContainsFunc(p.Identifiers, func(id Identifier) bool { return slices.Contains(q.Identifiers, id) }):
		return true, true
	case names && sortedWords(p.Name) != sortedWords(q.Name):
		return false, true
	}
	same = names && births && p.Born == q.Born
	return same, same
}

// nameOf returns a Patient's name: the official one, else the first that is not an old
// one.
func nameOf(patient map[string]any) string {
	list, _ := patient["name"].([]any)
	best := ""
	for _, v := range list {
		m, _ := v.(map[string]any)
		name := str(m, "text")
		if name == "" {
			var words []string
			given, _ := m["given"].([]any)
			for _, g := range given {
				w, _ := g.(string)
				words = append(words, w)
			}
			name = strings.Join(append(words, tree(m).strs("family")...), " ")
		}
		name = clean(name)
		switch use := str(m, "use"); {
		case name == "":
		case use == "official":
			return name
		case best == "" && use != "old" && use != "maiden":
			best = name
		}
	}
	return best
}

// str returns the member that is a string of this name; "" if it is none.
func str(m map[string]any, key string) string {
	s, _ := m[key].(string)
	return s
}

// day returns the day of an R4 date, dateTime or instant as it is written there; "" if it
// is not given to the day.
func day(s string) string {
	if s = s[:min(len(s), len(time.DateOnly))]; len(s) < len(time.DateOnly) || !isDate(s) {
		return ""
	}
	return s
}

// isDate reports whether s is an R4 date (http://hl7.org/fhir/R4/datatypes.html#date).
func isDate(s string) bool {
	if len(s) != len("2006") && len(s) != len("2006-01") && len(s) != len(time.DateOnly) {
		return false
	}
	_, err := time.Parse(time.DateOnly[:len(s)], s)
	return err == nil
}

// cutTo returns s, or its beginning and a mark, in at most n characters.
func cutTo(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return strings.TrimSpace(string(r[:n-1])) + "…"
	}
	return s
}
