package ledgerclient_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/ledgertest"
)

var ctx = context.Background()

// at is some moment, in minutes.
func at(minute int) time.Time { return time.Date(2026, 11, 29, 12, minute, 0, 0, time.UTC) }

// signedAt is one node's signature under the newest head of a network.
func signedAt(n *ledgertest.Network, i int, when time.Time) []byte {
	return n.Members[i].Sign(n.Text(uint64(len(n.Shown))), when)
}

// lines are the signature lines of notes, put under the text of the first.
func lines(notes ...[]byte) []byte {
	text, _, _ := bytes.Cut(notes[0], []byte("\n\n"))
	out := append(bytes.Clone(text), "\n\n"...)
	for _, n := range notes {
		_, sigs, _ := bytes.Cut(n, []byte("\n\n"))
		out = append(out, sigs...)
	}
	return out
}

// plainOnly and timedOnly are the lines of one kind.
func plainOnly(msg []byte) []byte { return only(msg, false) }
func timedOnly(msg []byte) []byte { return only(msg, true) }

func only(msg []byte, timed bool) []byte {
	text, sigs, _ := strings.Cut(string(msg), "\n\n")
	out := text + "\n\n"
	for line := range strings.Lines(sigs) {
		if strings.Contains(line, "/time ") == timed {
			out += line
		}
	}
	return []byte(out)
}

// stranger is a line of a key that nobody asked about; the whole line has that many bytes.
func stranger(name string, length int) string {
	for (length-len("— "+name+" \n"))%4 != 0 {
		name += "w"
	}
	front := "— " + name + " "
	room := length - len(front) - 1
	return front + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, room/4*3)) + "\n"
}

// A head is one if as many nodes of the newest configuration as its threshold signed it,
// each counted once; everything else is the fault of who shows it, named as that.
func TestHeadTakesThresholdSignatures(t *testing.T) {
	nodes := ledgertest.Institutions("threshold", 5)
	n := ledgertest.NewNetwork(4, nodes...)
	n.Grow(3)
	outsider := ledgertest.NewInstitution("outsider")
	text := n.Text(4)
	one := func(i int) []byte { return signedAt(n, i, at(i)) }
	three := lines(one(0), one(1), one(2))
	spoilt := n.Members[3].Sign(n.Text(3), at(0))
	for name, tt := range map[string]struct {
		note []byte
		have int // 0: another error than of too few
		ok   bool
	}{
		"all":                               {lines(one(0), one(1), one(2), one(3), one(4)), 5, true},
		"enough":                            {lines(one(1), one(2), one(3), one(4)), 4, true},
		"enough, in another order":          {lines(one(4), one(0), one(3), one(1)), 4, true},
		"enough, without times":             {plainOnly(lines(one(0), one(1), one(2), one(3))), 4, true},
		"enough, and a stranger":            {lines(outsider.Sign(text, at(0)), three, one(3)), 4, true},
		"one too few":                       {three, 3, false},
		"one alone":                         {one(0), 1, false},
		"a node twice":                      {lines(three, one(2)), 3, false},
		"a node at several times":           {lines(three, signedAt(n, 2, at(7)), signedAt(n, 2, at(8))), 3, false},
		"the fourth signed its time alone":  {lines(three, timedOnly(one(3))), 3, false},
		"a stranger for the fourth":         {lines(three, outsider.Sign(text, at(0))), 3, false},
		"nobody":                            {outsider.Sign(text, at(0)), 0, false},
		"times alone":                       {timedOnly(lines(three, one(3), one(4))), 0, false},
		"one that is of another head":       {lines(three, one(4), spoilt), 0, false},
		"as long as a note may be":          {append(lines(three, one(3)), stranger("w", ledgerclient.MaxNote-len(lines(three, one(3))))...), 4, true},
		"a byte longer than a note may be":  {append(lines(three, one(3)), stranger("ww", 1+ledgerclient.MaxNote-len(lines(three, one(3))))...), 0, false},
		"more lines than a note may have":   {append(lines(three, one(3)), strings.Repeat(stranger("w", 20), 93)...), 0, false},
		"a head of another ledger":          {bytes.ReplaceAll(lines(three, one(3)), []byte(n.ID().String()), []byte(strings.Repeat("0", 64))), 0, false},
		"a head of no entries":              {n.Members[0].Sign(strings.Replace(text, "\n4\n", "\n0\n", 1), at(0)), 0, false},
		"a line that is none":               {append(lines(three, one(3)), "x\n"...), 0, false},
		"a line of a node that is cut":      {append(lines(three, one(3)), strings.TrimSuffix(string(one(4)[len(text)+1:]), "=\n")...), 0, false},
		"the node's line under a short key": {lines(three, bytes.ReplaceAll(one(3), []byte(" "), []byte("  "))), 0, false},
	} {
		if strings.HasPrefix(name, "as long") && len(tt.note) != ledgerclient.MaxNote || strings.HasPrefix(name, "a byte") && len(tt.note) != ledgerclient.MaxNote+1 {
			t.Errorf("%s: it has %d bytes", name, len(tt.note))
		}
		c := connect(t, n)
		n.Head = tt.note
		head, err := c.Head(ctx)
		few, isFew := fault.As(err, ledgerclient.ErrTooFew)
		var tampered *ledgerclient.TamperedError
		switch {
		case tt.ok:
			if err != nil || head.Size != 4 {
				t.Errorf("%s: %v", name, err)
			}
			if strings.Contains(string(head.Note), "outsider") || bytes.Contains(head.Note, []byte("— w")) {
				t.Errorf("%s: what travels has the lines of others: %s", name, head.Note)
			}
			if again, err := c.ReadHead(head.Note); err != nil || again.Root != head.Root || !again.Time.Equal(head.Time) {
				t.Errorf("%s: read again: %v", name, err)
			}
		case tt.have > 0:
			if !isFew || few.Value("have") != tt.have || few.Value("need") != 4 {
				t.Errorf("%s: %v, want %d of 4", name, err, tt.have)
			}
			if _, err := c.ReadHead(tt.note); !errors.Is(err, ledgerclient.ErrTooFew) {
				t.Errorf("%s, by another way: %v", name, err)
			}
		case isFew || !errors.As(err, &tampered):
			t.Errorf("%s: %v", name, err)
		}
	}
}

// connect meets the ledger of a network.
func connect(t testing.TB, n *ledgertest.Network) *ledgerclient.Client {
	t.Helper()
	c, err := ledgerclient.Connect(ctx, n.Services(), n.ID())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A fork that too few nodes signed is no fork: who shows it is passed over, and whoever has
// the head that enough signed is believed as before.
func TestTooFewSignaturesStopNobody(t *testing.T) {
	nodes := ledgertest.Institutions("few", 4)
	n := ledgertest.NewNetwork(3, nodes...)
	n.Grow(5)
	c := connect(t, n)
	pin, _, err := c.Advance(ctx, ledgerclient.Pin{}, ledgerclient.Pin{}, ignore)
	if err != nil {
		t.Fatal(err)
	}
	fork := ledgertest.NewNetwork(3, nodes...)
	fork.Grow(4)
	fork.Shown[2].Hour++
	fork.Grow(3)
	n.Head = fork.Note(8, nodes[2], nodes[3])
	var forked *ledgerclient.ForkError
	if _, _, err := c.Advance(ctx, pin, ledgerclient.Pin{}, ignore); !errors.Is(err, ledgerclient.ErrTooFew) || errors.As(err, &forked) {
		t.Errorf("a fork of two of four: %v", err)
	}
	n.Head = nil
	n.Grow(1)
	if next, _, err := c.Advance(ctx, pin, ledgerclient.Pin{}, ignore); err != nil || next.Size != pin.Size+1 {
		t.Errorf("the others' head: %v", err)
	}
	// With enough it is one, and says who signed both.
	evil := connect(t, fork)
	fork.Head = fork.Note(8, nodes[1], nodes[2], nodes[3])
	n.Head = n.Note(7, nodes[0], nodes[1], nodes[2])
	if pin, _, err = c.Advance(ctx, pin, ledgerclient.Pin{}, ignore); err != nil {
		t.Fatal(err)
	}
	_, _, err = evil.Advance(ctx, pin, ledgerclient.Pin{}, ignore)
	if !errors.As(err, &forked) || forked.Evidence == nil {
		t.Fatalf("a fork of three of four: %v", err)
	}
	again, err := ledgerclient.ParseEvidence(forked.Evidence.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	found, err := again.Check()
	if err != nil || !slices.Equal(found.Both, []ledgerclient.Key{nodes[1].Node().Checkpoint, nodes[2].Node().Checkpoint}) {
		t.Errorf("signed both: %v, %v", found.Both, err)
	}
}

// The time of a head is the t-th newest: whatever fewer than t nodes say, it is not later
// than what some honest one said; and those that are missing or late make it no older than
// what t of the others say.
func TestTimeIsTheThresholdsNewest(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 1))
	for round := range 60 {
		n := 1 + rng.IntN(7)
		threshold := 2*n/3 + 1
		net := ledgertest.NewNetwork(threshold, ledgertest.Institutions(fmt.Sprint("time ", round), n)...)
		signing := threshold + rng.IntN(n-threshold+1)
		var notes [][]byte
		var times []time.Time // of those that signed, as they say
		for _, i := range rng.Perm(n)[:signing] {
			when := at(rng.IntN(30))
			if rng.IntN(8) == 0 {
				when = time.Time{}
			}
			times = append(times, when)
			notes = append(notes, signedAt(net, i, when))
		}
		s, err := ledgerclient.OpenNote(net.ID(), net.Config().Nodes, lines(notes...))
		if err != nil {
			t.Fatal(err)
		}
		head, err := s.Under(net.Config())
		if err != nil {
			t.Fatal(err)
		}
		asLate := 0
		for _, said := range times {
			if !said.Before(head.Time) {
				asLate++
			}
		}
		later := 0
		for _, said := range times {
			if said.After(head.Time) {
				later++
			}
		}
		if asLate < threshold || later >= threshold {
			t.Errorf("%d of %d: %v of %v", threshold, n, head.Time, times)
		}
	}
	// Fewer than t liars, a year ahead.
	net := ledgertest.NewNetwork(5, ledgertest.Institutions("liars", 7)...)
	for liars := range 5 {
		var notes [][]byte
		for i := range 7 {
			when := at(i)
			if i < liars {
				when = at(i).AddDate(1, 0, 0)
			}
			notes = append(notes, signedAt(net, i, when))
		}
		s, err := ledgerclient.OpenNote(net.ID(), net.Config().Nodes, lines(notes...))
		if err != nil {
			t.Fatal(err)
		}
		if head, err := s.Under(net.Config()); err != nil || head.Time.After(at(6)) || head.Time.Before(at(2)) {
			t.Errorf("%d liars: %v, %v", liars, head.Time, err)
		}
	}
}

// A head whose t-th newest time is old is stale, however new that of one node is.
func TestOneFreshTimeIsNotEnough(t *testing.T) {
	n := ledgertest.NewNetwork(3, ledgertest.Institutions("fresh", 4)...)
	n.Now, n.Fresh = func() time.Time { return at(30) }, 10*time.Minute
	c := connect(t, n)
	for name, tt := range map[string]struct {
		minutes [4]int
		want    error
	}{
		"three of now":           {[4]int{30, 29, 31, 1}, nil},
		"two of now":             {[4]int{30, 30, 5, 1}, ledgerclient.ErrStale},
		"one of the future":      {[4]int{59, 28, 29, 30}, nil},
		"three of the future":    {[4]int{59, 59, 58, 30}, ledgerclient.ErrStale},
		"two of the future":      {[4]int{59, 59, 30, 29}, nil},
		"two of the future, old": {[4]int{59, 59, 3, 2}, ledgerclient.ErrStale},
	} {
		var notes [][]byte
		for i, m := range tt.minutes {
			notes = append(notes, signedAt(n, i, at(m)))
		}
		n.Head = lines(notes...)
		if _, err := c.Head(ctx); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Two have given a time, and three must.
	n.Head = lines(signedAt(n, 0, at(30)), signedAt(n, 1, at(30)), signedAt(n, 2, time.Time{}), signedAt(n, 3, time.Time{}))
	if _, err := c.Head(ctx); err == nil {
		t.Error("a head with the times of two")
	}
}

// However the signatures of one head are spread over notes, joined they are one note with
// each node's newest, in the order of the document; and what is joined already changes no
// more.
func TestJoinNotes(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 2))
	n := ledgertest.NewNetwork(5, ledgertest.Institutions("join", 6)...)
	n.Grow(2)
	nodes := n.Config().Nodes
	witness := ledgertest.NewInstitution("witness").Sign(n.Text(3), time.Time{})
	for range 40 {
		newest := make([]time.Time, len(nodes))
		var notes [][]byte
		for range 2 + rng.IntN(6) {
			var some [][]byte
			for _, i := range rng.Perm(len(nodes))[:1+rng.IntN(len(nodes))] {
				when := at(rng.IntN(50))
				if when.After(newest[i]) {
					newest[i] = when
				}
				some = append(some, signedAt(n, i, when))
			}
			notes = append(notes, lines(some...))
		}
		joined, err := ledgerclient.JoinNotes(n.ID(), nodes, notes[0], notes[1:]...)
		if err != nil {
			t.Fatal(err)
		}
		s, err := ledgerclient.OpenNote(n.ID(), nodes, joined)
		if err != nil {
			t.Fatal(err)
		}
		for i, by := range s.By {
			if by.Plain != !newest[i].IsZero() || !by.Time.Equal(newest[i]) {
				t.Fatalf("node %d: %+v, want %v", i, by, newest[i])
			}
		}
		rng.Shuffle(len(notes), func(i, j int) { notes[i], notes[j] = notes[j], notes[i] })
		other, err := ledgerclient.JoinNotes(n.ID(), nodes, notes[0], notes[1:]...)
		if err != nil || !bytes.Equal(other, joined) {
			t.Fatalf("in another order: %v\n%s\n%s", err, joined, other)
		}
		again, err := ledgerclient.JoinNotes(n.ID(), nodes, joined, append(notes, joined)...)
		if err != nil || !bytes.Equal(again, joined) {
			t.Fatalf("once more: %v\n%s", err, again)
		}
		with, err := ledgerclient.JoinNotes(n.ID(), nodes, witness, joined, witness)
		if err != nil || !bytes.Equal(with, lines(joined, witness)) {
			t.Fatalf("with a witness: %v\n%s", err, with)
		}
	}
}

// What one node put under a checkpoint is a note of its own, and joined with those of the
// others it is what all of them signed.
func TestOfOneNode(t *testing.T) {
	n := ledgertest.NewNetwork(3, ledgertest.Institutions("one", 4)...)
	nodes := n.Config().Nodes
	all, err := ledgerclient.OpenNote(n.ID(), nodes, append(n.Note(1, n.Members...), stranger("w", 100)...))
	if err != nil {
		t.Fatal(err)
	}
	var each []ledgerclient.Signatures
	for i := range nodes {
		one := all.Of(i)
		read, err := ledgerclient.OpenNote(n.ID(), nodes, one.Head.Note)
		if err != nil || !slices.Equal(read.By, one.By) || one.By[i] != all.By[i] {
			t.Errorf("node %d: %v, %v, %v", i, one.By, read.By, err)
		}
		if _, err := one.Under(n.Config()); !errors.Is(err, ledgerclient.ErrTooFew) {
			t.Errorf("node %d: %v", i, err)
		}
		each = append(each, one)
	}
	again, err := each[0].With(each[1:]...)
	if err != nil || !slices.Equal(again.By, all.By) || !bytes.Equal(again.Head.Note, n.Note(1, n.Members...)) {
		t.Errorf("%v, %v\n%s", again.By, err, again.Head.Note)
	}
}

// What is joined is verified, of one head, and never longer than a note may be.
func TestJoinNotesRefusesAndDrops(t *testing.T) {
	n := ledgertest.NewNetwork(11, ledgertest.Institutions("bounds", 16)...)
	n.Grow(2)
	nodes := n.Config().Nodes
	all := n.Note(3, n.Members...)
	var tampered *ledgerclient.TamperedError
	for name, other := range map[string][]byte{
		"another size":    n.Note(2, n.Members[0]),
		"no note":         []byte("x"),
		"a bad line":      bytes.Replace(signedAt(n, 0, at(0)), []byte("\n3\n"), []byte("\n2\n"), 1),
		"too long a note": append(bytes.Clone(all), stranger("w", ledgerclient.MaxNote)...),
	} {
		if _, err := ledgerclient.JoinNotes(n.ID(), nodes, all, other); !errors.As(err, &tampered) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Of strangers' lines: of one key the first, in the order in which they came.
	first, second := stranger("alpha", 200), stranger("beta", 100)
	changed := strings.Replace(first, "AQEB\n", "AQEC\n", 1)
	if changed == first {
		t.Fatal("the line was not changed")
	}
	joined, err := ledgerclient.JoinNotes(n.ID(), nodes, append(bytes.Clone(all), second+first...), append(bytes.Clone(all), changed+second...))
	if err != nil || !bytes.Equal(joined, append(bytes.Clone(all), second+first...)) {
		t.Errorf("%v\n%s", err, joined)
	}
	// As many as there is room for, and the nodes' are never among those that are dropped.
	for _, size := range []int{30, 400, 4000} {
		var notes [][]byte
		for i := range 5 {
			note := bytes.Clone(plainOnly(all))
			for k := 0; k < 80 && len(note)+size <= ledgerclient.MaxNote; k++ {
				note = append(note, stranger(fmt.Sprint("w", i, "x", k), size)...)
			}
			notes = append(notes, note)
		}
		joined, err := ledgerclient.JoinNotes(n.ID(), nodes, notes[0], append(notes[1:], all)...)
		if err != nil || len(joined) > ledgerclient.MaxNote {
			t.Fatalf("%d bytes, %v", len(joined), err)
		}
		s, err := ledgerclient.OpenNote(n.ID(), nodes, joined)
		if err != nil {
			t.Fatalf("lines of %d bytes: %v", size, err)
		}
		if _, err := s.Under(n.Config()); err != nil {
			t.Error(err)
		}
		if got := strings.Count(string(joined), "\n— "); got != 100 && len(joined)+size <= ledgerclient.MaxNote {
			t.Errorf("lines of %d bytes: %d of them in %d bytes", size, got, len(joined))
		}
	}
}

// The threshold must be such that two heads share an honest node, however the nodes that
// may be missing lie. Counted out, not computed.
func TestThresholdThatLetsTwoHistories(t *testing.T) {
	for n := 1; n <= contract.MaxNodes; n++ {
		for threshold := 1; threshold <= n; threshold++ {
			liars := n - threshold // they sign both; the others sign one each
			two := 0
			for first := 0; first <= n-liars; first++ {
				if liars+first >= threshold && liars+(n-liars-first) >= threshold {
					two++
				}
			}
			net := ledgertest.NewNetwork(threshold, ledgertest.Institutions("t", n)...)
			err := ledgerclient.CheckNodes(net.Config())
			if (err != nil) != (two > 0) {
				t.Errorf("%d of %d: %v, and %d ways to sign two histories", threshold, n, err, two)
			}
			if err != nil {
				if e, _ := fault.As(err, ledgerclient.ErrThreshold); e == nil || e.Value("nodes") != n || e.Value("threshold") != threshold {
					t.Errorf("%d of %d: %v", threshold, n, err)
				}
				s := ledgerclient.Services{Ledger: net}
				if _, err := ledgerclient.Connect(ctx, s, net.ID()); !errors.Is(err, ledgerclient.ErrThreshold) {
					t.Errorf("%d of %d: met: %v", threshold, n, err)
				}
			}
		}
	}
}

// shows is a ledger whose nodes show several checkpoints, one after the other.
type shows struct {
	*ledgertest.Network
	notes [][]byte
}

func (s shows) Checkpoints(_ context.Context, want int, take func([]byte) error) (err error) {
	have := 0
	for _, note := range s.notes {
		if terr := take(note); terr != nil {
			err = terr
		} else if have++; have == want {
			break
		}
	}
	if have > 0 {
		return nil
	}
	return err
}

func (s shows) Unlike(error) bool { return false }
func (s shows) Doubt(error) bool  { return false }
func (s shows) Anew()             {}

// Threat: one node shows an old head, one of too few, or of another history. The largest of two
// that hold is the head, one that does not is passed over, and two of two histories stop.
func TestHeadsOfSeveralNodes(t *testing.T) {
	nodes := ledgertest.Institutions("shows", 4)
	n, fork := ledgertest.NewNetwork(3, nodes...), ledgertest.NewNetwork(3, nodes...)
	n.Grow(5)
	fork.Hour = 490_001
	fork.Grow(5)
	if n.ID() != fork.ID() {
		t.Fatal("another ledger")
	}
	all := func(n *ledgertest.Network, size uint64) []byte { return n.Note(size, nodes...) }
	few := n.Note(6, nodes[:2]...)
	for name, c := range map[string]struct {
		notes [][]byte
		few   bool // too few have signed
		forks bool
	}{
		"the same":                       {notes: [][]byte{all(n, 6), n.Note(6, nodes[1:]...)}},
		"one node alone":                 {notes: [][]byte{all(n, 6)}},
		"the second is behind":           {notes: [][]byte{all(n, 6), all(n, 4)}},
		"the first is behind":            {notes: [][]byte{all(n, 4), all(n, 6)}},
		"the first is far behind":        {notes: [][]byte{all(n, 1), all(n, 6)}},
		"one of too few":                 {notes: [][]byte{few, all(n, 6), all(n, 5)}},
		"one of too few, and no other":   {notes: [][]byte{few}, few: true},
		"another history":                {notes: [][]byte{all(n, 6), all(fork, 6)}, forks: true},
		"another history, which is less": {notes: [][]byte{all(n, 6), all(fork, 4)}, forks: true},
		"less of the true one":           {notes: [][]byte{all(n, 2), all(fork, 6)}, forks: true},
	} {
		for _, from := range []uint64{0, 3} {
			s := shows{n, nil}
			c2 := connect(t, n)
			c2.Ledger = &s
			pin := ledgerclient.Pin{}
			var err error
			visit := func(uint64, *contract.Leaf) error { return nil }
			if from > 0 {
				s.notes = [][]byte{all(n, from)}
				if pin, _, err = c2.Advance(t.Context(), pin, pin, visit); err != nil {
					t.Fatal(err)
				}
			}
			s.notes = c.notes
			head, err := c2.Head(t.Context())
			next, shown, aerr := c2.Advance(t.Context(), pin, ledgerclient.Pin{}, visit)
			for _, err := range []error{err, aerr} {
				if _, few := fault.As(err, ledgerclient.ErrTooFew); few != c.few || (err == nil) == (c.few || c.forks) {
					t.Errorf("%s, from %d: %v", name, from, err)
				}
			}
			if fork := new(ledgerclient.ForkError); errors.As(err, &fork) != c.forks {
				t.Errorf("%s, from %d: %v", name, from, err)
			}
			if err == nil && (head.Size != 6 || shown.Size != 6 || next.Size != 6) {
				t.Errorf("%s, from %d: %d, %d entries", name, from, head.Size, shown.Size)
			}
		}
	}
}

// Threat: of heads of any time no node shows that it keeps newer entries back. So many are asked
// that one of them does not lie.
func TestOldHeadsOfSeveralNodes(t *testing.T) {
	nodes := ledgertest.Institutions("old", 7)
	n := ledgertest.NewNetwork(5, nodes...)
	n.Grow(5)
	old, all := n.Note(4, nodes...), n.Note(6, nodes...)
	for _, anyAge := range []bool{true, false} {
		c := connect(t, n)
		c.Ledger, c.AnyAge = shows{n, [][]byte{old, old, all}}, anyAge
		if head, err := c.Head(t.Context()); err != nil || (head.Size == 6) != anyAge {
			t.Errorf("of any time: %v: %d entries, %v", anyAge, head.Size, err)
		}
	}
}
