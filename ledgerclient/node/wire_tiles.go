package node

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// Tiles and entry bundles are those of C2SP tlog-tiles. A tlog.Tile of height 8
// names both, as package tlog does: level -1 is an entry bundle.

// tileHeight is the height of every tile.
const tileHeight = 8

// TilePath is where a tile is served, or, of a tile of level -1, an entry bundle:
// PathTile followed by <L>/<N>[.p/<W>] or entries/<N>[.p/<W>]. The tile's height
// is 8.
func TilePath(t tlog.Tile) string {
	t.H = tileHeight
	// Package tlog writes the height before the level, and "data" for level -1.
	rest := strings.TrimPrefix(t.Path(), "tile/8/")
	if t.L == -1 {
		rest = "entries" + strings.TrimPrefix(rest, "data")
	}
	return PathTile + rest
}

// ParseTilePath reads what follows PathTile.
func ParseTilePath(s string) (tlog.Tile, error) {
	path := "tile/8/" + s
	if n, ok := strings.CutPrefix(s, "entries/"); ok {
		path = "tile/8/data/" + n
	} else if strings.HasPrefix(s, "data") {
		path = "" // the other name of a bundle
	}
	t, err := tlog.ParseTilePath(path)
	if err != nil || t.H != tileHeight || t.L > 63 {
		return tlog.Tile{}, malformed("path of a tile", errSpare)
	}
	return t, nil
}

// TileLeaves returns how many leaves the log must have for a tile to be there;
// false if that is more than a log can have.
func TileLeaves(t tlog.Tile) (leaves uint64, ok bool) {
	n := uint64(t.N)*BundleWidth + uint64(t.W) // hashes on the tile's level
	shift := tileHeight * max(t.L, 0)
	if t.N < 0 || uint64(t.N) > 1<<54 || shift > 62 || n > (1<<62)>>shift {
		return 0, false
	}
	return n << shift, true
}

// EntryBundle encodes leaves, given as their bytes one behind the other, as C2SP
// tlog-tiles has it: each behind its length in 2 bytes.
func EntryBundle(leaves []byte) []byte {
	b := make([]byte, 0, len(leaves)/contract.LeafSize*(2+contract.LeafSize))
	for ; len(leaves) > 0; leaves = leaves[contract.LeafSize:] {
		b = binary.BigEndian.AppendUint16(b, contract.LeafSize)
		b = append(b, leaves[:contract.LeafSize]...)
	}
	return b
}

// ParseEntryBundle decodes a bundle of exactly width leaves.
func ParseEntryBundle(b []byte, width int) ([]contract.Leaf, error) {
	what := "entry bundle of " + strconv.Itoa(width)
	if width < 1 || width > BundleWidth {
		return nil, malformed(what, codec.ErrRange)
	}
	return list(what, width, width, func(c *codec.Codec, l *contract.Leaf) {
		var raw []byte
		codec.Sized[uint16](c, &raw, contract.LeafSize)
		var err error
		*l, err = contract.ParseLeaf(raw)
		c.Fail(err)
	}).Parse(b)
}
