package folder

import (
	"context"

	"github.com/carekey/carekey/ledgerclient/contract"
)

// This file is what a node needs of its folder beyond what a wallet does.

// FileWhile makes the keeper file a refused request only if room makes some for it,
// until free is called; others are counted, by this process alone. It is called before
// the folder is used.
func (f *Folder) FileWhile(room func() (free func(), ok bool)) { f.ground().unkept.room = room }

// DoubtClock makes Append not believe the clock while doubt says so. It is called before
// the folder is used.
func (f *Folder) DoubtClock(doubt func() bool) { f.doubt = doubt }

// withdrawals calls fn with each withdrawal of a record among the leaves from a
// position on and returns the position to go on from.
func (f *Folder) withdrawals(ctx context.Context, from uint64, fn func(h contract.Hour, e *contract.Entry)) (uint64, error) {
	head, err := f.Head(ctx)
	if err != nil {
		return from, err
	}
	for from < head.Size {
		if err := ctx.Err(); err != nil {
			return from, err
		}
		leaves, err := f.Leaves(ctx, from, min(from+4096, head.Size))
		if err != nil {
			return from, err
		}
		for i := range leaves {
			if e := &leaves[i].Entry; e.Kind == contract.KindRecord && e.Flags&contract.FlagWithdrawn != 0 {
				fn(leaves[i].Hour, e)
			}
		}
		from += uint64(len(leaves))
	}
	return from, nil
}

// Sweeper does what a folder that nobody puts anything into would leave undone.
// The zero value with its Folder is ready. It is for one goroutine.
type Sweeper struct {
	Folder *Folder
	next   uint64 // leaves before it were looked at
	due    []withdrawal
}

type withdrawal struct {
	hour  contract.Hour // ledger hour
	entry contract.Entry
}

// Sweep drops payloads whose entries never came, erases the records whose time
// has come since their withdrawal (see Options.EraseAfter), whether anybody asked
// for it or not, and destroys the shares of grants that are over. It can be
// repeated at any time. The first call of a Sweeper reads the whole log.
func (s *Sweeper) Sweep(ctx context.Context) error {
	f := s.Folder
	next, err := f.withdrawals(ctx, s.next, func(h contract.Hour, e *contract.Entry) {
		s.due = append(s.due, withdrawal{h, *e})
	})
	if err != nil {
		return err
	}
	s.next = next
	st := store{f.ground()}
	left := s.due[:0]
	for i, w := range s.due {
		if !f.eraseDue(w.hour) {
			left = append(left, w)
			continue
		}
		if err := st.Erase(ctx, w.entry); err != nil {
			s.due = append(left, s.due[i:]...)
			return err
		}
	}
	s.due = left
	for more := true; more; {
		err := f.write(ctx, func(snap snapshot) (err error) {
			if err := st.dropUploads(); err != nil {
				return err
			}
			more, err = st.drop(snap, 64)
			return err
		})
		if err != nil {
			return err
		}
	}
	rules, err := f.keeper.open()
	if err != nil {
		return nil // there is nobody to sweep
	}
	if _, err = rules.Sweep(ctx); err != nil {
		return err
	}
	// What the keeper could not write down may have room now.
	return f.write(ctx, func(snapshot) error { return vault{f.ground()}.keepStops(true) })
}

// eraseDue tells whether a record that was withdrawn at that ledger hour is to be
// erased by now.
func (f *Folder) eraseDue(h contract.Hour) bool {
	return uint64(f.hour()) >= uint64(h)+uint64(f.eraseAfter)
}
