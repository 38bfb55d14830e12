package main

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/carekey/carekey/ledgerclient/cometbft"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// wire is the way from one validator to another, which can be cut.
type wire struct {
	from, to int
	address  string // of the one to which it leads

	mu   sync.Mutex
	cut  bool
	ends map[net.Conn]bool // of connections
}

// serve carries connections until the listener is closed.
func (w *wire) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go w.carry(conn)
	}
}

// carry carries one connection until either end, or the wire, is cut.
func (w *wire) carry(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", w.address)
	if err != nil {
		return
	}
	defer far.Close()
	w.mu.Lock()
	cut := w.cut
	w.ends[near], w.ends[far] = true, true
	w.mu.Unlock()
	if !cut {
		go func() {
			io.Copy(near, far)
			near.Close()
			far.Close()
		}()
		io.Copy(far, near)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.ends, near)
	delete(w.ends, far)
}

// set cuts the wire, or mends it.
func (w *wire) set(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	for end := range w.ends {
		if cut {
			end.Close()
		}
	}
}

// edit changes what a validator's folder says.
func (v *validator) edit(change func(s *cometbft.Settings)) {
	v.n.t.Helper()
	file := filepath.Join(v.dir, "validator.json")
	var s cometbft.Settings
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err == nil {
		change(&s)
		b, err = json.Marshal(s)
	}
	if err == nil {
		err = os.WriteFile(file, b, 0o600)
	}
	if err != nil {
		v.n.t.Fatal(err)
	}
}

// wire puts a wire from each validator to each other, and returns what cuts those between
// members that are apart, and mends all others.
func (n *network) wire() (part func(apart func(a, b int) bool)) {
	n.t.Helper()
	var wires []*wire
	address := make([]string, len(n.validators))
	for i, v := range n.validators {
		v.edit(func(s *cometbft.Settings) { address[i] = s.Listen })
	}
	for i, v := range n.validators {
		v.edit(func(s *cometbft.Settings) {
			for j, other := range n.validators {
				if i == j {
					continue
				}
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					n.t.Fatal(err)
				}
				n.t.Cleanup(func() { l.Close() })
				w := &wire{from: i, to: j, address: address[j], ends: map[net.Conn]bool{}}
				go w.serve(l)
				wires = append(wires, w)
				s.Peers[other.name] = l.Addr().String()
			}
		})
	}
	return func(apart func(a, b int) bool) {
		for _, w := range wires {
			w.set(apart(w.from, w.to))
		}
	}
}

// Where one is cut off from the other three they go on, and it orders nothing and says so;
// where two are cut off from two nobody does. Whichever it was, what waited is decided once when
// they see each other again, and all have one order.
func TestPartitions(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 4)
	n.wait = "2s"
	part := n.wire()
	n.up()
	whole := func() {
		t.Helper()
		part(func(int, int) bool { return false })
		for _, v := range n.validators {
			v.until(func(w string) bool { return w == "4 of 4 decide" })
		}
	}
	whole()
	n.through(0, 1, 2, 3)

	n.level(len(n.sent), 3)
	before := len(n.sent)
	part(func(a, b int) bool { return a == 3 || b == 3 })
	n.validators[3].until(func(w string) bool {
		return strings.HasPrefix(w, "1 of 4 decide, and 3 are needed: nothing is ordered since ")
	})
	for _, v := range n.validators[:3] {
		v.until(func(w string) bool { return strings.HasPrefix(w, "3 of 4 decide; Patients is missing since ") })
	}
	n.through(0, 1, 2)
	waits := n.waits(3, "1 of 4 decide", "City hospital is missing")
	n.stands(before, 3)
	whole()
	n.put(n.orders[3], waits)
	n.through(0, 3)
	n.agree()

	before = len(n.sent)
	part(func(a, b int) bool { return a/2 != b/2 })
	for _, v := range n.validators {
		v.until(func(w string) bool {
			return strings.HasPrefix(w, "2 of 4 decide, and 3 are needed: nothing is ordered since ")
		})
	}
	var all [][]contract.Entry
	for i := range n.validators {
		all = append(all, n.waits(i, "2 of 4 decide"))
	}
	n.stands(before, 0, 1, 2, 3)
	whole()
	for i, waits := range all {
		n.put(n.orders[i], waits)
	}
	n.through(0, 1, 2, 3)
	n.agree()
}

// stands checks that members have so many items and no more.
func (n *network) stands(size int, members ...int) {
	n.t.Helper()
	for _, i := range members {
		if head, err := n.orders[i].Head(n.ctx); err != nil || head != uint64(size) {
			n.t.Errorf("%s has %d items, not %d (%v)", n.validators[i].name, head, size, err)
		}
	}
}

// A validator of which there is a copy: who is connected to the one refuses the other, which
// orders nothing. When the one has ended the other takes its place, or it meets a vote of the
// one where it has voted otherwise, and ends and says so. Whatever it was, the others go on.
func TestCopied(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 4)
	n.wait = "2s"
	n.up()
	n.through(0, 1, 2, 3)
	one := n.validators[3]
	one.stop()
	other := &validator{n: n, name: "the copy", dir: one.dir + "copy"}
	if err := os.RemoveAll(filepath.Join(one.dir, "socket")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(other.dir, os.DirFS(one.dir)); err != nil {
		t.Fatal(err)
	}
	other.edit(func(s *cometbft.Settings) { s.Listen = freeAddress(t) })
	t.Cleanup(other.kill)

	all := func() {
		t.Helper()
		for _, v := range n.validators[:3] {
			v.until(func(w string) bool { return w == "4 of 4 decide" })
		}
	}
	one.start()
	all()
	other.start()
	n.orders = append(n.orders, other.order())
	n.validators = append(n.validators, other)
	lost := n.records(7)
	refused := func(member int, es []contract.Entry) {
		t.Helper()
		n.validators[member].until(func(w string) bool { return strings.Contains(w, "nothing is ordered") })
		if _, err := n.orders[member].Append(n.ctx, es); err == nil {
			t.Errorf("%s has something ordered beside the other", n.validators[member].name)
		}
	}
	refused(4, lost)
	refused(4, lost)
	n.through(0, 1, 2, 3)
	all()

	one.kill()
	for took := false; !took && n.ctx.Err() == nil; {
		select {
		case err := <-other.ended:
			other.cmd = nil
			if !strings.HasSuffix(other.said.String(), "carekey-ledger-cometbft: "+cometbft.ErrTwice.Error()+"\n") || err == nil {
				t.Errorf("the copy ended with %v:\n%s", err, other.said)
			}
			one.start()
			n.orders[4], took = n.orders[3], true
		default:
			_, err := n.orders[4].Append(n.ctx, lost)
			took = err == nil
		}
	}
	n.put(n.orders[0], lost)
	n.sent = append(n.sent, lost...)
	all()
	n.through(0, 1, 2, 4)
	n.level(len(n.sent), 0, 4)
	n.once(n.orders[4], n.sent)
}
