package main

import (
	"net"
	"testing"
)

// What a devnet is founded with is nobody else's until its processes run.
func TestDevnetHoldsAddresses(t *testing.T) {
	d := &devnet{port: 20_000, held: map[string]net.Listener{}}
	defer d.end()
	seen := map[string]bool{}
	for range 8 {
		at, err := d.freeAddress()
		if err != nil {
			t.Fatal(err)
		}
		if l, err := net.Listen("tcp", at); err == nil {
			l.Close()
			t.Errorf("another listens at %s", at)
		}
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil { // who asks is not kept waiting
			t.Errorf("%s answers", at)
		}
		c.Close()
		if seen[at] {
			t.Errorf("%s is given twice", at)
		}
		seen[at] = true
	}
	for at := range seen {
		d.release(at)
		d.release(at)
	}
	if len(d.held) > 0 {
		t.Errorf("%d are held", len(d.held))
	}
}
