package ledgerclient_test

import (
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/ledgertest"
)

var update = flag.Bool("update", false, "write the golden file again")

// headVectors are heads of a ledger whose nodes changed once, and what they are worth.
type headVectors struct {
	About     string       `json:"about"`
	Documents []string     `json:"documents"` // the genesis document, and the succession
	Heads     []headVector `json:"heads"`
}

type headVector struct {
	Name  string    `json:"name"`
	Note  string    `json:"note"`
	Size  uint64    `json:"size,omitempty"` // of a head
	Time  time.Time `json:"time,omitzero"`
	Have  int       `json:"have,omitempty"` // signatures, where they are too few
	Error string    `json:"error,omitempty"`
}

// Others who read a ledger of several nodes come to the same: what this program says of
// some heads stands in a file, with all that it takes to say it.
func TestHeadVectors(t *testing.T) {
	const file = "../testdata/vectors/head.json"
	nodes := ledgertest.Institutions("vector", 5)
	n := ledgertest.NewNetwork(3, nodes[:3]...)
	n.Grow(4)
	before := n.Note(5, nodes[:3]...)
	n.Change(3, nodes[1:5]...)
	n.Grow(2)
	sign := func(i, minute int) []byte { return nodes[i].Sign(n.Text(8), at(minute)) }
	made := headVectors{About: "SPEC.md, Checkpoint and Handover; made by the tests of package ledgerclient", Documents: []string{string(must(n.Genesis(ctx))), string(n.Successions[0])}}
	for _, note := range []struct {
		name string
		note []byte
	}{
		{"all nodes, the third newest time", lines(sign(1, 0), sign(2, 3), sign(3, 1), sign(4, 9))},
		{"as many as it takes", lines(sign(4, 2), sign(1, 5), sign(2, 7))},
		{"without times", plainOnly(lines(sign(4, 2), sign(1, 5), sign(2, 7)))},
		{"one node twice", lines(sign(1, 0), sign(1, 1), sign(2, 2))},
		{"a node that left", lines(sign(0, 0), sign(1, 1), sign(2, 2))},
		{"a time alone", lines(timedOnly(sign(3, 0)), sign(1, 1), sign(2, 2))},
		{"a witness beside them", lines(ledgertest.NewInstitution("witness").Sign(n.Text(8), at(0)), sign(1, 1), sign(2, 2), sign(3, 3))},
		{"of before the change, by those of then", before},
		{"of after the change, by those of before", n.Note(7, nodes[:3]...)},
		{"a bad line", lines(sign(1, 1), sign(2, 2), sign(3, 3), nodes[4].Sign(n.Text(7), at(0)))},
	} {
		made.Heads = append(made.Heads, judged(t, n, note.name, note.note))
	}
	if *update {
		b, err := json.MarshalIndent(made, "", " ")
		if err == nil {
			err = os.WriteFile(file, append(b, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var kept headVectors
	if err := json.Unmarshal(b, &kept); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(kept, made) {
		t.Errorf("the file has\n%+v\nand this program makes\n%+v", kept, made)
	}
}

// judged is what a client that knows both configurations says of a note.
func judged(t *testing.T, n *ledgertest.Network, name string, note []byte) headVector {
	s := n.Services()
	s.Known = append([][]byte{must(n.Genesis(ctx))}, n.Successions...)
	c, err := ledgerclient.Connect(ctx, s, n.ID())
	if err != nil {
		t.Fatal(err)
	}
	v := headVector{Name: name, Note: string(note)}
	head, err := c.ReadHead(note)
	if few, ok := fault.As(err, ledgerclient.ErrTooFew); ok {
		v.Have = few.Value("have").(int)
	} else if err != nil {
		v.Error = "checkpoint-tampered"
	} else {
		v.Size, v.Time = head.Size, head.Time
	}
	return v
}
