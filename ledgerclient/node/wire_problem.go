package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient"
)

// Kind is why a node did not do what it was asked for. The names are stable.
type Kind string

// The kinds. Of those marked with * the client knows that nothing was done; after
// the others it must look.
const (
	KindMalformed Kind = "malformed" // * the request is not one of the protocol
	KindNoVersion Kind = "version"   // * the request is of another version of the protocol
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
	KindQuota     Kind = "quota"     // * too many bytes from this address or with this token, or more entries than the node's institution may have ordered in an hour
	KindBusy      Kind = "busy"      // * too many requests are under way
	KindClosing   Kind = "closing"   // * the node is being shut down
	KindClock     Kind = "clock"     // * the node's clock is off: it orders and releases nothing
	KindReadOnly  Kind = "read-only" // * the node cannot write
	KindFull      Kind = "full"      //   the node's disk is full
	KindDamaged   Kind = "damaged"   //   the node's files are not what its software wrote
	KindUnsigned  Kind = "unsigned"  //   it is ordered, and not enough nodes have signed that yet
	KindUndecided Kind = "undecided" //   what keeps the order has not decided it in time, or cannot be reached
	KindFailed    Kind = "failed"    //   anything else
)

// problems says of each kind its HTTP status and its title.
var problems = map[Kind]struct {
	status int
	title  string
}{
	KindMalformed: {http.StatusBadRequest, "the request is malformed"},
	KindNoVersion: {http.StatusBadRequest, "another version of the protocol"},
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
	KindUnsigned:  {http.StatusServiceUnavailable, "not enough nodes have signed it yet"},
	KindUndecided: {http.StatusServiceUnavailable, "nothing is ordered now: too few of those who keep the order may be there"},
	KindFailed:    {http.StatusInternalServerError, "the node failed"},
}

const problemType = "urn:carekey:problem:"

// RefusedError says that a node did not do what it was asked for, for a reason
// of its own.
type RefusedError struct {
	Kind       Kind  `json:"-"`
	RetryAfter int   `json:"retry_after,omitempty"` // seconds to wait; 0: not said
	Limit      int64 `json:"limit,omitempty"`       // of KindTooLarge, in bytes
	Versions   []int `json:"versions,omitempty"`    // of KindNoVersion: what the node speaks
}

func (e *RefusedError) Error() string {
	s := problems[e.Kind].title
	if e.Kind == KindNoVersion {
		s = fmt.Sprintf("it speaks version %s of the protocol, and this is version %d", strings.Trim(fmt.Sprint(e.Versions), "[]"), Version)
	}
	if e.RetryAfter > 0 {
		s += fmt.Sprintf(" (again in %s)", time.Duration(e.RetryAfter)*time.Second)
	}
	return s
}

// Coded is the error as a code.
func (e *RefusedError) Coded() error {
	return ErrRefused.With("kind", e.Kind, "title", e.Error(), "limit", e.Limit)
}

// Problem is an RFC 9457 document: why a request failed. Which members beside the
// first four are there follows from the kind: the error of the service is one, too.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"` // of HTTP
	RefusedError
	NotFound *ledgerclient.NotFoundError `json:"not_found,omitempty"` // "payload", "upload", "page", "tile"
	Store    *ledgerclient.StoreError    `json:"store,omitempty"`
	Keeper   *ledgerclient.KeeperError   `json:"keeper,omitempty"`
	Range    *ledgerclient.RangeError    `json:"range,omitempty"`
}

// ParseProblem decodes a problem. One of an unknown type is an error: it is not
// of this protocol.
func ParseProblem(b []byte) (Problem, error) {
	var p Problem
	if len(b) > MaxProblem {
		return p, malformed("problem", codec.ErrLength)
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return Problem{}, malformed("problem", err)
	}
	p.Kind = Kind(strings.TrimPrefix(p.Type, problemType))
	known, ok := problems[p.Kind]
	if !ok || p.Type != problemType+string(p.Kind) || p.Status != known.status || p.RetryAfter < 0 || p.RetryAfter > 86400 || p.Err("") == nil {
		return Problem{}, malformed("problem", codec.ErrRange)
	}
	return p, nil
}

// Err is the typed error that a client returns for the problem; nil if a member that
// it needs is none. service is "ledger", "store" or "keeper". What goes over by itself,
// or is for the node's operator to mend, is a *ledgerclient.UnreachableError around a
// *RefusedError.
func (p *Problem) Err(service string) error {
	switch p.Kind {
	case KindNotFound:
		if p.NotFound != nil && validName(p.NotFound.What) {
			return p.NotFound
		}
	case KindStore:
		if p.Store != nil && p.Store.Part <= ledgerclient.PartAccess && slices.Contains(ledgerclient.StoreReasons, p.Store.Reason) {
			return p.Store
		}
	case KindKeeper:
		if p.Keeper != nil && p.Keeper.Code > ledgerclient.Released && p.Keeper.Code <= ledgerclient.BadRequest {
			return p.Keeper
		}
	case KindRange:
		if p.Range != nil {
			return p.Range
		}
	case KindMalformed, KindNoVersion, KindToken, KindMethod, KindNoLength, KindTooLarge:
		return &p.RefusedError
	default:
		return &ledgerclient.UnreachableError{Service: service, Err: &p.RefusedError, Answered: true, Damaged: p.Kind == KindDamaged,
			Undecided: service == ofLedger && (p.Kind == KindUndecided || p.Kind == KindUnsigned)}
	}
	return nil
}

// unanswered is the error of a revocation. The contract and the keeper alone refuse
// one, in their answers: a node that does not take it, for want of a token or whatever
// else it says, is one through which they are not reached.
func unanswered(service string, err error) error {
	if ProblemOf(err).Kind == KindFailed || errors.Is(err, ledgerclient.ErrMessage) || is[*ledgerclient.UnreachableError](err) || is[*ledgerclient.BatchError](err) {
		return err
	}
	return &ledgerclient.UnreachableError{Service: service, Err: err, Answered: true}
}

// ProblemOf is the problem that stands for an error of a service. Errors of which
// it knows nothing are KindFailed.
func ProblemOf(err error) Problem {
	p := Problem{RefusedError: RefusedError{Kind: KindFailed}}
	var refused *RefusedError
	switch {
	case errors.As(err, &refused):
		p.RefusedError = *refused
	case errors.As(err, &p.NotFound):
		p.Kind = KindNotFound
	case errors.As(err, &p.Store):
		p.Kind = KindStore
	case errors.As(err, &p.Keeper):
		p.Kind = KindKeeper
	case errors.As(err, &p.Range):
		p.Kind = KindRange
	case errors.Is(err, ledgerclient.ErrMessage):
		p.Kind = KindMalformed
	}
	p.Type, p.Title, p.Status = problemType+string(p.Kind), problems[p.Kind].title, problems[p.Kind].status
	return p
}
