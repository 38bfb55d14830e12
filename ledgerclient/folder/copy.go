package folder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
)

// Copied says what Copy wrote.
type Copied struct {
	Size  uint64 // entries in the copy
	Files int    // payload files that were not there yet, or not the same
	Bytes int64  // in them
}

// Copy makes a copy of the ledger in dst, a folder that is empty, does not exist,
// or holds an earlier copy of this ledger, which is brought up to date. The copy
// is of one head: what is appended meanwhile is left for the next time. It is a
// ledger that opens and verifies, with one thing left out: the keeper's shares. A
// share is destroyed when its consent ends, and a copy of it would outlive that;
// whoever gave a consent can make its share again and deposit it anew. The keys
// are copied, since without them nobody could go on with the ledger: keep a copy
// where you would keep the ledger itself.
//
// Payloads whose erasure is on the ledger are erased in an earlier copy too. One
// that the ledger has lost stays in it. What is no regular file, or longer than what
// the ledger says, is left out, and all else is copied: the error is the first of such
// *DamagedError.
//
// Errors: ErrNotEmpty or ErrLedgerExists if something else is in dst; *ledgerclient.RollbackError
// or *ledgerclient.ForkError if the copy there is newer than this ledger or of
// another history, in which case it is left as it is; ErrBusy; those of the
// file system. A copy that was interrupted is gone on with by the next.
func (f *Folder) Copy(ctx context.Context, dst string, progress func(done, total uint64)) (Copied, error) {
	c, err := f.copy(ctx, dst, nil, progress)
	if err == nil && len(c.left) > 0 {
		err = c.left[0]
	}
	return c.copied, err
}

// Salvage is Verify and then Copy of a folder that nobody vouches for. If its log
// verifies, damaged is all that else does not: keys, and what the keeper filed but
// stops, are left out, and a payload is copied up to the size that its
// entry commits to, for whoever asks for it to judge.
func (f *Folder) Salvage(ctx context.Context, dst string, verifying, copying func(done, total uint64)) (c Copied, damaged []*DamagedError, err error) {
	_, damaged, err = f.verify(ctx, nil, verifying)
	if err != nil {
		return c, nil, err
	}
	without := map[string]bool{}
	for _, d := range damaged {
		if strings.HasPrefix(d.File, "keys/") {
			without[d.File] = true
		}
	}
	done, err := f.copy(ctx, dst, without, copying)
	for _, d := range done.left {
		if !slices.ContainsFunc(damaged, func(e *DamagedError) bool { return e.File == d.File }) {
			damaged = append(damaged, d)
		}
	}
	return done.copied, damaged, err
}

func (f *Folder) copy(ctx context.Context, dst string, without map[string]bool, progress func(done, total uint64)) (*copier, error) {
	c := &copier{
		from:    store{f.ground()},
		to:      store{newGround(&ground{dir: dst, ops: f.ops, modes: modesOf(0o700), ledger: f.id, hour: f.hour})},
		f:       f,
		without: without,
	}
	if err := os.MkdirAll(dst, 0o700); err != nil {
		return c, err
	}
	lock, err := prepare(f.ops, dst, c.to.modes.file, 0, c.mayCopy)
	if err != nil {
		return c, err
	}
	defer lock.Close()
	return c, c.copy(ctx, progress)
}

type copier struct {
	from, to store
	f        *Folder
	head     head
	had      uint64 // entries that the copy had before
	copied   Copied
	without  map[string]bool // paths that are left out
	left     []*DamagedError // what could not be copied
}

// leave notes what is left out of the copy, and passes on any other error.
func (c *copier) leave(err error) error {
	var damaged *DamagedError
	if errors.As(err, &damaged) {
		c.left = append(c.left, damaged)
		return nil
	}
	return err
}

// mayCopy tells whether a folder may become, or is, a copy of the ledger.
func (c *copier) mayCopy(names map[string]bool) error {
	doc, err := c.to.read(c.to.path(genesisFile), maxGenesis)
	switch {
	case err == nil && bytes.Equal(doc, c.f.genesis):
		if names[unfinishedFile] {
			return nil
		}
		return checkFormat(c.to.dir)
	case err == nil && !names[unfinishedFile]:
		return ErrLedgerExists.With("dir", c.to.dir)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	for name := range names {
		if name != lockFile && !names[unfinishedFile] {
			return ErrNotEmpty.With("dir", c.to.dir)
		}
	}
	return nil
}

func (c *copier) copy(ctx context.Context, progress func(done, total uint64)) error {
	if err := c.takeHead(ctx); err != nil {
		return err
	}
	if err := c.fixed(); err != nil {
		return err
	}
	if err := c.leaves(ctx); err != nil {
		return err
	}
	if err := c.payloads(ctx, progress); err != nil {
		return err
	}
	// The commit. What the keeper filed goes with it: it is of this head.
	c.copied.Size = c.head.size
	return finish(c.to.ops, c.to.dir, c.head, c.to.modes.file)
}

// takeHead fixes the head that is copied, looks whether the copy that is there is
// a beginning of it, and copies what the keeper filed up to it.
func (c *copier) takeHead(ctx context.Context) error {
	return c.f.locked(ctx, shared, func() error {
		c.head = c.f.head
		raw, err := c.to.read(c.to.path(checkpointFile), maxCheckpoint)
		if err == nil {
			there, err := c.f.key.parseFile(raw)
			switch {
			case err != nil:
				return damagedFile(filepath.Join(c.to.dir, checkpointFile), err.Error())
			case there.size > c.head.size:
				return &ledgerclient.RollbackError{Pinned: there.size, Head: c.head.size}
			}
			root, err := c.f.tables.log.root(there.size)
			if err != nil {
				return err
			}
			if root != there.root {
				return &ledgerclient.ForkError{Size: there.size, Pinned: there.root, Head: root}
			}
			c.had = there.size
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return c.filed(ctx)
	})
}

// filed copies the keeper's files but for the shares. Nobody can tell of whose grant a
// filing is that cannot be read: in what is salvaged there is none.
func (c *copier) filed(ctx context.Context) error {
	if err := c.segments(ctx, c.from.filings, c.to.filings); err != nil || c.without == nil {
		return err
	}
	return c.to.filings.mend(func(r *segRecord) bool { return r.kind == filedStop }) // one that is damaged stops still
}

// fixed copies what never changes.
func (c *copier) fixed() error {
	if err := c.to.mkdirs("keys"); err != nil {
		return err
	}
	for _, name := range []string{formatFile, nodeKeyFile, entryKeyFile, keeperKeyFile, genesisFile} {
		if err := c.file(c.f.path(name), c.to.path(filepath.FromSlash(name)), maxGenesis); err != nil {
			return err
		}
	}
	return c.to.ops.syncDir(c.to.path("keys")) // the folder itself is synced with the commit
}

// leaves copies the leaves that the copy has not got yet.
func (c *copier) leaves(ctx context.Context) (err error) {
	out, err := c.to.ops.open(c.to.path(leavesFile), os.O_RDWR|os.O_CREATE, c.to.modes.file)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := out.Close(); err == nil {
			err = cerr
		}
	}()
	info, err := out.Stat()
	if err != nil {
		return err
	}
	from := min(c.had, uint64(info.Size())/contract.LeafSize)
	for from < c.head.size {
		if err := ctx.Err(); err != nil {
			return err
		}
		to := min(from+4096, c.head.size)
		b, err := c.f.leaves.read(from, to)
		if err != nil {
			return err
		}
		if _, err := out.WriteAt(b, int64(from)*contract.LeafSize); err != nil {
			return err
		}
		from = to
	}
	if err := out.Truncate(int64(c.head.size) * contract.LeafSize); err != nil {
		return err
	}
	return out.Sync()
}

// file makes the file at to the same as the one at from, if that is a file of at most
// most bytes. It is durable but for its name.
func (c *copier) file(from, to string, most int64) error {
	if c.without[c.from.relative(from)] {
		return nil
	}
	in, err := c.from.open(from)
	if err != nil {
		return c.leave(err)
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if info.Size() > most {
		return c.leave(c.from.damaged(from, fmt.Sprintf("it is more than %d bytes long", most)))
	}
	there, err := disk.Open(to, os.O_RDONLY, 0)
	if err == nil {
		same, err := sameBytes(in, there, info.Size())
		there.Close()
		if err != nil || same {
			return err
		}
	}
	tmp := to
	if next := to + ".new"; ofLayout(c.to.relative(next)) { // until then what was copied before is there
		tmp = next
	}
	if err := c.to.removeOne(tmp); err != nil {
		return err
	}
	out, err := c.to.ops.open(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, c.to.modes.file)
	if err != nil {
		return err
	}
	defer out.Close()
	n, err := io.Copy(io.NewOffsetWriter(out, 0), io.NewSectionReader(in, 0, info.Size()))
	if err != nil {
		return err
	}
	c.copied.Files++
	c.copied.Bytes += n
	if err := finishFile(out, tmp, c.to.fullHour()); err != nil || tmp == to {
		return err
	}
	return c.to.ops.rename(tmp, to)
}

// sameBytes tells whether two files hold the same; size is that of the first.
func sameBytes(a, b *os.File, size int64) (bool, error) {
	info, err := b.Stat()
	if err != nil || info.Size() != size {
		return false, err
	}
	var x, y [1 << 16]byte
	for off := int64(0); off < size; {
		n := int(min(int64(len(x)), size-off))
		if _, err := a.ReadAt(x[:n], off); err != nil {
			return false, err
		}
		if _, err := b.ReadAt(y[:n], off); err != nil || !bytes.Equal(x[:n], y[:n]) {
			return false, nil // a copy that cannot be read is written anew
		}
		off += int64(n)
	}
	return true, nil
}

// ID is the ledger's id.
func (f *Folder) ID() crypto.LedgerID { return f.id }
