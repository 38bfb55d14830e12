package wallet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/carekey/carekey/wallet/view"
)

// A move takes a wallet's own records and its open consents from one ledger to
// another. Nothing can be carried over as it is, since every entry is signed for one
// ledger only: records are encrypted anew, so that nobody finds the same bytes at
// two stores, and consents are given anew. In this order, so that at no moment less
// holds than before:
//
//  1. every version of every record that can be read is entered on the new ledger
//  2. every open consent to them is given on the new ledger
//  3. the old consents are revoked, each once the new one is on its ledger
//
// What was moved is remembered in the new ledger's sealed state, by the same step
// that finishes the change in its journal: a move that was killed does the rest when
// it is run again, and nothing twice. The old records stay where they are.

// Moves bring records and consents of this ledger to another one.
type Moves struct{ w *Wallet }

// Moves returns what brings records and consents to another ledger.
func (w *Wallet) Moves() Moves { return Moves{w} }

// Staying is something that cannot be moved.
type Staying struct {
	What   StayReason  `json:"what"`
	ID     contract.ID `json:"id,omitzero"`     // of the record or consent; zero where only the number is told
	Title  string      `json:"title,omitempty"` // of a record, if it is known
	Number int         `json:"number"`          // how many
}

// StayReason says why something stays.
type StayReason string

const (
	StayReceived   StayReason = "received"   // consents given to this wallet: only who gave them can give them elsewhere
	StayEnded      StayReason = "ended"      // consents that are over, with the history of their openings
	StayLink       StayReason = "link"       // links, which lead to the node of this ledger
	StayUnreadable StayReason = "unreadable" // a record version, or a consent to one, that the store does not hold or that is not what was signed
)

// MovePlan is what a move would do now.
type MovePlan struct {
	Records  []Record  // with versions to be entered on the other ledger
	Bytes    int64     // of those versions
	Consents []Consent // open, and not given on the other ledger yet
	Revoke   []Consent // given on the other ledger already, and not revoked here yet
	Stays    []Staying
}

// MovedConsent is a consent in its new place.
type MovedConsent struct {
	Old     contract.ID      `json:"old"`
	Consent Consent          `json:"-"`
	Code    crypto.FetchCode `json:"code"` // leads the recipient there; the old one leads nowhere
}

// Moved is what a move did. Consents are also those that an interrupted move had
// given, as long as the old ones were not revoked.
type Moved struct {
	Records  int            `json:"records"` // with versions that were entered this time
	Versions int            `json:"versions"`
	Consents []MovedConsent `json:"-"`
	Revoked  []Revocation   `json:"-"`
	Stays    []Staying      `json:"stays"`
}

// Plan says what a move from the open ledger to that of to would do. Both must
// be within reach, and nothing may wait for either.
func (mv Moves) Plan(ctx context.Context, to *Wallet) (MovePlan, error) {
	m, err := mv.begin(ctx, to)
	if err != nil {
		return MovePlan{}, err
	}
	p := MovePlan{Stays: m.stays}
	for _, r := range m.records {
		if todo := m.todo(r); len(todo) > 0 {
			p.Records = append(p.Records, r.newest)
			for _, v := range todo {
				p.Bytes += v.Size
			}
		}
	}
	for _, c := range m.consents {
		if _, done := m.at(c.ID, 0); done {
			p.Revoke = append(p.Revoke, c)
		} else {
			p.Consents = append(p.Consents, c)
		}
	}
	return p, nil
}

// Run carries a move out, or goes on with one that was interrupted. progress is
// told how many bytes of how many were encrypted anew; nil is nobody.
func (mv Moves) Run(ctx context.Context, to *Wallet, progress func(done, total int64)) (Moved, error) {
	m, err := mv.begin(ctx, to)
	if err != nil {
		return Moved{}, err
	}
	var out Moved
	var done, total int64
	for _, r := range m.records {
		for _, v := range m.todo(r) {
			total += v.Size
		}
	}
	for _, r := range m.records {
		before := out.Versions
		for _, v := range m.todo(r) {
			err := m.version(ctx, r, v, func(n int64) {
				if progress != nil {
					progress(done+n, total)
				}
			})
			if err != nil && m.unreadable(r, v, err) {
				continue
			}
			if err != nil {
				return out, err
			}
			done += v.Size
			out.Versions++
		}
		if out.Versions > before {
			out.Records++
		}
	}
	revoke, err := m.grants(ctx, &out)
	if err != nil {
		return out, err
	}
	out.Stays = m.stays
	if len(revoke) > 0 {
		out.Revoked, err = mv.w.Consents().Revoke(ctx, revoke)
	}
	return out, err
}

// Enter enters the records with these ids on the ledger of to as a move does, with what
// versions are not there yet, and returns what they are called there. Nothing else moves.
// progress is told how many bytes of a version were encrypted anew; nil is nobody. An old
// version that cannot be read stays, and is told; a newest one that cannot is an error,
// since the one before it would be taken for the record.
func (mv Moves) Enter(ctx context.Context, to *Wallet, ids []contract.ID, progress func(done int64)) (there map[contract.ID]contract.ID, stays []Staying, err error) {
	m, err := mv.begin(ctx, to)
	if err != nil {
		return nil, nil, err
	}
	there = map[contract.ID]contract.ID{}
	for _, r := range m.records {
		if !slices.Contains(ids, r.id) {
			continue
		}
		for _, v := range m.todo(r) {
			err := m.version(ctx, r, v, progress)
			if err != nil && !(v.Version < r.newest.Version && m.unreadable(r, v, err)) {
				return there, nil, err
			}
		}
		for _, v := range r.versions {
			if at, ok := m.at(r.id, v.Version); ok {
				there[r.id] = at.ID
			}
		}
	}
	for _, s := range m.stays {
		if slices.Contains(ids, s.ID) {
			stays = append(stays, s)
		}
	}
	return there, stays, nil
}

// unreadable reports whether a version cannot be had for what the store holds or lacks of
// it, and takes note that it stays.
func (m *move) unreadable(r movingRecord, v *payload.Metadata, err error) bool {
	if !isMissing(err) && !isTampered(err) {
		return false
	}
	m.stays = append(m.stays, Staying{What: StayUnreadable, ID: r.id, Title: v.Title, Number: 1})
	return true
}

// move is one move under way.
type move struct {
	from, to *Wallet
	ledger   crypto.LedgerID // from's
	records  []movingRecord
	consents []Consent                           // open ones of which the terms are known
	given    map[contract.ID]map[versionOf][]int // of those, the parts that are given of records
	stays    []Staying
}

type movingRecord struct {
	id       contract.ID
	newest   Record
	versions []*payload.Metadata // those whose description is known, oldest first
}

// begin reads what there is on both sides.
func (mv Moves) begin(ctx context.Context, to *Wallet) (*move, error) {
	m := &move{from: mv.w, to: to, ledger: mv.w.client.ID(), given: map[contract.ID]map[versionOf][]int{}}
	if m.ledger == to.client.ID() {
		return nil, badInput("ledger", to.LedgerName(), "is the one to move from")
	}
	if err := to.with(ctx, to.Ready); err != nil {
		return nil, err
	}
	return m, mv.w.with(ctx, func() error {
		if err := mv.w.Ready(); err != nil {
			return err
		}
		if err := mv.w.Records().describeAll(ctx); err != nil {
			return err
		}
		ts, err := mv.w.Consents().threads(ctx)
		if err != nil {
			return err
		}
		if mv.w.view.Away() != nil { // what cannot be read now is no reason to leave it behind
			return mv.w.view.Away()
		}
		for t := range mv.w.Records().threads() {
			m.addRecord(t)
		}
		for t := range mv.w.view.Of(view.Received) {
			if mv.w.Consents().statusOf(t) == StatusActive {
				m.stay(StayReceived)
			}
		}
		for _, t := range ts {
			c := mv.w.Consents().of(t)
			switch {
			case c.Status != StatusActive && c.Status != StatusUpcoming:
				m.stay(StayEnded)
			case c.Missing:
				m.stays = append(m.stays, Staying{What: StayUnreadable, ID: c.ID, Number: 1})
			case c.Link:
				m.stay(StayLink)
			default:
				given, err := mv.w.Consents().given(ctx, t)
				if isMissing(err) || isTampered(err) {
					m.stays = append(m.stays, Staying{What: StayUnreadable, ID: c.ID, Number: 1})
					continue
				} else if err != nil {
					return err
				}
				m.consents, m.given[c.ID] = append(m.consents, c), given
			}
		}
		return nil
	})
}

func (m *move) addRecord(t *view.Thread) {
	r := movingRecord{id: t.ID, newest: m.from.Records().newestRecord(t)}
	for i, v := range t.Versions {
		if v == nil {
			m.stays = append(m.stays, Staying{What: StayUnreadable, ID: t.ID, Title: m.from.Records().versionRecord(t, i).Title, Number: 1})
			continue
		}
		r.versions = append(r.versions, m.from.Records().said(t, i))
	}
	if len(r.versions) > 0 {
		m.records = append(m.records, r)
	}
}

// stay counts one more that stays.
func (m *move) stay(why StayReason) {
	for i := range m.stays {
		if m.stays[i].What == why && m.stays[i].ID == (contract.ID{}) {
			m.stays[i].Number++
			return
		}
	}
	m.stays = append(m.stays, Staying{What: why, Number: 1})
}

// at is what a record version, or a consent with version 0, has become.
func (m *move) at(id contract.ID, version int) (movedTo, bool) {
	to, ok := m.to.notes.Moved[origin{m.ledger, id, version}.key()]
	return to, ok
}

// todo lists the versions of a record that are to be moved: those after the last one
// that was, since a version that could not be read then is never put in between.
func (m *move) todo(r movingRecord) []*payload.Metadata {
	for i := len(r.versions); i > 0; i-- {
		if _, have := m.at(r.id, r.versions[i-1].Version); have {
			return r.versions[i:]
		}
	}
	return r.versions
}

// version enters one version of a record on the new ledger: behind the version that
// was moved before it, if there is one.
func (m *move) version(ctx context.Context, r movingRecord, v *payload.Metadata, progress func(int64)) error {
	// The two wallets are one folder with one lock: what is read from the old ledger
	// is read without it.
	c, err := stored{m.from}.content(ctx, v, r.id)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	plain, fill := io.Pipe()
	read := make(chan struct{})
	go func() {
		defer crash.Report()
		defer close(read)
		fill.CloseWithError(c.decrypt(ctx, fill, m.from.keys.RecordIdentity(), v.SHA256, nil))
	}()
	defer func() { plain.CloseWithError(io.ErrClosedPipe); stop(); <-read }()
	from := &origin{m.ledger, r.id, v.Version}
	w := m.to
	return w.with(ctx, func() error {
		if err := errors.Join(w.Ready(), w.Records().describeAll(ctx)); err != nil {
			return err
		}
		if w.view.Away() != nil {
			return w.view.Away()
		}
		if _, done := m.at(r.id, v.Version); done {
			return nil // by another process
		}
		var t *view.Thread
		for _, before := range r.versions {
			if at, ok := m.at(r.id, before.Version); ok && before.Version < v.Version {
				t = w.view.Thread(at.ID)
			}
		}
		if t != nil && t.Status == contract.StatusClosed {
			return ErrWithdrawn.With("record", t.ID)
		}
		said := payload.Metadata{Version: 1, Title: v.Title, Category: v.Category, Date: v.Date, File: v.File, Source: v.Source}
		if t != nil {
			said.Version = len(t.Versions) + 1
		}
		// Its parts are cut anew and get other keys; the salts that an issuer gave go along,
		// so that the root stays his.
		in, err := receive(Source{Reader: plain, Name: v.File, Size: v.Size})
		if err != nil {
			return err
		}
		if v.Parts != nil {
			in.salts = v.Parts.Salts
		}
		in.vouched = v.Vouched
		same, existing, err := w.Records().put(ctx, t, in, said, from, progress)
		if err != nil {
			return err
		}
		if existing { // the owner has added the file there herself
			w.notes.arrived(from, movedTo{same.ID, same.Version})
		}
		return nil
	})
}

// moveTogether is how many consents are given in one batch.
const moveTogether = 256

// grants gives the open consents on the new ledger, lists those that are there, and
// returns the old ones that can be revoked therefore.
func (m *move) grants(ctx context.Context, out *Moved) (revoke []contract.ID, err error) {
	w := m.to
	err = w.with(ctx, func() error {
		var plans []*GrantPlan
		for _, c := range m.consents {
			if _, done := m.at(c.ID, 0); done {
				continue
			}
			p := &GrantPlan{To: Contact{Name: c.To, Address: c.Address}, Purpose: c.Purpose, NotBefore: contract.Hour(c.NotBefore), Until: contract.Hour(c.Until), NotAfter: contract.Hour(c.NotAfter), Scope: c.Scope, from: &origin{m.ledger, c.ID, 0}}
			for _, r := range c.Records {
				at, ok := m.at(r.ID, r.Version)
				if !ok {
					break
				}
				// The bytes are the same, and so are the numbers of their parts.
				p.Records = append(p.Records, RecordPlan{Record: Record{ID: at.ID, Version: at.Version}, Whole: !r.Part, Given: m.given[c.ID][versionOf{r.ID, r.Version}]})
			}
			if len(p.Records) < len(c.Records) {
				m.stays = append(m.stays, Staying{What: StayUnreadable, ID: c.ID, Number: 1})
				continue
			}
			plans = append(plans, p)
		}
		for part := range slices.Chunk(plans, moveTogether) {
			if err := w.Ready(); err != nil {
				return err
			}
			signed, err := w.Grants().Sign(ctx, part)
			if err != nil {
				return err
			}
			if err := errors.Join(append(signed.Errs, signed.Wait())...); err != nil {
				return err
			}
			if err := signed.send(ctx, ""); err != nil {
				return err
			}
			for i, c := range signed.changes {
				if c.Err != nil { // the ledger refused it: it holds on where it is
					m.stays = append(m.stays, Staying{What: StayUnreadable, ID: part[i].from.ID, Number: 1})
				}
			}
		}
		if err := w.Ready(); err != nil {
			return err
		}
		for _, c := range m.consents {
			at, ok := m.at(c.ID, 0)
			t := w.view.Thread(at.ID)
			if !ok {
				continue
			}
			if t == nil || t.Role != view.OwnGrant {
				return &ledgerclient.TamperedError{What: "follow-ups", Err: fmt.Errorf("consent %s is not on the ledger any more", at.ID)}
			}
			out.Consents = append(out.Consents, MovedConsent{Old: c.ID, Consent: w.Consents().of(t), Code: w.Consents().codeOf(t.ID)})
			revoke = append(revoke, c.ID)
		}
		return nil
	})
	return revoke, err
}
