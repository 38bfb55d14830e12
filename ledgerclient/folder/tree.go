package folder

import (
	"github.com/carekey/carekey/crypto"
	"golang.org/x/mod/sumdb/tlog"
)

// tree is a growing RFC 6962 tree of which the hashes of the lowest levels are not kept:
// they are computed again from what it is a tree of, a block of 2^level leaves at a time.
type tree struct {
	level int
	// kept are the hashes of the whole blocks and those above, 32 bytes each, in the
	// order of package tlog for a tree of blocks.
	kept hashBytes
	// tail are the hashes of the leaves behind the last whole block.
	tail hashBytes
	// leaves returns the hashes of the leaves [from, to), which lie in one block.
	leaves func(from, to uint64) ([]tlog.Hash, error)
}

// hashBytes are hashes one behind the other.
type hashBytes []byte

func (b hashBytes) len() uint64           { return uint64(len(b)) / tlog.HashSize }
func (b hashBytes) at(i uint64) tlog.Hash { return tlog.Hash(b[i*tlog.HashSize:]) }

// ReadHashes makes it a tlog.HashReader.
func (b hashBytes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hs := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		hs[i] = b.at(uint64(x))
	}
	return hs, nil
}

// keptHashes is how many hashes are kept for so many whole blocks.
func keptHashes(blocks uint64) uint64 { return uint64(tlog.StoredHashCount(int64(blocks))) }

// whole reports whether it has the hashes that it should for n leaves.
func (t *tree) whole(n uint64) bool {
	return uint64(len(t.kept)) == keptHashes(n>>t.level)*tlog.HashSize && uint64(len(t.tail)) == (n&(1<<t.level-1))*tlog.HashSize
}

// ReadHashes makes it a tlog.HashReader.
func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hs := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		level, n := tlog.SplitStoredHashIndex(x)
		if level >= t.level {
			hs[i] = t.kept.at(uint64(tlog.StoredHashIndex(level-t.level, n)))
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
	start := from &^ (1<<t.level - 1)
	if keptHashes(start>>t.level) == t.kept.len() { // it is the tail's block
		hs := make([]tlog.Hash, to-from)
		for i := range hs {
			hs[i] = t.tail.at(from - start + uint64(i))
		}
		return hs, nil
	}
	return t.leaves(from, to)
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

// add appends a leaf by its hash; n is the number of leaves before it.
func (t *tree) add(n uint64, h tlog.Hash) error {
	t.tail = append(t.tail, h[:]...)
	if (n+1)&(1<<t.level-1) != 0 {
		return nil
	}
	block := make([]tlog.Hash, 1<<t.level)
	for i := range block {
		block[i] = t.tail.at(uint64(i))
	}
	more, err := tlog.StoredHashesForRecordHash(int64(n>>t.level), subtree(block), t.kept)
	if err != nil {
		return err
	}
	for _, h := range more {
		t.kept = append(t.kept, h[:]...)
	}
	t.tail = t.tail[:0]
	return nil
}

// set changes the hash of leaf i of n. leaves must give the new one.
func (t *tree) set(i, n uint64, h tlog.Hash) error {
	if i>>t.level == n>>t.level {
		copy(t.tail[i&(1<<t.level-1)*tlog.HashSize:], h[:])
		return nil
	}
	return t.path(i, n, func(stored uint64, h tlog.Hash) error {
		copy(t.kept[stored*tlog.HashSize:], h[:])
		return nil
	})
}

// path calls f with the kept hashes above leaf i of n, which is in a whole block, from
// the block's up: each as it is computed from the block's leaves and the siblings.
func (t *tree) path(i, n uint64, f func(stored uint64, h tlog.Hash) error) error {
	first := i >> t.level << t.level
	leaves, err := t.leaves(first, first+1<<t.level)
	if err != nil {
		return err
	}
	h, at, blocks := subtree(leaves), i>>t.level, n>>t.level
	for level := 0; ; level++ {
		if err := f(uint64(tlog.StoredHashIndex(level, int64(at))), h); err != nil {
			return err
		}
		if (at>>1+1)<<(level+1) > blocks {
			return nil // the parent is not complete and not kept
		}
		sibling := t.kept.at(uint64(tlog.StoredHashIndex(level, int64(at^1))))
		if at&1 == 1 {
			h = tlog.NodeHash(sibling, h)
		} else {
			h = tlog.NodeHash(h, sibling)
		}
		at >>= 1
	}
}

// holds reports whether leaf i of n is under the kept hashes with the hash h.
func (t *tree) holds(i, n uint64, h tlog.Hash) (bool, error) {
	if i>>t.level == n>>t.level {
		return t.tail.at(i&(1<<t.level-1)) == h, nil
	}
	same := true
	err := t.path(i, n, func(stored uint64, h tlog.Hash) error {
		same = same && t.kept.at(stored) == h
		return nil
	})
	return same, err
}

// cut makes it the tree of its first n leaves.
func (t *tree) cut(n uint64) error {
	blocks := keptHashes(n >> t.level)
	if blocks == t.kept.len() {
		t.tail = t.tail[:n&(1<<t.level-1)*tlog.HashSize]
		return nil
	}
	first := n >> t.level << t.level
	t.kept, t.tail = t.kept[:blocks*tlog.HashSize], t.tail[:0]
	if first == n {
		return nil
	}
	leaves, err := t.leaves(first, n)
	for _, h := range leaves {
		t.tail = append(t.tail, h[:]...)
	}
	return err
}

// root is the root of the first n leaves. That of all of them is what every entry needs.
func (t *tree) root(n uint64) (crypto.Hash, error) {
	if !t.whole(n) {
		h, err := tlog.TreeHash(int64(n), t)
		return crypto.Hash(h), err
	}
	var h tlog.Hash
	left := func(sub tlog.Hash) {
		if h == (tlog.Hash{}) {
			h = sub
		} else {
			h = tlog.NodeHash(sub, h)
		}
	}
	behind := n & (1<<t.level - 1)
	hs := make([]tlog.Hash, behind)
	for level := range t.level { // whole subtrees of the tail, from the last and smallest
		if size := uint64(1) << level; behind&size != 0 {
			first := behind &^ (2*size - 1)
			for i := range size {
				hs[i] = t.tail.at(first + i)
			}
			left(subtree(hs[:size]))
		}
	}
	for level, blocks := 0, n>>t.level; blocks>>level != 0; level++ {
		if blocks>>level&1 != 0 {
			left(t.kept.at(uint64(tlog.StoredHashIndex(level, int64(blocks>>level-1)))))
		}
	}
	return crypto.Hash(h), nil
}
