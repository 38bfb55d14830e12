package ledgerclient_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/ledgertest"
)

// The nodes may change again and again: a wallet that follows, one that was away, and one
// that is new come to the same configuration, and heads of the time before stay heads.
func TestConfigurationChanges(t *testing.T) {
	a := ledgertest.Institutions("change", 9)
	n := ledgertest.NewNetwork(1, a[0])
	n.Grow(2)
	following := connect(t, n)
	first, _, err := following.Advance(ctx, ledgerclient.Pin{}, ledgerclient.Pin{}, ignore)
	if err != nil {
		t.Fatal(err)
	}
	pin, old := first, [][]byte{n.Note(2, a[0]), first.Note}
	for i, next := range [][]ledgertest.Institution{a[:4], {a[0], a[2], a[4], a[5]}, a[4:9]} {
		n.Change(2*len(next)/3+1, next...)
		n.Grow(i)
		if pin, _, err = following.Advance(ctx, pin, ledgerclient.Pin{}, ignore); err != nil || pin.Configs != i+1 || pin.Config != commitment(n.Config()) {
			t.Fatalf("change %d: %v, %d", i+1, err, pin.Configs)
		}
		if got := following.Config(); got.Commitment() != commitment(n.Config()) {
			t.Fatalf("change %d: another configuration is in force", i+1)
		}
		old = append(old, pin.Note)
	}
	for name, from := range map[string]ledgerclient.Pin{"was away": first, "is new": {}, "goes on": pin} {
		c := connect(t, n)
		if got, _, err := c.Advance(ctx, from, ledgerclient.Pin{}, ignore); err != nil || fmt.Sprint(got) != fmt.Sprint(pin) {
			t.Errorf("%s: %v", name, err)
		}
		for i, note := range old {
			if head, err := c.ReadHead(note); err != nil {
				t.Errorf("%s, a head of before, %d: %v", name, i, err)
			} else if err := c.CheckHead(ctx, head, ledgerclient.Head{Size: pin.Size, Root: pin.Root}); err != nil {
				t.Errorf("%s, a head of before, %d: %v", name, i, err)
			}
		}
		// What is remembered of it opens the wallet where nobody answers.
		s, err := ledgerclient.OutOfReach(c.Documents(), n.Properties(), errors.New("away"))
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ledgerclient.Connect(ctx, s, n.ID()); err != nil || again.Config().Threshold != n.Config().Threshold {
			t.Errorf("%s: out of reach: %v", name, err)
		}
	}
	// Keys that were replaced sign nothing any more, however many they are.
	n.Head = n.Note(uint64(len(n.Shown)), a[:4]...)
	var tampered *ledgerclient.TamperedError
	if _, err := following.Head(ctx); err == nil {
		t.Error("a head by the nodes that left is taken")
	}
	if _, err := following.ReadHead(n.Note(uint64(len(n.Shown)), a[0], a[1], a[2], a[3])); !errors.As(err, &tampered) {
		t.Errorf("by another way: %v", err)
	}
	n.Head = nil
	if _, err := following.ReadHead(n.Note(3, a[4:9]...)); !errors.As(err, &tampered) {
		t.Errorf("a head of before, by who came later: %v", err)
	}
}

func commitment(c contract.Config) crypto.Hash { return c.Commitment() }

// A document that enough nodes approved, and that nobody ordered, is in force for nobody:
// its nodes, whoever they are, sign nothing that a wallet takes.
func TestApprovedDraftIsNotInForce(t *testing.T) {
	nodes := ledgertest.Institutions("draft", 4)
	mallory := ledgertest.NewInstitution("mallory")
	n := ledgertest.NewNetwork(3, nodes...)
	n.Grow(2)
	draft := n.Draft(1, []ledgertest.Institution{mallory}, nodes[:3]...)
	evil := n.Note(3, mallory)
	for name, shown := range map[string][]byte{
		"the bare document": draft.Marshal(),
		// Made up from the newest entry, whatever it is, with the draft's own signature.
		"with a handover of its own": func() []byte { s := n.Succession(draft, mallory); return s.Marshal() }(),
		"with a head of all nodes":   func() []byte { s := n.Succession(draft, append(nodes[:4:4], mallory)...); return s.Marshal() }(),
	} {
		c := connect(t, n)
		n.Successions, n.Head = [][]byte{shown}, evil
		if _, err := c.Head(ctx); err == nil {
			t.Errorf("%s: its node's head is taken", name)
		}
		if got := c.Config(); len(got.Nodes) != 4 {
			t.Errorf("%s: %d nodes in force", name, len(got.Nodes))
		}
		n.Successions, n.Head = nil, nil
		if _, err := c.Head(ctx); err != nil {
			t.Errorf("%s: afterwards: %v", name, err)
		}
	}
}

// A succession that is not whole is none.
func TestHandoverLies(t *testing.T) {
	before, after := ledgertest.Institutions("lies before", 4), ledgertest.Institutions("lies after", 4)
	for name, lie := range map[string]func(n *ledgertest.Network, next contract.Config, s *ledgerclient.Succession){
		"honest": func(*ledgertest.Network, contract.Config, *ledgerclient.Succession) {},
		"enough of each": func(n *ledgertest.Network, _ contract.Config, s *ledgerclient.Succession) {
			s.Note = n.Note(4, append(before[1:4:4], after[:3]...)...)
		},
		"not by those before": func(n *ledgertest.Network, _ contract.Config, s *ledgerclient.Succession) {
			s.Note = n.Note(4, after...)
		},
		"not by those after": func(n *ledgertest.Network, _ contract.Config, s *ledgerclient.Succession) {
			s.Note = n.Note(4, before...)
		},
		"too few of those before": func(n *ledgertest.Network, _ contract.Config, s *ledgerclient.Succession) {
			s.Note = n.Note(4, append(before[:2:2], after...)...)
		},
		"too few of those after": func(n *ledgertest.Network, _ contract.Config, s *ledgerclient.Succession) {
			s.Note = n.Note(4, append(before[:4:4], after[:2]...)...)
		},
		"a head of before": func(n *ledgertest.Network, _ contract.Config, s *ledgerclient.Succession) {
			s.Note = n.Note(3, append(before[:4:4], after...)...)
		},
		"a head of later": func(n *ledgertest.Network, _ contract.Config, s *ledgerclient.Succession) {
			n.Grow(1)
			s.Note = n.Note(5, append(before[:4:4], after...)...)
			n.Shown = n.Shown[:4]
		},
		"no proof":        func(_ *ledgertest.Network, _ contract.Config, s *ledgerclient.Succession) { s.Proof = nil },
		"a changed proof": func(_ *ledgertest.Network, _ contract.Config, s *ledgerclient.Succession) { s.Proof[0][0]++ },
		"a longer proof": func(_ *ledgertest.Network, _ contract.Config, s *ledgerclient.Succession) {
			s.Proof = append(s.Proof, s.Proof[0])
		},
		"another entry": func(n *ledgertest.Network, _ contract.Config, s *ledgerclient.Succession) { s.Entry = n.Shown[2] },
		"an entry of another kind": func(_ *ledgertest.Network, _ contract.Config, s *ledgerclient.Succession) {
			s.Entry.Entry.Kind = contract.KindRecord
		},
		"an entry of another hour": func(_ *ledgertest.Network, _ contract.Config, s *ledgerclient.Succession) { s.Entry.Hour++ },
		"a document of fewer approvals": func(n *ledgertest.Network, next contract.Config, s *ledgerclient.Succession) {
			next.Approvals = next.Approvals[:2]
			n.Shown = n.Shown[:3]
			n.Order(next, before[0])
			*s = n.Succession(next, append(before[:4:4], after...)...)
		},
		"an approval twice": func(n *ledgertest.Network, next contract.Config, s *ledgerclient.Succession) {
			next.Approvals = append(next.Approvals[:2:2], next.Approvals[1])
			n.Shown = n.Shown[:3]
			n.Order(next, before[0])
			*s = n.Succession(next, append(before[:4:4], after...)...)
		},
		"an entry that nobody of before signed": func(n *ledgertest.Network, next contract.Config, s *ledgerclient.Succession) {
			n.Shown = n.Shown[:3]
			n.Order(next, after[0])
			*s = n.Succession(next, append(before[:4:4], after...)...)
		},
		"a threshold that lets two histories": func(n *ledgertest.Network, _ contract.Config, s *ledgerclient.Succession) {
			next := n.Draft(2, after, before...)
			n.Shown = n.Shown[:3]
			n.Order(next, before[0])
			*s = n.Succession(next, append(before[:4:4], after...)...)
		},
	} {
		n := ledgertest.NewNetwork(3, before...)
		n.Grow(2)
		c := connect(t, n)
		pin, _, err := c.Advance(ctx, ledgerclient.Pin{}, ledgerclient.Pin{}, ignore)
		if err != nil {
			t.Fatal(err)
		}
		next := n.Draft(3, after, before...)
		n.Order(next, before[0])
		s := n.Succession(next, append(before[:4:4], after...)...)
		lie(n, next, &s)
		n.Successions = [][]byte{s.Marshal()}
		n.Members = after // they sign heads now
		good := name == "honest" || name == "enough of each"
		_, _, err = c.Advance(ctx, pin, ledgerclient.Pin{}, ignore)
		if (err == nil) != good {
			t.Errorf("%s: %v", name, err)
		}
		var tampered *ledgerclient.TamperedError
		if !good && !errors.As(err, &tampered) && !errors.Is(err, ledgerclient.ErrThreshold) {
			t.Errorf("%s: %v", name, err)
		}
		if got := c.Config().Nodes[0] == after[0].Node(); got != good {
			t.Errorf("%s: in force: %v", name, got)
		}
	}
}

// Where the heads of a handover and of the ledger contradict each other, it is a fork that
// can be proven, and not a matter of who is believed.
func TestHandoverOfAnotherHistory(t *testing.T) {
	before, after, others := ledgertest.Institutions("fork before", 4), ledgertest.Institutions("fork after", 4), ledgertest.Institutions("fork others", 4)
	network := func(grow int) *ledgertest.Network {
		n := ledgertest.NewNetwork(3, before...)
		n.Grow(grow)
		return n
	}
	culprits := func(name string, err error, want ...ledgertest.Institution) {
		t.Helper()
		var fork *ledgerclient.ForkError
		if !errors.As(err, &fork) || fork.Evidence == nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		e, err := ledgerclient.ParseEvidence(fork.Evidence.Marshal())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		var keys []ledgerclient.Key
		for _, i := range want {
			keys = append(keys, i.Node().Checkpoint)
		}
		if found, err := e.Check(); err != nil || !slices.Equal(found.Both, keys) {
			t.Errorf("%s: signed both: %v, %v", name, found.Both, err)
		}
	}

	// The wallet has seen more than the handover knows of.
	n, fork := network(6), network(2)
	c := connect(t, n)
	pin, _, err := c.Advance(ctx, ledgerclient.Pin{}, ledgerclient.Pin{}, ignore)
	if err != nil {
		t.Fatal(err)
	}
	fork.Change(3, after...)
	n.Successions, n.Head = fork.Successions, n.Note(7, append(before[:4:4], after...)...)
	connected := connect(t, n)
	more := pin
	more.Configs = 1 // as if one had been met, so that the successions are read at once
	more.Config = commitment(fork.Config())
	_, _, err = connected.Advance(ctx, more, ledgerclient.Pin{}, ignore)
	if err != nil {
		t.Fatalf("the handover is not read: %v", err)
	}
	_, _, err = connected.Advance(ctx, pin, ledgerclient.Pin{}, ignore)
	culprits("the configuration did not change there", err, after...)

	// Two successors of one configuration.
	one, two := network(2), network(2)
	one.Change(3, after...)
	two.Change(3, others...)
	c = connect(t, one)
	if pin, _, err = c.Advance(ctx, ledgerclient.Pin{}, ledgerclient.Pin{}, ignore); err != nil {
		t.Fatal(err)
	}
	one.Successions, one.Head = two.Successions, two.Note(4, others...)
	_, err = c.Head(ctx)
	culprits("two successors", err, before...)
	var forked *ledgerclient.ForkError // the nodes of the one are named by no document of the other
	if _, _, err = connect(t, two).Advance(ctx, pin, ledgerclient.Pin{}, ignore); !errors.As(err, &forked) {
		t.Errorf("two successors, met again: %v", err)
	}

	// A head that is older than the handover that is shown beside it.
	n = network(2)
	old := n.Note(3, append(before[:4:4], after...)...)
	n.Change(3, after...)
	n.Head = old
	c = connect(t, n)
	var rollback *ledgerclient.RollbackError
	with := n.Services()
	with.Known = append([][]byte{c.Genesis()}, n.Successions...)
	if c, err = ledgerclient.Connect(ctx, with, n.ID()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Advance(ctx, ledgerclient.Pin{}, ledgerclient.Pin{}, ignore); !errors.As(err, &rollback) || rollback.Pinned != 4 || rollback.Head != 3 {
		t.Errorf("an older head: %v", err)
	}
}

// A head that enough nodes of before have signed is none once its entries change the nodes.
func TestHeadBehindAChange(t *testing.T) {
	before, after := ledgertest.Institutions("behind before", 4), ledgertest.Institutions("behind after", 4)
	n := ledgertest.NewNetwork(3, before...)
	c := connect(t, n)
	pin, _, err := c.Advance(ctx, ledgerclient.Pin{}, ledgerclient.Pin{}, ignore)
	if err != nil {
		t.Fatal(err)
	}
	n.Change(3, append(after[:3:3], before[0])...)
	n.Grow(1)
	for name, tt := range map[string]struct {
		by   []ledgertest.Institution
		want error
	}{
		"those before":        {before, ledgerclient.ErrTooFew},
		"too few of those of": {append(before[:4:4], after[0]), ledgerclient.ErrTooFew},
		"both":                {append(before[:4:4], after[:3]...), nil},
	} {
		n.Head = n.Note(3, tt.by...)
		_, head, err := c.Advance(ctx, pin, ledgerclient.Pin{}, ignore)
		if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && head.Size != 3 {
			t.Errorf("%s: %+v", name, head)
		}
		if few, ok := fault.As(err, ledgerclient.ErrTooFew); ok && few.Value("need") != 3 {
			t.Errorf("%s: %v", name, err)
		}
		c = connect(t, n)
	}
}

// The text of a succession has one form.
func TestSuccessionText(t *testing.T) {
	nodes := ledgertest.Institutions("text", 2)
	n := ledgertest.NewNetwork(2, nodes...)
	n.Grow(2)
	n.Change(1, nodes[0])
	text := n.Successions[0]
	s, err := ledgerclient.ParseSuccession(text)
	if err != nil || !bytes.Equal(s.Marshal(), text) || len(s.Proof) != 2 {
		t.Fatalf("%v, %d hashes", err, len(s.Proof))
	}
	if !bytes.HasPrefix(s.Note, []byte("carekey/v1/")) || !bytes.HasSuffix(s.Document, []byte("\n")) || s.Entry.Entry.Commitment != contract.ConfigCommitment(s.Document) {
		t.Error("it was taken apart elsewhere")
	}
	for name, bad := range map[string]string{
		"nothing":           "",
		"a document alone":  string(s.Document),
		"no entry":          strings.Replace(string(text), "\nentry ", "\nentri ", 1),
		"an entry cut":      strings.Replace(string(text), "\nentry AA", "\nentry ", 1),
		"a proof cut":       strings.Replace(string(text), "\nproof ", "\nproof A", 1),
		"spare white space": strings.Replace(string(text), "\nproof ", "\nproof  ", 1),
	} {
		var tampered *ledgerclient.TamperedError
		if _, err := ledgerclient.ParseSuccession([]byte(bad)); !errors.As(err, &tampered) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := 0; i < len(text); i += lane.Pick(1, 13, 41) { // each byte counts: it is another text, or none
		bad := bytes.Clone(text)
		bad[i] ^= 1
		if got, err := ledgerclient.ParseSuccession(bad); err == nil && !bytes.Equal(got.Marshal(), bad) {
			t.Fatalf("byte %d", i)
		}
		c := connect(t, n)
		n.Successions = [][]byte{bad}
		if _, _, err := c.Advance(ctx, ledgerclient.Pin{}, ledgerclient.Pin{}, ignore); err == nil {
			t.Fatalf("byte %d: believed", i)
		}
	}
}

func FuzzParseSuccession(f *testing.F) {
	nodes := ledgertest.Institutions("fuzz", 2)
	n := ledgertest.NewNetwork(2, nodes...)
	n.Grow(1)
	n.Change(1, nodes[0])
	f.Add(n.Successions[0])
	f.Add([]byte("\nentry \n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := ledgerclient.ParseSuccession(b); err == nil && !bytes.Equal(s.Marshal(), b) {
			t.Fatalf("re-encodes as %q", s.Marshal())
		}
	})
}
