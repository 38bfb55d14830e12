package contract

import (
	"bytes"
	"testing"

	"github.com/carekey/carekey/crypto"
)

// What parses re-encodes to the same bytes: one value has one encoding.

// seedLeaves are real values for the corpora.
func seedLeaves(f *testing.F) [][]byte {
	w := newWorld(f)
	w.must(access(w))
	w.must(w.put(w.version(), "owner", nil))
	w.must(w.put(w.revoke(), "patient", nil))
	e, c := w.next("node-1", "node-2")
	w.must(w.put(e, "node-3", c.Marshal()))
	var all [][]byte
	for i := range w.leaves {
		b := w.leaves[i].Marshal()
		all = append(all, b[:])
	}
	return all
}

func FuzzParseEntry(f *testing.F) {
	for _, b := range seedLeaves(f) {
		f.Add(b[4 : 4+Size])
		f.Add(b[4 : 3+Size])
	}
	ledger := crypto.LedgerID(testHash("ledger"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEntry(b)
		if (err == nil) != (len(b) == Size) {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
		if err != nil {
			return
		}
		if again := e.Marshal(); !bytes.Equal(again[:], b) {
			t.Fatalf("%x\nre-encodes as\n%x", b, again)
		}
		// The steps answer to anything; every byte before the signature is in the id.
		if err := CheckShape(&e); err != nil {
			ruleOf(t, err)
		}
		ruleOf(t, CheckSignature(ledger, &e))
		id := e.ID(ledger)
		Apply(Config{Contract: 1}, State{Status: StatusOpen, Kind: e.Kind}, &e, id, 1, e.NotBefore)
		changed := bytes.Clone(b)
		changed[int(b[Size-1])%UnsignedSize]++
		if d, _ := ParseEntry(changed); d.ID(ledger) == id {
			t.Fatal("the id does not cover a byte")
		}
	})
}

func FuzzParseLeaf(f *testing.F) {
	for _, b := range seedLeaves(f) {
		f.Add(b)
		f.Add(b[1:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := ParseLeaf(b)
		if (err == nil) != (len(b) == LeafSize) {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
		if err != nil {
			return
		}
		if again := l.Marshal(); !bytes.Equal(again[:], b) {
			t.Fatalf("%x\nre-encodes as\n%x", b, again)
		}
	})
}

func FuzzParseConfig(f *testing.F) {
	for _, c := range []Config{testConfig(f, "City ledger", 1, "node-1"), testConfig(f, "Ü", 2, "node-1", "node-2"), followUpConfig(f)} {
		b := c.Marshal()
		f.Add(b)
		f.Add(b[:len(b)-1])
		f.Add(bytes.ToUpper(b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseConfig(b)
		if err != nil {
			return
		}
		if again := c.Marshal(); !bytes.Equal(again, b) {
			t.Fatalf("%q\nre-encodes as\n%q", b, again)
		}
		if c.Threshold < 1 || int(c.Threshold) > len(c.Nodes) || c.Release < 1 || int(c.Release) > len(c.Keepers) {
			t.Fatalf("%+v", c)
		}
		if len(c.Approvals) == 0 != (c.Previous == crypto.Hash{}) {
			t.Fatal("approvals and the previous document do not go together")
		}
	})
}

func FuzzParseGrantPackage(f *testing.F) {
	for n := range 3 {
		p := GrantPackage{K: 1, N: uint8(n + 1), Terms: testHash("t"), Envelope: testHash("e"), Lock: testHash("l"), Shares: make([]crypto.Hash, n+1)}
		f.Add(p.Marshal())
		f.Add(p.Marshal()[:97])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseGrantPackage(b)
		if err != nil {
			return
		}
		if again := p.Marshal(); !bytes.Equal(again, b) {
			t.Fatalf("%x\nre-encodes as\n%x", b, again)
		}
		if p.K < 1 || p.K > p.N || int(p.N) != len(p.Shares) {
			t.Fatalf("%+v", p)
		}
	})
}

func FuzzParseRecordPackage(f *testing.F) {
	for _, size := range []uint64{1, PieceSize, 1<<63 - 1} {
		p := RecordPackage{Metadata: testHash("m"), ContentHead: testHash("h"), ContentSize: size}
		f.Add(p.Marshal())
		f.Add(p.Marshal()[1:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseRecordPackage(b)
		if err != nil {
			return
		}
		if again := p.Marshal(); !bytes.Equal(again, b) {
			t.Fatalf("%x\nre-encodes as\n%x", b, again)
		}
	})
}
