package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/carekey/carekey/crypto/fault"
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
	ExitNotFound    = 7   // not found, fetch code of another ledger
	ExitPartly      = 8   // partly done
	ExitToDo        = 9   // with --check alone: something to do, or new
	ExitInterrupted = 130 // interrupted
)

// Failure is an error in words.
type Failure struct {
	Code    string `json:"code"` // stable
	Message string `json:"message"`
	Hint    string `json:"hint"` // what to do next; may be empty
	Exit    int    `json:"exit"`

	Problems any `json:"problems,omitempty"` // of a file
}

// reported is a failure in JSON.
type reported struct {
	Error Failure `json:"error"`
}

// Report writes the failure for people, or as one line of JSON, and returns its exit code.
// What did not fail is not written.
func (f Failure) Report(w io.Writer, asJSON bool) (exit int) {
	switch {
	case f.Exit == ExitDone:
	case asJSON:
		WriteJSON(w, reported{f}, false)
	default:
		text := "error: " + f.Message
		if f.Hint != "" {
			text += "\nhint:  " + strings.ReplaceAll(f.Hint, "\n", "\n       ")
		}
		fmt.Fprintln(w, Wrap(CleanText(text), Prose(w)))
	}
	return f.Exit
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
	ErrFolder     fault.Code = "file-is-folder"    // what should be read as a file is a folder. path
	ErrFile       fault.Code = "file-error"        // any other of a file. path
)

// Usage returns an [ErrUsage].
func Usage(message, hint string) error { return ErrUsage.With("message", message, "hint", hint) }

// Words are what people are told of errors, by their codes, of which several may have spaces
// between them: "message | hint", or a message alone. In them
//
//	{name}            is the value of that name
//	{name|one|many}   the same with a noun: "1 item", "3 items"
//	{name|quote}      as a shell takes it
//	{name|text}       is the text, of a value that is true
//	{why}             what is known of the cause: a code's message, or what the system says
//	{err}             the message for the cause, as the table has it; {err|none} if there is none
//	{hint}            the hint for the cause
//	[...]             is left out if a value in it is empty
//
// The value like, if there is one, is what may have been meant: the hint begins with it.
// A message with {err} is about its cause: it holds whatever that is, also an interruption.
type Words map[fault.Code]string

// Table turns errors into words.
type Table struct {
	// Exits has the words by exit code. Those for a code as it is shown go before those for
	// the code itself, and a case without words has those of its code. What both programs
	// say alike need not be there. Exit 0 is for what happened on the way: code and exit
	// are those of the cause.
	Exits map[int]Words
	// Then changes what is said where that is more than values; cause is what is said
	// of the error's cause.
	Then map[fault.Code]func(e *fault.Error, f, cause Failure) Failure
	// Show returns a value as people read it; how is what stands after the bar.
	Show func(v any, how string) string
}

// Texts returns all words that the table uses.
func (t *Table) Texts() map[fault.Code][]string {
	all := map[fault.Code][]string{}
	for _, exits := range []map[int]Words{t.Exits, Common} {
		for _, words := range exits {
			for codes, text := range words {
				for _, code := range strings.Fields(string(codes)) {
					all[fault.Code(code)] = append(all[fault.Code(code)], text)
				}
			}
		}
	}
	return all
}

// Explain returns the words for an error. The outermost error with words decides; but
// whatever a command was doing when it was interrupted, it was interrupted.
func (t *Table) Explain(err error) Failure {
	for one := range fault.Tree(err) {
		e := coded(one)
		if e == nil {
			continue
		}
		code, exit, text, ok := t.words(e)
		message, hint, _ := strings.Cut(text, " | ")
		about := strings.Contains(message, "{err}")
		if !ok || !about && errors.Is(err, context.Canceled) && !e.Code.Is(ErrInterrupted) {
			continue
		}
		var cause Failure
		if e.Err != one { // which is its own cause, if the system says it
			cause = t.Explain(e.Err)
		}
		if about { // more was done than the cause knows of
			cause.Message = strings.TrimSuffix(cause.Message, NothingChanged)
		}
		f := Failure{Code: base(e.Shown()), Message: t.text(message, e, cause), Hint: strings.TrimSpace(t.text(hint, e, cause)), Exit: exit}
		if exit == 0 {
			f.Code, f.Exit = cause.Code, cause.Exit
		}
		if n := fault.Get[int](e, "exit"); n != 0 {
			f.Exit = n
		}
		if like := fault.Get[string](e, "like"); like != "" {
			f.Hint = strings.TrimSpace("did you mean " + Quote(Clean(like)) + "?\n" + f.Hint)
		}
		if then := t.Then[code]; then != nil {
			f = then(e, f, cause)
		}
		return f
	}
	if err == nil {
		return Failure{}
	}
	return Failure{Code: "unexpected", Message: err.Error(), Exit: ExitUnexpected}
}

// coded returns an error's code and values; nil if it has none.
func coded(err error) *fault.Error {
	if err == context.Canceled {
		return &fault.Error{Code: ErrInterrupted}
	}
	if typed, ok := err.(interface{ Coded() error }); ok {
		err = typed.Coded()
	} else if of := systems(err); of != nil {
		err = of
	}
	switch e := err.(type) {
	case *fault.Error:
		return e
	case fault.Code:
		return &fault.Error{Code: e}
	}
	return nil
}

// words finds what is said of an error, and the code and the exit code under which it stands.
func (t *Table) words(e *fault.Error) (code fault.Code, exit int, text string, ok bool) {
	shown := e.Shown()
	for _, code := range []string{shown, string(e.Code), base(shown), base(string(e.Code))} {
		for _, exits := range []map[int]Words{t.Exits, Common} {
			for exit, words := range exits {
				for codes, text := range words {
					if slices.Contains(strings.Fields(string(codes)), code) {
						return fault.Code(code), exit, text, true
					}
				}
			}
		}
	}
	return "", 0, "", false
}

// base is a code without its case.
func base(code string) string {
	code, _, _ = strings.Cut(code, "/")
	return code
}

const oneValue = `\{([a-z]+)(?:\|([^|}]*)(?:\|([^}]*))?)?\}`

// pieces are what may be left out of a text, and values; values are those alone.
var (
	values = Pattern(oneValue)
	pieces = Pattern(`\[[^]]*\]|` + oneValue)
)

// text fills a text in. What a value holds is never read as a text itself.
func (t *Table) text(template string, e *fault.Error, cause Failure) string {
	whole := true
	value := func(piece string) string {
		m := values().FindStringSubmatch(piece)
		s := t.value(e, cause, m[1], m[2], m[3])
		whole = whole && s != "" && s != "''"
		return s
	}
	return pieces().ReplaceAllStringFunc(template, func(piece string) string {
		if piece[0] == '{' {
			return value(piece)
		}
		whole = true
		if text := values().ReplaceAllStringFunc(piece[1:len(piece)-1], value); whole {
			return text
		}
		return ""
	})
}

func (t *Table) value(e *fault.Error, cause Failure, name, how, many string) string {
	v := e.Value(name)
	switch {
	case v == nil && e.Err != nil:
		switch name {
		case "why":
			return why(e.Err, cause)
		case "err":
			return cause.Message
		case "hint":
			return cause.Hint
		}
		return ""
	case v == nil && name == "err", v == true:
		return how
	case v == nil, v == false:
		return ""
	case many != "":
		n := t.Show(v, "")
		if n != "1" {
			how = many
		}
		return n + " " + how
	case how == "quote":
		return Quote(Clean(fmt.Sprint(v)))
	}
	return t.Show(v, how)
}

// why is what is known of a cause.
func why(err error, said Failure) string {
	switch err.(type) {
	case *fault.Error, fault.Code:
		return said.Message
	}
	return system(err)
}

// systems is the error with the code of what the operating system says; nil if err is not
// that.
func systems(err error) error {
	path, cause := "", err
	switch e := err.(type) {
	case *fs.PathError:
		path, cause = e.Path, e.Err
		if e.Op == "flock" || e.Op == "LockFileEx" {
			return ErrNoLocks.Of(cause, "path", path)
		}
		if e.Op == "read" && e.Err == syscall.EISDIR {
			return ErrFolder.Of(cause, "path", path)
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
	return code.Of(cause, "path", path)
}

// system is what the operating system says, without Go's names of calls.
func system(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Path + ": " + e.Err.Error()
	}
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		return e.Error()
	}
	return err.Error()
}
