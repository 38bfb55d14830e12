package wallet

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/home"
)

// viewOptions say of which wallet and ledger a View is.
type viewOptions struct {
	Home     home.Folder
	Client   *ledgerclient.Client
	Root     crypto.Root
	Identity func() *crypto.Identity
	Now      func() time.Time
	// AcceptClock: a person says that the clock is right, however long the ledger was
	// idle.
	AcceptClock bool
	// Revoking: what is not needed to end consents is passed over if it cannot be read
	// or believed.
	Revoking bool
	// Notes is a pointer to what else is kept with the state of this ledger, as JSON.
	Notes any
}

// View is what the ledger holds of a wallet.
type View struct {
	viewOptions
	tagger *crypto.Tagger

	state   state
	written []byte // what the state's file holds, as JSON; nil if that is not known
	threads threads
	cache   cache
	head    ledgerclient.Head
	reach
	unwritten []error                 // why what changes now is not written into the folder; nil if it is
	signed    map[contract.Entry]bool // by this process, and on its way
	watch     func(done uint64)       // told how many entries were read, while the ledger is followed; nil is nobody
}

// state is what is remembered of a ledger, sealed.
type state struct {
	V        int              `json:"v"`
	Pin      ledgerclient.Pin `json:"pin"`
	Seen     int64            `json:"seen"`           // Unix time of when Pin was the newest head, to ten minutes
	Verified verified         `json:"verified"`       // the part of the log whose signatures were all checked
	News     bool             `json:"news,omitempty"` // records came that may be the book's

	// The cache file belongs to this state if its blocks were sealed under CacheID
	// and its first CacheSize bytes are there; what follows them was never
	// committed.
	CacheID   string `json:"cacheId"`
	Rescan    bool   `json:"rescan,omitempty"` // the cache was lost: read the ledger from its beginning
	CacheSize int64  `json:"cacheSize"`        // bytes

	Notes any `json:"notes"` // see Options
}

type verified struct {
	Size uint64      `json:"size"`
	Root crypto.Hash `json:"root"`
}

// stateVersion is 2 since what others note has its own place in it.
const stateVersion = 2

func newView(o viewOptions) *View {
	return &View{viewOptions: o, tagger: o.Root.Tagger(o.Client.ID()), threads: newThreads()}
}

// load reads the sealed state of the ledger and, when another process changed it, the
// cache. A cache that does not fit the state is rebuilt from the ledger; to end
// consents, so is a state that cannot be read: then lost is why.
func (v *View) load() (lost, err error) {
	name := v.Home.In(home.StateFile)
	reset(v.Notes)
	s, err := readState(v.Home, v.Notes)
	if err != nil {
		if !v.Revoking {
			return nil, err
		}
		lost = err
		reset(v.Notes)
		s = state{V: stateVersion, CacheID: newCacheID(), Rescan: true, Notes: v.Notes}
		v.passOver(name, err)
	}
	same := s.CacheID == v.state.CacheID && s.CacheSize == v.state.CacheSize && v.cache.end() == s.CacheSize
	v.state = s
	if v.written, err = json.Marshal(s); err != nil {
		return lost, err
	}
	if same && v.threads.loaded {
		return lost, nil
	}
	return lost, v.readCache()
}

// readPin reads what is kept of the ledger f.Ledger: the last head, and into notes what
// Options.Notes is for; nil is not to be read.
func readPin(f home.Folder, notes any) (ledgerclient.Pin, error) {
	s, err := readState(f, notes)
	return s.Pin, err
}

func readState(f home.Folder, notes any) (state, error) {
	s := state{Notes: notes}
	name := f.In(home.StateFile)
	err := f.ReadSealed(name, &s)
	if err == nil && s.V != stateVersion {
		err = &VersionError{What: name, Version: s.V, Known: stateVersion}
	}
	return s, err
}

// expect makes a head that is known from elsewhere one that the ledger must continue.
func (v *View) expect(known ledgerclient.Pin) {
	if known.Size > v.state.Pin.Size {
		v.state.Pin = known
		v.resetCache()
	}
}

// reset empties what p points to.
func reset(p any) { reflect.ValueOf(p).Elem().SetZero() }

// save writes what changed, if anything: what is new in the cache first, then the state
// that counts it. Nothing is written over what could not be read or locked, nor of a
// ledger that cannot be believed.
func (v *View) save() error {
	if len(v.unwritten) > 0 {
		return errors.Join(v.unwritten...)
	}
	if v.disbelieved() {
		return nil
	}
	if v.cache.end() > v.state.CacheSize {
		if err := v.appendCache(); err != nil {
			return err
		}
	}
	b, err := json.Marshal(v.state)
	if err != nil || bytes.Equal(b, v.written) {
		return err
	}
	if err := v.Home.WriteSealed(v.Home.In(home.StateFile), v.state); err != nil {
		return err
	}
	v.written = b
	return nil
}

// passOver takes note of a file that cannot be read. Nothing is written from then on:
// it is for a person to decide what becomes of it.
func (v *View) passOver(name string, err error) {
	if !is[*DamagedError](err) && !is[*VersionError](err) {
		err = &DamagedError{File: name, Err: err}
	}
	v.unwritten = append(v.unwritten, err)
}

// hour is the ledger hour of the wallet's own clock.
func (v *View) hour() contract.Hour { return hourOf(v.Now()) }

// ledgerHour is the hour at which the ledger would judge an entry now.
func (v *View) ledgerHour() contract.Hour { return max(v.hour(), v.state.Pin.Hour) }

// openHour is the hour at which it is judged what is open: that of the newest head, if
// heads carry a time, else that of the clock, unless it is in doubt.
func (v *View) openHour() contract.Hour {
	switch last := v.state.Pin.Hour; {
	case !v.head.Time.IsZero():
		return max(last, hourOf(v.head.Time))
	case !v.doubt().IsZero():
		return last
	}
	return v.ledgerHour()
}

// doubt returns what the clock says if it disagrees with the ledger's time; zero if it
// does not. It disagrees if it is before the last entry (of that ledger hour), or too far
// from the newest head, or, where heads carry no time, more than ledgerclient.MaxIdle past
// the last entry, unless a person says that it is right.
func (v *View) doubt() time.Time {
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
	return now
}

// holds reports whether an entry is among the leaves that were followed, in the thread
// that opening opened: nobody is asked for it.
func (v *View) holds(opening, entry contract.ID) bool {
	t := v.threads.find(opening)
	return t != nil && (t.id == entry || slices.ContainsFunc(t.past(), func(f follow) bool { return f.id == entry }))
}
