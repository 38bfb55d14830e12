package batch

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
)

// A plan that is being carried out is the wallet's job, see [wallet.Job], so that it
// survives whatever ends a run. Its files are
//
//	job           what it is, and nothing that changes
//	recipients    contacts that the items name
//	choices       parts of records that the items give, if there are some
//	ask           what they ask, if they give nothing
//	items-CHUNK   what is to be done
//	left-CHUNK    what of it could not be begun, if something could not
//	done-CHUNK    what became of the rest, by the wallet
//
// A chunk is sent as one batch with the name of its last file as its tag. So a chunk
// that has begun is either in the wallet's journal, and is finished from there, or done:
// every item ends exactly once. With their number only what the wallet knows of every
// consent grows in memory.
//
// There is one job at a time. A finished one stays, so that its results can be had, until
// the next begins.
type job struct {
	V     int         `json:"v"`
	ID    string      `json:"id"` // random
	File  string      `json:"file"`
	Plan  crypto.Hash `json:"plan,omitzero"` // of the plan's file, if there was one
	Begun wallet.Hour `json:"begun"`
	Give  int         `json:"give"` // items, which come first
	End   int         `json:"end"`
	Chunk int         `json:"chunk"` // items in one

	w *wallet.Wallet
}

const (
	jobVersion = 2 // of one that gives whole records
	withParts  = 3 // who does not know it would give whole records
	withAsk    = 4 // of one that asks: who does not know it would give nothing to each

	recipientsFile = "recipients"
	choicesFile    = "choices"
	askFile        = "ask"
)

// ChunkSize is how many items of a job that begins go through the journal together, of
// some 20 kB each. While they are on their way as many are signed. What is done once for
// all of them costs about as much as four items.
var ChunkSize = 125

// ErrUnfinished: a batch was begun and has not ended. left, how many of its items
const ErrUnfinished fault.Code = "batch-unfinished"

// left is an item that could not be begun.
type left struct {
	Status string      `json:"status"` // see Result
	Record contract.ID `json:"record,omitzero"`
}

// readJob returns the job; nil if there is none.
func readJob(w *wallet.Wallet) (*job, error) {
	j := &job{w: w}
	found, err := w.Job().Read(wallet.JobFile, j)
	switch {
	case err != nil || !found:
		return nil, err
	case j.V != jobVersion && j.V != withParts && j.V != withAsk:
		return nil, wallet.WrongVersion("batch", j.V, withAsk)
	case j.Give < 0 || j.End < 0 || j.Chunk < 1:
		return nil, w.Job().Damaged(wallet.JobFile)
	}
	return j, nil
}

// theJob is readJob where there must be one.
func theJob(w *wallet.Wallet) (*job, error) {
	j, err := readJob(w)
	if err == nil && j == nil {
		err = wallet.ErrNotFound.With("noun", "batch", "query", "")
	}
	return j, err
}

// chunk returns what the nth chunk does, and how many items it has: 0 behind the last.
// A chunk only gives or only ends: what is replaced ends after its replacement is in
// force.
func (j *job) chunk(n int) (do Do, size int) {
	give := (j.Give + j.Chunk - 1) / j.Chunk
	if n < give {
		return Grant, min(j.Chunk, j.Give-n*j.Chunk)
	}
	return Revoke, max(0, min(j.Chunk, j.End-(n-give)*j.Chunk))
}

func name(kind string, chunk int) string { return fmt.Sprintf("%s-%06d", kind, chunk) }

func (j *job) items(n int) ([]Item, error) {
	var items []Item
	_, size := j.chunk(n)
	_, err := j.w.Job().Read(name("items", n), &items)
	if err == nil && len(items) != size {
		err = j.w.Job().Damaged(name("items", n))
	}
	return items, err
}

// left returns the items of a chunk that could not be begun, by their place in it.
func (j *job) left(n int) (map[int]left, error) {
	out := map[int]left{}
	_, err := j.w.Job().Read(name("left", n), &out)
	return out, err
}

// done is what became of an item.
type done struct {
	left
	wallet.EndedChange
}

// ended returns what became of the items of a chunk, and a head of the ledger that has
// them; nil if it has not ended.
func (j *job) ended(n int) ([]done, *wallet.Ended, error) {
	do, size := j.chunk(n)
	left, err := j.left(n)
	if err != nil {
		return nil, nil, err
	}
	var e wallet.Ended
	found, err := j.w.Job().Read(name("done", n), &e)
	if err != nil || !found && len(left) < size {
		return nil, nil, err
	}
	if len(left)+len(e.Changes) != size {
		return nil, nil, j.w.Job().Damaged(name("done", n))
	}
	out, next := make([]done, size), 0
	for i := range out {
		d := &out[i]
		if l, ok := left[i]; ok {
			d.left = l
			continue
		}
		d.EndedChange = e.Changes[next]
		next++
		switch {
		case do == Revoke && (!d.Failed || d.Rule == contract.RuleRevoked): // another machine may have been faster
			d.Status = "revoked"
		case !d.Failed && j.V == withAsk:
			d.Status = "sent"
		case !d.Failed:
			d.Status = "granted"
		case d.Rule != "":
			d.Status = "refused"
		default:
			d.Status = "failed"
		}
	}
	return out, &e, nil
}

// begin makes a plan the job.
func begin(w *wallet.Wallet, p *Plan) error {
	j, err := readJob(w)
	if err != nil {
		return err
	}
	if j != nil {
		if err := j.mustBeFinished(); err != nil {
			return err
		}
	}
	if err := w.Job().Remove(); err != nil {
		return err
	}
	var r [8]byte
	rand.Read(r[:])
	j = &job{V: jobVersion, ID: hex.EncodeToString(r[:]), File: p.File, Plan: p.sum, Begun: wallet.Hour(w.Log().Hour()), Give: p.Give, End: p.End, Chunk: ChunkSize}
	rest := p.Items
	for n := 0; len(rest) > 0; n++ {
		_, size := j.chunk(n)
		if err := w.Job().Write(name("items", n), rest[:size]); err != nil {
			return err
		}
		rest = rest[size:]
	}
	if err := w.Job().Write(recipientsFile, p.Recipients); err != nil {
		return err
	}
	if len(p.Choices) > 0 {
		j.V = withParts
		if err := w.Job().Write(choicesFile, p.Choices); err != nil {
			return err
		}
	}
	if p.ask != nil {
		j.V = withAsk
		if err := w.Job().Write(askFile, p.ask); err != nil {
			return err
		}
	}
	return w.Job().Write(wallet.JobFile, j)
}

// Status tells how far a job is.
type Status struct {
	File     string      `json:"file"`
	Begun    wallet.Hour `json:"begun,omitzero"`
	Items    int         `json:"items"`
	Done     int         `json:"done"` // ended, in whatever way
	Granted  int         `json:"granted"`
	Sent     int         `json:"sent,omitempty"` // requests
	Revoked  int         `json:"revoked"`
	Failed   int         `json:"failed"` // refused, or no longer possible
	Kept     int         `json:"kept"`   // not ended, since what should replace them failed
	Finished bool        `json:"finished"`
}

func (j *job) status() (Status, error) {
	s := Status{File: j.File, Begun: j.Begun, Items: j.Give + j.End}
	for n := 0; s.Done < s.Items; n++ {
		ds, _, err := j.ended(n)
		if err != nil || ds == nil {
			return s, err
		}
		s.count(ds)
	}
	s.Finished = true
	return s, nil
}

func (s *Status) count(ds []done) {
	for i := range ds {
		s.Done++
		switch ds[i].Status {
		case "granted":
			s.Granted++
		case "sent":
			s.Sent++
		case "revoked":
			s.Revoked++
		case "kept":
			s.Kept++
		default:
			s.Failed++
		}
	}
}

func (j *job) mustBeFinished() error {
	s, err := j.status()
	if err == nil && !s.Finished {
		err = ErrUnfinished.With("left", s.Items-s.Done)
	}
	return err
}

// StatusOf returns how far the job is: a [wallet.ErrNotFound] if there is none. What
// an interrupted run left in the journal is finished first.
func StatusOf(ctx context.Context, w *wallet.Wallet) (s Status, err error) {
	err = w.Look(ctx, func() error {
		j, err := theJob(w)
		if err == nil {
			s, err = j.status()
		}
		return err
	})
	return s, err
}

// Apply makes a plan the job and carries it out. A plan that is not of this wallet and
// ledger, or whose consents have changed since it was made, is refused before anything
// is signed. The plan is not needed any more once the job has begun.
func Apply(ctx context.Context, w *wallet.Wallet, p *Plan, progress func(Status)) (Status, error) {
	err := w.Together(ctx, func() error {
		if err := p.check(ctx, w); err != nil {
			return err
		}
		if err := w.Ready(); err != nil {
			return err
		}
		return begin(w, p)
	})
	if err != nil {
		return Status{Items: len(p.Items)}, err
	}
	return Resume(ctx, w, progress)
}

// Drop forgets the items of a job that were not begun. What is in the journal is
// finished. It returns how far the job was.
func Drop(ctx context.Context, w *wallet.Wallet) (s Status, err error) {
	err = w.Together(ctx, func() error {
		j, err := theJob(w)
		if err != nil {
			return err
		}
		if s, err = j.status(); err != nil {
			return err
		}
		return w.Job().Remove()
	})
	return s, err
}

// Result is what became of one item of a job.
type Result struct {
	Line    int              `json:"line"` // of the file; 0 when no row asked for it
	Do      Do               `json:"do"`
	Status  string           `json:"status"` // "granted", "sent", "revoked", "kept", "refused", "removed", "missing", "failed"; "waiting" before its end
	To      string           `json:"to"`
	Consent contract.ID      `json:"consent,omitzero"`
	Code    crypto.FetchCode `json:"code,omitzero"` // of a grant
	From    wallet.Hour      `json:"from,omitzero"`
	Until   wallet.Hour      `json:"until,omitzero"` // the exact end
	Why     string           `json:"why,omitempty"`  // of a revocation, see Item
	Err     error            `json:"-"`              // nil if it was carried out
}

// Results calls each with every item of the job, in order.
func Results(ctx context.Context, w *wallet.Wallet, each func(Result) error) error {
	return w.Look(ctx, func() error {
		j, err := theJob(w)
		if err != nil {
			return err
		}
		for n := 0; ; n++ {
			if _, size := j.chunk(n); size == 0 {
				return nil
			}
			items, err := j.items(n)
			if err != nil {
				return err
			}
			ds, head, err := j.ended(n)
			if err != nil {
				return err
			}
			for i := range items {
				x := &items[i]
				r := Result{Line: x.Line, Do: x.Do, Status: "waiting", To: x.To, Consent: x.Consent, From: x.From, Until: x.Until, Why: x.Why}
				if ds != nil {
					r.end(&ds[i])
				}
				if r.Status == "granted" {
					r.Code = w.Consents().Code(r.Consent, head.Size, head.Root)
				}
				if err := each(r); err != nil {
					return err
				}
			}
		}
	})
}

// end fills in how an item ended.
func (r *Result) end(d *done) {
	r.Status = d.Status
	if r.Do != Revoke {
		r.Consent = d.Consent
	}
	switch d.Status {
	case "refused":
		r.Err = &wallet.RefusedError{By: "ledger", Rule: d.Rule, Hour: d.Hour, Consent: d.Consent, Giving: r.Do != Revoke}
	case "removed":
		r.Err = wallet.ErrWithdrawn.With("record", d.Record)
	case "missing":
		r.Err = wallet.ErrMissing.With("part", "metadata", "id", d.Record)
	case "failed":
		r.Err = wallet.ErrMissing.With("part", "content", "id", d.Consent)
	}
}
