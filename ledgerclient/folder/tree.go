package folder

import (
	"github.com/carekey/carekey/crypto"
	"golang.org/x/mod/sumdb/tlog"
)

// tree is a growing RFC 6962 tree of which the hashes of the lowest levels are not kept:
// they are computed again from what it is a tree of, a block of 2^level leaves at a time.
type tree struct {
	level int
	// kept[k] are the hashes of the whole subtrees of 2^k blocks. There is a kept[0].
	kept []hashBytes
	// tail are the hashes of the leaves behind the last whole block.
	tail hashBytes
	// leaves returns the hashes of the leaves [from, to), which lie in one block.
	leaves func(from, to uint64) ([]tlog.Hash, error)
}

// hashBytes are hashes one behind the other.
type hashBytes []byte

func (b hashBytes) len() uint64           { return uint64(len(b)) / tlog.HashSize }
func (b hashBytes) at(i uint64) tlog.Hash { return tlog.Hash(b[i*tlog.HashSize:]) }

// slice are those of [from, to).
func (b hashBytes) slice(from, to uint64) []tlog.Hash {
	hs := make([]tlog.Hash, to-from)
	for i := range hs {
		hs[i] = b.at(from + uint64(i))
	}
	return hs
}

func newTree(level int, leaves func(from, to uint64) ([]tlog.Hash, error)) tree {
	return tree{level: level, kept: []hashBytes{nil}, leaves: leaves}
}

// restore makes an empty one that of n leaves, from the hashes of its whole blocks; and
// reports whether these can be they.
func (t *tree) restore(blocks hashBytes, n uint64) bool {
	if uint64(len(blocks)) != n>>t.level*tlog.HashSize {
		return false
	}
	for i := range blocks.len() {
		t.addBlock(blocks.at(i))
	}
	tail, err := t.leaves(t.whole(), n)
	for _, h := range tail {
		t.add(h)
	}
	return err == nil
}

// whole is the number of leaves in whole blocks.
func (t *tree) whole() uint64 { return t.kept[0].len() << t.level }

func (t *tree) size() uint64 { return t.whole() + t.tail.len() }

// ReadHashes makes it a tlog.HashReader.
func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hs := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		level, n := tlog.SplitStoredHashIndex(x)
		if level >= t.level {
			hs[i] = t.kept[level-t.level].at(uint64(n))
			continue
		}
		from, to := uint64(n)<<level, uint64(n+1)<<level
		leaves, err := t.leafHashes(from, to)
		if err != nil {
			return nil, err
		}
		hs[i] = subtree(leaves)
	}
	return hs, nil
}

func (t *tree) leafHashes(from, to uint64) ([]tlog.Hash, error) {
	if first := t.whole(); from >= first {
		return t.tail.slice(from-first, to-first), nil
	}
	return t.leaves(from, to)
}

// block is the hash of a whole block, computed from its leaves.
func (t *tree) block(n uint64) (tlog.Hash, error) {
	leaves, err := t.leaves(n<<t.level, (n+1)<<t.level)
	if err != nil {
		return tlog.Hash{}, err
	}
	return subtree(leaves), nil
}

// subtree is the hash of a whole subtree. It writes over the hashes of its leaves.
func subtree(hs []tlog.Hash) tlog.Hash {
	for ; len(hs) > 1; hs = hs[:len(hs)/2] {
		for i := range len(hs) / 2 {
			hs[i] = tlog.NodeHash(hs[2*i], hs[2*i+1])
		}
	}
	return hs[0]
}

// add appends a leaf by its hash.
func (t *tree) add(h tlog.Hash) {
	t.tail = append(t.tail, h[:]...)
	if n := t.tail.len(); n == 1<<t.level {
		t.addBlock(subtree(t.tail.slice(0, n)))
		t.tail = t.tail[:0]
	}
}

func (t *tree) addBlock(h tlog.Hash) {
	for k := 0; ; k++ {
		if k == len(t.kept) {
			t.kept = append(t.kept, nil)
		}
		t.kept[k] = append(t.kept[k], h[:]...)
		n := t.kept[k].len()
		if n%2 == 1 {
			return
		}
		h = tlog.NodeHash(t.kept[k].at(n-2), t.kept[k].at(n-1))
	}
}

// set changes the hash of a leaf. leaves must give the new one.
func (t *tree) set(i uint64, h tlog.Hash) error {
	if first := t.whole(); i >= first {
		copy(t.tail[(i-first)*tlog.HashSize:], h[:])
		return nil
	}
	at := i >> t.level
	h, err := t.block(at)
	if err != nil {
		return err
	}
	for k := 0; ; k, at = k+1, at/2 {
		copy(t.kept[k][at*tlog.HashSize:], h[:])
		if at|1 >= t.kept[k].len() {
			return nil // what is above is not whole and not kept
		}
		h = tlog.NodeHash(t.kept[k].at(at&^1), t.kept[k].at(at|1))
	}
}

// holds reports whether leaf i, if it is in a whole block, has the hash that is kept.
func (t *tree) holds(i uint64) (bool, error) {
	if i >= t.whole() {
		return true, nil
	}
	h, err := t.block(i >> t.level)
	return err == nil && h == t.kept[0].at(i>>t.level), err
}

// root is the root of the first n leaves. That of all of them, which every entry needs, is
// joined directly, in two thirds of the time that package tlog takes.
func (t *tree) root(n uint64) (crypto.Hash, error) {
	if n != t.size() {
		h, err := tlog.TreeHash(int64(n), t)
		return crypto.Hash(h), err
	}
	var root tlog.Hash
	left := func(sub tlog.Hash) {
		if root == (tlog.Hash{}) {
			root = sub
		} else {
			root = tlog.NodeHash(sub, root)
		}
	}
	tail := t.tail.slice(0, t.tail.len())
	for size := 1; len(tail) > 0; size *= 2 { // whole subtrees, from the last and smallest
		if len(tail)&size != 0 {
			cut := len(tail) - size
			left(subtree(tail[cut:]))
			tail = tail[:cut]
		}
	}
	for _, hs := range t.kept {
		if n := hs.len(); n%2 == 1 {
			left(hs.at(n - 1))
		}
	}
	return crypto.Hash(root), nil
}
