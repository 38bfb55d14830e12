package health

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
	"unicode/utf8"
)

// Granted is what a recipient was given of an entry.
type Granted struct {
	Body []byte // or the narrative, if nothing else was given
	Text []byte // the narrative cut out of the body; nil if it was not given
}

// alone is the body of a narrative that came without its own: something must hold it, and
// Basic is the resource for what has none (http://hl7.org/fhir/R4/basic.html).
const alone = `{"resource":{"resourceType":"Basic","code":{"text":"a narrative, without the resource that it is of"}}}`

// WriteSubset writes a Bundle of what was granted, in its order: of type collection, marked
// SUBSETTED (http://terminology.hl7.org/CodeSystem/v3-ObservationValue). The bytes of each
// resource are those of the part, and a narrative is put back between them. Of an entry
// only fullUrl goes along: request, response and search are for other types of Bundle
// (http://hl7.org/fhir/R4/bundle.html, bdl-2 to bdl-4). Splitting the Bundle gives the same
// resources and narratives again. made is when it was put together, for whoever reads it later
// and nowhere else can see that; zero: it does not say.
//
// Whoever sealed the parts may have sealed anything: what is no part that [Split] makes is
// [ErrNotSplit].
// What was written is a Bundle only if no error is returned.
func WriteSubset(w io.Writer, made time.Time, parts []Granted) error {
	out := []byte(`{"resourceType":"Bundle","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue",` +
		`"code":"SUBSETTED","display":"subsetted"}]},"type":"collection"`)
	if !made.IsZero() {
		out = fmt.Appendf(out, `,"timestamp":%q`, made.UTC().Format(time.RFC3339))
	}
	for i, g := range parts {
		if i == 0 {
			out = append(out, `,"entry":[`...)
		} else {
			out = append(out, ',')
		}
		out = append(out, "\n{"...)
		if len(g.Body) > 0 && g.Body[0] != '{' && g.Text == nil {
			g = Granted{[]byte(alone), g.Body}
		}
		e, at, err := g.read()
		if err != nil {
			return ErrNotSplit.Of(err, "why", fmt.Sprintf("part %d of those granted is not one", i+1))
		}
		if e.url != nil {
			out = append(append(append(out, `"fullUrl":`...), e.url...), ',')
		}
		out = append(append(out, `"resource":`...), g.Body[e.start:at]...)
		out = append(append(out, g.Text...), g.Body[at:e.end]...)
		if _, err := w.Write(append(out, '}')); err != nil {
			return err
		}
		out = out[:0]
	}
	if len(parts) > 0 {
		out = append(out, "\n]"...)
	}
	_, err := w.Write(append(out, "}\n"...))
	return err
}

// Dated is a file, one resource, that says when it was put together: as it is if it is a Bundle
// that says so; else made is written into that, or a Bundle around it.
func Dated(file []byte, made time.Time) []byte {
	var all map[string]json.RawMessage
	if json.Unmarshal(file, &all) != nil || all["timestamp"] != nil {
		return file
	}
	says := fmt.Sprintf(`"timestamp":%q`, made.UTC().Format(time.RFC3339))
	if string(all["resourceType"]) != `"Bundle"` {
		return slices.Concat([]byte(`{"resourceType":"Bundle","type":"collection",`+says+`,"entry":[{"resource":`), file, []byte("}]}\n"))
	}
	at := bytes.IndexByte(file, '{') + 1
	return slices.Concat(file[:at], []byte(says+","), file[at:])
}

// Around returns what stands before and behind the resource in the body.
func (g Granted) Around() (before, after []byte, err error) {
	e, _, err := g.read()
	if err != nil {
		return nil, nil, err
	}
	return g.Body[:e.start], g.Body[e.end:], nil
}

// read returns where the resource is in the body, and the place in it that its narrative
// was cut from.
func (g Granted) read() (e entry, at int, err error) {
	if !utf8.Valid(g.Body) || !utf8.Valid(g.Text) {
		return e, 0, ErrNotSplit.With("why", "it is not UTF-8")
	}
	s := scanner{in: g.Body}
	e, ok := s.body()
	if !ok || s.at < len(s.in) && !s.fail(s.at, "more follows where it should end") || e.textUpTo > 0 && !s.fail(e.textFrom, "its narrative was not cut out") {
		return e, 0, s.err()
	}
	at = e.end
	switch t := (scanner{in: g.Text}); {
	case g.Text == nil:
	case !t.narrative():
		return e, 0, t.err()
	case g.Text[0] == ',':
		at = e.start + len(bytes.TrimRight(g.Body[e.start:e.end-1], " \t\r\n"))
	default:
		for at = e.start + 1; isSpace(g.Body[at]); {
			at++
		}
	}
	return e, at, nil
}

// body reads the body of an entry: of a Bundle's if it has no resourceType.
func (s *scanner) body() (e entry, ok bool) {
	r, ok := s.resource(nil)
	if !ok || r.kind != nil {
		return entry{from: r.start, to: r.end, resource: r}, ok
	}
	s.at = 0
	return s.entry()
}

// narrative reads a narrative as it is cut out: with the comma behind it, or with the one
// before it.
func (s *scanner) narrative() bool {
	first := s.peek() == ','
	if first {
		s.at++
		s.space()
	}
	from := s.at
	if name := s.key(0); name == nil || string(name) != "text" && !s.fail(from, "it is no narrative") {
		return false
	}
	if s.space(); s.peek() != ':' {
		return s.fail(s.at, "a colon is missing")
	}
	s.at++
	s.space()
	if !s.value() {
		return false
	}
	if !first {
		if s.space(); s.peek() != ',' {
			return s.fail(s.at, "a comma is missing")
		}
		s.at++
		s.space()
	}
	return s.at == len(s.in) || s.fail(s.at, "more follows where it should end")
}
