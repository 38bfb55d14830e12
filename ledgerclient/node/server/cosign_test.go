package server

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// network is several nodes over one order, without a server around them: what they do is done
// when a test says so, one after the other, and as much as there is to do.
type network struct {
	t      *testing.T
	clock  *testClock
	id     crypto.LedgerID
	config contract.Config
	order  *history
	nodes  []*signing
	rng    *rand.Rand
}

// signing is one of its nodes.
type signing struct {
	*network
	number int
	key    ed25519.PrivateKey
	dir    string
	log    *history // what it derives
	size   int      // as much of it as it has
	ctx    context.Context
	c      *cosigner
	last   []byte // what own returned
	lastAt time.Time
	pause  time.Time // until when it does not read the order for others
	// told are the times under which it has ever signed each size for others.
	told map[uint64][]time.Time
	// lies is what it says in place of what it should.
	lies func(note []byte) ([]byte, error)
	lags func() int // how many items it does not see yet; nil: none
	// putBack: its folder comes from a backup. Otherwise one without a file was just made.
	putBack bool
	// reads is called when it reads its log, which may wait for the lock of its folder.
	reads func()
	off   time.Duration // its clock
}

func (s *signing) now() time.Time { return s.clock.now().Add(s.off) }

func newNetwork(t *testing.T, nodes, threshold int) *network {
	n := &network{t: t, clock: &testClock{wall: time.Unix(1_700_000_000, 0)}, rng: rand.New(rand.NewPCG(1, 2)), order: &history{}}
	n.config = contract.Config{Name: "Network", Contract: contract.ContractVersion, Threshold: uint8(threshold), Release: 1, Keepers: []crypto.PubKey{crypto.GenerateKey().Public()}}
	for i := range nodes {
		seed := sha256.Sum256([]byte{byte(i)})
		key := ed25519.NewKeyFromSeed(seed[:])
		n.config.Nodes = append(n.config.Nodes, contract.Node{Checkpoint: [32]byte(key.Public().(ed25519.PublicKey)), Key: crypto.GenerateKey().Public()})
		n.nodes = append(n.nodes, &signing{network: n, number: i, key: key, dir: t.TempDir(), ctx: ctx, log: n.order, told: map[uint64][]time.Time{}})
	}
	n.id = n.config.LedgerID()
	n.grow(1)
	for _, s := range n.nodes {
		s.must(s.start())
	}
	return n
}

func (n *network) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

// grow orders some more.
func (n *network) grow(count int) {
	for range count {
		n.order.add(fmt.Sprint("leaf ", n.order.size()))
	}
}

// start begins anew with what is on the node's disk.
func (s *signing) start() error {
	c, err := newCosigner(s.id, s.config, s.number, s, s.dir)
	if err != nil {
		return err
	}
	c.lost = s.putBack
	s.last, s.lastAt, s.pause = nil, c.most.Time, time.Time{}
	c.own, c.clock, c.patience = s.own, s.now, 0
	c.follow = func(context.Context) error {
		there := s.log.size()
		if s.lags != nil {
			there -= s.lags()
		}
		s.size = max(s.size, there)
		return nil
	}
	for _, other := range s.nodes {
		if other != s {
			c.add([]Peer{line{s, other}})
		}
	}
	s.c = c
	return c.follow(ctx)
}

// line is the way from one node to another.
type line struct{ from, to *signing }

var errMute = errors.New("no answer")

func (l line) Cosign(ctx context.Context, raw []byte) ([]byte, error) {
	if l.from.lies != nil {
		var err error
		if raw, err = l.from.lies(raw); err != nil {
			return nil, err
		}
	}
	l.from.tells(raw)
	if l.to.lies != nil {
		return l.to.lies(raw)
	}
	answer, err := l.to.c.take(ctx, raw)
	l.to.tells(answer)
	return answer, err
}

func (l line) Signed(context.Context) ([]byte, error) {
	if l.from.lies != nil || l.to.lies != nil {
		return nil, errMute
	}
	l.to.c.mu.Lock()
	defer l.to.c.mu.Unlock()
	if l.to.c.newest == nil {
		return nil, errMute
	}
	l.to.tells(l.to.c.newest)
	return l.to.c.newest, nil
}

// tells takes down under what times a node has signed.
func (s *signing) tells(raw []byte) {
	if o, err := ledgerclient.OpenNote(s.id, s.config.Nodes, raw); err == nil && o.By[s.number].Plain {
		s.told[o.Head.Size] = append(s.told[o.Head.Size], o.By[s.number].Time)
	}
}

// history is a log, with the root of each size.
type history struct {
	stored []tlog.Hash
	roots  []crypto.Hash
}

func (h *history) ReadHashes(at []int64) (out []tlog.Hash, err error) {
	for _, x := range at {
		out = append(out, h.stored[x])
	}
	return out, nil
}

func (h *history) add(leaf string) {
	n := int64(len(h.roots))
	more, err := tlog.StoredHashesForRecordHash(n, tlog.RecordHash([]byte(leaf)), h)
	if err != nil {
		panic(err)
	}
	h.stored = append(h.stored, more...)
	root, err := tlog.TreeHash(n+1, h)
	if err != nil {
		panic(err)
	}
	h.roots = append(h.roots, crypto.Hash(root))
}

func (h *history) size() int { return len(h.roots) }

// root is that of a size from 1 on.
func (h *history) root(size uint64) crypto.Hash { return h.roots[size-1] }

func (s *signing) RootOf(_ context.Context, size uint64) (root crypto.Hash, err error) {
	if s.reads != nil {
		s.reads()
	}
	if size > uint64(s.size) {
		return root, &ledgerclient.RangeError{From: size, To: size, Size: uint64(s.size)}
	}
	return s.log.root(size), nil
}

func (s *signing) CheckpointOf(ctx context.Context, size uint64, at time.Time) ([]byte, error) {
	root, err := s.RootOf(ctx, size)
	if err != nil {
		return nil, err
	}
	return s.signed(s.id, size, root, at), nil
}

// plainSigner is a note.Signer.
type plainSigner struct {
	note.Verifier
	key ed25519.PrivateKey
}

func (p plainSigner) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(p.key, msg), nil }

// signed is a note that this node signs whatever it says.
func (s *signing) signed(id crypto.LedgerID, size uint64, root crypto.Hash, at time.Time) []byte {
	public := [32]byte(s.key.Public().(ed25519.PublicKey))
	v, err := ledgerclient.NewVerifier(ledgerclient.Origin(id), public)
	s.must(err)
	raw, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", ledgerclient.Origin(id), size, tlog.Hash(root))}, plainSigner{v, s.key},
		ledgerclient.TimeSigner{TimeVerifier: ledgerclient.NewTimeVerifier(ledgerclient.TimeName(id), public), Key: s.key, Time: at})
	s.must(err)
	return raw
}

// own is what Server.head does.
func (s *signing) own(ctx context.Context) ([]byte, error) {
	now := s.now()
	if now.Before(s.lastAt) {
		now = s.lastAt
	}
	size := uint64(s.size)
	if s.last != nil && s.c.passed[len(s.c.passed)-1].size == size && now.Sub(s.lastAt) < node.CosignEvery {
		return s.last, nil
	}
	raw, err := s.CheckpointOf(ctx, size, now)
	if err == nil {
		err = s.c.keep(ctx, raw, now)
	}
	if err != nil {
		return nil, err
	}
	s.last, s.lastAt = raw, now
	return raw, nil
}

// follows reads the order and signs what is there.
func (s *signing) follows() {
	s.must(s.c.follow(ctx))
	s.step()
}

// step is what run does again and again.
func (s *signing) step() {
	now := s.now()
	chase := !now.Before(s.pause)
	if pause := s.c.step(s.ctx, chase); pause > 0 && chase {
		s.pause = now.Add(pause)
	}
}

// drained reports whether there was something in a channel.
func drained(wake chan struct{}) bool {
	select {
	case <-wake:
		return true
	default:
		return false
	}
}

// settle lets all do what there is for them to do.
func (n *network) settle() {
	for busy := true; busy; {
		busy = n.round()
	}
}

// round lets each do what there is for it to do, once and in any order.
func (n *network) round() (busy bool) {
	var do []func()
	for _, s := range n.nodes {
		if drained(s.c.wake) {
			do = append(do, s.step)
		}
		for _, p := range s.c.peers {
			if drained(p.wake) {
				do = append(do, func() { s.c.show(s.ctx, p) })
			}
		}
	}
	n.rng.Shuffle(len(do), func(i, j int) { do[i], do[j] = do[j], do[i] })
	for _, f := range do {
		f()
	}
	return len(do) > 0
}

// agreed returns the head that enough nodes have signed, as a node shows it: it is verified
// as a wallet does, and against the order. Its size is 0 if there is none.
func (s *signing) agreed() ledgerclient.Head {
	s.t.Helper()
	joint := s.c.signed()
	if joint.Size == 0 {
		return joint
	}
	o, err := ledgerclient.OpenNote(s.id, s.config.Nodes, joint.Note)
	s.must(err)
	head, err := o.Under(s.config)
	s.must(err)
	if head.Size != joint.Size || head.Root != s.order.root(head.Size) {
		s.t.Errorf("node %d shows a head of %d entries that is none of the order's", s.number, head.Size)
	}
	return head
}

// sound checks of all that the nodes have ever told that nobody signed a smaller head with a
// later time than a larger one.
func (n *network) sound(honest ...*signing) {
	n.t.Helper()
	for _, s := range honest {
		var latest time.Time
		of := uint64(0)
		for _, size := range slices.Sorted(maps.Keys(s.told)) {
			times := s.told[size]
			if first := slices.MinFunc(times, time.Time.Compare); first.Before(latest) {
				n.t.Errorf("node %d signed %d entries as of %v and fewer, %d, as of %v", s.number, size, first, of, latest)
			}
			latest, of = slices.MaxFunc(append(times, latest), time.Time.Compare), size
		}
	}
}

// What is ordered is under the signatures of enough nodes, at each of them, once each has
// read it; as of when is what enough of them say.
func TestNodesSignTogether(t *testing.T) {
	for _, size := range []struct{ nodes, threshold int }{{2, 2}, {3, 3}, {4, 3}, {7, 5}} {
		n := newNetwork(t, size.nodes, size.threshold)
		for _, s := range n.nodes {
			s.follows()
		}
		n.settle()
		for range 3 {
			n.grow(1)
			n.nodes[n.rng.IntN(size.nodes)].follows() // the others learn of it
			n.settle()
			for _, s := range n.nodes {
				if h := s.agreed(); h.Size != uint64(n.order.size()) || !h.Time.Equal(n.clock.now()) {
					t.Errorf("%d nodes: %d shows %d of %d entries, as of %v", size.nodes, s.number, h.Size, n.order.size(), h.Time)
				}
			}
			n.clock.pass(time.Second)
		}
		// Where nothing comes, it is signed again all the same.
		n.clock.pass(node.CosignEvery)
		for _, s := range n.nodes {
			s.step()
		}
		n.settle()
		for _, s := range n.nodes {
			if h := s.agreed(); !h.Time.Equal(n.clock.now()) {
				t.Errorf("%d nodes: %d shows a head as of %v at %v", size.nodes, s.number, h.Time, n.clock.now())
			}
		}
		n.sound(n.nodes...)
	}
}

// Threat: entries come faster than the nodes hear of each other, and none is ever at the size
// at which another one is. What enough have signed stays near to what is ordered.
func TestNodesSignUnderLoad(t *testing.T) {
	n := newNetwork(t, 4, 3)
	for i, s := range n.nodes {
		if i > 0 { // each sees another part of the newest
			s.lags = func() int { return min(n.rng.IntN(8), n.order.size()-1) }
		}
	}
	worst := map[int]int{}
	rounds := lane.Pick(400, 80, 40)
	for round := range rounds {
		n.grow(1 + n.rng.IntN(3))
		n.clock.pass(70 * time.Millisecond)
		for _, s := range n.nodes {
			if n.rng.IntN(3) > 0 {
				s.follows()
			}
		}
		n.round() // whoever hears of something now may answer in the next round only
		if round > 20 {
			for _, s := range n.nodes {
				worst[s.number] = max(worst[s.number], n.order.size()-int(s.agreed().Size))
			}
		}
	}
	for number, behind := range worst {
		if behind > 40 {
			t.Errorf("node %d showed a head that was %d entries behind the order", number, behind)
		}
	}
	if len(worst) != 4 {
		t.Errorf("nothing was measured: %v", worst)
	}
	n.sound(n.nodes...)
	t.Logf("entries behind: %v", worst)
}

// Threat: one of four nodes does what it can. The others go on, none of them shows anything
// that is not in the order, and who lies in what can be shown is named.
func TestOneEvilNode(t *testing.T) {
	for name, evil := range map[string]func(e *signing) func(note []byte) ([]byte, error){
		"mute": func(*signing) func([]byte) ([]byte, error) {
			return func([]byte) ([]byte, error) { return nil, errMute }
		},
		"stale": func(e *signing) func([]byte) ([]byte, error) {
			old := e.signed(e.id, 1, e.order.root(1), e.clock.now().Add(time.Hour))
			return func([]byte) ([]byte, error) { return old, nil }
		},
		"rubbish": func(e *signing) func([]byte) ([]byte, error) {
			return func([]byte) ([]byte, error) { return make([]byte, 16<<10), nil }
		},
		"endless": func(e *signing) func([]byte) ([]byte, error) { // each answer is of a larger log, of some far future
			size := uint64(1 << 60)
			return func([]byte) ([]byte, error) {
				size++
				return e.signed(e.id, size, crypto.Hash{byte(size)}, e.clock.now().Add(1000*time.Hour)), nil
			}
		},
		"forked": func(e *signing) func([]byte) ([]byte, error) {
			return func(raw []byte) ([]byte, error) {
				h, err := ledgerclient.Unverified(raw)
				return e.signed(e.id, h.Size, crypto.Hash{1}, e.clock.now()), err
			}
		},
		"behind for ever": func(e *signing) func([]byte) ([]byte, error) {
			return func(raw []byte) ([]byte, error) {
				h, err := ledgerclient.Unverified(raw)
				return nil, errors.Join(err, &ledgerclient.RangeError{From: h.Size, To: h.Size, Size: 1 << 60})
			}
		},
		"a mirror": func(e *signing) func([]byte) ([]byte, error) {
			return func(raw []byte) ([]byte, error) { return raw, nil }
		},
		"another ledger": func(e *signing) func([]byte) ([]byte, error) {
			return func(raw []byte) ([]byte, error) {
				h, err := ledgerclient.Unverified(raw)
				return e.signed(crypto.LedgerID{1}, h.Size, h.Root, e.clock.now()), err
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t, 4, 3)
			e, honest := n.nodes[2], slices.Delete(slices.Clone(n.nodes), 2, 3)
			e.lies = evil(e)
			reads := 0
			for _, s := range honest {
				follow := s.c.follow
				s.c.follow = func(ctx context.Context) error { reads++; return follow(ctx) }
			}
			rounds := lane.Pick(300, 6, 3)
			for range rounds {
				n.grow(1)
				n.clock.pass(time.Second)
				for _, s := range honest {
					s.follows()
				}
				// It pushes what it has to whoever takes it.
				if raw, err := e.lies(honest[0].last); err == nil {
					for _, s := range honest {
						s.c.take(ctx, raw)
					}
				}
				for _, s := range honest {
					for k := 0; k < 10 && n.round(); k++ {
					}
					if h := s.agreed(); h.Size != uint64(n.order.size()) || !h.Time.Equal(n.clock.now()) {
						t.Fatalf("node %d shows %d of %d entries, as of %v", s.number, h.Size, n.order.size(), h.Time)
					}
				}
			}
			n.sound(honest...)
			if reads > rounds*3*8+3*maxFruitless {
				t.Errorf("the order was read %d times", reads)
			}
			for _, s := range honest {
				if s.c.others[2].forked != (name == "forked") {
					t.Errorf("node %d says of it that it signed another history: %v", s.number, s.c.others[2].forked)
				}
				for _, o := range s.c.others[:2] {
					if o.forked {
						t.Error("an honest node is accused")
					}
				}
			}
		})
	}
}

// Threat: a node signs another history only ahead of the others, who cannot judge that yet.
// They say so when they can, it is under nothing that they show, and what it signs of theirs
// counts.
func TestForkAhead(t *testing.T) {
	n := newNetwork(t, 3, 3)
	s, e := n.nodes[0], n.nodes[2]
	for _, s := range n.nodes {
		s.follows()
	}
	n.settle()
	s.c.take(ctx, e.signed(n.id, 3, crypto.Hash{1}, n.clock.now()))
	if s.c.others[2].forked {
		t.Fatal("it cannot know that")
	}
	n.grow(2)
	s.follows()
	if o := s.c.others[2]; !o.forked || o.newestSize() != 1 {
		t.Errorf("forked: %v, and it has shown %d entries", o.forked, o.newestSize())
	}
	n.settle()
	for _, s := range n.nodes {
		if h := s.agreed(); h.Size != 3 {
			t.Errorf("node %d shows %d entries", s.number, h.Size)
		}
	}
	n.sound(n.nodes...)
}

// Of each node, and of what it signed itself, a node remembers the largest heads, and no more
// of them than it needs.
func TestHeadsRemembered(t *testing.T) {
	n := newNetwork(t, 2, 2)
	s, o := n.nodes[0], &other{}
	for size := range uint64(3 * maxHeads) {
		h := shownHead{}
		h.Head.Size = 3*maxHeads - size
		if added, twofold := o.take(h); added != (size < maxHeads) || twofold {
			t.Fatalf("head %d: %v, %v", size, added, twofold)
		}
	}
	if len(o.heads) != maxHeads || o.newestSize() != 3*maxHeads {
		t.Errorf("%d heads, the largest of %d", len(o.heads), o.newestSize())
	}
	many := newNetwork(t, 16, 16)
	for _, s := range many.nodes {
		s.follows()
	}
	many.settle()
	joint := many.nodes[1].agreed()
	first := many.nodes[0]
	first.must(first.start())
	first.follows()
	if _, err := first.c.take(ctx, joint.Note); err != nil || first.agreed().Size != joint.Size {
		t.Errorf("%d entries, %v", first.agreed().Size, err)
	}
	if note := first.c.others[1].heads[0].Head.Note; bytes.Count(note, []byte("\n— ")) != 2 {
		t.Errorf("of one node it remembers %s", note)
	}
	for range maxHeads + 9 {
		n.grow(1)
		s.must(s.c.follow(ctx))
		_, err := s.own(ctx)
		s.must(err)
	}
	if len(s.c.passed) != maxHeads || s.c.mySize() != uint64(n.order.size()) {
		t.Errorf("%d heads of its own, the last of %d", len(s.c.passed), s.c.mySize())
	}
}

// Where too few sign, nothing is shown as signed that is not, and what was goes on being
// shown; nobody is waited for who is not there. It goes on when they are back.
func TestTooFewNodes(t *testing.T) {
	n := newNetwork(t, 4, 3)
	for _, s := range n.nodes {
		s.follows()
	}
	n.settle()
	for _, s := range n.nodes[2:] {
		s.lies = func([]byte) ([]byte, error) { return nil, errMute }
	}
	n.grow(1)
	n.clock.pass(2 * MissingAfter)
	for _, s := range n.nodes[:2] {
		s.follows()
	}
	n.settle()
	for _, s := range n.nodes[:2] {
		if h := s.agreed(); h.Size != 1 {
			t.Errorf("node %d shows %d entries", s.number, h.Size)
		}
		s.c.patience = time.Hour
		if s.c.wait(ctx, 2) {
			t.Error("two of four were enough")
		}
	}
	for _, s := range n.nodes[2:] {
		s.lies = nil
		s.follows()
	}
	n.settle()
	for _, s := range n.nodes {
		if h := s.agreed(); h.Size != 2 || !s.c.wait(ctx, 2) {
			t.Errorf("node %d shows %d entries", s.number, h.Size)
		}
	}
}

// What a node has signed it does not unsay after a restart, whatever its log is then.
func TestSignedIsKept(t *testing.T) {
	n := newNetwork(t, 4, 3)
	s := n.nodes[0]
	n.grow(9)
	s.follows()
	n.settle()
	damaged := func(what, wrong string) {
		t.Helper()
		_, err := s.own(ctx)
		d, ok := errors.AsType[*folder.DamagedError](err)
		if !ok || d.What != wrong || s.c.newest != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	s.size = 4 // a backup that was put back
	s.must(s.start0())
	damaged("an older log", "older than one that was signed")
	var log lockedBuffer
	s.c.say = slog.New(slog.NewTextHandler(&log, nil))
	for range 9 { // as often as others like
		s.step()
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "older than one that was signed") {
		t.Errorf("what is wrong is said so: %s", text)
	}
	s.size, s.log = 10, &history{}
	for i := range 11 {
		s.log.add(fmt.Sprint("another leaf ", i))
	}
	damaged("another log", "of another history than one that was signed")
	s.size = 11
	damaged("another log, and longer", "of another history than one that was signed")
	s.size, s.log = 10, n.order
	n.clock.pass(time.Second)
	if _, err := s.own(ctx); err != nil {
		t.Error(err)
	}
	if _, err := s.c.mine(ctx, 4); err == nil {
		t.Error("what it signed before the start is signed anew, at another time")
	}
	n.settle()
	n.sound(n.nodes...)

	path := filepath.Join(s.dir, "signed")
	raw, err := os.ReadFile(path)
	s.must(err)
	for what, b := range map[string][]byte{
		"empty": {}, "cut": raw[:len(raw)-9], "of another size": []byte(strings.Replace(string(raw), "\n10\n", "\n11\n", 1)),
		"of another node": n.nodes[1].signed(n.id, 10, n.order.root(10), n.clock.now()),
	} {
		s.must(os.WriteFile(path, b, 0o600))
		if err := s.start(); err == nil {
			t.Errorf("a file that is %s is taken", what)
		}
	}
}

// Threat: a node goes on from a backup, which cannot say what it signed afterwards, and the
// order that it sees is as old. It signs nothing before enough of the others have shown it
// what they signed, also if one of them lies, and nothing smaller than that.
func TestPutBack(t *testing.T) {
	n := newNetwork(t, 4, 3)
	s := n.nodes[0]
	n.grow(9)
	for _, s := range n.nodes {
		s.follows()
	}
	n.settle()
	if s.agreed().Size != 10 {
		t.Fatal("they have not signed together")
	}
	s.must(os.Remove(filepath.Join(s.dir, "signed")))
	s.putBack, s.size, s.lags = true, 4, func() int { return 6 }
	for _, of := range n.nodes[1:] {
		of.lies = func([]byte) ([]byte, error) { return nil, errMute }
	}
	s.must(s.start())
	need := 3
	unsure := func(heard int) {
		t.Helper()
		n.settle()
		_, err := s.own(ctx)
		if e, ok := fault.As(err, ErrUnsure); !ok || fault.Get[int](e, "heard") != heard || fault.Get[int](e, "need") != need || s.c.newest != nil {
			t.Errorf("heard from %d: %v", heard, err)
		}
		if _, err := os.Stat(filepath.Join(s.dir, "signed")); err == nil {
			t.Error("it is taken down as signed")
		}
	}
	unsure(0)
	for i, of := range n.nodes[1:] {
		of.lies = nil
		n.clock.pass(node.CosignEvery)
		for _, other := range n.nodes[1:] {
			other.step() // signs anew, as it does when nothing is ordered
		}
		unsure(i + 1)
	}
	s.lags = nil // now it reads the order
	n.clock.pass(node.CosignEvery)
	s.step()
	n.settle()
	if s.agreed().Size != 10 || s.c.mySize() != 10 {
		t.Errorf("%d of 10 under the signatures of enough", s.agreed().Size)
	}
	n.sound(n.nodes...)
	s.putBack = false
	s.must(s.start())
	if s.c.most.Size != 10 {
		t.Error("it does not know what it signed")
	}

	// One of the others is gone for good, and the operator says so: the two that are left are
	// enough, and nothing smaller than what they show is signed.
	s.must(os.Remove(filepath.Join(s.dir, "signed")))
	s.putBack, s.size, s.lags, need = true, 4, func() int { return 6 }, 2
	n.nodes[1].lies = func([]byte) ([]byte, error) { return nil, errMute }
	s.must(s.start())
	s.c.gone = 1
	n.clock.pass(node.CosignEvery)
	for _, other := range n.nodes[2:] {
		other.step()
	}
	unsure(2)
	s.lags = nil
	n.clock.pass(node.CosignEvery)
	s.step()
	n.settle()
	if s.agreed().Size != 10 || s.c.mySize() != 10 {
		t.Errorf("without the one that is gone: %d of 10 under the signatures of enough", s.agreed().Size)
	}
	n.sound(n.nodes...)
}

// A node whose clock was put back while it was not running signs nothing larger with an
// earlier time than it signed before.
func TestClockPutBack(t *testing.T) {
	n := newNetwork(t, 3, 3)
	for range 2 { // the second time only the time is new
		for _, s := range n.nodes {
			s.follows()
		}
		n.settle()
		n.clock.pass(10 * time.Minute)
	}
	n.clock.pass(-15 * time.Minute)
	n.grow(1)
	for _, s := range n.nodes {
		s.must(s.start())
		s.follows()
	}
	n.settle()
	for _, s := range n.nodes {
		if h := s.agreed(); h.Size != 2 {
			t.Errorf("node %d shows %d entries", s.number, h.Size)
		}
	}
	n.sound(n.nodes...)
}

// A head that a node did not stop at is signed as of when it signed less last: with the time
// of the next larger one, which is signed anew, it would have a later time than that one had.
func TestPassedOver(t *testing.T) {
	n := newNetwork(t, 3, 3)
	s := n.nodes[0]
	s.follows()
	before := s.clock.now()
	n.grow(4)
	for range 2 { // the second time only the time is new
		n.clock.pass(node.CosignEvery)
		s.follows()
	}
	for size, want := range map[uint64]time.Time{1: before, 3: before, 5: s.clock.now()} {
		raw, err := s.c.mine(ctx, size)
		s.must(err)
		o, err := ledgerclient.OpenNote(s.id, s.config.Nodes, raw)
		s.must(err)
		if at := o.By[0].Time; o.Head.Size != size || !at.Equal(want) {
			t.Errorf("%d entries as of %v, not %v", size, at, want)
		}
	}
}

// start0 is start without a look at the order.
func (s *signing) start0() error {
	lags := s.lags
	defer func() { s.lags = lags }()
	s.lags = func() int { return s.log.size() }
	return s.start()
}

// A signature does not leave before it is taken down.
func TestSignedBeforeShown(t *testing.T) {
	n := newNetwork(t, 3, 3)
	s := n.nodes[0]
	s.follows()
	n.grow(1)
	s.must(os.Mkdir(filepath.Join(s.dir, "signed.new"), 0o700)) // it cannot be written
	s.must(s.c.follow(ctx))
	if raw, err := s.own(ctx); err == nil {
		t.Errorf("signed without that: %s", raw)
	}
	if at := s.c.mySize(); at != 1 {
		t.Errorf("others are shown %d entries", at)
	}
	s.must(os.Remove(filepath.Join(s.dir, "signed.new")))
	if _, err := s.own(ctx); err != nil || s.c.mySize() != 2 {
		t.Errorf("%v", err)
	}
}

// A keeper judges under the lock of its folder, for which who signs waits: what it asks then
// is answered at once.
func TestSureWaitsForNobody(t *testing.T) {
	n := newNetwork(t, 3, 3)
	read := 0
	for _, s := range n.nodes {
		s.reads = func() {
			read++
			answered := make(chan uint64)
			go func() { answered <- s.c.sure() }()
			select {
			case <-answered:
			case <-time.After(time.Minute):
				t.Fatal("no answer while the log is read")
			}
		}
		s.follows()
	}
	n.settle()
	if s := n.nodes[0]; s.c.sure() != 1 || read == 0 {
		t.Errorf("%d leaves are sure, the log was read %d times", s.c.sure(), read)
	}
}

// deaf is a peer that gives no answer at first.
type deaf struct {
	asked int
	heard chan struct{}
}

func (d *deaf) Signed(context.Context) ([]byte, error) { return nil, errMute }

func (d *deaf) Cosign(context.Context, []byte) ([]byte, error) {
	if d.asked++; d.asked == 1 {
		return nil, errMute
	}
	close(d.heard)
	return nil, &ledgerclient.RangeError{}
}

// A peer that gave no answer is shown the same again with nothing that would be an occasion.
func TestPeerIsAskedAgain(t *testing.T) {
	s := newNetwork(t, 3, 3).nodes[0]
	s.follows()
	run, cancel := context.WithCancel(ctx)
	d := &deaf{heard: make(chan struct{})}
	p := &peer{Peer: d, wake: make(chan struct{}, 1)}
	awake(p.wake)
	var ended sync.WaitGroup
	ended.Go(func() { s.c.showing(run, p) })
	select {
	case <-d.heard:
	case <-time.After(2 * time.Minute):
		t.Error("it is not")
	}
	cancel()
	ended.Wait()
}

// The order is read again for who is ahead until it has more, whatever the clock says.
func TestOrderIsReadAgain(t *testing.T) {
	n := newNetwork(t, 3, 3)
	s := n.nodes[0]
	s.c.peers = nil
	reads, there := 0, make(chan struct{})
	s.c.follow = func(context.Context) error {
		if reads++; reads == 3 {
			n.grow(1)
			s.size = n.order.size()
		}
		return nil
	}
	own := s.c.own
	s.c.own = func(ctx context.Context) ([]byte, error) {
		raw, err := own(ctx)
		if s.size == 2 && err == nil {
			close(there)
			s.c.own = own
		}
		return raw, err
	}
	if _, err := s.c.take(ctx, n.nodes[1].signed(n.id, 2, crypto.Hash{1}, n.clock.now())); err == nil {
		t.Fatal("it has signed what it does not have")
	}
	run, cancel := context.WithCancel(ctx)
	var ended sync.WaitGroup
	s.c.run(run, &ended)
	select {
	case <-there:
	case <-time.After(2 * time.Minute):
		t.Error("it is not")
	}
	cancel()
	ended.Wait()
}

// Nodes that begin anew in the middle of a load lose nothing that was signed, and sign on.
func TestRestartsUnderLoad(t *testing.T) {
	n := newNetwork(t, 4, 3)
	seen := map[int]uint64{}
	for range lane.Pick(300, 60, 30) {
		n.grow(1 + n.rng.IntN(2))
		n.clock.pass(200 * time.Millisecond)
		s := n.nodes[n.rng.IntN(4)]
		s.follows()
		n.round()
		for _, s := range n.nodes {
			size := s.agreed().Size
			if size < seen[s.number] && size > 0 {
				t.Fatalf("node %d showed %d entries, and now %d", s.number, seen[s.number], size)
			}
			seen[s.number] = max(size, seen[s.number])
		}
		if n.rng.IntN(10) == 0 {
			s.must(s.start())
		}
	}
	n.clock.pass(goalTime + time.Second)
	for _, s := range n.nodes {
		s.follows()
	}
	n.settle()
	for _, s := range n.nodes {
		if h := s.agreed(); h.Size != uint64(n.order.size()) {
			t.Errorf("node %d shows %d of %d entries", s.number, h.Size, n.order.size())
		}
	}
	n.sound(n.nodes...)
}
