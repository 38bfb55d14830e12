package wallet

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/carekey/carekey/wallet/view"
)

// Requests are what this wallet asks of others, and others of it. Each is a letter in the
// terms of a grant that gives nothing: it is read without an access, ends by time, and on
// the ledger looks like a consent. It is answered by a grant, or by another letter, whose
// terms name it; what has no answer, or was declined in silence, ends with its time.
//
// Whether one was answered is never a flag: it follows from the terms of what this wallet
// gave, which the ledger shows to all machines of its owner. That one was declined stands in
// the book too, since silence leaves nothing on the ledger.
type Requests struct{ w *Wallet }

// Requests returns what is asked.
func (w *Wallet) Requests() Requests { return Requests{w} }

const (
	// ErrAnswered: a request was granted or denied before. request; consent, which gave it, if one did
	ErrAnswered fault.Code = "request-answered"
	// ErrRequestOver: the time in which a request can be answered is over. request, until
	ErrRequestOver fault.Code = "request-over"
	// ErrRequestWithdrawn: its sender took a request back before it was answered. request
	ErrRequestWithdrawn fault.Code = "request-over/withdrawn"
	// ErrRequestUnread: a newer carekey wrote it, or nobody's. request
	ErrRequestUnread fault.Code = "request-unread"
	// ErrStranger: who asks is no contact. request, address
	ErrStranger fault.Code = "request-stranger"
	// ErrOwnRequest: only whom it was sent to can answer a request. request
	ErrOwnRequest fault.Code = "not-yours/request"
	// ErrLetterLong: what is said is more than a letter takes. most, bytes
	ErrLetterLong fault.Code = "letter-too-long"
)

// RequestStatus is what became of a request.
type RequestStatus string

const (
	RequestOpen      RequestStatus = "open"
	RequestApproved  RequestStatus = "approved"  // a consent names it, whatever that gives
	RequestDenied    RequestStatus = "denied"    // of one's own: by a letter; else also in silence
	RequestOver      RequestStatus = "over"      // its time has passed
	RequestWithdrawn RequestStatus = "withdrawn" // its sender took it back
	RequestUnread    RequestStatus = "unread"    // what it asks for cannot be read
	RequestPending   RequestStatus = "pending"   // it is signed, and not on the ledger yet
)

// Request is what somebody asks for.
type Request struct {
	ID       contract.ID     `json:"request"` // of what was signed: another request has another
	Ledger   crypto.LedgerID `json:"ledger"`
	Mine     bool            `json:"mine"` // this wallet asks; else it is asked
	Sent     Hour            `json:"sent,omitzero"`
	Address  crypto.Address  `json:"-"`              // of the other side
	Name     string          `json:"-"`              // the contact's; "" if it is none
	Says     string          `json:"says,omitempty"` // what the sender calls himself: his word, and hostile
	Verified bool            `json:"-"`              // the check words of the other side were compared
	Stranger bool            `json:"stranger"`       // no contact, and nobody to whom this wallet ever gave or wrote anything
	Scope    *payload.Scope  `json:"scope,omitempty"`
	Purpose  payload.Purpose `json:"-"`
	For      string          `json:"for,omitempty"`  // how long, from the answer on
	Until    Hour            `json:"until,omitzero"` // or until when
	Reason   string          `json:"reason"`         // the sender's words, which are hostile
	AnswerBy Hour            `json:"answerBy"`       // when it ends
	Status   RequestStatus   `json:"status"`
	Consent  contract.ID     `json:"consent,omitzero"`  // that gave something of it, if one did
	Answered Hour            `json:"answered,omitzero"` // when the ledger took the answer
	Why      string          `json:"why,omitempty"`     // it was denied, in the words of the other side, which are hostile, or one's own
}

// End is when a consent ends, to the exact hour, that is given now for as long as was asked.
func (r *Request) End(now time.Time) (contract.Hour, error) {
	if r.For != "" {
		return EndAfter(r.For, now)
	}
	return contract.Hour(r.Until), nil
}

// of is a request; ok is false for a letter that asks for nothing.
func (rs Requests) of(t *view.Thread, g *letterGround) (r Request, ok bool) {
	letter, err := rs.w.view.Letter(t)
	if err != nil || letter == nil {
		return r, false
	}
	switch letter.Kind {
	case payload.LetterDeny, payload.LetterDeliver, payload.LetterWithdraw:
		return r, false
	}
	r = Request{ID: t.ID, Ledger: rs.w.client.ID(), Mine: t.Role == view.OwnLetter, Sent: Hour(t.Hour), Address: t.Terms.Peer, Says: t.Terms.Says,
		Purpose: t.Terms.Purpose, AnswerBy: Hour(t.Until()), Status: RequestUnread}
	rs.fill(&r, letter, g)
	if r.Status == RequestUnread {
		return r, true
	}
	who := r.Address // whose answer counts
	if !r.Mine {
		who = rs.w.Address()
		if rs.w.book.Facts.declined(r.ID) {
			r.Status = RequestDenied
		}
	}
	for _, a := range g.answers[r.ID] {
		if a.from != who || r.Status == RequestApproved {
			continue
		}
		switch {
		case a.letter == nil:
			r.Status, r.Consent, r.Why = RequestApproved, a.id, ""
		default:
			d, err := a.letter.Denial()
			if err != nil {
				continue
			}
			r.Status, r.Why = RequestDenied, d.Reason
		}
		if a.t != nil {
			r.Answered = Hour(a.t.Hour)
		}
	}
	if r.Status != RequestOpen {
		return r, true
	}
	switch {
	case t.Status == contract.StatusClosed:
		r.Status = RequestWithdrawn
	case g.now >= t.Until(), r.Until != 0 && g.now >= contract.Hour(r.Until):
		r.Status = RequestOver
	}
	return r, true
}

// fill takes up what a letter asks for.
func (rs Requests) fill(r *Request, letter *payload.Letter, g *letterGround) {
	c := rs.w.Contacts().known(r.Address)
	r.Name, r.Verified, r.Stranger = c.Name, c.Verified, !g.known[r.Address]
	if a, err := letter.Ask(); err == nil {
		r.Status, r.Scope, r.For, r.Until, r.Reason = RequestOpen, &a.Scope, a.For, Hour(a.Until), a.Reason
	}
}

// known are those whose terms were read, oldest first.
func (rs Requests) known() (out []Request) {
	g, err := letters(rs).gather()
	if err != nil {
		return nil
	}
	for _, t := range rs.w.view.Threads() {
		if t.Role != view.OwnLetter && t.Role != view.ReceivedLetter {
			continue
		}
		if r, ok := rs.of(t, g); ok {
			out = append(out, r)
		}
	}
	return out
}

// List lists what was asked of this wallet or, with mine, what it asked, oldest first. Of
// strangers not more is read than [Inbox.List] reads.
func (rs Requests) List(ctx context.Context, mine bool) (out []Request, err error) {
	role := view.ReceivedLetter
	if mine {
		role = view.OwnLetter
	}
	err = rs.w.Look(ctx, func() error {
		g, err := letters(rs).ground(ctx)
		if err != nil {
			return err
		}
		for t := range rs.w.view.Of(role) {
			if r, ok := rs.of(t, g); ok {
				out = append(out, r)
			}
		}
		if mine {
			out = append(out, rs.pending(g)...)
		}
		return nil
	})
	return out, err
}

// Count is how many of what was asked of this wallet can be answered: of people whom its owner
// knows, and of strangers, so far as that was read.
func (rs Requests) Count(ctx context.Context) (known, strangers int, err error) {
	all, err := rs.List(ctx, false)
	for i := range all {
		switch r := &all[i]; {
		case r.Status != RequestOpen:
		case r.Stranger:
			strangers++
		default:
			known++
		}
	}
	return known, strangers, err
}

// pending are requests that wait to come onto the ledger.
func (rs Requests) pending(g *letterGround) (out []Request) {
	for _, c := range rs.w.outbox.Openings(string(Writing)) {
		e, err := effectOf[consentEffect](c)
		if err != nil || e.Terms.Letter == nil || e.Terms.Letter.Kind != payload.LetterAsk {
			continue
		}
		r := Request{ID: c.ID, Ledger: rs.w.client.ID(), Mine: true, Address: e.Terms.To, Purpose: e.Terms.Purpose, AnswerBy: Hour(e.Terms.End())}
		rs.fill(&r, e.Terms.Letter, g)
		r.Status = RequestPending
		out = append(out, r)
	}
	return out
}

// Show returns a request by its id or the beginning of that. Who names one has its terms
// read, whatever others have sent.
func (rs Requests) Show(ctx context.Context, id string) (r Request, err error) {
	err = rs.w.Look(ctx, func() (err error) {
		_, r, err = rs.find(ctx, id)
		return err
	})
	return r, err
}

func (rs Requests) find(ctx context.Context, query string) (*view.Thread, Request, error) {
	var none Request
	q, meant, g, err := letters(rs).named(ctx, "request", query)
	if err != nil {
		return nil, none, err
	}
	var hits []Request
	var at *view.Thread
	for _, t := range meant {
		if r, ok := rs.of(t, g); ok {
			hits, at = append(hits, r), t
		}
	}
	for _, r := range rs.pending(g) {
		if beginsWith(r.ID, q) {
			hits, at = append(hits, r), nil
		}
	}
	switch len(hits) {
	case 0:
		return nil, none, ErrNotFound.With("noun", "request", "query", query)
	case 1:
		return at, hits[0], nil
	}
	var ids []contract.ID
	for _, r := range hits {
		ids = append(ids, r.ID)
	}
	return nil, none, ambiguous(query, ids, false)
}

// open finds a request that this wallet can answer now, and says why it can't.
func (rs Requests) open(ctx context.Context, id string) (*view.Thread, Request, error) {
	t, r, err := rs.find(ctx, id)
	switch {
	case err != nil:
	case r.Mine:
		err = ErrOwnRequest.With("request", r.ID)
	case r.Status == RequestApproved:
		err = ErrAnswered.With("request", r.ID, "consent", r.Consent)
	case r.Status == RequestDenied:
		err = ErrAnswered.With("request", r.ID)
	case r.Status == RequestWithdrawn:
		err = ErrRequestWithdrawn.With("request", r.ID)
	case r.Status == RequestOver:
		until := r.AnswerBy
		if r.Until != 0 {
			until = min(until, r.Until)
		}
		err = ErrRequestOver.With("request", r.ID, "until", HourTime(contract.Hour(until)).Format("2006-01-02 15:04 UTC"))
	case r.Status != RequestOpen:
		err = ErrRequestUnread.With("request", r.ID)
	}
	return t, r, err
}

// AskRequest says what is asked of whom.
type AskRequest struct {
	To      string           // a contact's name
	Select  health.Selection // a role or categories; what goes only by name; dates. Nothing else of it
	Purpose payload.Purpose  // "" = the role's first one, or treatment
	For     string           // how long, as [EndAfter] reads it; or
	Until   contract.Hour    // until when, exactly
	Reason  string
}

// AskPlan is a request that was checked and can be shown before it is signed.
type AskPlan struct {
	To       Contact // zero in a plan for many
	Ask      payload.Ask
	Purpose  payload.Purpose
	AnswerBy contract.Hour // when the request ends
}

// Plan checks a request; without To it is one that is asked of many.
func (rs Requests) Plan(ctx context.Context, r AskRequest) (p *AskPlan, err error) {
	err = rs.w.with(ctx, func() error {
		p, err = rs.plan(ctx, r)
		return err
	})
	return p, err
}

func (rs Requests) plan(ctx context.Context, r AskRequest) (*AskPlan, error) {
	gs := rs.w.Grants()
	if err := gs.confirmed(); err != nil {
		return nil, err
	}
	p := &AskPlan{Purpose: r.Purpose}
	var err error
	if r.To != "" {
		if p.To, err = rs.w.Contacts().Named(r.To); err != nil {
			return nil, err
		}
	}
	of := &GrantPlan{Purpose: r.Purpose}
	role, err := gs.role(GrantRequest{Select: r.Select}, of)
	if err != nil {
		return nil, err
	}
	if p.Purpose, err = ParsePurpose(string(cmp.Or(r.Purpose, of.Purpose, payload.Treatment))); err != nil {
		return nil, err
	}
	if role == nil && len(r.Select.Categories) == 0 {
		return nil, badInput("category", "", "nothing is asked for: name a role or categories")
	}
	c, err := gs.chooser(ctx, GrantRequest{Select: r.Select}, role)
	if err != nil {
		return nil, err
	}
	p.Ask.Scope = *c.scope()
	now := rs.w.opt.Now()
	if r.For != "" {
		if _, err := EndAfter(r.For, now); err != nil {
			return nil, err
		}
		p.Ask.For = strings.TrimLeft(cleanLength(r.For), "0")
	} else if p.Ask.Until = r.Until; r.Until <= rs.w.view.Hour() {
		return nil, badInput("until", HourTime(r.Until).Format("2006-01-02 15:04 UTC"), "is in the past")
	}
	p.Ask.Reason = strings.TrimSpace(r.Reason)
	if err := checkReason("reason", p.Ask.Reason, payload.MaxReason, payload.ReasonFits); err != nil {
		return nil, err
	}
	if p.AnswerBy, err = letters(rs).window(); err != nil {
		return nil, err
	}
	if r.Until != 0 && r.For == "" {
		p.AnswerBy = min(p.AnswerBy, r.Until)
	}
	letter := payload.NewLetter(payload.LetterAsk, p.Ask)
	if !letter.Fits() {
		return nil, ErrLetterLong.With("most", payload.MaxLetter)
	}
	if _, err := letter.Ask(); err != nil { // what others would not read is not sent
		return nil, badInput("for", r.For, "is nothing that can be asked for")
	}
	return p, nil
}

// Letter is the grant in whose terms a plan's letter goes to somebody.
func (p *AskPlan) Letter(to Contact) *GrantPlan {
	return &GrantPlan{To: to, Purpose: p.Purpose, Until: p.AnswerBy, NotAfter: LedgerEnd(p.AnswerBy), letter: payload.NewLetter(payload.LetterAsk, p.Ask)}
}

// Send signs a request and enters it on the ledger. [ErrPending] comes with the request: it
// is signed and waits.
func (rs Requests) Send(ctx context.Context, p *AskPlan) (r Request, err error) {
	err = rs.w.with(ctx, func() error {
		id, err := letters(rs).enter(ctx, p.Letter(p.To))
		if id != (contract.ID{}) {
			if _, found, ferr := rs.find(ctx, id.String()); ferr == nil {
				r = found
			}
		}
		return err
	})
	return r, err
}

// Withdraw takes back a request of one's own, or a letter that denied one.
func (rs Requests) Withdraw(ctx context.Context, id string) (r Request, err error) {
	err = rs.w.with(ctx, func() error {
		_, found, err := rs.find(ctx, id)
		switch {
		case err != nil:
			return err
		case !found.Mine:
			return ErrNotGiver.With("consent", found.ID)
		case found.Status == RequestWithdrawn:
			r = found
			return nil
		case found.Status == RequestApproved || found.Status == RequestDenied:
			return ErrAnswered.With("request", found.ID, "consent", found.Consent)
		}
		waits := letters(rs).withdraw(ctx, found.ID)
		if r = found; waits == nil {
			_, r, err = rs.find(ctx, found.ID.String())
		}
		return cmp.Or(waits, err)
	})
	return r, err
}

// Deny declines a request. Its sender is told by a letter, with a reason if there is one; in
// silence it is only kept in the book, and nothing goes to the ledger now.
func (rs Requests) Deny(ctx context.Context, id, reason string, silent bool) (r Request, err error) {
	reason = strings.TrimSpace(reason)
	if err := checkReason("reason", reason, payload.MaxReason, payload.ReasonFits); err != nil {
		return r, err
	}
	err = rs.w.with(ctx, func() error {
		t, _, err := rs.open(ctx, id)
		if err != nil {
			return err
		}
		waits := letters(rs).refuse(ctx, t, reason, silent)
		if waits != nil && !errors.Is(waits, ErrPending) {
			return waits
		}
		_, r, err = rs.find(ctx, t.ID.String())
		return cmp.Or(waits, err)
	})
	return r, err
}

// Answering is the request that a plan of a grant answers, and what of the plan it did not
// ask for, or asked for in vain.
type Answering struct {
	Request Request
	More    []string // in words
	Less    []string
}

// PlanAnswer plans a grant that answers a request. What r leaves open is as was asked: it
// narrows what it names. What goes beyond what was asked is said in the plan.
func (rs Requests) PlanAnswer(ctx context.Context, id string, r GrantRequest) (p *GrantPlan, err error) {
	err = rs.w.with(ctx, func() error {
		_, asked, err := rs.open(ctx, id)
		if err != nil {
			return err
		}
		if asked.Name == "" {
			return ErrStranger.With("request", asked.ID, "address", asked.Address.String())
		}
		r.To, r.New = asked.Name, nil
		asked.completes(&r)
		if r.Until == 0 {
			if r.Until, err = asked.End(rs.w.opt.Now()); err != nil {
				return err
			}
			if InHours(asked.For) {
				r.NotAfter = r.Until
			}
		}
		if p, err = rs.w.Grants().plan(ctx, r); p != nil {
			p.request = asked.ID
			p.Answers = asked.compare(p, rs.w.opt.Now())
		}
		return err
	})
	return p, err
}

// completes fills in what a person left open with what was asked.
func (r *Request) completes(g *GrantRequest) {
	s := &g.Select
	g.Purpose = cmp.Or(g.Purpose, r.Purpose)
	if s.Whole || g.All {
		return
	}
	named := s.Role != "" || len(s.Categories) > 0 // then with what is sensitive in it is for the person to say
	asks := func(c payload.Category) bool { return slices.Contains(r.Scope.Categories, c) }
	if !named {
		g.within = r.Scope.Role
		s.Categories = slices.DeleteFunc(slices.Clone(r.Scope.Categories), func(c payload.Category) bool {
			return c == health.Documents || c == health.Demographics && len(r.Scope.Categories) > 1 || !c.Valid()
		})
		if len(s.Categories) == 0 && asks(health.Documents) {
			s.Categories = []payload.Category{health.Documents}
		}
		if !asks(health.Demographics) && !slices.Contains(s.Without, string(health.Demographics)) {
			s.Without = append(slices.Clone(s.Without), string(health.Demographics))
		}
	}
	if len(s.With) == 0 && !named {
		sensitive := append(health.Sensitivities(), health.Unclassified)
		for _, w := range r.Scope.Sensitive {
			if slices.Contains(sensitive, health.Sensitivity(w)) { // another is a newer carekey's
				s.With = append(s.With, w)
			}
		}
		if asks(health.Documents) {
			s.With = append(s.With, string(health.Documents))
		}
	}
	if s.Since == "" && s.Until == "" {
		s.Since, s.Until = r.Scope.Since, r.Scope.Until
	}
}

// compare says what of a plan goes beyond a request, and what falls short of it.
func (r *Request) compare(p *GrantPlan, now time.Time) *Answering {
	a := &Answering{Request: *r}
	more := func(says string) { a.More = append(a.More, says) }
	less := func(says string) { a.Less = append(a.Less, says) }
	var categories []payload.Category
	var sensitive []string
	since, until := r.Scope.Since, r.Scope.Until
	if p.Scope != nil {
		categories, sensitive, since, until = slices.Clone(p.Scope.Categories), p.Scope.Sensitive, p.Scope.Since, p.Scope.Until
	}
	for i := range p.Records {
		switch rp := &p.Records[i]; {
		case rp.Whole && (rp.Judged != nil || rp.MayBeFHIR()):
			more("all of " + rp.Title)
		case rp.Whole && !slices.Contains(categories, rp.Category):
			categories = append(categories, rp.Category)
		}
	}
	slices.Sort(categories)
	for _, c := range categories {
		if !slices.Contains(r.Scope.Categories, c) {
			more(string(c))
		}
	}
	for _, w := range sensitive {
		if !slices.Contains(r.Scope.Sensitive, w) {
			more(w)
		}
	}
	for _, c := range r.Scope.Categories {
		if !slices.Contains(categories, c) {
			less(string(c))
		}
	}
	for _, w := range r.Scope.Sensitive {
		if !slices.Contains(sensitive, w) {
			less(w)
		}
	}
	switch {
	case r.Scope.Since != "" && since < r.Scope.Since, r.Scope.Until != "" && (until == "" || until > r.Scope.Until):
		more("other dates")
	case since > r.Scope.Since, until != "" && (r.Scope.Until == "" || until < r.Scope.Until):
		less("fewer dates")
	}
	if p.Purpose != r.Purpose {
		more("for " + p.Purpose.Word())
	}
	if end, err := r.End(now); err == nil && p.Until > end {
		more("for longer")
	} else if err == nil && p.Until < end {
		less("for a shorter time")
	}
	return a
}

// Give is [Grants.Give] of a plan that answers a request, if that can still be answered.
func (rs Requests) Give(ctx context.Context, p *GrantPlan) (c Consent, code crypto.FetchCode, err error) {
	err = rs.w.with(ctx, func() error {
		if _, _, err := rs.open(ctx, p.request.String()); err != nil {
			return err
		}
		c, code, err = rs.w.Grants().Give(ctx, p)
		return err
	})
	return c, code, err
}
