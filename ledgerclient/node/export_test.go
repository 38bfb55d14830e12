package node_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/ledgerclient/node"
	"golang.org/x/mod/sumdb/tlog"
)

// tilesOnDisk reads an export as package tlog reads any log: what it gives is verified
// with the root of the tree.
type tilesOnDisk string

func (d tilesOnDisk) Height() int                     { return 8 }
func (d tilesOnDisk) SaveTiles([]tlog.Tile, [][]byte) {}

func (d tilesOnDisk) ReadTiles(tiles []tlog.Tile) (out [][]byte, err error) {
	for _, t := range tiles {
		b, err := os.ReadFile(filepath.Join(string(d), "tile", filepath.FromSlash(node.TilePath(t)[len(node.PathTile):])))
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// checkExport checks every entry of an export under a head.
func checkExport(t *testing.T, dir string, head ledgerclient.Head) {
	t.Helper()
	tiles := tlog.TileHashReader(tlog.Tree{N: int64(head.Size), Hash: tlog.Hash(head.Root)}, tilesOnDisk(dir))
	for n := uint64(0); n*node.BundleWidth < head.Size; n++ {
		width := int(min(node.BundleWidth, head.Size-n*node.BundleWidth))
		bundle, err := tilesOnDisk(dir).ReadTiles([]tlog.Tile{{L: -1, N: int64(n), W: width}})
		if err != nil {
			t.Fatal(err)
		}
		leaves, err := node.ParseEntryBundle(bundle[0], width)
		if err != nil {
			t.Fatal(err)
		}
		for i := range leaves {
			raw := leaves[i].Marshal()
			hs, err := tiles.ReadHashes([]int64{tlog.StoredHashIndex(0, int64(n*node.BundleWidth)+int64(i))})
			if err != nil || hs[0] != tlog.RecordHash(raw[:]) {
				t.Fatalf("entry %d: %v", int(n)*node.BundleWidth+i, err)
			}
		}
	}
}

// contents are the files of a folder.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// twisted is a ledger that says something else.
type twisted struct {
	ledgerclient.Ledger
	note []byte // checkpoint
	leaf bool   // changes one
}

func (l twisted) Checkpoint(ctx context.Context) ([]byte, error) {
	if l.note != nil {
		return l.note, nil
	}
	return l.Ledger.Checkpoint(ctx)
}

func (l twisted) Leaves(ctx context.Context, from, to uint64) ([]contract.Leaf, error) {
	leaves, err := l.Ledger.Leaves(ctx, from, to)
	if l.leaf && err == nil {
		leaves = slices.Clone(leaves)
		leaves[len(leaves)-1].StateRoot[0] ^= 1
	}
	return leaves, err
}

// An export verifies under its head at every size, is only ever added to, and what is not
// the ledger's is neither written nor replaced.
func TestExport(t *testing.T) {
	_, inv := start(t)
	s := dial(t, inv, node.Options{})
	connect := func(l ledgerclient.Ledger) *ledgerclient.Client {
		s := s
		s.Ledger = l
		c, err := ledgerclient.Connect(ctx, s, crypto.LedgerID{})
		if err != nil {
			t.Fatal(err)
		}
		c.AnyAge = true
		return c
	}
	c := connect(s.Ledger)
	dir := t.TempDir()
	var heads []ledgerclient.Head
	for i, more := range []int{0, 4, 251, 1, 300} { // sizes 1, 5, 256, 257, 557
		if more > 0 {
			if _, err := s.Ledger.Append(ctx, records(t, c.ID(), more)); err != nil {
				t.Fatal(err)
			}
		}
		before := contents(t, dir)
		x, err := node.Export(ctx, c, dir, nil)
		if err != nil {
			t.Fatal(i, err)
		}
		after := contents(t, dir)
		delete(before, filepath.Join(dir, "checkpoint"))
		for path, b := range before {
			if after[path] != b {
				t.Errorf("%s was changed", path)
			}
		}
		if x.Files != len(after)-len(before) {
			t.Errorf("%d files, and %d are new", x.Files, len(after)-len(before))
		}
		for _, head := range append(heads, x.Head) { // whoever has an older checkpoint goes on with it
			checkExport(t, dir, head)
		}
		heads = append(heads, x.Head)
		if x, err = node.Export(ctx, c, dir, nil); err != nil || x.Files > 1 { // a checkpoint with a newer time
			t.Errorf("again: %d files, %v", x.Files, err)
		}
	}
	if last := heads[len(heads)-1]; last.Size != 557 {
		t.Fatal(last.Size)
	}

	whole := contents(t, dir)
	unchanged := func(what string, dir string, want map[string]string) {
		t.Helper()
		got := contents(t, dir)
		if len(got) != len(want) {
			t.Errorf("%s: %d files, there were %d", what, len(got), len(want))
		}
		for path, b := range want {
			if got[path] != b {
				t.Errorf("%s: %s was changed", what, path)
			}
		}
	}
	empty := t.TempDir()
	var tampered *ledgerclient.TamperedError
	if _, err := node.Export(ctx, connect(twisted{s.Ledger, nil, true}), empty, nil); !errors.As(err, &tampered) {
		t.Errorf("a leaf that is not the head's: %v", err)
	}
	unchanged("a leaf that is not the head's", empty, nil)
	var rollback *ledgerclient.RollbackError
	if _, err := node.Export(ctx, connect(twisted{s.Ledger, heads[1].Note, false}), dir, nil); !errors.As(err, &rollback) {
		t.Errorf("an older head: %v", err)
	}
	unchanged("an older head", dir, whole)

	var kind *disk.KindError
	for _, name := range []string{"checkpoint", "tile/0/000", "tile/1/000.p/2", "tile/entries/002.p/45"} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		was := []byte(whole[path])
		for _, other := range [][]byte{nil, was[:len(was)-1], append(bytes.Clone(was), 'x'), append([]byte{was[0] ^ 1}, was[1:]...)} {
			if err := os.WriteFile(path, other, 0o600); err != nil {
				t.Fatal(err)
			}
			there := contents(t, dir)
			if _, err := node.Export(ctx, c, dir, nil); !errors.As(err, &kind) {
				t.Errorf("%s of %d bytes is something else: %v", name, len(other), err)
			}
			unchanged(name, dir, there)
		}
		if err := os.WriteFile(path, was, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The root of another ledger is none of this one's.
	_, other := start(t)
	so := dial(t, other, node.Options{})
	co, err := ledgerclient.Connect(ctx, so, crypto.LedgerID{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := node.Export(ctx, co, dir, nil); !errors.As(err, &kind) {
		t.Errorf("into another ledger's export: %v", err)
	}
	unchanged("into another ledger's export", dir, whole)
}
