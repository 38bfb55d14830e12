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
		v, why, err := s.jsonValue(&d, name)
		if err != nil || why != "" {
			return fail(err, why)
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

// jsonValue reads the value of a field. Without an error of the reader's, why is what is wrong
// with it; "" if nothing is.
func (s *sheet) jsonValue(d *objectReader, name string) (v value, why string, err error) {
	t, err := d.token()
	if err != nil {
		return v, "", err
	}
	v.at = d.at
	switch t := t.(type) {
	case string:
		if s.isList(name) {
			return v, "must be a list, like [\"labs\"]", nil
		}
		v.text = t
		s.checkText(d.line, v.at, name, t)
	case bool:
		if !slices.Contains(s.flags, name) {
			return v, "must be text", nil
		}
		v.text = map[bool]string{true: "yes", false: "no"}[t]
	case json.Delim:
		if t != '[' || !s.isList(name) {
			return v, "must be text", nil
		}
		for d.dec.More() {
			t, err := d.token()
			item, isText := t.(string)
			if err != nil || !isText {
				return v, "must be a list of texts", err
			}
			s.checkText(d.line, d.at, name, item)
			v.list = append(v.list, item)
		}
		if _, err := d.token(); err != nil {
			return v, "", err
		}
		v.text = strings.Join(v.list, " ")
	default:
		return v, "must be text", nil
	}
	return v, "", nil
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
