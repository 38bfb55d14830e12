package wallet

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/carekey/carekey/wallet/view"
)

// letters is what requests and deliveries have in common: grants that give no record, are
// answered by others whose terms name them, and whose state follows from these.
type letters struct{ w *Wallet }

// answer is what answers a letter.
type answer struct {
	t      *view.Thread // nil: it waits to come onto the ledger
	id     contract.ID
	letter *payload.Letter // nil if it is a consent
	from   crypto.Address  // of who gives it, or sends it
}

// letterGround is what the state of letters follows from.
type letterGround struct {
	known   map[crypto.Address]bool
	answers map[contract.ID][]answer // by what they answer
	now     contract.Hour
}

// ground reads the terms that it takes, and gathers all that answers something.
func (ls letters) ground(ctx context.Context) (*letterGround, error) {
	if _, err := ls.w.Consents().threads(ctx); err != nil {
		return nil, err
	}
	if err := ls.w.Inbox().readTerms(ctx, slices.Collect(ls.w.view.Of(view.Received))); err != nil {
		return nil, err
	}
	return ls.gather()
}

// gather is ground of what is known without reading.
func (ls letters) gather() (*letterGround, error) {
	g := &letterGround{ls.w.Inbox().people(), map[contract.ID][]answer{}, ls.w.view.OpenHour()}
	for _, t := range ls.w.view.Threads() {
		of := t.Request()
		if of == (contract.ID{}) {
			continue
		}
		a := answer{t: t, id: t.ID, from: t.Terms.Peer}
		if t.Given() {
			a.from = ls.w.Address()
		}
		if t.Role == view.OwnLetter || t.Role == view.ReceivedLetter {
			var err error
			if a.letter, err = ls.w.view.Letter(t); err != nil {
				return nil, err
			}
		}
		g.answers[of] = append(g.answers[of], a)
	}
	for _, action := range []Action{Granting, Writing} {
		for _, c := range ls.w.outbox.Openings(string(action)) {
			if e, err := effectOf[consentEffect](c); err == nil && e.Terms.Request != (contract.ID{}) {
				g.answers[e.Terms.Request] = append(g.answers[e.Terms.Request], answer{nil, c.ID, e.Terms.Letter, ls.w.Address()})
			}
		}
	}
	return g, nil
}

// named are the grants, given and received, whose ids begin with a query, which are the
// letters that it may mean; noun is what is looked for, and q the query as ids are written.
// Who names one has its terms read, whatever others have sent.
func (ls letters) named(ctx context.Context, noun, query string) (q string, meant []*view.Thread, g *letterGround, err error) {
	q = strings.ToLower(text.Code(query))
	if len(q) < minPrefix || len(q) > 64 || strings.Trim(q, "0123456789abcdef") != "" {
		return q, nil, nil, badInput(noun, query, "an id is at least 6 characters of 0-9 and a-f")
	}
	if err := ls.w.view.NeedThreads(); err != nil {
		return q, nil, nil, err
	}
	for _, t := range ls.w.view.Threads() {
		if (t.Given() || t.Got()) && beginsWith(t.ID, q) {
			meant = append(meant, t)
		}
	}
	for _, t := range meant {
		if t.Got() && t.Terms == nil {
			if err := ls.w.Inbox().terms(ctx, t); err != nil && len(meant) == 1 {
				return q, nil, nil, err
			}
		}
	}
	g, err = ls.ground(ctx)
	return q, meant, g, err
}

// window is when a letter ends: as most consents do, after 30 days, so that nobody sees by
// that which it is.
func (ls letters) window() (contract.Hour, error) { return EndAfter("30d", ls.w.opt.Now()) }

// enter signs a letter and enters it on the ledger.
func (ls letters) enter(ctx context.Context, p *GrantPlan) (id contract.ID, err error) {
	s, err := ls.w.Grants().Sign(ctx, []*GrantPlan{p})
	if err == nil {
		err = cmp.Or(s.Errs[0], s.Wait())
	}
	if err != nil {
		return id, err
	}
	return s.changes[0].ID, ls.w.Changes().enter(ctx, s.changes[0])
}

// refuse says no to a letter, with a letter or in silence. [ErrPending] means that it is
// signed and waits.
func (ls letters) refuse(ctx context.Context, t *view.Thread, reason string, silent bool) (waits error) {
	if !silent {
		waits = ls.reply(ctx, t, payload.NewLetter(payload.LetterDeny, payload.Denial{Reason: reason}))
		if waits != nil && !errors.Is(waits, ErrPending) {
			return waits
		}
	}
	f := &ls.w.book.Facts
	f.Requests = setFact(f.Requests, requestFact{Request: t.ID, Declined: true}, compareRequests, func(r *requestFact) *int64 { return &r.At }, ls.w.opt.Now())
	ls.w.book.dirty = true
	return waits
}

// reply sends a letter that names t to the other side of it.
func (ls letters) reply(ctx context.Context, t *view.Thread, letter *payload.Letter) error {
	if !letter.Fits() {
		return ErrLetterLong.With("most", payload.MaxLetter)
	}
	if err := ls.w.Grants().confirmed(); err != nil {
		return err
	}
	end, err := ls.window()
	if err != nil {
		return err
	}
	to := Contact{Name: ls.w.Contacts().known(t.Terms.Peer).Name, Address: t.Terms.Peer}
	_, err = ls.enter(ctx, &GrantPlan{To: to, Purpose: t.Terms.Purpose, Until: end, NotAfter: LedgerEnd(end), letter: letter, request: t.ID})
	return err
}

// withdraw ends the grant of a letter of one's own.
func (ls letters) withdraw(ctx context.Context, id contract.ID) error {
	tag, t, _ := ls.w.Consents().granted(id)
	c, err := ls.w.Consents().prepareRevocation(tag, id)
	if err != nil {
		return err
	}
	if t != nil {
		ls.w.Changes().forgetUnheld(t)
	}
	return ls.w.Changes().enter(ctx, c)
}
