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
func (p *parser) jsonRow(line []byte) (f fields, ok bool) {
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
		p.problem(line, at, "", "", why)
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
		if !slices.Contains(fieldNames, name) {
			p.problem(line, keyAt, "", name, "no such field; there are "+strings.Join(fieldNames, ", "))
		}
		_, twice := f[name]
		if twice {
			p.problem(line, keyAt, name, "", "this field is there twice")
		}
		t, err = d.token()
		if err != nil {
			return fail(err, "")
		}
		v := value{at: d.at}
		switch t := t.(type) {
		case string:
			if isList(name) {
				return fail(nil, "must be a list, like [\"labs\"]")
			}
			v.text = t
			p.checkText(line, v.at, name, t)
		case bool:
			if name != "whole" {
				return fail(nil, "must be text")
			}
			v.text = map[bool]string{true: "yes", false: "no"}[t]
		case json.Delim:
			if t != '[' || !isList(name) {
				return fail(nil, "must be text")
			}
			for d.dec.More() {
				t, err := d.token()
				item, isText := t.(string)
				if err != nil || !isText {
					return fail(err, "must be a list of texts")
				}
				p.checkText(line, d.at, name, item)
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
func (p *parser) checkText(line []byte, at int, name, text string) {
	switch {
	case isFormula(text):
		p.problem(line, at, name, text, formula)
	case strings.ContainsRune(text, '\ufffd'):
		p.problem(line, at, name, text, "has a character that is none")
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
