package order

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Serve is the side of a program carekey-ledger-NAME, for authors in Go: it answers what
// is asked on in until that ends, as PROTOCOL.md says, from the backend that open opens
// for the URL in the first line.
//
//	func main() {
//		if err := order.Serve(os.Stdin, os.Stdout, open); err != nil {
//			fmt.Fprintln(os.Stderr, err)
//			os.Exit(1)
//		}
//	}
//
// One request is answered after the other. An [ErrUnknown] of the backend is told as that, and
// a [ledgerclient.ErrQuota]; any other error, and a request that is none of the protocol, as nothing having been
// done. Requests are bounded at 1 MiB each.
//
// The backend is closed at the end. Errors: what open returned, which was told; a first
// line or a line of JSON that is none; those of in and out.
func Serve(in io.Reader, out io.Writer, open func(url string) (Backend, error)) (err error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	say := json.NewEncoder(out) // a line each
	if !lines.Scan() {
		return lines.Err()
	}
	var h hello
	if err := decode(lines.Bytes(), &h); err != nil {
		return err
	}
	if h.Protocol != version {
		err := fmt.Errorf("it speaks %s only", version)
		return errors.Join(err, say.Encode(welcome{Protocol: version, Error: denied(err)}))
	}
	b, err := open(h.URL)
	if err != nil {
		return errors.Join(err, say.Encode(welcome{Protocol: version, Error: denied(err)}))
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	w := welcome{Protocol: version, Name: b.Name(), Append: MaxAppend}
	if d, is := b.(Dedicated); is {
		w.Ledger = d.Keeps()
	}
	_, w.State = b.(Stated)
	if err := say.Encode(w); err != nil {
		return err
	}
	for lines.Scan() {
		var q question
		if err := decode(lines.Bytes(), &q); err != nil {
			return err
		}
		a, err := q.answer(context.Background(), b)
		if err != nil {
			a = answer{Error: denied(err)}
		}
		a.ID = q.ID
		if err := say.Encode(a); err != nil {
			return err
		}
	}
	return lines.Err()
}

// denied is an error as the other side is told it.
func denied(err error) *denial {
	code := "failed"
	if e, is := fault.As(err, ErrUnknown); is {
		if code = "unknown"; e.Err != nil {
			err = e.Err // the code says the rest
		}
	} else if e, is := fault.As(err, ledgerclient.ErrQuota); is {
		return &denial{Code: "quota", Message: printable(fault.Get[string](e, "why"))}
	}
	return &denial{Code: code, Message: printable(err.Error())}
}

var errNoRequest = errors.New("no such request")

// stateOf asks a backend that may know its state.
func stateOf(ctx context.Context, b Backend) (*state, error) {
	of, is := b.(Stated)
	if !is {
		return nil, errNoRequest
	}
	s, err := of.State(ctx)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, errNoRequest
	}
	return &state{Decides: s.Decides, Waits: uint32(min(s.Waits/time.Second, math.MaxUint32)), Words: s.Words}, nil
}

// answer asks the backend.
func (q *question) answer(ctx context.Context, b Backend) (a answer, err error) {
	switch {
	case q.Do == "append" && len(q.Entries) > 0 && len(q.Entries) <= MaxAppend:
		entries := make([]contract.Entry, len(q.Entries))
		for i, text := range q.Entries {
			if entries[i], err = decodeEntry(text); err != nil {
				return a, fmt.Errorf("entry %d is not 222 bytes in base64", i)
			}
		}
		if slices.ContainsFunc(entries, func(e contract.Entry) bool { return e.Kind == contract.KindConfig }) {
			return a, errors.New("a configuration entry is ordered with its document")
		}
		a.Positions, err = b.Append(ctx, entries)
	case q.Do == "configure" && len(q.Entries) == 1:
		var i Item
		if i.Entry, err = decodeEntry(q.Entries[0]); err == nil {
			i.Document, err = decodeDocument(q.Document)
		}
		if err != nil || i.Document == "" || !i.Whole() {
			return a, errors.New("no configuration entry with the document that it commits to")
		}
		a.Positions = make([]uint64, 1)
		a.Positions[0], err = b.Configure(ctx, i.Entry, i.Document)
	case q.Do == "read" && q.From != nil && q.Most >= 0:
		items, err := b.Read(ctx, *q.From)
		if err != nil {
			return a, err
		}
		a.Items = []item{}
		size := 0
		for _, i := range items[:min(len(items), q.Most, MaxRead)] {
			// Beside its document an item takes less than 400 bytes.
			if size += 400 + base64.StdEncoding.EncodedLen(len(i.Document)); size > maxLine-400 {
				break
			}
			a.Items = append(a.Items, item{Hour: uint32(i.Hour), Entry: encodeEntry(&i.Entry), Document: encodeDocument(i.Document)})
		}
	case q.Do == "head":
		var n uint64
		n, err = b.Head(ctx)
		a.Head = &n
	case q.Do == "state":
		a.State, err = stateOf(ctx, b)
	default:
		err = errNoRequest
	}
	return a, err
}
