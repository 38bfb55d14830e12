package folder

import (
	"context"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
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

// SureOf says how many leaves are under a head that other nodes have signed too, enough of
// them and not long ago: the keeper releases by them alone. It is called before the folder is
// used. sure is called under the folder's lock, and must wait for nobody.
func (f *Folder) SureOf(sure func() uint64) { f.sure = sure }

// Putting is what one of several puts: payloads, or a content that was uploaded.
type Putting struct {
	Puts []ledgerclient.Put
	// Content is the upload that ends with the one put, see its Commit; nil: there is none.
	Content ledgerclient.Upload
	// names are what the locators of the one put are found by, where these are not known, see
	// TakeCopy; nil: Puts have locators.
	names []crypto.Hash
}

// SmallContent is how long a content may be, with the hashes of its pieces, that PutAll makes
// a record, in bytes. Then the disk is waited for once for it too, and not twice, once of them
// with others. Whoever opens a store reads over all records, so that long ones are
// files.
const SmallContent = 16 << 10

// PutAll is for each what PutBlobs or Commit is, with errors of its own: as a whole or not
// at all, and durable when it returns. The disk is waited for once for all payloads, however
// many put some: it is what a node does with those that come at the same time.
func (f *Folder) PutAll(ctx context.Context, all []Putting) (errs []error) {
	return store{f.ground()}.putAll(ctx, all)
}

// Sweeper does what a folder that nobody puts anything into would leave undone.
// The zero value with its Folder is ready. It is for one goroutine.
type Sweeper struct {
	Folder *Folder
	next   uint64          // leaves before it were looked at
	due    []contract.Leaf // withdrawals of records that are to be erased
}

// look takes in the withdrawals that are new in the log.
func (s *Sweeper) look(ctx context.Context) error {
	head, err := s.Folder.Head(ctx)
	for err == nil && s.next < head.Size {
		var leaves []contract.Leaf
		leaves, err = s.Folder.Leaves(ctx, s.next, min(s.next+4096, head.Size))
		for _, l := range leaves {
			if l.Entry.Kind == contract.KindRecord && l.Entry.Flags&contract.FlagWithdrawn != 0 {
				s.due = append(s.due, l)
			}
		}
		s.next += uint64(len(leaves))
	}
	return err
}

// Sweep drops payloads whose entries never came, erases the records whose time
// has come since their withdrawal (see Options.EraseAfter), whether anybody asked
// for it or not, and destroys the shares of grants that are over. It can be
// repeated at any time. The first call of a Sweeper reads the whole log.
func (s *Sweeper) Sweep(ctx context.Context) error {
	f := s.Folder
	if err := s.look(ctx); err != nil {
		return err
	}
	st := store{f.ground()}
	left := s.due[:0]
	for i, w := range s.due {
		if !f.eraseDue(w.Hour) {
			left = append(left, w)
			continue
		}
		if err := st.Erase(ctx, w.Entry); err != nil {
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
