package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
	"golang.org/x/mod/sumdb/tlog"
)

// founded is a file that a ledger is made with, or without data a folder for some.
type founded struct {
	name string
	data []byte
	mode fs.FileMode
}

// createLog makes the files of a new ledger, those of its services with them.
func createLog(dir string, fd Founding, at Ordered, opt Options, ops fileOps, services func(modes) []founded) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(filepath.Clean(dir)), 0o700); err != nil {
			return err
		}
		if err := ops.mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := ops.syncDir(filepath.Dir(filepath.Clean(dir))); err != nil {
			return err
		}
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return ErrNotEmpty.With("dir", dir)
	}
	l, err := newLog(dir, info, opt, ops)
	if err != nil {
		return err
	}
	first, files, err := l.founded(fd, at)
	if err == nil {
		err = l.found(first, append(files, services(l.modes)...))
	}
	if errors.Is(err, fs.ErrPermission) || readOnly(err) {
		err = ErrReadOnly.Of(err, "dir", dir)
	}
	return err
}

// found makes the files of a new ledger, under its lock.
func (l *log) found(first head, files []founded) error {
	lock, err := prepare(l.ops, l.dir, l.modes.file, l.wait, func(names map[string]bool) error { return l.mayFound(names, files) })
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := l.ops.syncDir(l.dir); err != nil {
		return err
	}
	if err := l.clear(files); err != nil {
		return err
	}
	if err := l.writeFounded(files); err != nil {
		return err
	}
	return finish(l.ops, l.dir, first, l.modes.file)
}

// prepare locks a folder in which a ledger is to be made, if may allows it with the names
// that are in it. The mark `unfinished` is there from before the first until after the
// last of the files, so that a ledger that lost a file is never taken for one that was
// never finished.
func prepare(ops fileOps, dir string, mode fs.FileMode, wait time.Duration, may func(names map[string]bool) error) (*os.File, error) {
	if names, err := entryNames(dir); err != nil {
		return nil, err
	} else if err := may(names); err != nil {
		return nil, err
	}
	lock, err := claim(filepath.Join(dir, lockFile), dir, mode, wait)
	if err != nil {
		return nil, err
	}
	disk.Chmod(lock, mode) // fails if another user of the group made it: it has the mode then
	names, err := entryNames(dir)
	if err == nil {
		err = may(names) // another process may have been faster
	}
	if err == nil && !names[checkpointFile] && !names[unfinishedFile] {
		err = writeFile(ops, filepath.Join(dir, unfinishedFile), nil, mode)
	}
	if err != nil {
		lock.Close()
	}
	return lock, err
}

// finish writes the checkpoint, with which there is a ledger, behind all other files.
func finish(ops fileOps, dir string, h head, mode fs.FileMode) error {
	if err := replaceFile(ops, filepath.Join(dir, checkpointFile), h.file(), mode); err != nil {
		return err
	}
	if err := ops.syncDir(dir); err != nil {
		return err
	}
	if err := removeOne(ops, filepath.Join(dir, unfinishedFile)); err != nil {
		return err
	}
	return ops.syncDir(dir)
}

// clear removes what an interrupted Create left of the files.
func (l *log) clear(files []founded) error {
	for _, f := range slices.Backward(files) {
		names := []string{f.name}
		if f.data == nil { // a replica has another key
			in, err := readDirIn(l.dir, l.path(f.name))
			if err != nil {
				return err
			}
			for _, e := range in {
				names = append([]string{f.name + "/" + e.Name()}, names...)
			}
		}
		for _, name := range names {
			if err := removeOne(l.ops, l.path(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeFounded makes the files, durably.
func (l *log) writeFounded(files []founded) (err error) {
	dirs := []string{l.dir}
	for _, f := range files {
		if f.data == nil {
			dirs = append(dirs, l.path(f.name))
			err = l.ops.mkdir(l.path(f.name), f.mode)
		} else {
			err = writeFile(l.ops, l.path(f.name), f.data, f.mode)
		}
		if err != nil {
			return err
		}
	}
	for _, dir := range slices.Backward(dirs) {
		if err := l.ops.syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// mayFound reports whether a folder with these names in it may become a ledger: it
// is empty, or Create was interrupted in it.
func (l *log) mayFound(names map[string]bool, files []founded) error {
	if names[checkpointFile] || names[leavesFile] && !names[unfinishedFile] {
		return ErrLedgerExists.With("dir", l.dir)
	}
	known := map[string]bool{lockFile: true}
	if names[unfinishedFile] {
		known[unfinishedFile], known[checkpointFile+".new"] = true, true
		for _, f := range files {
			known[f.name] = true
		}
	}
	for n := range names {
		if !known[n] {
			return ErrNotEmpty.With("dir", l.dir)
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

// founded returns the first checkpoint, and the files of the log that there must be before
// it: the keys, the configuration and entry 0.
func (l *log) founded(fd Founding, at Ordered) (first head, files []founded, err error) {
	c, err := contract.ParseConfig(fd.Genesis)
	if err != nil {
		return head{}, nil, err
	}
	id := c.LedgerID()
	hour := l.hour()
	if at.Next > 0 {
		hour = at.Hour
	}
	t := newTables(id, c, leafFile{}, 1)
	entry0, err := (&judgement{t: t}).next(&fd.Entry, fd.Entry.ID(id), hour)
	if err != nil {
		return head{}, nil, err
	}
	t.extend(&entry0)
	leaf, err := t.leafOf(&entry0)
	if err != nil {
		return head{}, nil, err
	}
	raw := leaf.Marshal()
	key, err := newCheckpointKey(ledgerclient.Origin(id), c.Nodes[0].Checkpoint)
	if fd.follows() {
		key, err = newReplicaKey(id, fd.checkpoint)
	}
	if err != nil {
		return head{}, nil, err
	}
	first, err = checkpointSigner{key, fd.checkpoint}.checkpoint(1, crypto.Hash(tlog.RecordHash(raw[:])))
	if err != nil {
		return head{}, nil, err
	}
	first.next = at.Next
	files = []founded{
		{"keys", nil, l.modes.keyDir},
		{formatFile, []byte(format), l.modes.file},
		{genesisFile, fd.Genesis, l.modes.file},
		{leavesFile, append(raw[:], make([]byte, leavesRoom)...), l.modes.file},
		{checkpointRoom, first.file(), l.modes.file},
	}
	seed := marshalKey([32]byte(fd.checkpoint.Seed()))
	if fd.follows() {
		files = append(files, founded{replicaKeyFile, seed, l.modes.key})
	} else {
		files = append(files, founded{nodeKeyFile, seed, l.modes.key},
			founded{entryKeyFile, marshalKey(fd.entry.ExposeSecret()), l.modes.key},
			founded{keeperKeyFile, marshalKey(fd.keeper.ExposeSecret()), l.modes.key})
	}
	return first, files, nil
}
