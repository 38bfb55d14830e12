package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"unicode/utf16"
	"unicode/utf8"
)

// WriteJSON writes v as JSON and a line feed, indented or in one line. JSON goes to
// terminals too, and encoding/json escapes only the controls of ASCII: what [Clean]
// escapes is written as \u here, so that it acts on no terminal and is the same value
// to a program.
func WriteJSON(w io.Writer, v any, indent bool) error {
	_, own := v.(json.Marshaler)
	if list := reflect.ValueOf(v); indent && !own && list.Kind() == reflect.Slice && list.Len() > 0 && list.Type().Elem().Kind() != reflect.Uint8 {
		return writeList(w, list)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if indent {
		enc.SetIndent("", "  ")
	}
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(cleanJSON(b.Bytes()))
	return err
}

// writeList writes a list as WriteJSON does, one element at a time: a hundred thousand
// consents would take half a gigabyte as a whole.
func writeList(w io.Writer, list reflect.Value) error {
	out := bufio.NewWriterSize(w, 64<<10)
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("  ", "  ")
	before := "[\n  "
	for i := range list.Len() {
		b.Reset()
		if err := enc.Encode(list.Index(i).Interface()); err != nil {
			return err
		}
		out.WriteString(before)
		out.Write(cleanJSON(bytes.TrimSuffix(b.Bytes(), []byte("\n"))))
		before = ",\n  "
	}
	out.WriteString("\n]\n")
	return out.Flush()
}

// cleanJSON escapes in JSON, where nothing but ASCII stands outside of strings.
func cleanJSON(b []byte) []byte {
	var out []byte // nil: nothing was escaped yet
	done := 0
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf && b[i] != 0x7f {
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if !Visible(r) {
			out = append(out, b[done:i]...)
			if hi, lo := utf16.EncodeRune(r); r >= 0x10000 {
				out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
			} else {
				out = fmt.Appendf(out, `\u%04x`, r)
			}
			done = i + n
		}
		i += n
	}
	if out == nil {
		return b
	}
	return append(out, b[done:]...)
}
