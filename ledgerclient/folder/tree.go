package folder

import (
	"errors"

	"github.com/carekey/carekey/crypto"
	"golang.org/x/mod/sumdb/tlog"
)

// tree is a growing RFC 6962 tree of which the hashes of the lowest levels are not kept:
// they are computed again from what it is a tree of, a block of 2^level leaves at a time.
// Those above are computed when they are first needed: a root needs all of them.
type tree struct {
	level int
	size  uint64 // leaves
	// kept[k] are the hashes of the whole subtrees of 2^k blocks. One that is zero is not
	// known yet, nor is any above it.
	kept [][]tlog.Hash
	// leaves returns the hashes of the leaves [from, to), which lie in one block.
	leaves func(from, to uint64) ([]tlog.Hash, error)
}

// add appends a leaf, which leaves gives from then on.
func (t *tree) add() {
	t.size++
	for k, whole := 0, uint64(1)<<t.level; t.size%whole == 0; k, whole = k+1, 2*whole {
		if k == len(t.kept) {
			t.kept = append(t.kept, nil)
		}
		t.kept[k] = append(t.kept[k], tlog.Hash{})
	}
}

// changed forgets what was computed of a leaf.
func (t *tree) changed(i uint64) {
	n := i >> t.level
	for _, hs := range t.kept {
		if n >= uint64(len(hs)) || hs[n] == (tlog.Hash{}) {
			return
		}
		hs[n] = tlog.Hash{}
		n /= 2
	}
}

// root is the root of the first n leaves.
func (t *tree) root(n uint64) (crypto.Hash, error) {
	h, err := tlog.TreeHash(int64(n), t)
	return crypto.Hash(h), err
}

// ReadHashes makes it a tlog.HashReader.
func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hs := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		level, n := tlog.SplitStoredHashIndex(x)
		var err error
		if hs[i], err = t.hash(level-t.level, uint64(n)); err != nil {
			return nil, err
		}
	}
	return hs, nil
}

// hash is that of whole subtree n of those of 2^k blocks; a k below 0 is that of a part
// of a block.
func (t *tree) hash(k int, n uint64) (h tlog.Hash, err error) {
	switch {
	case k >= 0 && t.kept[k][n] != tlog.Hash{}:
		return t.kept[k][n], nil
	case k > 0:
		left, lerr := t.hash(k-1, 2*n)
		right, rerr := t.hash(k-1, 2*n+1)
		h, err = tlog.NodeHash(left, right), errors.Join(lerr, rerr)
	default:
		h, err = t.subtree(n<<(t.level+k), (n+1)<<(t.level+k))
	}
	if k >= 0 && err == nil {
		t.kept[k][n] = h
	}
	return h, err
}

// subtree computes the hash of a whole subtree from its leaves.
func (t *tree) subtree(from, to uint64) (tlog.Hash, error) {
	hs, err := t.leaves(from, to)
	if err != nil {
		return tlog.Hash{}, err
	}
	for ; len(hs) > 1; hs = hs[:len(hs)/2] {
		for i := range len(hs) / 2 {
			hs[i] = tlog.NodeHash(hs[2*i], hs[2*i+1])
		}
	}
	return hs[0], nil
}
