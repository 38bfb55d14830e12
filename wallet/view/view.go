// Package view is what a ledger holds of a wallet: its records, the consents it gave and
// was given, and what became of them. All leaves are read and none is asked for, so that
// a ledger learns nothing of which ones matter here; what concerns the wallet is found by
// its keys and judged under the contract.
//
// A View is followed to the newest head and then asked. What it keeps is derived, private
// and sealed: in the folder of the ledger,
//
//	state     the last verified head and, beside it, what the wallet notes of this ledger
//	cache     threads, what the store holds of them, and what keepers and recipients said:
//	          see cache.go, told.go and keeping.go
//	genesis, config-N
//	          the ledger's configuration, public: opens the wallet where the ledger is out
//	          of reach
//
// On doubt the cache is thrown away and read again from the ledger, through the head that
// was seen before: the loss of a file does not make the wallet believe another history.
// Package view knows nothing that a wallet does: no verb, and nothing on its way.
package view

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"reflect"
	"slices"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/home"
)

// Options say of which wallet and ledger a View is.
type Options struct {
	Home   home.Folder
	Client *ledgerclient.Client
	Keys   *crypto.Keys // on the ledger of Client
	Now    func() time.Time
	// AcceptClock: a person says that the clock is right, however long the ledger was
	// idle.
	AcceptClock bool
	// Revoking: what is not needed to end consents is passed over if it cannot be read
	// or believed.
	Revoking bool
	// Notes is a pointer to what else is kept with the state of this ledger, as JSON.
	Notes any
}

// View is what a ledger holds of a wallet. Its methods may be called by one goroutine at a
// time, and by one process at a time that writes: see package home.
type View struct {
	Options

	state   state
	written []byte // what the state's file holds, as JSON; nil if that is not known
	threads threads
	cache   cache
	head    ledgerclient.Head
	reach
	lost      error                   // see Lost
	unwritten []error                 // why what changes now is not written into the folder; nil if it is
	faults    map[crypto.PubKey]error // see Faults

	// Watch is told how many entries were read, while the ledger is followed; nil is
	// nobody.
	Watch func(done uint64)
}

// state is what is remembered of a ledger, sealed.
type state struct {
	V    int              `json:"v"`
	Pin  ledgerclient.Pin `json:"pin"`
	Seen int64            `json:"seen"`           // Unix time of when Pin was the newest head, to ten minutes
	News bool             `json:"news,omitempty"` // records came that may be the book's
	// Unconfirmed: who signs heads was changed while the wallet was away for so long that
	// those who did before may have given their keys away, see Confirm.
	Unconfirmed bool `json:"unconfirmed,omitempty"`
	// Openers is the number of the newest configuration of which somebody has said that its
	// keepers are those who may open what is granted, or whose keepers are the same as those
	// of one before it of which that was said.
	Openers int `json:"openers,omitempty"`

	// Ahead are logs that keepers have signed to judge on, and that were longer than the newest
	// head: they are compared when there is one that has them. Of each keeper the shortest.
	Ahead []ahead `json:"ahead,omitempty"`

	// Proven is the size of the log at which all consents of one's own were proven complete:
	// see SetProven.
	Proven uint64 `json:"proven,omitempty"`

	// The cache file belongs to this state if its blocks were sealed under CacheID
	// and its first CacheSize bytes are there; what follows them was never
	// committed.
	CacheID   string `json:"cacheId"`
	Rescan    bool   `json:"rescan,omitempty"` // the cache was lost: read the ledger from its beginning
	CacheSize int64  `json:"cacheSize"`        // bytes

	Notes any `json:"notes"` // see Options
}

// ahead is what a keeper has said of a log.
type ahead struct {
	Keeper crypto.PubKey `json:"keeper"`
	Size   uint64        `json:"size"`
	Root   crypto.Hash   `json:"root"`
	At     int64         `json:"at,omitempty"` // when it was said, in Unix seconds
}

// stateVersion is 2 since what others note has its own place in it.
const fileVersion = 2

// New returns a view of nothing: see Load, Create.
func New(o Options) *View {
	return &View{Options: o, threads: newThreads()}
}

// Pin is the head that was verified last.
func (v *View) Pin() ledgerclient.Pin { return v.state.Pin }

// Head is the newest head; Pin if the ledger is out of reach.
func (v *View) Head() ledgerclient.Head { return v.head }

// trusted is how long the keys of nodes are believed without a look at the ledger: whoever
// leaves destroys them, or sells a disk with them in the end.
const trusted = 30 * 24 * time.Hour

// Unconfirmed reports whether the ledger's nodes were changed after the wallet had last
// followed it, which was more than 30 days ago, and nobody has confirmed it since. Enough
// nodes that had left by then could have signed that, and all after it.
func (v *View) Unconfirmed() bool { return v.state.Unconfirmed }

// Confirm says that the ledger's newest configuration was compared with a second source,
// and that its keepers are those who may open what is granted.
func (v *View) Confirm() { v.state.Unconfirmed, v.state.Openers = false, v.state.Pin.Configs }

// ErrOpeners: other keepers than before can open what is granted, or other numbers of them,
// and nobody has said yet that it is to be so. ledger, configuration, release of keepers
const ErrOpeners fault.Code = "ledger-unconfirmed/keepers"

// Openers is an [ErrOpeners] if the ledger's newest configuration is one of which nobody has
// said that its keepers may open.
func (v *View) Openers() error {
	if v.state.Pin.Configs <= v.state.Openers {
		return nil
	}
	c := v.Client.Config()
	return ErrOpeners.With("ledger", v.Client.ID(), "configuration", c.Commitment(), "release", int(c.Release), "keepers", len(c.Keepers))
}

// noteOpeners compares the keepers of the configurations that came since the pin was was.
// Who sees a ledger for the first time took its keepers with the ledger; but whoever gave
// consents on it before knows those that these had.
func (v *View) noteOpeners(was ledgerclient.Pin) {
	if was.Size == 0 {
		v.state.Openers = v.state.Pin.Configs
		for t := range v.Of(OwnGrant) {
			v.state.Openers, _ = v.Client.ConfigAt(t.Index) // of the last one
		}
	}
	all := v.Client.Configs()
	for v.state.Openers < v.state.Pin.Configs && v.state.Openers+1 < len(all) {
		a, b := &all[v.state.Openers], &all[v.state.Openers+1]
		if a.Release != b.Release || !slices.Equal(a.Keepers, b.Keepers) {
			return
		}
		v.state.Openers++
	}
}

// Grant is the configuration in force where a grant stands, whether it is open, and why its
// shares are not given away: an [ErrOpeners] if nobody has said yet that those keepers may
// open.
func (v *View) Grant(opening contract.ID) (config *contract.Config, open bool, err error) {
	t := v.threads.find(opening)
	if t == nil {
		newest := v.Client.Config()
		return &newest, true, v.Openers()
	}
	number, config := v.Client.ConfigAt(t.Index)
	if number > v.state.Openers {
		err = v.Openers()
	}
	return config, t.Status == contract.StatusOpen, err
}

// Threads are all threads that concern the wallet, in the ledger's order; not to be
// changed.
func (v *View) Threads() []*Thread { return v.threads.list }

// Of are the threads of a role, in the ledger's order.
func (v *View) Of(r Role) iter.Seq[*Thread] {
	return func(yield func(*Thread) bool) {
		for _, t := range v.Threads() {
			if t.Role == r && !yield(t) {
				return
			}
		}
	}
}

// Thread returns the thread that an entry opened; nil if it is none of the wallet's.
func (v *View) Thread(opening contract.ID) *Thread { return v.threads.find(opening) }

// News reports whether records came since SetNews(false).
func (v *View) News() bool { return v.state.News }

// SetNews sets what News reports.
func (v *View) SetNews(news bool) { v.state.News = news }

// Unproven are those of some threads that were not proven complete at a head before, or of
// which there is news since. Nothing is lost by passing over the others: to be proven and
// without news says all up to that head, and who has followed the log from there has read
// every leaf behind it.
func (v *View) Unproven(ts []*Thread) []*Thread {
	return slices.DeleteFunc(slices.Clone(ts), func(t *Thread) bool {
		last := t.Index
		if fs := t.FollowUps(); len(fs) > 0 {
			last = fs[len(fs)-1].Index
		}
		return last < v.state.Proven
	})
}

// SetProven remembers that all consents of one's own were proven complete at a head of that
// size or later.
func (v *View) SetProven(size uint64) { v.state.Proven = size }

// Unwritten is why what changes is not written into the folder; empty if it is.
func (v *View) Unwritten() []error { return v.unwritten }

// AddUnwritten says why nothing is written from now on.
func (v *View) AddUnwritten(err error) { v.unwritten = append(v.unwritten, err) }

// ForgetUnwritten begins anew: what is then written may be.
func (v *View) ForgetUnwritten() { v.unwritten = nil }

// Load reads the sealed state of the ledger and, when another process changed it, the
// cache. A cache that does not fit the state is rebuilt from the ledger; to end
// consents, so is a state that cannot be read: see Lost.
func (v *View) Load() error {
	name := v.Home.In(home.StateFile)
	v.lost = nil
	reset(v.Notes)
	s, err := readState(v.Home, v.Notes)
	if err != nil {
		if !v.Revoking {
			return err
		}
		v.lost = err
		reset(v.Notes)
		s = state{V: fileVersion, CacheID: newCacheID(), Rescan: true, Notes: v.Notes}
		v.PassOver(name, err)
	}
	same := s.CacheID == v.state.CacheID && s.CacheSize == v.state.CacheSize && v.cache.end() == s.CacheSize
	v.state = s
	if v.written, err = json.Marshal(s); err != nil {
		return err
	}
	if same && v.threads.loaded {
		return nil
	}
	return v.readCache()
}

// Lost is why the head of the ledger that was seen before cannot be read, so that the
// ledger is followed from its beginning, whatever it showed before; nil if it can.
func (v *View) Lost() error { return v.lost }

// ReadPin reads what is kept of the ledger f.Ledger: the last head, and into notes what
// Options.Notes is for; nil is not to be read.
func ReadPin(f home.Folder, notes any) (ledgerclient.Pin, error) {
	s, err := readState(f, notes)
	return s.Pin, err
}

func readState(f home.Folder, notes any) (state, error) {
	s := state{Notes: notes}
	name := f.In(home.StateFile)
	err := f.ReadSealed(name, &s)
	if err == nil && s.V != fileVersion {
		err = home.WrongVersion(name, s.V, fileVersion)
	}
	return s, err
}

// Expect makes a head that is known from elsewhere one that the ledger must continue.
func (v *View) Expect(known ledgerclient.Pin) {
	if known.Size > v.state.Pin.Size {
		v.state.Pin = known
		v.resetCache()
	}
}

// reset empties what p points to.
func reset(p any) { reflect.ValueOf(p).Elem().SetZero() }

// Save writes what changed, if anything: what is new in the cache first, then the state
// that counts it. Nothing is written over what could not be read or locked, nor of a
// ledger that cannot be believed.
func (v *View) Save() error {
	if len(v.unwritten) > 0 {
		return errors.Join(v.unwritten...)
	}
	if v.Disbelieved() {
		return nil
	}
	if v.cache.end() > v.state.CacheSize {
		if err := v.appendCache(); err != nil {
			return err
		}
	}
	b, err := json.Marshal(v.state)
	if err == nil && !bytes.Equal(b, v.written) {
		if err = v.Home.WriteSealed(v.Home.In(home.StateFile), v.state); err == nil {
			v.written = b
		}
	}
	if err != nil {
		return err
	}
	v.writeIndex()
	return nil
}

// PassOver takes note of a file that cannot be read. Nothing is written from then on:
// it is for a person to decide what becomes of it.
func (v *View) PassOver(name string, err error) {
	if !errors.As(err, new(*home.DamagedError)) && !errors.Is(err, home.ErrVersion) {
		err = &home.DamagedError{File: name, Err: err}
	}
	v.unwritten = append(v.unwritten, err)
}

func hourOf(t time.Time) contract.Hour { return contract.Hour(max(0, t.Unix()/3600)) }

// clockHour is the ledger hour of the wallet's own clock.
func (v *View) clockHour() contract.Hour { return hourOf(v.Now()) }

// Hour is the hour at which the ledger would judge an entry now.
func (v *View) Hour() contract.Hour { return max(v.clockHour(), v.state.Pin.Hour) }

// OpenHour is the hour at which it is judged what is open: that of the newest head, if
// heads carry a time, else that of the clock, unless it is in doubt.
func (v *View) OpenHour() contract.Hour {
	switch last := v.state.Pin.Hour; {
	case !v.head.Time.IsZero():
		return max(last, hourOf(v.head.Time))
	case !v.Doubt().IsZero():
		return last
	}
	return v.Hour()
}

// Doubt returns what the clock says if it disagrees with the ledger's time; zero if it
// does not. It disagrees if it is before the last entry (of that ledger hour), or too far
// from the newest head, or, where heads carry no time, more than ledgerclient.MaxIdle past
// the last entry, unless a person says that it is right.
func (v *View) Doubt() time.Time {
	now, last := v.Now(), v.state.Pin.Hour
	doubt := hourOf(now)+1 < last // an hour may begin between two clocks
	if within := v.Client.Ledger.Properties().Freshness; !v.head.Time.IsZero() {
		doubt = doubt || within > 0 && now.Sub(v.head.Time).Abs() > within
	} else if last > 0 && !v.AcceptClock {
		doubt = doubt || hourOf(now) > last+ledgerclient.MaxIdle
	}
	if !doubt {
		return time.Time{}
	}
	return now.UTC().Truncate(time.Second)
}

// Holds reports whether an entry is among the leaves that were followed, in the thread
// that opening opened: nobody is asked for it.
func (v *View) Holds(opening, entry contract.ID) bool {
	t := v.threads.find(opening)
	return t != nil && (t.ID == entry || slices.ContainsFunc(t.FollowUps(), func(f FollowUp) bool { return f.ID == entry }))
}

// State is the state of the thread opened by opening; zero if there is none.
func (v *View) State(opening contract.ID) (contract.State, error) {
	t := v.threads.find(opening)
	if t == nil {
		return contract.State{}, nil
	}
	return v.Judged(t)
}
