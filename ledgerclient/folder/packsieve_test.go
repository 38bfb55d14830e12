package folder

import (
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/carekey/carekey/crypto"
)

// A sieve says of every key what the packs' own filters say, also after packs are gone
// and others have come.
func TestSieve(t *testing.T) {
	key := func() (k crypto.Hash) { rand.Read(k[:]); return k }
	s := sieves{}
	filters := map[*pack]*pack{} // with its filter
	var keys []crypto.Hash
	add := func(n, rows int) {
		for range n {
			w := packWriter{kind: payloadPack}
			for range rows {
				k := key()
				keys = append(keys, k)
				w.add([]crypto.Hash{k}, nil)
			}
			head, _ := w.bytes()
			size := len(head) - packHeader - packRow*rows
			p := &pack{path: fmt.Sprint(len(filters)), rows: rows, filter: head[packHeader : packHeader+size]}
			own := *p
			filters[p] = &own
			s.add(p)
		}
	}
	check := func() {
		t.Helper()
		for range 2000 {
			keys = append(keys, key())
		}
		for _, k := range keys {
			got := map[*pack]bool{}
			for _, p := range s.may(k) {
				if got[p] {
					t.Fatal("a pack twice")
				}
				got[p] = true
			}
			for p, own := range filters {
				if own.may(k) != got[p] {
					t.Fatalf("%t, the filter says %t", got[p], own.may(k))
				}
			}
		}
		keys = keys[:0]
	}
	add(70, 40)
	add(3, 300)
	check()
	keep := map[*pack]bool{}
	for p := range filters {
		if len(filters) > 30 {
			delete(filters, p)
		} else {
			keep[p] = true
		}
	}
	s.remove(keep)
	check()
	add(40, 40)
	check()
}
