package batch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
)

// jsonRow turns a line into fields; ok is false if there is nothing more to say
// of it.
func (s *sheet) jsonRow(line []byte) (f fields, ok bool) {
	if len(bytes.TrimSpace(line)) == 0 {
		return nil, false
	}
	d := objectReader{dec: json.NewDecoder(bytes.NewReader(line)), line: line}
	fail := func(err error, why string) (fields, bool) {
		at := d.at
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			at, why = max(0, int(syntax.Offset)-1), "not JSON"
		} else if err != nil {
			at, why = len(line), "the line ends before its JSON does"
		}
		s.problem(line, at, "", "", why)
		return nil, false
	}
	if t, err := d.token(); err != nil || t != json.Delim('{') {
		return fail(err, "not a JSON object")
	}
	f = fields{}
	for d.dec.More() {
		t, err := d.token()
		name, isText := t.(string)
		if err != nil || !isText {
			return fail(err, "not JSON")
		}
		keyAt := d.at
		if !slices.Contains(s.columns, name) {
			s.problem(line, keyAt, "", name, "no such field; there are "+strings.Join(s.columns, ", "))
		}
		_, twice := f[name]
		if twice {
			s.problem(line, keyAt, name, "", "this field is there twice")
		}
		t, err = d.token()
		if err != nil {
			return fail(err, "")
		}
		v := value{at: d.at}
		switch t := t.(type) {
		case string:
			if s.isList(name) {
				return fail(nil, "must be a list, like [\"labs\"]")
			}
			v.text = t
			s.checkText(line, v.at, name, t)
		case bool:
			if !slices.Contains(s.flags, name) {
				return fail(nil, "must be text")
			}
			v.text = map[bool]string{true: "yes", false: "no"}[t]
		case json.Delim:
			if t != '[' || !s.isList(name) {
				return fail(nil, "must be text")
			}
			for d.dec.More() {
				t, err := d.token()
				item, isText := t.(string)
				if err != nil || !isText {
					return fail(err, "must be a list of texts")
				}
				s.checkText(line, d.at, name, item)
				v.list = append(v.list, item)
			}
			if _, err := d.token(); err != nil {
				return fail(err, "")
			}
			v.text = strings.Join(v.list, " ")
		default:
			return fail(nil, "must be text")
		}
		if !twice {
			f[name] = v
		}
	}
	if _, err := d.token(); err != nil {
		return fail(err, "")
	}
	if _, err := d.token(); err != io.EOF {
		return fail(err, "something after the object")
	}
	return f, true
}

// checkText reports a text of JSON that no cell could be.
func (s *sheet) checkText(line []byte, at int, name, text string) {
	switch {
	case isFormula(text):
		s.problem(line, at, name, text, formula)
	case strings.ContainsRune(text, '\ufffd'):
		s.problem(line, at, name, text, "has a character that is none")
	}
}

// objectReader is a json.Decoder that knows where its tokens begin.
type objectReader struct {
	dec  *json.Decoder
	line []byte
	at   int // byte where the last token began
}

func (d *objectReader) token() (json.Token, error) {
	at := int(d.dec.InputOffset())
	for at < len(d.line) && strings.IndexByte(" \t,:", d.line[at]) >= 0 {
		at++
	}
	d.at = at
	return d.dec.Token()
}
