package folder

import (
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// logHashes is the file `hashes`: the hashes of the log's tree in the order in
// which package tlog stores them, 32 bytes each.
type logHashes struct{ *derived }

func newLogHashes() logHashes { return logHashes{newDerived("hashes", "carekey-hashes/1")} }

func (logHashes) dataLen(_ header, n uint64) int64 {
	return tlog.StoredHashCount(int64(n)) * tlog.HashSize
}

// add appends the hashes that leaf n completes.
func (l logHashes) add(n uint64, leaf tlog.Hash) error {
	hs, err := tlog.StoredHashesForRecordHash(int64(n), leaf, l)
	if err != nil {
		return err
	}
	off := tlog.StoredHashIndex(0, int64(n)) * tlog.HashSize
	for i := range hs {
		if err := l.write(off+int64(i)*tlog.HashSize, hs[i][:]); err != nil {
			return err
		}
	}
	return nil
}

// root is the root of the first n leaves.
func (l logHashes) root(n uint64) (crypto.Hash, error) {
	h, err := tlog.TreeHash(int64(n), l)
	return crypto.Hash(h), err
}

// ReadHashes makes it a tlog.HashReader.
func (l logHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hs := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		b, err := l.read(x*tlog.HashSize, tlog.HashSize)
		if err != nil {
			return nil, err
		}
		hs[i] = tlog.Hash(b)
	}
	return hs, nil
}

// leafFile is the file `leaves`: 258 bytes for each leaf and nothing else. Bytes
// beyond the size of the checkpoint are of an append that was never committed.
type leafFile struct{ f file }

// read returns the bytes of the leaves [from, to).
func (l leafFile) read(from, to uint64) ([]byte, error) {
	b := make([]byte, (to-from)*contract.LeafSize)
	if _, err := l.f.ReadAt(b, int64(from)*contract.LeafSize); err != nil {
		return nil, err
	}
	return b, nil
}

func (l leafFile) at(i uint64) (contract.Leaf, error) {
	b, err := l.read(i, i+1)
	if err != nil {
		return contract.Leaf{}, err
	}
	return contract.ParseLeaf(b)
}
