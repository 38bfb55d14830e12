package node_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
	"golang.org/x/mod/sumdb/tlog"
)

// evil are places of which some lie about the log.
type evil struct {
	*places
	lies [4]func(*said)
	gone [4]bool // it breaks off whatever it is asked
}

// said is what a node is about to say of the log.
type said struct {
	note   []byte
	leaves []contract.Leaf
	tile   []byte
}

func newEvil(t *testing.T) *evil {
	e := &evil{places: newPlaces(t)}
	e.Now, e.sites = time.Now, nil
	e.Grow(400) // a bundle, and a part
	for i, m := range e.Members {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { e.log(i, w, r) }))
		t.Cleanup(s.Close)
		e.members[i].URLs = []string{s.URL}
		e.sites = append(e.sites, node.NewSite(e.ID(), e.members[i], 8, m.Key.Sign, e.keepers[i].Key.Sign))
	}
	return e
}

// log answers what is asked about the log, as the node's lie has it, and leaves the rest to
// the place.
func (e *evil) log(i int, w http.ResponseWriter, r *http.Request) {
	if e.gone[i] {
		panic(http.ErrAbortHandler)
	}
	tell := e.lies[i]
	if tell == nil {
		tell = func(*said) {}
	}
	if r.URL.Path == node.PathConfig { // who cannot read a head looks for nodes that came since
		return
	}
	path, isTile := strings.CutPrefix(r.URL.Path, node.PathTile)
	switch {
	case r.URL.Path == node.PathCheckpoint || r.URL.Path == node.PathNews:
		var s said
		s.note, _ = e.Checkpoint(ctx)
		if r.URL.Path == node.PathNews {
			from, err := strconv.Atoi(r.Header.Get(node.HeaderFrom))
			if err != nil {
				e.t.Error(err)
			}
			if len(e.Shown)-from <= node.MaxNews {
				s.leaves = slices.Clone(e.Shown[from:])
			}
		}
		if tell(&s); r.URL.Path == node.PathCheckpoint {
			w.Write(s.note)
			return
		}
		w.Write(node.NewsForm.Marshal(node.News{Note: s.note, Leaves: s.leaves}))
	case isTile:
		at, err := node.ParseTilePath(path)
		if err != nil {
			e.t.Error(err)
		}
		var s said
		if at.L == -1 {
			first := at.N * node.BundleWidth
			s.leaves = slices.Clone(e.Shown[first : first+int64(at.W)])
			tell(&s)
			var raw []byte
			for i := range s.leaves {
				leaf := s.leaves[i].Marshal()
				raw = append(raw, leaf[:]...)
			}
			w.Write(node.EntryBundle(raw))
			return
		}
		if s.tile, err = tlog.ReadTileData(at, e.tree()); err != nil {
			e.t.Error(err)
		}
		tell(&s)
		w.Write(s.tile)
	default:
		e.serve(i, w, r)
	}
}

// tree reads the hashes of the log.
func (e *evil) tree() tlog.HashReaderFunc {
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(at []int64) (out []tlog.Hash, err error) {
		for _, i := range at {
			out = append(out, stored[i])
		}
		return out, nil
	})
	for i := range e.Shown {
		leaf := e.Shown[i].Marshal()
		more, err := tlog.StoredHashes(int64(i), leaf[:], read)
		if err != nil {
			e.t.Error(err)
		}
		stored = append(stored, more...)
	}
	return read
}

// reads follows the log from its beginning as a wallet does that was invited to node 1, and
// reports whether that gave each leaf once.
func (e *evil) reads() (whole bool, err error) {
	e.t.Helper()
	nw := e.reach(1, node.Options{})
	defer nw.Close()
	c, err := ledgerclient.Connect(ctx, nw.Services(), e.ID())
	if err != nil {
		e.t.Fatal(err)
	}
	var got []contract.Leaf
	pin, head, err := c.Advance(ctx, ledgerclient.Pin{}, ledgerclient.Pin{}, func(i uint64, leaf *contract.Leaf) error {
		if i == 0 {
			got = nil
		}
		got = append(got, *leaf)
		return nil
	})
	return err == nil && pin.Size == head.Size && slices.Equal(got, e.Shown), err
}

// Threat: one of four institutions lies about the log, the one that a wallet asks first. Another
// one is asked, and the wallet reads what all have signed; with all of them lying it reads nothing.
func TestOneInstitutionLies(t *testing.T) {
	e := newEvil(t)
	last := func(change func(*contract.Leaf)) func(*said) {
		return func(s *said) {
			if n := len(s.leaves); n > 0 {
				change(&s.leaves[n-1])
			}
		}
	}
	noted := func(note []byte) func(*said) {
		return func(s *said) {
			if s.note != nil {
				s.note = note
			}
		}
	}
	e.Now = func() time.Time { return time.Now().Add(-time.Hour) }
	old := e.Note(300, e.Members...)
	e.Now = time.Now
	for name, lie := range map[string]func(*said){
		"an entry is changed": last(func(l *contract.Leaf) { l.Entry.Commitment[30] ^= 4 }),
		"another hour":        last(func(l *contract.Leaf) { l.Hour += 1000 }),
		"hour goes back":      last(func(l *contract.Leaf) { l.Hour = 7 }),
		"an entry is hidden": func(s *said) { // and the one before it is in its place
			if n := len(s.leaves); n > 1 {
				s.leaves[n-1] = s.leaves[n-2]
			}
		},
		"other entries": func(s *said) { slices.Reverse(s.leaves) },
		"too few leaves come along": func(s *said) {
			if s.note != nil && len(s.leaves) > 0 {
				s.leaves = s.leaves[1:]
			}
		},
		"a head of its own":  noted(e.Note(300, e.Members[1])),
		"too few signatures": noted(e.Note(uint64(len(e.Shown)), e.Members[1:3]...)),
		"an old head":        noted(old),
		"a shorter log":      noted(e.Note(300, e.Members...)),
		"rubbish":            noted([]byte("rubbish")),
	} {
		e.lies = [4]func(*said){1: lie}
		if whole, err := e.reads(); !whole {
			t.Errorf("%s: %v", name, err)
		}
	}
	e.lies = [4]func(*said){}
	if whole, err := e.reads(); !whole {
		t.Errorf("nobody lies: %v", err)
	}
	lie := last(func(l *contract.Leaf) { l.Entry.Commitment[30] ^= 4 })
	e.lies = [4]func(*said){lie, lie, lie, lie}
	if whole, err := e.reads(); whole || !errors.As(err, new(*ledgerclient.TamperedError)) {
		t.Errorf("all lie: %v", err)
	}
	e.lies = [4]func(*said){lie, lie, nil, lie}
	if whole, err := e.reads(); !whole {
		t.Errorf("all but one lie: %v", err)
	}
}

// Threat: one institution gives wrong leaves, and a wrong proof when it is looked for who is
// wrong. It alone is named.
func TestWrongLeavesAndTilesOfOne(t *testing.T) {
	e := newEvil(t)
	nw := e.reach(1, node.Options{})
	defer nw.Close()
	c, err := ledgerclient.Connect(ctx, nw.Services(), e.ID())
	if err != nil {
		t.Fatal(err)
	}
	all := e.Shown
	e.Shown = all[:300]
	nothing := func(uint64, *contract.Leaf) error { return nil }
	pin, _, err := c.Advance(ctx, ledgerclient.Pin{}, ledgerclient.Pin{}, nothing)
	if err != nil {
		t.Fatal(err)
	}
	e.Shown = all
	e.lies[1] = func(s *said) {
		if n := len(s.leaves); n > 0 {
			s.leaves[n-1].Entry.Commitment[30] ^= 4
		}
		if len(s.tile) > 0 {
			s.tile = bytes.Clone(s.tile)
			s.tile[3] ^= 1
		}
	}
	if _, _, err := c.Advance(ctx, pin, ledgerclient.Pin{}, nothing); err != nil {
		t.Error(err)
	}
	if at := names(nw); !slices.Equal(at, []int{1}) {
		t.Errorf("passed over: %+v", nw.Passed())
	}
}

// Threat: one institution gives wrong leaves and breaks off, so that another one gives the rest.
// That one is not named, and neither gives them again before the next head.
func TestWhoGaveLeaves(t *testing.T) {
	e := newEvil(t)
	nw := e.reach(1, node.Options{})
	defer nw.Close()
	l := nw.Services().Ledger
	several := l.(ledgerclient.Several)
	heads := func() {
		t.Helper()
		if err := several.Checkpoints(ctx, 2, func([]byte) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	leaves := func(from, to uint64) {
		t.Helper()
		if _, err := l.Leaves(ctx, from, to); err != nil {
			t.Fatal(err)
		}
	}
	lied := &ledgerclient.TamperedError{What: "leaves"}
	heads()
	leaves(0, 256)
	e.gone[1] = true
	leaves(256, 300)
	if !several.Unlike(lied) {
		t.Error("there is no other")
	}
	for _, p := range nw.Passed() {
		if p.Line != 1 || ledgerclient.Unreachable(p.Err) == nil {
			t.Errorf("passed over: %+v", p)
		}
	}
	for i := range 2 { // two are left
		leaves(0, 256)
		if more := several.Unlike(lied); more != (i == 0) {
			t.Errorf("there is another: %v", more)
		}
	}
	// The next heads begin anew.
	heads()
	leaves(0, 256)
	if !several.Unlike(lied) {
		t.Error("who was wrong once is never asked again")
	}
}

// Threat: one institution gives wrong tiles, so that a head that somebody else saw seems to be of
// another history.
func TestWrongTilesOfOne(t *testing.T) {
	e := newEvil(t)
	e.lies[1] = func(s *said) {
		if len(s.tile) > 0 {
			s.tile = bytes.Clone(s.tile)
			s.tile[3] ^= 1
		}
	}
	nw := e.reach(1, node.Options{})
	defer nw.Close()
	c, err := ledgerclient.Connect(ctx, nw.Services(), e.ID())
	if err != nil {
		t.Fatal(err)
	}
	head, err := c.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	seen, err := ledgerclient.Unverified([]byte(e.Text(300)))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CheckPrefix(ctx, 300, seen.Root, head); err != nil {
		t.Error(err)
	}
	other := crypto.Hash{1}
	if err := c.CheckPrefix(ctx, 300, other, head); !errors.As(err, new(*ledgerclient.ForkError)) {
		t.Errorf("another history: %v", err)
	}
}

// Threat: the node that a wallet was invited to knows of no other, so that it is alone with it.
// The others that it names are asked too.
func TestSitesAreKeptBack(t *testing.T) {
	e := newEvil(t)
	all := e.sites
	e.sites = all[1:3] // as node 1 tells them
	honest := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == node.PathSites {
			w.Write(node.SitesForm.Marshal(all))
			return
		}
		e.log(2, w, r)
	}))
	t.Cleanup(honest.Close)
	e.members[2].URLs = []string{honest.URL}
	all = slices.Clone(all)
	all[2] = node.NewSite(e.ID(), e.members[2], 9, e.Members[2].Key.Sign, e.keepers[2].Key.Sign)
	e.sites[1] = all[2]
	nw := e.reach(1, node.Options{})
	defer nw.Close()
	if n := len(nw.Services().Keepers); n != 4 {
		t.Errorf("%d keepers are reached", n)
	}
}
