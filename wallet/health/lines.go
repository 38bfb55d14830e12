package health

import (
	"bytes"
	"fmt"
)

// AppendLines appends a file of FHIR to NDJSON, so that several are one record of as many
// entries: one resource is one line, and NDJSON gives its lines. The bytes of a resource
// stay as they are but for ends of lines between its members, which become spaces. The
// error is [ErrNotSplit] if the file cannot be split, is a Bundle, which is a record of
// its own, or would make the whole larger than [MaxSplit].
func AppendLines(lines, file []byte) ([]byte, error) {
	cut, err := Split(file)
	if err != nil {
		return nil, err
	}
	for i := range cut.Parts {
		if cut.Form == FormBundle || cut.Parts[i].Type == "Bundle" {
			return nil, ErrNotSplit.With("why", "a Bundle is a record of its own")
		}
	}
	at := len(lines)
	lines = append(append(lines, bytes.TrimSpace(file)...), '\n')
	if cut.Form == FormResource {
		for i, c := range lines[at : len(lines)-1] {
			if c == '\n' || c == '\r' { // JSON has none within a string
				lines[at+i] = ' '
			}
		}
	}
	if len(lines) > MaxSplit {
		return nil, ErrNotSplit.With("why", fmt.Sprintf("together they are larger than %d MiB", MaxSplit>>20))
	}
	return lines, nil
}
