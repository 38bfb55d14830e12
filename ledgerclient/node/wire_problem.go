package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient"
)

// Kind is why a node did not do what it was asked for. The names are stable.
type Kind string

// The kinds. Of those marked with * the client knows that nothing was done; after
// the others it must look.
const (
	KindMalformed Kind = "malformed" // * the request is not one of the protocol
	KindNoVersion Kind = "version"   // * no version of the protocol that both speak
	KindToken     Kind = "token"     // * the submit token is missing or not known
	KindNotFound  Kind = "not-found" // * *ledgerclient.NotFoundError
	KindMethod    Kind = "method"    // * the path has no such method
	KindRange     Kind = "range"     // * *ledgerclient.RangeError
	KindStore     Kind = "store"     // * *ledgerclient.StoreError
	KindKeeper    Kind = "keeper"    // * *ledgerclient.KeeperError
	KindNoLength  Kind = "length"    // * the request has no Content-Length
	KindTooLarge  Kind = "too-large" // * the request is larger than Limit
	KindTooSlow   Kind = "too-slow"  // * the request did not arrive in time
	KindTooMany   Kind = "too-many"  // * too many requests from this address or with this token
	KindQuota     Kind = "quota"     // * too many bytes from this address or with this token
	KindBusy      Kind = "busy"      // * too many requests are under way
	KindClosing   Kind = "closing"   // * the node is being shut down
	KindClock     Kind = "clock"     // * the node's clock is off: it orders and releases nothing
	KindReadOnly  Kind = "read-only" // * the node cannot write
	KindFull      Kind = "full"      //   the node's disk is full
	KindDamaged   Kind = "damaged"   //   the node's files are not what its software wrote
	KindFailed    Kind = "failed"    //   anything else
)

// problems says of each kind its HTTP status and its title.
var problems = map[Kind]struct {
	status int
	title  string
}{
	KindMalformed: {http.StatusBadRequest, "the request is malformed"},
	KindNoVersion: {http.StatusBadRequest, "no common version of the protocol"},
	KindToken:     {http.StatusUnauthorized, "a submit token is needed, and this is none"},
	KindNotFound:  {http.StatusNotFound, "not found"},
	KindMethod:    {http.StatusMethodNotAllowed, "no such method here"},
	KindRange:     {http.StatusConflict, "not at this size of the log"},
	KindStore:     {http.StatusUnprocessableEntity, "refused by the store"},
	KindKeeper:    {http.StatusForbidden, "refused by the keeper"},
	KindNoLength:  {http.StatusLengthRequired, "the length must be known"},
	KindTooLarge:  {http.StatusRequestEntityTooLarge, "too large"},
	KindTooSlow:   {http.StatusRequestTimeout, "too slow"},
	KindTooMany:   {http.StatusTooManyRequests, "too many requests"},
	KindQuota:     {http.StatusTooManyRequests, "quota used up"},
	KindBusy:      {http.StatusServiceUnavailable, "busy"},
	KindClosing:   {http.StatusServiceUnavailable, "shutting down"},
	KindClock:     {http.StatusServiceUnavailable, "the node's clock is off"},
	KindReadOnly:  {http.StatusServiceUnavailable, "the node cannot write"},
	KindFull:      {http.StatusInsufficientStorage, "the node's disk is full"},
	KindDamaged:   {http.StatusInternalServerError, "the node's files are damaged"},
	KindFailed:    {http.StatusInternalServerError, "the node failed"},
}

const problemType = "urn:carekey:problem:"

// Problem is an RFC 9457 document: why a request failed. Type, title and status
// follow from Kind; which of the other members are there too.
type Problem struct {
	Kind       Kind
	RetryAfter time.Duration // of KindTooMany, KindQuota, KindBusy, KindClosing; full seconds
	Limit      int64         // of KindTooLarge, in bytes
	Versions   []int         // of KindNoVersion: what the node speaks
	What       string        // of KindNotFound: "payload", "entry", "upload", "page", "tile"
	Entry      crypto.Hash   // of KindStore: the entry; of KindKeeper: the grant
	Part       ledgerclient.Part
	Reason     ledgerclient.StoreReason
	Code       ledgerclient.Code
	Range      ledgerclient.RangeError
}

// document is a Problem as JSON.
type document struct {
	Type       string                   `json:"type"`
	Title      string                   `json:"title"`
	Status     int                      `json:"status"`
	RetryAfter int64                    `json:"retry_after,omitempty"` // seconds
	Limit      int64                    `json:"limit,omitempty"`
	Versions   []int                    `json:"versions,omitempty"`
	What       string                   `json:"what,omitempty"`
	Entry      *crypto.Hash             `json:"entry,omitempty"`
	Part       string                   `json:"part,omitempty"`
	Reason     string                   `json:"reason,omitempty"`
	Code       string                   `json:"code,omitempty"`
	Range      *ledgerclient.RangeError `json:"range,omitempty"`
}

// storeReasons are the names of the reasons of a StoreError.
var storeReasons = map[ledgerclient.StoreReason]string{
	ledgerclient.BadEntry:     "entry",
	ledgerclient.BadPackage:   "package",
	ledgerclient.BadBlob:      "payload",
	ledgerclient.BadPart:      "part",
	ledgerclient.BadLocators:  "locators",
	ledgerclient.Withdrawn:    "withdrawn",
	ledgerclient.NotWithdrawn: "not-withdrawn",
}

// Status is the HTTP status that goes with the problem.
func (p *Problem) Status() int { return problems[p.Kind].status }

// Marshal encodes p as JSON.
func (p *Problem) Marshal() []byte {
	d := document{
		Type: problemType + string(p.Kind), Title: problems[p.Kind].title, Status: p.Status(),
	}
	switch p.Kind {
	case KindTooMany, KindQuota, KindBusy, KindClosing:
		d.RetryAfter = int64(p.RetryAfter / time.Second)
	case KindTooLarge:
		d.Limit = p.Limit
	case KindNoVersion:
		d.Versions = p.Versions
	case KindNotFound:
		d.What = p.What
	case KindStore:
		d.Entry, d.Reason = &p.Entry, storeReasons[p.Reason]
		if p.Part != 0 {
			d.Part = p.Part.String()
		}
	case KindKeeper:
		d.Entry, d.Code = &p.Entry, p.Code.String()
	case KindRange:
		d.Range = &p.Range
	}
	b, err := json.Marshal(d)
	if err != nil {
		panic(err) // no field of it can fail
	}
	return b
}

// ParseProblem decodes a problem. One of an unknown type is an error: it is not
// of this protocol.
func ParseProblem(b []byte) (Problem, error) {
	var d document
	if len(b) > MaxProblem {
		return Problem{}, malformed("problem", codec.ErrLength)
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return Problem{}, malformed("problem", err)
	}
	var p Problem
	for k := range problems {
		if d.Type == problemType+string(k) {
			p.Kind = k
		}
	}
	ok := p.Kind != "" && d.Status == p.Status()
	switch p.Kind {
	case KindTooMany, KindQuota, KindBusy, KindClosing:
		ok = ok && d.RetryAfter >= 0 && d.RetryAfter <= 86400
		p.RetryAfter = time.Duration(d.RetryAfter) * time.Second
	case KindTooLarge:
		ok = ok && d.Limit >= 0
		p.Limit = d.Limit
	case KindNoVersion:
		p.Versions = d.Versions
	case KindNotFound:
		ok = ok && validName(d.What)
		p.What = d.What
	case KindStore:
		for r, name := range storeReasons {
			if name == d.Reason {
				p.Reason = r
			}
		}
		for part := ledgerclient.PartMetadata; part <= ledgerclient.PartAccess; part++ {
			if part.String() == d.Part {
				p.Part = part
			}
		}
		ok = ok && p.Reason != "" && d.Entry != nil && (p.Part != 0) == (d.Part != "")
		if d.Entry != nil {
			p.Entry = *d.Entry
		}
	case KindKeeper:
		for c := ledgerclient.UnknownGrant; c <= ledgerclient.BadRequest; c++ {
			if c.String() == d.Code {
				p.Code = c
			}
		}
		ok = ok && p.Code != ledgerclient.Released && d.Entry != nil
		if d.Entry != nil {
			p.Entry = *d.Entry
		}
	case KindRange:
		ok = ok && d.Range != nil
		if d.Range != nil {
			p.Range = *d.Range
		}
	}
	if !ok {
		return Problem{}, malformed("problem", codec.ErrRange)
	}
	return p, nil
}

// RefusedError says that a node did not do what it was asked for, for a reason
// of its own.
type RefusedError struct {
	Kind       Kind
	RetryAfter time.Duration // how long to wait; 0: not said
	Limit      int64         // of KindTooLarge, in bytes
	Versions   []int         // of KindNoVersion: what the node speaks
}

func (e *RefusedError) Error() string {
	s := problems[e.Kind].title
	if e.Kind == KindNoVersion {
		s = fmt.Sprintf("it speaks version %s of the protocol, and this is version %d", strings.Trim(fmt.Sprint(e.Versions), "[]"), Version)
	}
	if e.RetryAfter > 0 {
		s += fmt.Sprintf(" (again in %s)", e.RetryAfter)
	}
	return s
}

// Err is the typed error that a client returns for the problem. service is
// "ledger", "store" or "keeper". What goes over by itself, or is for the node's
// operator to mend, is a *ledgerclient.UnreachableError around a *RefusedError.
func (p *Problem) Err(service string) error {
	switch p.Kind {
	case KindNotFound:
		return &ledgerclient.NotFoundError{What: p.What}
	case KindStore:
		return &ledgerclient.StoreError{Entry: p.Entry, Part: p.Part, Reason: p.Reason}
	case KindKeeper:
		return &ledgerclient.KeeperError{Grant: p.Entry, Code: p.Code}
	case KindRange:
		r := p.Range
		return &r
	}
	refused := &RefusedError{Kind: p.Kind, RetryAfter: p.RetryAfter, Limit: p.Limit, Versions: p.Versions}
	switch p.Kind {
	case KindMalformed, KindNoVersion, KindToken, KindMethod, KindNoLength, KindTooLarge:
		return refused
	}
	return &ledgerclient.UnreachableError{Service: service, Err: refused, Answered: true, Damaged: p.Kind == KindDamaged}
}

// unanswered is the error of a revocation. The contract and the keeper alone refuse
// one, in their answers: a node that does not take it, for want of a token or whatever
// else it says, is one through which they are not reached.
func unanswered(service string, err error) error {
	var refused error
	if e, ok := errors.AsType[*RefusedError](err); ok {
		refused = e
	} else if p := ProblemOf(err); p.Kind != KindFailed && p.Kind != KindMalformed {
		refused = err
	}
	if refused == nil || is[*ledgerclient.UnreachableError](err) || is[*ledgerclient.BatchError](err) {
		return err
	}
	return &ledgerclient.UnreachableError{Service: service, Err: refused, Answered: true}
}

// ProblemOf is the problem that stands for an error of a service. Errors of which
// it knows nothing are KindFailed.
func ProblemOf(err error) Problem {
	if e, ok := errors.AsType[*RefusedError](err); ok {
		return Problem{Kind: e.Kind, RetryAfter: e.RetryAfter, Limit: e.Limit, Versions: e.Versions}
	}
	if e, ok := errors.AsType[*ledgerclient.NotFoundError](err); ok {
		return Problem{Kind: KindNotFound, What: e.What}
	}
	if e, ok := errors.AsType[*ledgerclient.StoreError](err); ok {
		return Problem{Kind: KindStore, Entry: e.Entry, Part: e.Part, Reason: e.Reason}
	}
	if e, ok := errors.AsType[*ledgerclient.KeeperError](err); ok {
		return Problem{Kind: KindKeeper, Entry: e.Grant, Code: e.Code}
	}
	if e, ok := errors.AsType[*ledgerclient.RangeError](err); ok {
		return Problem{Kind: KindRange, Range: *e}
	}
	if errors.Is(err, ledgerclient.ErrMessage) {
		return Problem{Kind: KindMalformed}
	}
	return Problem{Kind: KindFailed}
}
