package batch

import (
	"cmp"
	"context"
	"runtime/debug"
	"runtime/metrics"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
)

// Resume carries the job on to its end. progress is called after each chunk. The
// wallet's lock is given up between chunks, so that a revocation need not wait for the
// end of a long batch.
func Resume(ctx context.Context, w *wallet.Wallet, progress func(Status)) (s Status, err error) {
	var r run
	for !s.Finished {
		err := w.Together(ctx, func() error {
			defer collectLater()()
			s, err = r.step(ctx, w)
			return err
		})
		if err != nil {
			r.wait()
			return s, err
		}
		if progress != nil {
			progress(s)
		}
	}
	return s, nil
}

// collectLater lets the heap have 40 MiB before the garbage collector comes, but grow by
// half at most once what is alive takes more than that: a batch makes much garbage, of
// some megabytes at a time. Of a small wallet, to come whenever the heap has grown by half
// would cost 5 % of the processor's time, and a large one is to fit on a small machine.
func collectLater() (undo func()) {
	const least, usual, heap = 50, 16 << 20, 40 << 20 // percent; bytes that are alive in a step, and in all
	alive := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(alive)
	was := debug.SetGCPercent(max(least, heap*100/max(usual, int(alive[0].Value.Uint64()))-100))
	return func() { debug.SetGCPercent(was) }
}

// run is one run over a job.
type run struct {
	job     *job
	next    int // chunk
	to      map[string]wallet.Contact
	choices []Choice
	ask     *wallet.AskPlan
	ahead   *part        // the next chunk, if it is being signed
	failed  map[int]bool // lines of which a grant failed
	status  Status
}

// part is a chunk that is being signed.
type part struct {
	n      int
	left   map[int]left // what of it is not
	signed *wallet.Signed
}

// wait waits until nothing is being signed any more.
func (r *run) wait() {
	if r.ahead != nil {
		r.ahead.signed.Wait()
	}
}

// step takes up what ended since, and carries out one chunk.
func (r *run) step(ctx context.Context, w *wallet.Wallet) (Status, error) {
	j, err := theJob(w)
	if err != nil {
		return r.status, err
	}
	if r.job == nil || r.job.ID != j.ID {
		r.wait()
		*r = run{job: j, to: map[string]wallet.Contact{}, failed: map[int]bool{}, status: Status{File: j.File, Begun: j.Begun, Items: j.Give + j.End}}
		var recipients []wallet.Contact
		if _, err := w.Job().Read(recipientsFile, &recipients); err != nil {
			return r.status, err
		}
		for _, c := range recipients {
			r.to[nameOf(&c)] = c
		}
		if r.ask, err = j.readAsk(); err != nil {
			r.job = nil
			return r.status, err
		}
		if j.V == withParts {
			if found, err := w.Job().Read(choicesFile, &r.choices); err != nil || !found {
				r.job = nil
				return r.status, cmp.Or(err, w.Job().Damaged(choicesFile))
			}
		}
	}
	// A chunk waits until the one before it has ended, so that an unreachable ledger
	// does not fill the journal.
	if err := w.Ready(); err != nil {
		return r.status, err
	}
	for begun := false; ; r.next++ {
		do, size := j.chunk(r.next)
		if size == 0 {
			r.status.Finished = true
			return r.status, nil
		}
		ds, _, err := j.ended(r.next)
		if err == nil && ds == nil {
			if begun {
				return r.status, nil
			}
			if err = ctx.Err(); err == nil {
				err = r.carryOut(ctx)
			}
			begun = true
			if err == nil {
				ds, _, err = j.ended(r.next)
			}
			if err == nil && ds == nil {
				err = w.Job().Damaged(name("done", r.next))
			}
		}
		if err != nil {
			return r.status, err
		}
		r.status.count(ds)
		if do == Grant {
			if err := r.noteFailed(ds); err != nil {
				return r.status, err
			}
		}
	}
}

// noteFailed remembers the rows of grants that failed: what they replace is kept.
func (r *run) noteFailed(ds []done) error {
	var items []Item
	for i := range ds {
		if ds[i].Status == "granted" || ds[i].Status == "sent" {
			continue
		}
		if items == nil {
			var err error
			if items, err = r.job.items(r.next); err != nil {
				return err
			}
		}
		r.failed[items[i].Line] = true
	}
	return nil
}

// carryOut signs the next chunk, if that was not done ahead, and sends it.
func (r *run) carryOut(ctx context.Context) error {
	r.wait()
	p := r.ahead
	r.ahead = nil
	// The lock was given up since it was signed.
	if p == nil || p.n != r.next || !p.signed.Usable() {
		var err error
		if p, err = r.sign(ctx, r.next); err != nil {
			return err
		}
	}
	if err := p.signed.Wait(); err != nil {
		return err
	}
	// All cores sign the next chunk where this one waits for the disk.
	if do, size := r.job.chunk(r.next + 1); size > 0 && do == Grant {
		r.ahead, _ = r.sign(ctx, r.next+1) // its error is said when its turn comes
	}
	if len(p.left) > 0 {
		if err := r.job.w.Job().Write(name("left", p.n), p.left); err != nil {
			return err
		}
	}
	return p.signed.Send(ctx, name("done", p.n))
}

// sign begins to sign a chunk.
func (r *run) sign(ctx context.Context, n int) (*part, error) {
	items, err := r.job.items(n)
	if err != nil {
		return nil, err
	}
	p := &part{n: n}
	if p.left, err = r.job.left(n); err != nil {
		return nil, err
	}
	var grants []*wallet.GrantPlan
	var ends []contract.ID
	var at []int
	for i := range items {
		x := &items[i]
		if _, ok := p.left[i]; ok {
			continue
		}
		if x.Do == Revoke {
			if x.Why == "replaced" && r.failed[x.Line] {
				p.left[i] = left{Status: "kept"}
				continue
			}
			ends = append(ends, x.Consent)
		} else {
			g, err := r.plan(x)
			if err != nil {
				return nil, err
			}
			grants = append(grants, g)
		}
		at = append(at, i)
	}
	if do, _ := r.job.chunk(n); do == Revoke {
		p.signed, err = r.job.w.Consents().SignRevocations(ctx, ends)
	} else {
		p.signed, err = r.job.w.Grants().Sign(ctx, grants)
	}
	if err != nil {
		return nil, err
	}
	for k, err := range p.signed.Errs {
		gone, removed := fault.As(err, wallet.ErrWithdrawn)
		missing, lost := fault.As(err, wallet.ErrMissing)
		switch {
		case err == nil:
		case removed:
			p.left[at[k]] = left{"removed", fault.Get[contract.ID](gone, "record")}
		case lost:
			p.left[at[k]] = left{"missing", fault.Get[contract.ID](missing, "id")}
		default:
			p.left[at[k]] = left{Status: "revoked"}
		}
	}
	return p, nil
}

// plan is an item as the wallet signs it.
func (r *run) plan(x *Item) (*wallet.GrantPlan, error) {
	if r.ask != nil {
		return r.ask.Letter(r.to[x.To]), nil
	}
	purpose, err := wallet.ParsePurpose(x.Purpose)
	if err != nil {
		return nil, err
	}
	until := contract.Hour(x.Until)
	g := &wallet.GrantPlan{To: r.to[x.To], Purpose: purpose, NotBefore: contract.Hour(x.From), Until: until, NotAfter: wallet.LedgerEnd(until)}
	for _, v := range x.Records {
		one := wallet.RecordPlan{Record: wallet.Record{ID: v.ID, Version: v.Version}, Whole: !v.Part}
		if v.Part {
			if x.Choice < 1 || x.Choice > len(r.choices) {
				return nil, r.job.w.Job().Damaged(choicesFile)
			}
			c := &r.choices[x.Choice-1]
			p := c.of(v.ID, v.Version)
			if p == nil {
				return nil, r.job.w.Job().Damaged(choicesFile)
			}
			one.Given, g.Scope = p.Given, c.Scope // shared, so that the keys are made once
		}
		g.Records = append(g.Records, one)
	}
	return g, nil
}
