package node

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
	"golang.org/x/mod/sumdb/tlog"
)

// Exported is what [Export] did.
type Exported struct {
	Head  ledgerclient.Head
	Files int // written now; those that were there are not counted
}

// exportCheckpoint is the one file of an export that is replaced.
const exportCheckpoint = "checkpoint"

// Export writes a whole log into dir, which exists, as C2SP tlog-tiles: the files
// checkpoint, tile/<L>/<N>[.p/<W>] and tile/entries/<N>[.p/<W>], that any reader of such
// logs takes from a disk or a web server. Nothing gets its name before all leaves are
// shown to be those under the signed head, and the checkpoint does last. What is in dir
// from an earlier export is compared and stays, also partial tiles that are full by now;
// its checkpoint must be on the way to the new one. progress is as in
// [ledgerclient.Client.VerifyAll].
//
// Memory: one tile per level, some 100 KiB.
//
// Errors: those of [ledgerclient.Client.Advance], the checkpoint that is in dir being
// what was known; a *disk.KindError if what is in dir under a name of the export is not
// what the log has there: it is left as it is.
func Export(ctx context.Context, c *ledgerclient.Client, dir string, progress func(done, total uint64)) (x Exported, err error) {
	var known ledgerclient.Pin
	path := filepath.Join(dir, exportCheckpoint)
	was, err := disk.ReadFile(path, MaxNote)
	if err == nil {
		old, err := c.ReadHead(was)
		if err != nil {
			return x, &disk.KindError{Path: path, Is: "no checkpoint of this ledger"}
		}
		known = ledgerclient.Pin{Ledger: c.ID(), Size: old.Size, Root: old.Root, Note: old.Note}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return x, err
	}
	head, err := c.Head(ctx)
	if err != nil {
		return x, err
	}
	spool, err := os.MkdirTemp(dir, ".new-")
	if err != nil {
		return x, err
	}
	defer os.RemoveAll(spool)
	w := exporting{dir: dir, spool: spool}
	_, x.Head, err = c.Advance(ctx, ledgerclient.Pin{Ledger: c.ID()}, known, func(index uint64, leaf *contract.Leaf) error {
		if progress != nil && index%1024 == 0 {
			progress(index, max(head.Size, index))
		}
		if index == 0 && w.size > 0 { // another node is asked
			if err := cmp.Or(os.RemoveAll(spool), os.Mkdir(spool, 0o700)); err != nil {
				return err
			}
			w = exporting{dir: dir, spool: spool}
		}
		return w.leaf(leaf)
	})
	if err == nil {
		err = w.partial()
	}
	if err == nil && !bytes.Equal(was, x.Head.Note) {
		err = w.put(exportCheckpoint, x.Head.Note)
	}
	if err == nil {
		err = w.name()
	}
	x.Files = len(w.files)
	return x, err
}

// exporting is an export as far as the log was read.
type exporting struct {
	dir, spool string
	files      []string // paths in spool that get their names in dir, with slashes

	bundle []byte // leaves of the entry bundle that is being filled
	size   int64  // leaves read
	levels []exportLevel
}

// exportLevel is the tile of a level that is being filled.
type exportLevel struct {
	number int64
	hashes []tlog.Hash
}

func (w *exporting) leaf(l *contract.Leaf) error {
	raw := l.Marshal()
	w.bundle = append(w.bundle, raw[:]...)
	w.size++
	if w.size%BundleWidth == 0 {
		if err := w.entries(); err != nil {
			return err
		}
	}
	return w.add(0, tlog.RecordHash(raw[:]))
}

// entries writes the entry bundle.
func (w *exporting) entries() error {
	n := w.size - 1
	err := w.tile(tlog.Tile{L: -1, N: n / BundleWidth, W: int(n%BundleWidth) + 1}, EntryBundle(w.bundle))
	w.bundle = w.bundle[:0]
	return err
}

// add puts a hash into the tile of a level, and the root of one that is full into the
// level above.
func (w *exporting) add(level int, h tlog.Hash) error {
	if level == len(w.levels) {
		w.levels = append(w.levels, exportLevel{})
	}
	l := &w.levels[level]
	l.hashes = append(l.hashes, h)
	if len(l.hashes) < BundleWidth {
		return nil
	}
	if err := w.hashes(level); err != nil {
		return err
	}
	hs := l.hashes
	for ; len(hs) > 1; hs = hs[:len(hs)/2] {
		for i := range len(hs) / 2 {
			hs[i] = tlog.NodeHash(hs[2*i], hs[2*i+1])
		}
	}
	l.number, l.hashes = l.number+1, l.hashes[:0]
	return w.add(level+1, hs[0])
}

// hashes writes the tile of a level.
func (w *exporting) hashes(level int) error {
	l := &w.levels[level]
	var b []byte
	for i := range l.hashes {
		b = append(b, l.hashes[i][:]...)
	}
	return w.tile(tlog.Tile{L: level, N: l.number, W: len(l.hashes)}, b)
}

// partial writes the tiles that did not become full.
func (w *exporting) partial() error {
	if len(w.bundle) > 0 {
		if err := w.entries(); err != nil {
			return err
		}
	}
	for level := range w.levels {
		if len(w.levels[level].hashes) > 0 {
			if err := w.hashes(level); err != nil {
				return err
			}
		}
	}
	return nil
}

// tile writes a tile, unless it is there.
func (w *exporting) tile(t tlog.Tile, data []byte) error {
	rel := "tile/" + TilePath(t)[len(PathTile):]
	path := filepath.Join(w.dir, filepath.FromSlash(rel))
	if err := insideOnly(w.dir, path); err != nil {
		return err
	}
	there, err := disk.ReadFile(path, int64(len(data)))
	if errors.Is(err, fs.ErrNotExist) {
		return w.put(rel, data)
	}
	if err == nil && !bytes.Equal(there, data) {
		err = &disk.KindError{Path: path, Is: "not what the ledger has there"}
	}
	return err
}

// insideOnly returns a *disk.KindError if a path leads through a link or a file in dir.
func insideOnly(dir, path string) error {
	for p := filepath.Dir(path); len(p) > len(filepath.Clean(dir)); p = filepath.Dir(p) {
		if err := disk.IsDir(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// put writes a file that has no name in the export yet.
func (w *exporting) put(rel string, data []byte) error {
	path := filepath.Join(w.spool, filepath.FromSlash(rel))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := disk.Open(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		w.files = append(w.files, rel)
	}
	return err
}

// name gives the files their names, in the order in which they were written, so that a
// checkpoint never stands without what it signs.
func (w *exporting) name() error {
	folders := map[string]bool{w.dir: true}
	for i, rel := range w.files {
		to := filepath.Join(w.dir, filepath.FromSlash(rel))
		if rel == exportCheckpoint {
			for dir := range folders {
				if err := disk.SyncDir(dir); err != nil {
					return err
				}
			}
		} else if _, err := os.Lstat(to); err == nil { // since it was looked for
			return &disk.KindError{Path: to, Is: "of somebody who writes there too"}
		}
		for p := filepath.Dir(to); !folders[p]; p = filepath.Dir(p) {
			folders[p] = true
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(w.spool, filepath.FromSlash(rel)), to); err != nil {
			w.files = w.files[:i]
			return err
		}
	}
	return disk.SyncDir(w.dir)
}
