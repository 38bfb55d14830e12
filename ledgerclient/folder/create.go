package folder

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
)

// Create makes a new ledger of that name in a folder, which must be empty, or
// not exist and is then made, for its owner alone. clock gives the hour of entry
// 0; nil is the system's. What an interrupted Create left is cleared away.
//
// Errors: *ExistsError, *NetworkFSError, *BusyError, *contract.ConfigError if
// the name is none, and those of the file system.
func Create(dir, name string, clock func() time.Time) (*Folder, error) {
	return create(dir, name, Options{Clock: clock}, systemFiles{}, networkFS)
}

// CreateFrom is Create with the keys and the configuration of f. The zero Ordered
// makes a folder that keeps its own order; otherwise it becomes a replica of an
// order in which f.Entry stands, see Ordered.
//
// Errors: those of Create, and *contract.Refusal for an hour at which entry 0 is
// not accepted.
func CreateFrom(dir string, f Founding, at Ordered, opt Options) (*Folder, error) {
	return createFrom(dir, f, at, opt, systemFiles{}, networkFS)
}

func create(dir, name string, opt Options, ops fileOps, network func(string) (string, error)) (*Folder, error) {
	fd, err := NewFounding(name)
	if err != nil {
		return nil, err
	}
	return createFrom(dir, fd, Ordered{}, opt, ops, network)
}

func createFrom(dir string, fd Founding, at Ordered, opt Options, ops fileOps, network func(string) (string, error)) (_ *Folder, err error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(filepath.Clean(dir)), 0o700); err != nil {
			return nil, err
		}
		if err := ops.mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		if err := ops.syncDir(filepath.Dir(filepath.Clean(dir))); err != nil {
			return nil, err
		}
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, &ExistsError{Dir: dir}
	}
	if kind, err := network(dir); err != nil {
		return nil, err
	} else if kind != "" {
		return nil, &NetworkFSError{Dir: dir, FS: kind}
	}
	f := &Folder{dir: dir, ops: ops, modes: modesOf(info.Mode()), clock: opt.Clock, wait: opt.Wait}
	if f.clock == nil {
		f.clock = time.Now
	}
	if f.wait == 0 {
		f.wait = defaultWait
	}
	if err := f.found(fd, at); err != nil {
		if errors.Is(err, fs.ErrPermission) || readOnly(err) {
			err = &ReadOnlyError{Dir: dir, Err: err}
		}
		return nil, err
	}
	return open(dir, opt, ops, network)
}

// found makes the files of a new ledger, under its lock. The mark `unfinished`
// is there from before the first until after the last of them, so that a ledger
// that lost a file is never taken for one that was never finished.
func (f *Folder) found(fd Founding, at Ordered) (err error) {
	names, err := entryNames(f.dir)
	if err != nil {
		return err
	}
	if err := f.mayFound(names); err != nil {
		return err
	}
	f.lock, err = disk.Open(f.path(lockFile), os.O_RDONLY|os.O_CREATE, f.modes.file)
	if err != nil {
		return err
	}
	defer f.lock.Close()
	disk.Chmod(f.lock, f.modes.file) // fails if another user of the group made it: it has the mode then
	if err := f.waitForLock(context.Background(), true); err != nil {
		return err
	}
	defer unlock(f.lock)
	// Another process may have been faster.
	if names, err = entryNames(f.dir); err != nil {
		return err
	}
	if err := f.mayFound(names); err != nil {
		return err
	}

	unfinished := f.path(unfinishedFile)
	if !names[unfinishedFile] {
		if err := writeFile(f.ops, unfinished, nil, f.modes.file); err != nil {
			return err
		}
	}
	if err := f.ops.syncDir(f.dir); err != nil {
		return err
	}
	for _, n := range foundedFiles {
		if err := f.ops.remove(f.path(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := f.writeFounded(fd, at); err != nil {
		return err
	}
	if err := f.ops.remove(unfinished); err != nil {
		return err
	}
	return f.ops.syncDir(f.dir)
}

// foundedFiles are all names that Create makes, in an order in which they can be
// removed.
var foundedFiles = []string{
	genesisFile, leavesFile, orderFile, checkpointFile + ".new", nodeKeyFile, entryKeyFile, keeperKeyFile, replicaKeyFile, "keys",
	orderFile + roomSuffix, checkpointFile + roomSuffix, keeperRoom, "keeper",
}

// mayFound tells whether a folder with these names in it may become a ledger: it
// is empty, or Create was interrupted in it.
func (f *Folder) mayFound(names map[string]bool) error {
	if names[checkpointFile] || names[leavesFile] && !names[unfinishedFile] {
		return &ExistsError{Dir: f.dir, Ledger: true}
	}
	known := map[string]bool{lockFile: true}
	if names[unfinishedFile] {
		known[unfinishedFile] = true
		for _, n := range foundedFiles {
			known[n] = true
		}
	}
	for n := range names {
		if !known[n] {
			return &ExistsError{Dir: f.dir}
		}
	}
	return nil
}

// entryNames are the names in a folder that a person would see.
func entryNames(dir string) (map[string]bool, error) {
	entries, err := disk.ReadDir(dir + string(filepath.Separator))
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, e := range entries {
		if !disk.IsLitter(e.Name()) {
			names[e.Name()] = true
		}
	}
	return names, nil
}

// writeFounded writes the keys, the configuration, entry 0 and, last, the
// checkpoint, from which on there is a ledger.
func (f *Folder) writeFounded(fd Founding, at Ordered) error {
	c, err := contract.ParseConfig(fd.Genesis)
	if err != nil {
		return err
	}
	id := c.LedgerID()
	hour := f.hour()
	if at.Next > 0 {
		hour = at.Hour
	}
	t := newTables(id, c.Params(), leafFile{})
	leaf, err := t.admit(&fd.Entry, fd.Entry.ID(id), hour)
	if err != nil {
		return err
	}
	root, err := t.log.root(1)
	if err != nil {
		return err
	}
	key, err := newCheckpointKey(ledgerclient.Origin(id), c.Nodes[0].Checkpoint)
	if fd.follows() {
		key, err = newReplicaKey(id, fd.checkpoint)
	}
	if err != nil {
		return err
	}
	first, err := checkpointSigner{key, fd.checkpoint}.checkpoint(1, root)
	if err != nil {
		return err
	}
	for _, dir := range []string{"keys", "keeper"} {
		if err := f.ops.mkdir(f.path(dir), f.modes.keyDir); err != nil {
			return err
		}
	}
	type written struct {
		name string
		data []byte
		mode fs.FileMode
	}
	raw := leaf.Marshal()
	files := []written{
		{genesisFile, fd.Genesis, f.modes.file},
		{leavesFile, append(raw[:], make([]byte, leavesRoom)...), f.modes.file},
		{checkpointFile + roomSuffix, first.raw, f.modes.file},
	}
	seed := marshalKey([32]byte(fd.checkpoint.Seed()))
	if fd.follows() {
		files = append(files, written{replicaKeyFile, seed, f.modes.key})
	} else {
		files = append(files, written{nodeKeyFile, seed, f.modes.key},
			written{entryKeyFile, marshalKey(fd.entry.ExposeSecret()), f.modes.key},
			written{keeperKeyFile, marshalKey(fd.keeper.ExposeSecret()), f.modes.key},
			written{keeperRoom, emptyRoom(), f.modes.key})
	}
	if at.Next > 0 {
		consumed := marshalMarks([]mark{{1, at.Next}})
		files = append(files, written{orderFile, consumed, f.modes.file}, written{orderFile + roomSuffix, consumed, f.modes.file})
	}
	for _, w := range files {
		if err := writeFile(f.ops, f.path(w.name), w.data, w.mode); err != nil {
			return err
		}
	}
	for _, d := range []string{"keys", "keeper", ""} {
		if err := f.ops.syncDir(strings.TrimSuffix(f.path(d), "/")); err != nil {
			return err
		}
	}
	if err := replaceFile(f.ops, f.path(checkpointFile), first.raw, f.modes.file); err != nil {
		return err
	}
	return f.ops.syncDir(f.dir)
}
