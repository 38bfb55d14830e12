package order

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// ProgramPrefix is what the names of all such programs begin with.
const ProgramPrefix = "carekey-ledger-"

// ProgramOptions of a program. The zero value is right for most.
type ProgramOptions struct {
	// Stderr is given what the program writes on its standard error, line by line
	// behind its name, at most 1 MiB. nil: it is dropped.
	Stderr io.Writer
	// Timeout is how long the program may take for one answer. 0: 30 seconds.
	Timeout time.Duration
}

// Program is an order kept by a program.
type Program struct {
	url, path, name string
	opt             ProgramOptions
	says            string          // its own name
	most            int             // entries that it takes at once
	keeps           crypto.LedgerID // alone; zero: it keeps any
	states          bool            // it can be asked for its state

	// first is asked whatever it is free for; second, which is started only then, reads
	// while the first has not answered.
	first, second process
}

// process is one that the program runs in, which is asked one question at a time.
type process struct {
	mu     sync.Mutex // held for a call
	run    *run       // nil: not running
	closed bool
}

var (
	_ Backend = (*Program)(nil)
	_ Stated  = (*Program)(nil)
)

// ProgramName returns the name of the program for a URL, and false if the URL is none:
// its scheme is made of a-z, 0-9 and -, and begins with a letter.
func ProgramName(url string) (string, bool) {
	scheme, _, ok := strings.Cut(url, ":")
	const letters = "abcdefghijklmnopqrstuvwxyz"
	if !ok || scheme == "" || len(scheme) > 32 || !strings.Contains(letters, scheme[:1]) || strings.Trim(scheme, letters+"0123456789-") != "" {
		return "", false
	}
	return ProgramPrefix + scheme, true
}

// Start starts the program for a URL and shakes hands with it. The error is a
// *ProgramError.
func Start(ctx context.Context, url string, opt ProgramOptions) (*Program, error) {
	name, ok := ProgramName(url)
	if !ok {
		return nil, &ProgramError{Program: ProgramPrefix + "…", Fault: BadURL}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return nil, &ProgramError{Program: name, Fault: Missing}
	}
	if opt.Timeout == 0 {
		opt.Timeout = 30 * time.Second
	}
	b := &Program{url: url, path: path, name: name, opt: opt}
	w := welcome{}
	if b.first.run, w, err = b.start(ctx); err != nil {
		return nil, err
	}
	b.says, b.most, b.keeps, b.states = printable(w.Name), max(leastAppend, min(w.Append, MaxAppend)), w.Ledger, w.State
	return b, nil
}

// Keeps returns the only ledger whose order the program keeps; zero: it keeps any.
func (b *Program) Keeps() crypto.LedgerID { return b.keeps }

// fault is what the program did wrong, and what it said to that.
func (b *Program) fault(f Fault, said string) error {
	return &ProgramError{Program: b.name, Fault: f, Text: printable(said)}
}

// start runs the program and shakes hands.
func (b *Program) start(ctx context.Context) (r *run, w welcome, err error) {
	first, err := json.Marshal(hello{Protocol: version, URL: b.url})
	if err != nil {
		return nil, w, err
	}
	if r, err = startRun(b.path, b.name, b.opt); err != nil {
		return nil, w, err
	}
	line, err := r.exchange(ctx, first, b.opt.Timeout)
	if err == nil {
		switch err2 := decode(line, &w); {
		case err2 != nil || w.Protocol != version && w.Error == nil:
			err = b.fault(BadHello, "")
		case w.Error != nil:
			err = b.fault(SaysNo, w.Error.Message)
		}
	}
	if err != nil {
		r.end(0)
		return nil, w, err
	}
	return r, w, nil
}

// ask sends one question and returns the answer. A run that fails is ended; the
// question goes to another one once. What is read never waits for an append.
func (b *Program) ask(ctx context.Context, q question) (answer, error) {
	p := &b.first
	puts := q.Do == "append" || q.Do == "configure"
	if puts {
		p.mu.Lock()
	} else if !p.mu.TryLock() {
		p = &b.second
		p.mu.Lock()
	}
	defer p.mu.Unlock()
	if p.closed {
		return answer{}, b.fault(Died, "")
	}
	for again := false; ; again = true {
		a, err := b.askOnce(ctx, p, &q)
		var fault *ProgramError
		if err == nil || !errors.As(err, &fault) {
			return a, err
		}
		no := fault.Fault == SaysNo || fault.Fault == SaysQuota
		if again && puts && no { // the one before may have done it
			return a, b.fault(SaysMaybe, fault.Text)
		}
		if again || ctx.Err() != nil || no || fault.Fault == SaysMaybe {
			return a, err
		}
	}
}

func (b *Program) askOnce(ctx context.Context, p *process, q *question) (_ answer, err error) {
	if p.run == nil {
		var w welcome
		if p.run, w, err = b.start(ctx); err != nil {
			return answer{}, err
		}
		if w.Ledger != b.keeps {
			p.run.end(0)
			p.run = nil
			return answer{}, b.fault(Changed, "")
		}
	}
	p.run.asked++
	q.ID = p.run.asked
	text, err := json.Marshal(q)
	if err != nil {
		return answer{}, err
	}
	line, err := p.run.exchange(ctx, text, b.opt.Timeout)
	var a answer
	if err == nil {
		if a, err = parseAnswer(line, q); err != nil {
			err = b.fault(Garbage, "")
		}
	}
	if err != nil {
		p.run.end(0)
		p.run = nil
		return answer{}, err
	}
	if a.Error != nil {
		fault := SaysNo
		switch a.Error.Code {
		case "failed":
		case "quota":
			fault = SaysQuota
		default:
			fault = SaysMaybe
		}
		return a, b.fault(fault, a.Error.Message)
	}
	return a, nil
}

// Name is what the program calls itself.
func (b *Program) Name() string { return b.says }

// Append orders entries. The errors are [ErrUnknown] and, if the program
// says that nothing was ordered, *ProgramError, or [ledgerclient.ErrQuota] around one.
func (b *Program) Append(ctx context.Context, entries []contract.Entry) ([]uint64, error) {
	var positions []uint64
	for some := range slices.Chunk(entries, b.most) {
		q := question{Do: "append", Entries: make([]string, len(some))}
		for i := range some {
			q.Entries[i] = encodeEntry(&some[i])
		}
		at, err := b.put(ctx, q)
		if err != nil {
			if positions != nil && !errors.Is(err, ErrUnknown) { // those before it are ordered
				err = ErrUnknown.Of(err)
			}
			return nil, err
		}
		positions = append(positions, at...)
	}
	return positions, nil
}

// Configure orders a configuration entry with its document. The errors are those of Append.
func (b *Program) Configure(ctx context.Context, entry contract.Entry, document string) (uint64, error) {
	at, err := b.put(ctx, question{Do: "configure", Entries: []string{encodeEntry(&entry)}, Document: encodeDocument(document)})
	if err != nil {
		return 0, err
	}
	return at[0], nil
}

// put asks a question that orders something.
func (b *Program) put(ctx context.Context, q question) ([]uint64, error) {
	a, err := b.ask(ctx, q)
	if fault := (*ProgramError)(nil); errors.As(err, &fault) {
		switch fault.Fault {
		case SaysNo:
			return nil, err
		case SaysQuota:
			return nil, ledgerclient.ErrQuota.Of(err, "why", fault.Text)
		}
	}
	if err != nil {
		return nil, ErrUnknown.Of(err)
	}
	return a.Positions, nil
}

// Read returns items from a position on. The error is a *ProgramError.
func (b *Program) Read(ctx context.Context, from uint64) ([]Item, error) {
	a, err := b.ask(ctx, question{Do: "read", From: &from, Most: MaxRead})
	if err != nil {
		return nil, err
	}
	items, err := a.items()
	if err != nil {
		return nil, b.fault(Garbage, "")
	}
	return items, nil
}

// Head returns how many items there are. The error is a *ProgramError.
func (b *Program) Head(ctx context.Context) (uint64, error) {
	a, err := b.ask(ctx, question{Do: "head"})
	if err != nil {
		return 0, err
	}
	return *a.Head, nil
}

// State is what the program says of itself; nil: it cannot be asked. The error is a
// *ProgramError.
func (b *Program) State(ctx context.Context) (*State, error) {
	if !b.states {
		return nil, nil
	}
	a, err := b.ask(ctx, question{Do: "state"})
	if err != nil {
		return nil, err
	}
	return &State{Decides: a.State.Decides, Waits: time.Duration(a.State.Waits) * time.Second, Words: cut(a.State.Words, 1000)}, nil
}

// Close ends the program: it sees the end of its input and has two seconds.
func (b *Program) Close() error {
	for _, p := range []*process{&b.first, &b.second} {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.run != nil {
			p.run.end(2 * time.Second)
		}
		p.run, p.closed = nil, true
	}
	return nil
}

// ProgramError says what is wrong with a backend's program.
type ProgramError struct {
	Program string // carekey-ledger-NAME
	Fault   Fault
	Text    string // what the program said, made printable; may be empty
}

func (e *ProgramError) Error() string {
	s := e.Program + ": " + string(e.Fault)
	if e.Text != "" {
		s += ": " + e.Text
	}
	return s
}

// Coded is the error as a code.
func (e *ProgramError) Coded() error {
	code := ErrProgram
	switch e.Fault {
	case BadURL:
		code = ErrNoURL
	case Missing:
		code = ErrNoProgram
	}
	return code.With("program", e.Program, "fault", e.Fault, "text", e.Text)
}

// Fault is what a program did wrong.
type Fault string

// The faults.
const (
	BadURL    Fault = "not the URL of a program"
	Missing   Fault = "not found in PATH"
	NotARun   Fault = "cannot be started"
	BadHello  Fault = "does not speak this protocol"
	Changed   Fault = "keeps another ledger than before"
	Died      Fault = "ended"
	Late      Fault = "gave no answer in time"
	TooLong   Fault = "gave an answer that is too long"
	Garbage   Fault = "gave an answer that makes no sense"
	SaysNo    Fault = "could not do it"
	SaysQuota Fault = "orders no more in this time"
	SaysMaybe Fault = "does not know whether it did it"
)

// printable cuts what a program said to 200 characters without control
// characters.
func printable(s string) string { return cut(s, 200) }

func cut(s string, most int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > most {
			break
		}
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u2028' || r == '\u2029' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' {
			r = '\ufffd'
		}
		b.WriteRune(r)
	}
	return b.String()
}
