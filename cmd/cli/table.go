package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"syscall"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/order"
)

// The exit codes of both programs.
const (
	ExitDone        = 0   // done, or nothing to do
	ExitUnexpected  = 1   // unexpected, disk full, read-only
	ExitUsage       = 2   // wrong usage, or an answer is missing
	ExitRefused     = 3   // not yet, expired, revoked, not yours, the person said no
	ExitLocked      = 4   // keyring locked or absent, wrong passphrase
	ExitUnreachable = 5   // ledger, store or keeper out of reach
	ExitTampered    = 6   // verification failed
	ExitNotFound    = 7   // not found, share code of another ledger
	ExitPartly      = 8   // partly done
	ExitInterrupted = 130 // interrupted
)

// Failure is an error in words.
type Failure struct {
	Code    string `json:"code"` // stable
	Message string `json:"message"`
	Hint    string `json:"hint"` // what to do next; may be empty
	Exit    int    `json:"exit"`
}

// Print writes the failure for people.
func (f Failure) Print(w io.Writer) {
	fmt.Fprintf(w, "error: %s\n", CleanText(f.Message))
	if f.Hint != "" {
		fmt.Fprintf(w, "hint:  %s\n", CleanText(strings.ReplaceAll(f.Hint, "\n", "\n       ")))
	}
}

// Errors that come from the command line, the person or the system.
const (
	ErrUsage       fault.Code = "usage"       // the command line means nothing. message, hint
	ErrDeclined    fault.Code = "declined"    // the person said no
	ErrInterrupted fault.Code = "interrupted" // of [context.Canceled]

	ErrNoLocks    fault.Code = "no-locks"          // the file system refused to lock a file, as some network ones do. path, why
	ErrDiskFull   fault.Code = "disk-full"         // or a quota is used up
	ErrReadOnly   fault.Code = "read-only"         // path, if it is known, as below
	ErrPermission fault.Code = "permission-denied" // path
	ErrNoFile     fault.Code = "file-not-found"    // path
	ErrFile       fault.Code = "file-error"        // any other of a file. path
)

// The codes of errors that have a type.
const (
	ErrUnreachable fault.Code = "{service}-unreachable"  // damaged
	ErrNotThere    fault.Code = "{what}-not-found/there" // of a service
	ErrStore       fault.Code = "store-refused"          // entry, part, reason
	ErrRollback    fault.Code = "ledger-rolled-back"     // pinned, head
	ErrForked      fault.Code = "ledger-forked"          // size
	ErrTampered    fault.Code = "tampered"               // what
	ErrNode        fault.Code = "node-{kind}"            // title, limit
	ErrProgram     fault.Code = "order-program"          // program, fault, text
	ErrNoProgram   fault.Code = "order-program-missing"  // program
	ErrNoURL       fault.Code = "usage/order"            // not that of a backend
	ErrNotAFile    fault.Code = "not-a-file"             // path, is
)

// typed returns the code of an error of such a type, nil for others.
func typed(err error) error {
	switch e := err.(type) {
	case *ledgerclient.UnreachableError:
		return ErrUnreachable.Of(e.Err, "service", e.Service, "damaged", e.Damaged)
	case *ledgerclient.NotFoundError:
		return ErrNotThere.With("what", e.What)
	case *ledgerclient.StoreError:
		return ErrStore.With("entry", e.Entry, "part", e.Part, "reason", e.Reason)
	case *ledgerclient.RollbackError:
		return ErrRollback.With("pinned", e.Pinned, "head", e.Head)
	case *ledgerclient.ForkError:
		return ErrForked.With("size", e.Size)
	case *ledgerclient.TamperedError:
		return ErrTampered.Of(e.Err, "what", e.What)
	case *node.RefusedError:
		return ErrNode.With("kind", e.Kind, "title", e.Error(), "limit", e.Limit)
	case *order.ProgramError:
		code := ErrProgram
		switch e.Fault {
		case order.BadURL:
			code = ErrNoURL
		case order.Missing:
			code = ErrNoProgram
		}
		return code.With("program", e.Program, "fault", e.Fault, "text", e.Text)
	case *disk.KindError:
		return ErrNotAFile.With("path", e.Path, "is", e.Is)
	}
	return nil
}

// Usage returns an [ErrUsage].
func Usage(message, hint string) error { return ErrUsage.With("message", message, "hint", hint) }

// Row is what people are told of an error of one code. In its texts
//
//	{name}            is the value of that name
//	{name|one|many}   the same with a noun: "1 item", "3 items"
//	{name|quote}      as a shell takes it
//	{why}             what is known of the cause: a code's message, or what the system says
//	{err}             the message for the cause, as the table has it; {err|none} if there is none
//	{hint}            the hint for the cause
//	[...]             is left out if a value in it is empty
type Row struct {
	Message, Hint string
	Exit          int
	code          string
	then          func(e *fault.Error, f Failure) Failure
	around        func(e *fault.Error, f, cause Failure) Failure
}

// Say returns a row.
func Say(exit int, message, hint string) Row { return Row{Exit: exit, Message: message, Hint: hint} }

// As gives the row another code to show.
func (r Row) As(code string) Row { r.code = code; return r }

// Then adds what a sentence needs that is no mere value.
func (r Row) Then(change func(e *fault.Error, f Failure) Failure) Row {
	r.then = change
	return r
}

// Around is Then for errors that say something about their cause: change is also given
// what is said of that.
func (r Row) Around(change func(e *fault.Error, f, cause Failure) Failure) Row {
	r.around = change
	return r
}

// Table turns errors into words.
type Table struct {
	// Rows has a row for each code: one for the code as it is shown goes before one
	// for the code itself, and a case without a row has that of its code.
	Rows map[fault.Code]Row
	// Code returns an error with the code of an error of a type of the program's own; nil
	// if there is none. It need not look at what err wraps.
	Code func(err error) error
	// Show returns a value as people read it; how is what stands after the bar.
	Show func(v any, how string) string
}

// Explain returns the words for an error. The outermost error with a row decides; but
// whatever a command was doing when it was interrupted, it was interrupted.
func (t *Table) Explain(err error) Failure {
	for one := range fault.Tree(err) {
		e := t.coded(one)
		if e == nil {
			continue
		}
		r, ok := t.row(e)
		switch {
		case !ok:
			continue
		case r.around != nil:
			return r.around(e, t.fill(r, e), t.Explain(e.Err))
		case errors.Is(err, context.Canceled) && !e.Code.Is(ErrInterrupted):
			continue
		}
		return t.fill(r, e)
	}
	if err == nil {
		return Failure{}
	}
	return Failure{"unexpected", err.Error(), "", ExitUnexpected}
}

func (t *Table) coded(err error) *fault.Error {
	if err == context.Canceled {
		err = ErrInterrupted
	} else if own := t.Code(err); own != nil {
		err = own
	} else if one := typed(err); one != nil {
		err = one
	}
	switch e := err.(type) {
	case *fault.Error:
		return e
	case fault.Code:
		return &fault.Error{Code: e}
	}
	return systems(err)
}

func (t *Table) row(e *fault.Error) (r Row, ok bool) {
	shown := e.Shown()
	for _, code := range []string{shown, string(e.Code), base(shown), base(string(e.Code))} {
		if r, ok = t.Rows[fault.Code(code)]; ok {
			return r, true
		}
	}
	return r, false
}

// base is a code without its case.
func base(code string) string {
	code, _, _ = strings.Cut(code, "/")
	return code
}

func (t *Table) fill(r Row, e *fault.Error) Failure {
	code := base(e.Shown())
	if r.code != "" {
		code = r.code
	}
	f := Failure{code, t.text(r.Message, e), strings.TrimSuffix(t.text(r.Hint, e), "\n"), r.Exit}
	if r.then != nil {
		f = r.then(e, f)
	}
	return f
}

var (
	optional    = regexp.MustCompile(`\[[^]]*\]`)
	placeholder = regexp.MustCompile(`\{([a-z]+)(?:\|([^|}]*)(?:\|([^}]*))?)?\}`)
)

func (t *Table) text(template string, e *fault.Error) string {
	values := func(part string) (text string, whole bool) {
		whole = true
		text = placeholder.ReplaceAllStringFunc(part, func(p string) string {
			m := placeholder.FindStringSubmatch(p)
			s := t.value(e, m[1], m[2], m[3])
			whole = whole && s != "" && s != "''"
			return s
		})
		return text, whole
	}
	var b strings.Builder
	at := 0
	for _, o := range optional.FindAllStringIndex(template, -1) {
		before, _ := values(template[at:o[0]])
		b.WriteString(before)
		if text, whole := values(template[o[0]+1 : o[1]-1]); whole {
			b.WriteString(text)
		}
		at = o[1]
	}
	rest, _ := values(template[at:])
	return b.String() + rest
}

func (t *Table) value(e *fault.Error, name, how, many string) string {
	v := e.Value(name)
	switch {
	case name == "why" && v == nil && e.Err != nil:
		return t.why(e.Err)
	case name == "err" && e.Err != nil:
		return t.Explain(e.Err).Message
	case name == "err":
		return how
	case name == "hint" && v == nil && e.Err != nil:
		return t.Explain(e.Err).Hint
	case v == nil:
		return ""
	case many != "":
		return count(t.Show(v, ""), how, many)
	case how == "quote":
		return Quote(Clean(fmt.Sprint(v)))
	}
	return t.Show(v, how)
}

// Answered reports whether it is known why a service gave no answer: that is said of an
// ErrUnreachable then.
func Answered(err error) bool {
	for _, c := range []fault.Code{node.ErrCertificate, node.ErrSlow, node.ErrTooLarge, node.ErrRedirect, node.ErrForeign, ErrInterrupted} {
		if errors.Is(err, c) {
			return true
		}
	}
	return errors.Is(err, context.Canceled)
}

// why is what is known of a cause.
func (t *Table) why(err error) string {
	switch err.(type) {
	case *fault.Error, fault.Code:
		return t.Explain(err).Message
	}
	return System(err)
}

func count(n, one, many string) string {
	if n == "1" {
		many = one
	}
	return n + " " + many
}

// systems is the code of what the operating system says; nil if err is not that.
func systems(err error) *fault.Error {
	path, cause := "", err
	switch e := err.(type) {
	case *fs.PathError:
		path, cause = e.Path, e.Err
		if e.Op == "flock" || e.Op == "LockFileEx" {
			return &fault.Error{Code: ErrNoLocks, Args: []fault.Arg{{Name: "path", Value: path}}, Err: cause}
		}
	case *os.LinkError:
		path, cause = e.New, e.Err
	case syscall.Errno:
	default:
		if err != fs.ErrPermission && err != fs.ErrNotExist {
			return nil
		}
	}
	code := ErrFile
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		code = ErrDiskFull
	case errors.Is(err, syscall.EROFS):
		code = ErrReadOnly
	case errors.Is(err, fs.ErrPermission):
		code = ErrPermission
	case errors.Is(err, fs.ErrNotExist):
		code = ErrNoFile
	case path == "":
		return nil
	}
	return &fault.Error{Code: code, Args: []fault.Arg{{Name: "path", Value: path}}, Err: cause}
}

// System is what the operating system says, without Go's names of calls.
func System(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Path + ": " + e.Err.Error()
	}
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		return e.Error()
	}
	return err.Error()
}
