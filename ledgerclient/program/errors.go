package program

import "strings"

// Error says what is wrong with a backend's program.
type Error struct {
	Program string // carekey-ledger-NAME
	Fault   Fault
	Text    string // what the program said, made printable; may be empty
}

func (e *Error) Error() string {
	s := e.Program + ": " + string(e.Fault)
	if e.Text != "" {
		s += ": " + e.Text
	}
	return s
}

// Fault is what a program did wrong.
type Fault string

// The faults.
const (
	BadURL    Fault = "not the URL of a program"
	Missing   Fault = "not found in PATH"
	NotARun   Fault = "cannot be started"
	BadHello  Fault = "does not speak this protocol"
	Died      Fault = "ended"
	Late      Fault = "gave no answer in time"
	TooLong   Fault = "gave an answer that is too long"
	Garbage   Fault = "gave an answer that makes no sense"
	SaysNo    Fault = "could not do it"
	SaysMaybe Fault = "does not know whether it did it"
)

// printable cuts what a program said to 200 characters without control
// characters.
func printable(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > 200 {
			break
		}
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u2028' || r == '\u2029' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' {
			r = '\ufffd'
		}
		b.WriteRune(r)
	}
	return b.String()
}
