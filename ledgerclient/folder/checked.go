package folder

import (
	"crypto/sha256"
	"sync"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// checkedEntries remembers entries whose shape and signature this process has checked a
// moment ago: what brings its payloads to the store is submitted next, and what is judged
// before it is ordered comes back in the order. Nothing that others say gets into it.
//
// An entry is known by the hash of all of its bytes. Its id does not cover the signature.
type checkedEntries struct {
	mu         sync.Mutex
	new, older map[crypto.Hash]struct{}
}

// mostChecked are remembered at least, and twice as many at most, which takes some 2 MB.
// A node has no more in its hands at one time.
const mostChecked = 16384

func hashOf(e *contract.Entry) crypto.Hash {
	b := e.Marshal()
	return sha256.Sum256(b[:])
}

// add remembers an entry that was checked.
func (c *checkedEntries) add(e *contract.Entry) {
	h := hashOf(e)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.new == nil || len(c.new) >= mostChecked {
		c.new, c.older = map[crypto.Hash]struct{}{}, c.new
	}
	c.new[h] = struct{}{}
}

// has reports whether exactly this entry was checked.
func (c *checkedEntries) has(e *contract.Entry) bool {
	h := hashOf(e)
	c.mu.Lock()
	defer c.mu.Unlock()
	_, is := c.new[h]
	if !is {
		_, is = c.older[h]
	}
	return is
}
