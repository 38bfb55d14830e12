package view

import (
	"context"
	"errors"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Follow goes with the ledger from the pin to its newest head and takes up every
// thread that concerns this wallet: its own, found by their self-tags, and grants
// addressed to it, found by their counterparty keys. All leaves are read, none is
// asked for, so that a ledger learns nothing of which ones matter here.
//
// Nothing of what the ledger says reaches the view before the leaves are shown to be
// those of the signed head and the threads were judged under the contract. own are
// entries whose signatures need not be checked: this process has made them.
func (v *View) Follow(ctx context.Context, own map[contract.Entry]bool) error {
	s := scan{v: v, own: own, fresh: map[contract.ID]*found{}}
	from, known := v.state.Pin, ledgerclient.Pin{}
	if v.state.Rescan {
		// Through the head that was seen before, so that the loss of a cache does not
		// make the wallet believe another history.
		from, known = ledgerclient.Pin{Ledger: v.Client.ID()}, v.state.Pin
	}
	s.from = from.Size
	pin, head, err := v.Client.Advance(ctx, from, known, s.visit)
	if err != nil {
		return err
	}
	v.head = head
	clear(v.agreed)
	if err := s.flush(); err != nil {
		return err
	}
	if err := s.judge(); err != nil {
		return err
	}
	if pin.Size == v.state.Pin.Size && len(s.order) == 0 && !v.state.Rescan && (len(v.state.Pin.Note) > 0 || len(pin.Note) == 0) {
		return nil
	}
	for _, f := range s.order {
		t := f.known
		if t == nil {
			t = v.noteOpening(f.role, &f.news.Opening)
		}
		if t.isRecord() {
			v.state.News = true
		}
		v.noteFollows(t, f.news.FollowUps, f.state)
	}
	if err := v.keepDocuments(1 + v.state.Pin.Configs); err != nil {
		v.unwritten = append(v.unwritten, err) // so that the pin, which counts them, is not written either
	}
	if was := v.state.Pin; was.Size > 0 && pin.Configs > was.Configs && v.Now().Sub(time.Unix(v.state.Seen, 0)) > trusted {
		v.state.Unconfirmed = true
	}
	was := v.state.Pin
	v.state.Pin, v.state.Rescan = pin, false
	v.noteOpeners(was)
	return nil
}

// followAnyway takes up what a ledger shows that cannot be believed, where what was kept
// of it is lost: that suffices to end consents. The head that was seen before stays, and
// nothing of it is written, see save.
func (v *View) followAnyway(ctx context.Context) {
	seen := v.state.Pin
	v.state.Pin = ledgerclient.Pin{Configs: seen.Configs}
	v.Follow(ctx, nil) // if it fails nothing was taken up, and Rescan tells
	v.state.Pin = seen
}

// scan collects what concerns the wallet from the leaves of one pass.
type scan struct {
	v     *View
	from  uint64 // position of the first leaf
	own   map[contract.Entry]bool
	batch []ledgerclient.Placed  // not looked at yet
	fresh map[contract.ID]*found // threads with news, by the opening entry's id
	order []*found               // the same, in the order they were met
}

// found is a thread with news from this pass.
type found struct {
	known *Thread             // nil if the thread itself is new
	role  Role                // of a new one
	news  ledgerclient.Thread // what is new of it
	state contract.State      // of what was known before; after judge of all
	err   error
}

// window is how many leaves are looked at together, so that all cores have work
// and the memory stays flat.
const window = 4096

func (s *scan) visit(index uint64, leaf *contract.Leaf) error {
	if index == s.from { // what another node gave before was not what it should be
		s.batch, s.fresh, s.order = s.batch[:0], map[contract.ID]*found{}, nil
	}
	s.batch = append(s.batch, ledgerclient.Placed{Index: index, Hour: leaf.Hour, Entry: leaf.Entry})
	if len(s.batch) == window {
		return s.flush()
	}
	return nil
}

// flush looks at the collected leaves: the keys of openings on all cores, then
// follow-ups in the ledger's order.
func (s *scan) flush() error {
	roles := make([]Role, len(s.batch))
	errs := make([]error, len(s.batch))
	ledgerclient.Parallel(len(s.batch), func(i int) { roles[i], errs[i] = s.v.roleOf(&s.batch[i].Entry, s.own) })
	id := s.v.Client.ID()
	for i := range s.batch {
		if errs[i] != nil {
			return errs[i]
		}
		p := s.batch[i]
		if roles[i] != 0 {
			f := &found{role: roles[i], news: ledgerclient.Thread{Opening: p}}
			s.fresh[p.Entry.ID(id)] = f
			s.order = append(s.order, f)
			continue
		}
		if p.Entry.Subject == (contract.ID{}) {
			continue
		}
		f := s.fresh[p.Entry.Subject]
		if f == nil {
			t := s.v.threads.find(p.Entry.Subject)
			if t == nil {
				continue
			}
			state, err := s.v.Judged(t)
			if err != nil {
				return err
			}
			f = &found{known: t, state: state}
			s.fresh[p.Entry.Subject] = f
			s.order = append(s.order, f)
		}
		f.news.FollowUps = append(f.news.FollowUps, p)
	}
	if n := len(s.batch); n > 0 && s.v.Watch != nil {
		s.v.Watch(s.batch[n-1].Index + 1)
	}
	s.batch = s.batch[:0]
	return nil
}

// judge replays the news of every thread under the contract, signatures included.
func (s *scan) judge() error {
	ledgerclient.Parallel(len(s.order), func(i int) {
		f := s.order[i]
		done := 0
		if f.known == nil {
			done = -1
		}
		f.state, f.err = s.v.Client.Judge(f.news, f.state, done, s.own)
	})
	for _, f := range s.order {
		if f.err != nil {
			return f.err
		}
	}
	return nil
}

// roleOf tells what an opening entry is to this wallet; 0 if it is nothing.
func (v *View) roleOf(e *contract.Entry, own map[contract.Entry]bool) (Role, error) {
	if e.Subject != (contract.ID{}) || (e.Kind != contract.KindRecord && e.Kind != contract.KindGrant) {
		return 0, nil
	}
	if own[*e] {
		if e.Kind == contract.KindRecord {
			return OwnRecord, nil
		}
		return OwnGrant, nil
	}
	if nonce, ok := v.Keys.Tagger().Open(e.SelfTag); ok {
		seed, err := v.Keys.Seed(nonce)
		if err != nil {
			return 0, err
		}
		// A tag can be copied by anybody; the author key cannot be guessed.
		if seed.Key().Public() == e.Author {
			if e.Kind == contract.KindRecord {
				return OwnRecord, nil
			}
			return OwnGrant, nil
		}
	}
	if e.Kind != contract.KindGrant {
		return 0, nil
	}
	_, mine, err := v.Keys.Recognize(e.Author, e.Counterparty)
	if errors.Is(err, crypto.ErrKeyLocked) {
		return 0, err
	}
	if err != nil {
		// The author key is not a point: no contract would have accepted it.
		return 0, &ledgerclient.TamperedError{What: "author key of a grant", Err: err}
	}
	if mine {
		return Received, nil
	}
	return 0, nil
}

// Pace is what a consent of others adds to the time in which Follow reads a ledger, on all
// cores: that of some which are tried now.
func (v *View) Pace() time.Duration {
	var keys [16]crypto.PubKey
	for i := range keys {
		keys[i] = crypto.GenerateKey().Public()
	}
	const some = 8 * len(keys)
	var start time.Time
	for range 2 { // the first time what is kept of the curve is made
		start = time.Now()
		ledgerclient.Parallel(some, func(i int) {
			v.Keys.Recognize(keys[i%len(keys)], keys[(i+1)%len(keys)])
		})
	}
	return time.Since(start) / time.Duration(some)
}

// NewSeed makes the seed of a new entry, with the tag by which it is found again.
func (v *View) NewSeed() (crypto.Seed, crypto.SelfTag, error) {
	nonce := crypto.NewNonce()
	seed, err := v.Keys.Seed(nonce)
	return seed, v.Keys.Tagger().Tag(nonce), err
}

// NewTag makes a fresh tag for a follow-up of a thread of one's own.
func (v *View) NewTag() crypto.SelfTag { return v.Keys.Tagger().Tag(crypto.NewNonce()) }

// ErrNotOwn: a self-tag is not one of this wallet's.
var ErrNotOwn = errors.New("not an entry of this wallet")

// Seed is the seed of an entry of one's own; [ErrNotOwn] for any other.
func (v *View) Seed(tag crypto.SelfTag) (crypto.Seed, error) {
	nonce, ok := v.Keys.Tagger().Open(tag)
	if !ok {
		return crypto.Seed{}, ErrNotOwn
	}
	return v.Keys.Seed(nonce)
}

// Key is the thread key of a thread of one's own.
func (v *View) Key(t *Thread) (crypto.Seed, *crypto.PrivateKey, error) {
	seed, err := v.Seed(t.Tag) // roleOf has opened it before
	if err != nil {
		return seed, nil, err
	}
	return seed, seed.Key(), nil
}
