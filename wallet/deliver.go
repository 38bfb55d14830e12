package wallet

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/outbox"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/carekey/carekey/wallet/view"
)

// Deliveries are files that this wallet hands to others, and others to it. Each is a grant
// whose envelope holds the file in place of keys: what it is stands in the terms' letter,
// and is read without an access; the file is had by opening it, which is the receipt. No
// record of the sender's is made, and the recipient makes it one of hers, or does not.
//
// What became of one is never a flag: that it was opened the ledger tells, and that it was
// accepted the record which names it as its source. So who is interrupted between the two
// accepts it again, and has it once.
type Deliveries struct{ w *Wallet }

// Deliveries returns what is delivered.
func (gs Grants) Deliveries() Deliveries { return Deliveries(gs) }

const (
	// ErrDeliveryOver: the 90 days of a delivery are over, and its file is gone. delivery, until
	ErrDeliveryOver fault.Code = "delivery-over"
	// ErrDeliveryWithdrawn: its sender took it back before it was accepted. delivery
	ErrDeliveryWithdrawn fault.Code = "delivery-over/withdrawn"
	// ErrDeliveryUnread: a newer carekey announced it, or nobody's. delivery
	ErrDeliveryUnread fault.Code = "delivery-unread"
	// ErrDeliveryStranger: who sent it is no contact. delivery, address
	ErrDeliveryStranger fault.Code = "delivery-stranger"
	// ErrDeliveryAccepted: what was accepted is declined no more. delivery, record
	ErrDeliveryAccepted fault.Code = "delivery-accepted"
	// ErrDeliveryUnlike: its sender put another file into it than he announced. delivery
	ErrDeliveryUnlike fault.Code = "delivery-unlike"
	// ErrOwnDelivery: only whom it was sent to can accept or decline it. delivery
	ErrOwnDelivery fault.Code = "not-yours/delivery"
	// ErrDeliveryLarge: files are more than an envelope takes. most, bytes
	ErrDeliveryLarge fault.Code = "delivery-too-large"
)

// DeliveryStatus is what became of a delivery.
type DeliveryStatus string

const (
	DeliverySent      DeliveryStatus = "sent"      // nobody opened it
	DeliveryOpened    DeliveryStatus = "opened"    // by whom it was sent to; of a received one, and there is no record of it
	DeliveryAccepted  DeliveryStatus = "accepted"  // of a received one: it is a record
	DeliveryDeclined  DeliveryStatus = "declined"  // of one's own: by a letter; else also in silence
	DeliveryOver      DeliveryStatus = "over"      // its time has passed
	DeliveryWithdrawn DeliveryStatus = "withdrawn" // its sender took it back
	DeliveryUnread    DeliveryStatus = "unread"    // what it is cannot be read
	DeliveryPending   DeliveryStatus = "pending"   // it is signed, and not on the ledger yet
)

// deliveryDays is for how long a delivery can be opened.
const deliveryDays = "90d"

// Delivery is a file that somebody delivers.
type Delivery struct {
	ID        contract.ID     `json:"consent"`
	Ledger    crypto.LedgerID `json:"ledger"`
	Mine      bool            `json:"mine"` // this wallet sent it; else it was sent to it
	Sent      Hour            `json:"sent,omitzero"`
	Address   crypto.Address  `json:"-"`              // of the other side
	Name      string          `json:"-"`              // the contact's; "" if it is none
	Says      string          `json:"says,omitempty"` // what the sender calls himself: his word, and hostile
	Verified  bool            `json:"-"`              // the check words of the other side were compared
	Stranger  bool            `json:"stranger"`       // as of a request
	Title     string          `json:"title"`          // the sender's word, and hostile
	Size      int64           `json:"size"`           // bytes
	Corrects  contract.ID     `json:"corrects,omitzero"`
	Reason    string          `json:"reason,omitempty"` // the sender's words, which are hostile
	Until     Hour            `json:"until"`            // it can be opened before that
	Status    DeliveryStatus  `json:"status"`
	Opened    Hour            `json:"opened,omitzero"`    // by its recipient, for the first time: the receipt
	Record    contract.ID     `json:"record,omitzero"`    // that it was accepted as
	Withdrawn Hour            `json:"withdrawn,omitzero"` // by its sender, before or after it was opened
	Why       string          `json:"why,omitempty"`      // it was withdrawn or declined, in the words of who did, which are hostile
}

// Waits reports whether a delivery waits to be accepted or declined.
func (d *Delivery) Waits() bool {
	return !d.Mine && (d.Status == DeliverySent || d.Status == DeliveryOpened)
}

// of is a delivery; ok is false for a letter that is none. kept are those that were accepted.
func (ds Deliveries) of(t *view.Thread, g *letterGround, kept map[contract.ID]contract.ID) (d Delivery, ok bool) {
	letter, err := ds.w.view.Letter(t)
	if err != nil || letter == nil || letter.Kind != payload.LetterDeliver {
		return d, false
	}
	d = Delivery{ID: t.ID, Ledger: ds.w.client.ID(), Mine: t.Role == view.OwnLetter, Sent: Hour(t.Hour), Address: t.Terms.Peer, Says: t.Terms.Says, Until: Hour(t.Until())}
	ds.fill(&d, letter, g)
	sender, recipient := d.Address, ds.w.Address()
	if d.Mine {
		sender, recipient = recipient, sender
	}
	for _, f := range t.FollowUps() {
		switch {
		case f.Kind == contract.KindAccess && d.Opened == 0:
			d.Opened = Hour(f.Hour)
		case f.Kind == contract.KindRevoke && d.Opened == 0:
			d.Withdrawn = Hour(f.Hour)
		}
	}
	declined := !d.Mine && ds.w.book.Facts.declined(d.ID)
	for _, a := range g.answers[d.ID] {
		if a.letter == nil {
			continue
		}
		said, err := a.letter.Withdrawal()
		if err == nil && a.from == sender {
			d.Why, d.Withdrawn = said.Reason, Hour(ds.w.view.OpenHour()) // of one that waits
			if a.t != nil {
				d.Withdrawn = Hour(a.t.Hour)
			}
			continue
		}
		if said, err = a.letter.Denial(); err == nil && a.from == recipient {
			declined = true
			if d.Withdrawn == 0 {
				d.Why = said.Reason
			}
		}
	}
	d.Record = kept[d.ID]
	switch {
	case d.Status == DeliveryUnread:
	case d.Record != (contract.ID{}):
		d.Status = DeliveryAccepted
	case d.Withdrawn != 0 || t.Status == contract.StatusClosed:
		d.Status = DeliveryWithdrawn
	case d.Mine && d.Opened != 0:
		d.Status = DeliveryOpened
	case declined:
		d.Status = DeliveryDeclined
	case g.now >= t.Until():
		d.Status = DeliveryOver
	case d.Opened != 0:
		d.Status = DeliveryOpened
	}
	return d, true
}

// fill takes up what a letter says of a file.
func (ds Deliveries) fill(d *Delivery, letter *payload.Letter, g *letterGround) {
	c := ds.w.Contacts().known(d.Address)
	d.Name, d.Verified, d.Stranger, d.Status = c.Name, c.Verified, !g.known[d.Address], DeliveryUnread
	if n, err := letter.Notice(); err == nil {
		d.Status, d.Title, d.Size, d.Corrects, d.Reason = DeliverySent, n.Title, n.Size, n.Corrects, n.Reason
	}
}

// kept are the records that were made of deliveries, by these: those that wait to come onto
// the ledger among them, and not those that were removed.
func (ds Deliveries) kept(ctx context.Context) (map[contract.ID]contract.ID, error) {
	rs := ds.w.Records()
	if err := rs.describeAll(ctx); err != nil {
		return nil, err
	}
	out := map[contract.ID]contract.ID{}
	add := func(m *payload.Metadata, id contract.ID) {
		if m != nil && m.Source != nil {
			out[m.Source.Delivery] = id
		}
	}
	for t := range rs.threads() {
		for _, m := range t.Versions {
			add(m, t.ID)
		}
	}
	ds.w.outbox.Each(func(c *outbox.Change, _ error) {
		if c.Err == nil && (c.Label == string(AddingRecord) || c.Label == string(UpdatingRecord)) {
			if e, err := effectOf[recordEffect](c); err == nil {
				add(e.Metadata, c.Opening())
			}
		}
	})
	return out, nil
}

// list are all of a role whose terms can be had, oldest first.
func (ds Deliveries) list(ctx context.Context, g *letterGround, role view.Role) (out []Delivery, err error) {
	var kept map[contract.ID]contract.ID
	for t := range ds.w.view.Of(role) {
		if kept == nil && role == view.ReceivedLetter {
			if kept, err = ds.kept(ctx); err != nil {
				return nil, err
			}
		}
		if d, ok := ds.of(t, g, kept); ok {
			out = append(out, d)
		}
	}
	if role == view.OwnLetter {
		out = append(out, ds.pending(g)...)
	}
	return out, nil
}

// known are those whose terms were read, oldest first; see [Names].
func (ds Deliveries) known() (out []Delivery) {
	g, err := letters(ds).gather()
	if err != nil {
		return nil
	}
	for _, t := range ds.w.view.Threads() {
		if t.Role == view.OwnLetter || t.Role == view.ReceivedLetter {
			if d, ok := ds.of(t, g, nil); ok {
				out = append(out, d)
			}
		}
	}
	return out
}

// List lists what was delivered to this wallet or, with mine, what it delivered, oldest
// first. Nothing is opened by it. Of strangers not more is read than [Inbox.List] reads.
func (ds Deliveries) List(ctx context.Context, mine bool) (out []Delivery, err error) {
	role := view.ReceivedLetter
	if mine {
		role = view.OwnLetter
	}
	err = ds.w.Look(ctx, func() error {
		g, err := letters(ds).ground(ctx)
		if err == nil {
			out, err = ds.list(ctx, g, role)
		}
		return err
	})
	return out, err
}

// Count is how many of what was delivered to this wallet wait to be accepted or declined: of
// people whom its owner knows, and of strangers, so far as that was read.
func (ds Deliveries) Count(ctx context.Context) (known, strangers int, err error) {
	all, err := ds.List(ctx, false)
	for i := range all {
		switch d := &all[i]; {
		case !d.Waits():
		case d.Stranger:
			strangers++
		default:
			known++
		}
	}
	return known, strangers, err
}

// pending are deliveries that wait to come onto the ledger.
func (ds Deliveries) pending(g *letterGround) (out []Delivery) {
	for _, c := range ds.w.outbox.Openings(string(Writing)) {
		e, err := effectOf[consentEffect](c)
		if err != nil || e.Terms.Letter == nil || e.Terms.Letter.Kind != payload.LetterDeliver {
			continue
		}
		d := Delivery{ID: c.ID, Ledger: ds.w.client.ID(), Mine: true, Address: e.Terms.To, Until: Hour(e.Terms.End())}
		ds.fill(&d, e.Terms.Letter, g)
		d.Status = DeliveryPending
		out = append(out, d)
	}
	return out
}

// Show returns a delivery by its id or the beginning of that.
func (ds Deliveries) Show(ctx context.Context, id string) (d Delivery, err error) {
	err = ds.w.Look(ctx, func() (err error) {
		_, d, err = ds.find(ctx, id)
		return err
	})
	return d, err
}

func (ds Deliveries) find(ctx context.Context, query string) (*view.Thread, Delivery, error) {
	var none Delivery
	q, meant, g, err := letters(ds).named(ctx, "delivery", query)
	if err != nil {
		return nil, none, err
	}
	kept, err := ds.kept(ctx)
	if err != nil {
		return nil, none, err
	}
	var hits []Delivery
	var at *view.Thread
	for _, t := range meant {
		if d, ok := ds.of(t, g, kept); ok {
			hits, at = append(hits, d), t
		}
	}
	for _, d := range ds.pending(g) {
		if beginsWith(d.ID, q) {
			hits, at = append(hits, d), nil
		}
	}
	switch len(hits) {
	case 0:
		return nil, none, ErrNotFound.With("noun", "delivery", "query", query)
	case 1:
		return at, hits[0], nil
	}
	var ids []contract.ID
	for _, d := range hits {
		ids = append(ids, d.ID)
	}
	return nil, none, ambiguous(query, ids, false)
}

// DeliverRequest says which file goes to whom.
type DeliverRequest struct {
	To       string // a contact's name
	File     Source // with what its issuer signed of it, if he did
	Title    string // "" = what FHIR says of itself, else the file's name
	Attest   bool   // sign it as about its recipient, whatever came with it
	Corrects string // a delivery to the same contact, in whose place it is meant; or ""
	Reason   string
}

// DeliveryPlan is a delivery that was checked and can be shown before it is signed.
type DeliveryPlan struct {
	To       Contact
	Title    string
	File     string
	Size     int64
	Signed   Vouching // zero: nobody signed the file
	Corrects *Delivery
	Reason   string
	Until    contract.Hour

	grant *GrantPlan
}

// Plan checks a delivery, and reads its file into memory.
func (ds Deliveries) Plan(ctx context.Context, r DeliverRequest) (p *DeliveryPlan, err error) {
	p = &DeliveryPlan{File: baseName(r.File.Name), Reason: strings.TrimSpace(r.Reason)}
	if r.Title != "" {
		if r.Title, err = checkTitle(r.Title); err != nil {
			return nil, err
		}
	}
	if err := checkReason("reason", p.Reason, payload.MaxReason, payload.ReasonFits); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(r.File, payload.MaxDelivery+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > payload.MaxDelivery:
		return nil, ErrDeliveryLarge.With("most", payload.MaxDelivery)
	}
	p.Size = int64(len(body))
	err = ds.w.with(ctx, func() error {
		if err := ds.w.Grants().confirmed(); err != nil {
			return err
		}
		if p.To, err = ds.w.Contacts().Named(r.To); err != nil {
			return err
		}
		notice := payload.Notice{Size: p.Size, Reason: p.Reason}
		if r.Corrects != "" {
			_, d, err := ds.find(ctx, r.Corrects)
			switch {
			case err != nil:
				return err
			case !d.Mine || d.Address != p.To.Address:
				return badInput("corrects", r.Corrects, "is no delivery of yours to "+p.To.Name)
			}
			p.Corrects, notice.Corrects = &d, d.ID
		}
		if p.Title, err = ds.title(r, body); err != nil {
			return err
		}
		notice.Title = p.Title
		vouched := r.File.Vouched
		if r.Attest {
			a, err := ds.w.Records().Attest(ctx, r.of(body), &p.To.Address, p.Title)
			if err != nil {
				return err
			}
			vouched = &a.Vouched
		}
		if vouched != nil {
			if p.Signed, _, err = ds.w.Records().Attested(ctx, r.of(body), &payload.Attestation{V: payload.Version, Vouched: *vouched}); err != nil {
				return err
			}
			if _, detail, err := vouched.Read(); err == nil && detail.About != nil && *detail.About == p.To.Address {
				p.Signed.About = AboutThem
			}
		}
		end, err := EndAfter(deliveryDays, ds.w.opt.Now())
		if err != nil {
			return err
		}
		p.Until = end
		p.grant = &GrantPlan{To: p.To, Purpose: payload.Treatment, Until: end, NotAfter: LedgerEnd(end), letter: payload.NewLetter(payload.LetterDeliver, notice),
			delivery: &payload.Delivery{Title: p.Title, File: p.File, Size: p.Size, SHA256: sha256.Sum256(body), Body: body, Vouched: vouched}}
		if !p.grant.letter.Fits() {
			return ErrLetterLong.With("most", payload.MaxLetter)
		}
		return nil
	})
	return p, err
}

// of is the file, once its bytes are known.
func (r *DeliverRequest) of(body []byte) Source {
	return Source{Reader: bytes.NewReader(body), Name: r.File.Name, Size: int64(len(body))}
}

func (ds Deliveries) title(r DeliverRequest, body []byte) (string, error) {
	if r.Title != "" {
		return r.Title, nil
	}
	in, err := receive(r.of(body))
	if err != nil {
		return "", err
	}
	if in.cut != nil {
		if title, err := checkTitle(health.About(in.cut).Title); err == nil {
			return title, nil
		}
	}
	if r.File.Name == "" {
		return "", badInput("title", "", "what comes without a name needs one; FHIR may bring its own")
	}
	return titleOf(r.File.Name), nil
}

// Send signs a delivery and enters it on the ledger. [ErrPending] comes with the delivery: it
// is signed and waits.
func (ds Deliveries) Send(ctx context.Context, p *DeliveryPlan) (d Delivery, err error) {
	err = ds.w.with(ctx, func() error {
		id, err := letters(ds).enter(ctx, p.grant)
		if id != (contract.ID{}) {
			if _, found, ferr := ds.find(ctx, id.String()); ferr == nil {
				d = found
			}
		}
		return err
	})
	return d, err
}

// Withdraw takes back a delivery of one's own. One that was not opened can be opened no more;
// of one that was its recipient is told, with a reason, and keeps what she has.
func (ds Deliveries) Withdraw(ctx context.Context, id, reason string) (d Delivery, err error) {
	reason = strings.TrimSpace(reason)
	if err := checkReason("reason", reason, payload.MaxReason, payload.ReasonFits); err != nil {
		return d, err
	}
	err = ds.w.with(ctx, func() error {
		t, found, err := ds.find(ctx, id)
		switch {
		case err != nil:
			return err
		case !found.Mine:
			return ErrNotGiver.With("consent", found.ID)
		case found.Status == DeliveryWithdrawn:
			d = found
			return nil
		}
		var waits error
		if found.Opened == 0 {
			waits = letters(ds).withdraw(ctx, found.ID)
			if _, found, err = ds.find(ctx, found.ID.String()); err != nil {
				return cmp.Or(waits, err)
			}
		}
		if found.Opened != 0 && (waits == nil || errors.Is(waits, ErrPending)) { // perhaps just now
			waits = letters(ds).reply(ctx, t, payload.NewLetter(payload.LetterWithdraw, payload.Denial{Reason: reason}))
		}
		if waits != nil && !errors.Is(waits, ErrPending) {
			return waits
		}
		_, d, err = ds.find(ctx, found.ID.String())
		return cmp.Or(waits, err)
	})
	return d, err
}

// Decline says that a delivery is not taken. Its sender is told by a letter, with a reason if
// there is one; in silence it is only kept in the book. It can be accepted all the same.
func (ds Deliveries) Decline(ctx context.Context, id, reason string, silent bool) (d Delivery, err error) {
	reason = strings.TrimSpace(reason)
	if err := checkReason("reason", reason, payload.MaxReason, payload.ReasonFits); err != nil {
		return d, err
	}
	err = ds.w.with(ctx, func() error {
		t, found, err := ds.find(ctx, id)
		switch {
		case err != nil:
			return err
		case found.Mine:
			return ErrOwnDelivery.With("delivery", found.ID)
		case found.Status == DeliveryAccepted:
			return ErrDeliveryAccepted.With("delivery", found.ID, "record", found.Record)
		case found.Status == DeliveryDeclined:
			d = found
			return nil
		case found.Status != DeliverySent && found.Status != DeliveryOpened:
			return gone(&found)
		}
		waits := letters(ds).refuse(ctx, t, reason, silent)
		if waits != nil && !errors.Is(waits, ErrPending) {
			return waits
		}
		_, d, err = ds.find(ctx, t.ID.String())
		return cmp.Or(waits, err)
	})
	return d, err
}

// gone is why a delivery cannot be had.
func gone(d *Delivery) error {
	switch d.Status {
	case DeliveryWithdrawn:
		return ErrDeliveryWithdrawn.With("delivery", d.ID)
	case DeliveryOver:
		return ErrDeliveryOver.With("delivery", d.ID, "until", HourTime(contract.Hour(d.Until)).Format("2006-01-02 15:04 UTC"))
	}
	return ErrDeliveryUnread.With("delivery", d.ID)
}

// Becomes is what a delivery would be accepted as: the next version of a record, or, where
// that is nil, a new one.
func (ds Deliveries) Becomes(ctx context.Context, d Delivery) (r *Record, err error) {
	err = ds.w.Look(ctx, func() error {
		t, err := ds.corrected(ctx, &d)
		if t != nil {
			is := ds.w.Records().of(t)
			r = &is
		}
		return err
	})
	return r, err
}

// corrected is the record whose next version a delivery is: it corrects one of the same
// sender, and nothing came from anybody into that record since. So nobody changes what
// another one delivered, and an older correction does not come to stand before a newer one.
func (ds Deliveries) corrected(ctx context.Context, d *Delivery) (*view.Thread, error) {
	of := ds.w.view.Thread(d.Corrects)
	if of == nil || of.Role != view.ReceivedLetter || of.Terms.Peer != d.Address {
		return nil, nil
	}
	kept, err := ds.kept(ctx)
	if err != nil {
		return nil, err
	}
	t := ds.w.view.Thread(kept[of.ID])
	if t == nil || ds.newest(t) != of.ID {
		return nil, nil
	}
	return t, nil
}

// newest is the delivery that came into a record last, with a version that waits for the
// ledger; zero if none did, or nobody can say which.
func (ds Deliveries) newest(t *view.Thread) (id contract.ID) {
	for _, m := range t.Versions {
		switch {
		case m == nil:
			id = contract.ID{}
		case m.Source != nil:
			id = m.Source.Delivery
		}
	}
	ds.w.outbox.Each(func(c *outbox.Change, _ error) {
		if c.Err == nil && c.Label == string(UpdatingRecord) && c.Opening() == t.ID {
			if e, err := effectOf[recordEffect](c); err == nil && e.Metadata != nil && e.Metadata.Source != nil {
				id = e.Metadata.Source.Delivery
			}
		}
	})
	return id
}

// Accept opens a delivery, for its sender to see, and makes it a record. What was accepted
// before yields its record, and true, and is not opened again. About another person than the
// wallet's records it is an [ErrOtherPerson], unless d allows it: it counts as opened then.
// What d leaves empty is as the delivery says, but for the category, which is not its
// sender's to say.
func (ds Deliveries) Accept(ctx context.Context, id string, d Describe, progress func(done int64)) (rec Record, existing bool, err error) {
	if err := d.check(); err != nil {
		return rec, false, err
	}
	err = ds.w.with(ctx, func() error {
		t, found, err := ds.find(ctx, id)
		switch {
		case err != nil:
			return err
		case found.Mine:
			return ErrOwnDelivery.With("delivery", found.ID)
		case found.Status == DeliveryAccepted:
			rec, existing = ds.acceptedAs(found.Record), true
			return nil
		case !found.Waits() && found.Status != DeliveryDeclined:
			return gone(&found)
		case found.Name == "":
			return ErrDeliveryStranger.With("delivery", found.ID, "address", found.Address.String())
		case ds.w.view.Away() != nil: // what is there already could be doubled
			return ds.w.view.Away()
		}
		in := ds.w.Inbox()
		in.accepts = true
		o, err := in.open(ctx, t, "")
		if err != nil {
			return err
		}
		rec, err = ds.keep(ctx, &found, o.delivery, d, progress)
		return err
	})
	return rec, existing, err
}

// acceptedAs is the record that a delivery was accepted as, which may wait for the ledger.
func (ds Deliveries) acceptedAs(id contract.ID) Record {
	if t := ds.w.view.Thread(id); t != nil {
		return ds.w.Records().of(t)
	}
	return ds.w.Records().pendingOf(ds.w.Changes().find(AddingRecord, id.String()))
}

// keep makes a file that was delivered a version of a record.
func (ds Deliveries) keep(ctx context.Context, from *Delivery, file *payload.Delivery, d Describe, progress func(int64)) (rec Record, err error) {
	rs := ds.w.Records()
	t, err := ds.corrected(ctx, from)
	if err != nil {
		return rec, err
	}
	src := Source{Reader: bytes.NewReader(file.Body), Name: file.File, Size: file.Size, Vouched: file.Vouched}
	in, err := rs.receive(ctx, src, t, d, nil)
	if err != nil {
		return rec, err
	}
	if err := ds.aboutOwner(file.Vouched, d); err != nil {
		return rec, err
	}
	var m payload.Metadata
	if t == nil {
		d.Title = cmp.Or(d.Title, file.Title)
		m, err = firstOf(src, in, d)
	} else if old, oerr := rs.newest(t); oerr != nil {
		err = oerr
	} else {
		m = nextOf(t, old, src, d)
		in.before, err = rs.corrected(ctx, t)
	}
	if err != nil {
		return rec, err
	}
	m.Source = &payload.Source{Delivery: from.ID, From: from.Address, Sent: contract.Hour(from.Sent)}
	rec, _, err = rs.put(ctx, t, in, m, nil, progress)
	return rec, err
}

// aboutOwner is an [ErrOtherPerson] if who signed a file says that it is about another
// address than the owner's: of what is no FHIR that is all that says whom it is about.
func (ds Deliveries) aboutOwner(v *payload.Vouched, d Describe) error {
	if v == nil || d.OtherPerson {
		return nil
	}
	_, detail, err := v.Read()
	if err != nil || detail == nil || detail.About == nil || *detail.About == ds.w.Address() {
		return err
	}
	name := cmp.Or(ds.w.Contacts().known(*detail.About).Name, detail.About.String())
	return otherPerson(ErrOtherPerson, health.Person{Name: name}, health.Person{Name: "you"})
}
