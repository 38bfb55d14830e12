package folder

import (
	"time"

	"github.com/carekey/carekey/ledgerclient/disk"
)

// batch makes many new files durable for the price of few. A file that is
// written through it is not to be relied upon before flush, a name that was
// changed through it not before syncNames.
//
// Up to bulkFrom files are synced one by one. Beyond that, where the system can,
// the whole file system is synced once: a thousand grants are some ten thousand
// small files, and a sync of each would take as many times longer.
type batch struct {
	g    *ground
	time time.Time // of last change, for what is written
	bulk bool
	dirs map[string]bool // folders with new names in them
}

const bulkFrom = 16

// newBatch begins a batch of about n files.
func (g *ground) newBatch(n int) *batch {
	_, able := g.ops.(syncer)
	return &batch{g: g, time: g.fullHour(), bulk: able && n > bulkFrom, dirs: map[string]bool{}}
}

// syncer is a fileOps that can sync the whole file system that a folder is on.
type syncer interface {
	// syncFS makes all durable that was written to the file system before.
	syncFS(dir string) error
}

// finish gives a written file its time, and syncs and closes it.
func (b *batch) finish(path string, f file) error {
	if err := disk.Chtimes(path, b.time); err != nil {
		return err
	}
	if !b.bulk {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return f.Close()
}

// flush makes all files that were written durable, and the names in new folders.
func (b *batch) flush() error {
	if b.bulk {
		clear(b.dirs)
		return b.g.ops.(syncer).syncFS(b.g.dir)
	}
	return b.syncNames()
}

// syncNames makes all names durable that were changed since flush.
func (b *batch) syncNames() error {
	if b.bulk && len(b.dirs) > bulkFrom {
		clear(b.dirs)
		return b.g.ops.(syncer).syncFS(b.g.dir)
	}
	for dir := range b.dirs {
		if err := b.g.ops.syncDir(dir); err != nil {
			return err
		}
	}
	clear(b.dirs)
	return nil
}
