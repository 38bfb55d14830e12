package wallet

import (
	"context"
	"slices"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/outbox"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/carekey/carekey/wallet/view"
)

// Consents are those that this wallet gave.
type Consents struct{ w *Wallet }

// Consents returns the consents that this wallet gave, to be looked at and ended.
func (w *Wallet) Consents() Consents { return Consents{w} }

// Status of a consent, by the ledger's time.
type Status string

const (
	StatusActive   Status = "active"
	StatusUpcoming Status = "upcoming" // its window has not begun
	StatusExpired  Status = "expired"
	StatusRevoked  Status = "revoked"
	StatusPending  Status = "pending" // signed, and not on the ledger yet
)

// Seen is what both sides see of a consent.
type Seen struct {
	Ledger   crypto.LedgerID `json:"ledger"` // that it is on
	Granted  Hour            `json:"granted"`
	Address  crypto.Address  `json:"-"` // of the other side; zero if Missing
	Records  []ConsentRecord `json:"records"`
	Scope    *payload.Scope  `json:"scope,omitempty"` // what of those records of which parts are given; nil if there are none
	Purpose  payload.Purpose `json:"-"`
	Request  contract.ID     `json:"request,omitzero"` // the request that it answers
	Until    Hour            `json:"until"`            // the exact end, which the recipient's wallet keeps to; NotAfter if Missing
	NotAfter Hour            `json:"ledgerUntil"`      // the end on the ledger, to which ledger and keepers hold everybody
	Status   Status          `json:"status"`
	Missing  bool            `json:"missing,omitempty"` // its terms cannot be had: whom and what it is for is not known
	Damaged  error           `json:"-"`                 // Missing because what the store holds is not what was signed, or cannot be reached; nil if it holds nothing. In a Summary also what a keeper holds of it is damaged
	AsOf     time.Time       `json:"asOf,omitzero"`     // when the ledger was followed last, if it is out of reach; otherwise zero
	Clock    time.Time       `json:"clock,omitzero"`    // what the clock says, if it disagrees with the ledger's time: see Log.Doubt; otherwise zero
}

// Consent is a consent that this wallet gave.
type Consent struct {
	Seen
	ID    contract.ID `json:"consent"`
	To    string      `json:"-"`               // the contact's name; "" if the address is no contact
	Link  bool        `json:"link,omitempty"`  // it is for whoever has a link, see Links
	Waits bool        `json:"waits,omitempty"` // of a link: its node has not got what is behind it yet
	// What the node of a link says of it, signed, or why that is not known; of those that
	// [Links.Ask] asked about.
	Said       *ledgerclient.LinkAnswer `json:"-"`
	Unsaid     error                    `json:"-"`
	NotBefore  Hour                     `json:"from,omitzero"`     // 0 = from the start
	Revoked    Hour                     `json:"revoked,omitzero"`  // 0 = not revoked
	Over       bool                     `json:"-"`                 // the exact end has passed, and the ledger's has not: it is still active there
	Pending    Action                   `json:"pending,omitempty"` // what was signed and waits: Granting or Revoking; "" if nothing does
	Openings   int                      `json:"openings"`          // accesses on the ledger
	LastOpened Hour                     `json:"lastOpened,omitzero"`
	// Of a consent with several keepers: how many there are, any how many of them open it, and
	// who of them has not acknowledged its share yet, as far as this wallet knows.
	Keepers int      `json:"keepers,omitempty"`
	Release int      `json:"release,omitempty"`
	Unheld  []Keeper `json:"unheld,omitempty"`
	Liars   int      `json:"liars,omitempty"` // how many of the institutions may lie
	// Final is of one that was revoked and has several keepers: from when on none of them gives
	// anything for it, or too few to open it, whichever of them lie; zero if that is not known.
	Final time.Time `json:"final,omitzero"`
}

// ConsentRecord is one record version in a consent.
type ConsentRecord struct {
	ID       contract.ID      `json:"id"`
	Version  int              `json:"version"`
	Title    string           `json:"title"`
	Category payload.Category `json:"category"`
	Date     string           `json:"date,omitempty"`
	// Part: of the record only parts are given, by the consent's scope, and whether there are
	// others is not said. Its title is then what its giver calls it, and not known to others.
	Part bool `json:"part,omitempty"`
	// Removed: its giver, whose consent it is, has withdrawn the record since. Nobody else is told.
	Removed bool `json:"removed,omitempty"`
	// Newest is the last version of a record that has later ones than is given; 0: it has none.
	// That too is known of a consent of one's own alone.
	Newest int `json:"newest,omitempty"`
}

// statusOf is by the ledger's window, to which keepers hold a recipient whatever
// program she uses. What was given to oneself is over at its exact end.
func (cs Consents) statusOf(t *view.Thread) Status {
	now := cs.w.view.OpenHour()
	switch {
	case t.Status == contract.StatusClosed:
		return StatusRevoked
	case now >= t.NotAfter, t.Got() && now >= t.Until():
		return StatusExpired
	case now < t.NotBefore:
		return StatusUpcoming
	}
	return StatusActive
}

// seen is what both sides see of a consent, given or received.
func (cs Consents) seen(t *view.Thread) Seen {
	s := Seen{Ledger: cs.w.client.ID(), Granted: Hour(t.Hour), Until: Hour(t.Until()), NotAfter: Hour(t.NotAfter), Status: cs.statusOf(t),
		Missing: t.Terms == nil, Damaged: t.Damage(), AsOf: cs.w.view.AsOf(), Clock: cs.w.view.Doubt()}
	if t.Terms != nil {
		s.Address, s.Purpose, s.Records, s.Scope = t.Terms.Peer, t.Terms.Purpose, cs.shownRecords(t.Terms.Set), t.Terms.Set.Scope
		if s.Scope != nil && t.Role == view.OwnGrant {
			s.Records = cs.withTitles(s.Records)
		}
		if t.Role == view.OwnGrant {
			s.Records = cs.asNow(s.Records)
		}
		s.Request = t.Request()
		if asked := cs.w.view.Thread(s.Request); t.Role == view.Received && (asked == nil || asked.Role != view.OwnLetter || asked.Terms.Peer != s.Address) {
			s.Request = contract.ID{} // nobody was asked that
		}
	}
	return s
}

// asNow are the records of a consent of one's own with those marked that were withdrawn or got
// a new version since.
func (cs Consents) asNow(records []ConsentRecord) []ConsentRecord {
	shared := true // with other consents
	for i := range records {
		t := cs.w.view.Thread(records[i].ID)
		if t == nil || t.Role != view.OwnRecord {
			continue
		}
		removed, older := t.Status == contract.StatusClosed, records[i].Version < len(t.Versions)
		if !removed && !older {
			continue
		}
		if shared {
			records, shared = slices.Clone(records), false
		}
		if records[i].Removed = removed; older {
			records[i].Newest = len(t.Versions)
		}
	}
	return records
}

func (cs Consents) of(t *view.Thread) Consent {
	c := Consent{Seen: cs.seen(t), ID: t.ID, NotBefore: Hour(t.NotBefore), LastOpened: Hour(t.LastAccess), Pending: cs.w.Changes().action(t.ID)}
	c.Over = c.Status == StatusActive && cs.w.view.OpenHour() >= t.Until()
	for _, f := range t.FollowUps() {
		switch f.Kind {
		case contract.KindAccess:
			c.Openings++
		case contract.KindRevoke:
			c.Revoked = Hour(f.Hour)
		}
	}
	c.To = cs.w.Contacts().known(c.Address).Name
	c.Link = c.To == "" && cs.w.Links().has(t)
	c.Waits = c.Link && c.Status == StatusActive && !c.Over && cs.w.Links().waits(t.ID)
	if config := cs.w.keepersOf(t); len(config.Keepers) > 1 {
		c.Keepers, c.Release, c.Liars = len(config.Keepers), int(config.Release), ledgerclient.Liars(config)
		c.Unheld, c.Final = cs.unheldOf(t), cs.w.final(t, 0)
	}
	return c
}

// shownRecords are the records of a set as they are shown: once for all consents that
// share it.
func (cs Consents) shownRecords(of *view.RecordSet) []ConsentRecord {
	s, ok := cs.w.shown[of]
	if !ok {
		s = consentRecords(of.Records)
		cs.w.shown[of] = s
	}
	return s
}

func consentRecords(records []payload.TermsRecord) []ConsentRecord {
	out := make([]ConsentRecord, len(records))
	for i, r := range records {
		out[i] = ConsentRecord{ID: r.Record, Version: r.Version, Title: r.Title, Category: r.Category, Date: r.Date, Part: !r.Root.IsZero()}
	}
	return out
}

// withTitles are the records of a consent of one's own with the titles of those of which
// parts are given, which its terms do not tell.
func (cs Consents) withTitles(records []ConsentRecord) []ConsentRecord {
	records = slices.Clone(records)
	for i := range records {
		r := &records[i]
		t := cs.w.view.Thread(r.ID)
		if r.Part && t != nil && t.Role == view.OwnRecord && r.Version >= 1 && r.Version <= len(t.Versions) && t.Versions[r.Version-1] != nil {
			r.Title = cs.w.Records().said(t, r.Version-1).Title
		}
	}
	return records
}

// List lists all consents this wallet gave, oldest first; at the end those that
// wait to get on the ledger.
func (cs Consents) List(ctx context.Context) (out []Consent, err error) {
	err = cs.w.Look(ctx, func() error {
		ts, err := cs.threads(ctx)
		for _, t := range ts {
			out = append(out, cs.of(t))
		}
		out = append(out, cs.pending()...)
		return err
	})
	return out, err
}

func (cs Consents) pending() []Consent {
	var out []Consent
	for _, c := range cs.w.outbox.Openings(string(Granting)) {
		out = append(out, cs.pendingOf(c))
	}
	return out
}

// pendingOf is what a grant on its way will be.
func (cs Consents) pendingOf(c *outbox.Change) Consent {
	out := Consent{ID: c.ID, NotBefore: Hour(c.Entry.NotBefore), Pending: cs.w.Changes().action(c.ID),
		Seen: Seen{Ledger: cs.w.client.ID(), Until: Hour(c.Entry.NotAfter), NotAfter: Hour(c.Entry.NotAfter), Status: StatusPending, AsOf: cs.w.view.AsOf(), Clock: cs.w.view.Doubt()}}
	e, err := effectOf[consentEffect](c)
	if out.Missing = err != nil; err == nil {
		out.Address, out.Records, out.Purpose, out.Until = e.Terms.To, cs.withTitles(consentRecords(e.Terms.Records)), e.Terms.Purpose, Hour(e.Terms.End())
		out.Scope, out.Link, out.Request = e.Terms.Scope, e.Link != nil, e.Terms.Request
	}
	out.To = cs.w.Contacts().known(out.Address).Name
	if cs.w.view.OpenHour() >= c.Entry.NotAfter {
		out.Status = StatusExpired // the ledger will refuse it
	}
	return out
}

// threads returns the threads of all consents this wallet gave, with their terms
// where the store holds them.
func (cs Consents) threads(ctx context.Context) ([]*view.Thread, error) {
	if err := cs.w.view.NeedThreads(); err != nil {
		return nil, err
	}
	out := slices.Collect(cs.w.view.Of(view.OwnGrant))
	if err := cs.ownTerms(ctx, out...); err != nil {
		return nil, err
	}
	return ofRole(out, view.OwnGrant), nil
}

// ofRole are those of some threads that are of a role: whether a grant is a letter its terms
// tell.
func ofRole(ts []*view.Thread, r view.Role) []*view.Thread {
	return slices.DeleteFunc(ts, func(t *view.Thread) bool { return t.Role != r })
}

// Show returns one consent, proven complete if the ledger can be reached,
// with its fetch code.
func (cs Consents) Show(ctx context.Context, id string) (c Consent, code crypto.FetchCode, err error) {
	err = cs.w.Look(ctx, func() error {
		id, err := named{cs.w, view.OwnGrant, "consent"}.meant(ctx, id)
		if err != nil {
			return err
		}
		if p := cs.w.Changes().find(Granting, id); p != nil {
			c, code = cs.pendingOf(p), cs.codeOf(p.ID)
			return nil
		}
		t, err := cs.w.find(ctx, view.OwnGrant, id, "consent")
		if err != nil {
			return err
		}
		if err := cs.ownTerms(ctx, t); err != nil {
			return err
		}
		if t.Damage() != nil {
			return t.Damage()
		}
		if err := cs.prove(ctx, []*view.Thread{t}); err != nil {
			return err
		}
		c, code = cs.of(t), cs.codeOf(t.ID)
		return nil
	})
	return c, code, err
}

// Proven returns one consent or, without an id, all, oldest first: proven complete as
// Show does, so that their status can be handed on. Those whose terms are missing or
// damaged say so.
func (cs Consents) Proven(ctx context.Context, id string) (out []Consent, err error) {
	err = cs.w.Look(ctx, func() error {
		ts, err := cs.threads(ctx)
		if err == nil && id != "" {
			ts = make([]*view.Thread, 1)
			ts[0], err = cs.w.find(ctx, view.OwnGrant, id, "consent")
		}
		if err == nil {
			err = cs.prove(ctx, ts)
		}
		if err != nil {
			return err
		}
		for _, t := range ts {
			out = append(out, cs.of(t))
		}
		return nil
	})
	return out, err
}

// prove checks that nothing of these threads was hidden from the wallet up to its
// head.
//
// A ledger whose questions are watched is not asked about single threads, and one
// that is out of reach cannot be. Nothing is lost of the promise: follow has read
// every leaf up to the signed head, and whatever is not among them is not on the
// ledger. What is not checked there is that the state roots in the leaves are right,
// which matters to those who read a few threads only; carekey ledger verify
// recomputes them.
func (cs Consents) prove(ctx context.Context, ts []*view.Thread) error {
	if cs.w.view.Behind() != nil || cs.w.client.Ledger.Properties().Remote {
		return nil
	}
	for _, t := range ts {
		at := ledgerclient.Thread{Opening: ledgerclient.Placed{Index: t.Index}}
		for tries := 0; ; tries++ {
			err := cs.w.client.ProveComplete(ctx, cs.w.view.Head(), at, t.Slot())
			if cs.w.view.DoWithout(err) {
				return nil
			}
			if err == nil {
				break
			}
			// Proofs are for the newest head only: another process may have appended since
			// it was read.
			head, herr := cs.w.client.Head(ctx)
			if tries == 10 || herr != nil || head.Size == cs.w.view.Head().Size {
				return err
			}
			if err := cs.w.view.Follow(ctx, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// proveNews is prove of threads of which there may be news since all consents were proven
// before; all says that these are all of them.
func (cs Consents) proveNews(ctx context.Context, ts []*view.Thread, all bool) error {
	at := cs.w.view.Head().Size
	if err := cs.prove(ctx, cs.w.view.Unproven(ts)); err != nil {
		return err
	}
	if all && cs.w.view.Away() == nil && !cs.w.client.Ledger.Properties().Remote {
		cs.w.view.SetProven(at)
	}
	return nil
}

// given are the parts that a consent of one's own gives of each record of which it does
// not give the whole: from 0, in the order of the file, ascending. Labels may have changed
// since: only the envelope tells.
func (cs Consents) given(ctx context.Context, t *view.Thread) (map[versionOf][]int, error) {
	if t.Terms.Set.Scope == nil {
		return nil, nil
	}
	fail := func(err error) (map[versionOf][]int, error) { return nil, tampered("envelope of consent", t.ID, err) }
	tr, err := cs.w.view.Terms(t)
	if err != nil {
		return nil, err
	}
	seed, _, err := cs.w.view.Key(t)
	if err != nil {
		return nil, err
	}
	blob, err := stored(cs).readBlob(ctx, envelopeOf(seed.Locator(t.ID, byte(ledgerclient.PartEnvelope)), t, tr))
	if err != nil {
		return nil, err
	}
	sealed, err := crypto.OpenBlob(blob)
	if err == nil {
		sealed, err = seed.LockKey().Unlock(cs.w.client.ID(), tr.Author, sealed)
	}
	if err == nil {
		sealed, err = cs.w.keys.Open(cs.w.sealContext(ledgerclient.PartEnvelope, tr.Author), sealed)
	}
	if err != nil {
		return fail(err)
	}
	env, err := payload.ParseEnvelope(sealed)
	if err != nil {
		return fail(err)
	}
	out := map[versionOf][]int{}
	for i := range env.Parts {
		e := &env.Parts[i]
		record := cs.w.view.Thread(e.Record)
		if record == nil || record.Role != view.OwnRecord || e.Version < 1 || e.Version > len(record.Versions) || record.Versions[e.Version-1] == nil {
			return nil, ErrMissing.With("part", "metadata", "id", e.Record)
		}
		of, err := cs.w.Records().partsOf(ctx, record, e.Version)
		if err != nil {
			return nil, err
		}
		if of == nil {
			return fail(errCommitment)
		}
		at := make(map[int]int, len(of.Parts))
		for k := range of.Parts {
			at[of.Parts[k].Slot] = k
		}
		var given []int
		for k := range e.Items {
			n, ok := at[int(e.Items[k].Slot)]
			if !ok {
				return fail(errCommitment)
			}
			given = append(given, n)
		}
		slices.Sort(given)
		out[versionOf{e.Record, e.Version}] = given
	}
	return out, nil
}

// Known are the record versions that a consent's recipient holds the keys of:
// every one in an envelope that was opened, whether or not it was downloaded.
func (c *Consent) Known() []ConsentRecord {
	if c.Openings == 0 {
		return nil
	}
	return c.Records
}

// codeOf is the fetch code of a consent with that id: it names the newest head that
// this wallet has seen.
func (cs Consents) codeOf(id contract.ID) crypto.FetchCode {
	return cs.Code(id, cs.w.view.Head().Size, cs.w.view.Head().Root)
}

// Code is the fetch code of a consent that a head of the open ledger contains.
func (cs Consents) Code(id contract.ID, size uint64, root crypto.Hash) crypto.FetchCode {
	return crypto.FetchCode{Ledger: cs.w.client.ID(), Consent: id, Size: size, Root: root, Place: cs.w.client.Place}
}

// granted finds a consent of one's own by its id, whether the ledger shows it already
// or not: the self-tag of its entry, and its thread if there is one.
func (cs Consents) granted(id contract.ID) (tag crypto.SelfTag, t *view.Thread, ok bool) {
	if t := cs.w.view.Thread(id); t != nil {
		return t.Tag, t, t.Given()
	}
	for _, a := range []Action{Granting, Writing} {
		for _, c := range cs.w.outbox.Openings(string(a)) {
			if c.ID == id {
				return c.Entry.SelfTag, nil, true
			}
		}
	}
	return tag, nil, false
}

// isFor reports whether a consent of one's own is for an address, also where its terms
// cannot be had: the key of the recipient in its entry follows from the address.
func (cs Consents) isFor(t *view.Thread, to crypto.Address) bool {
	if t.Terms != nil {
		return t.Terms.Peer == to
	}
	_, key, err := cs.w.view.Key(t)
	if err != nil {
		return false
	}
	offsets, err := crypto.NewOffsets(cs.w.client.ID(), key, to)
	if err != nil {
		return false
	}
	e, err := cs.w.view.Opening(t)
	return err == nil && offsets.Sig == e.Counterparty
}
