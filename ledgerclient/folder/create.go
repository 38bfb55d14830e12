package folder

import (
	"crypto/ed25519"
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
	info, err := makeDir(ops, dir)
	if err != nil {
		return err
	}
	l, err := newLog(dir, info, opt, ops)
	if err != nil {
		return err
	}
	first, files, err := l.founded(fd, at)
	if err == nil {
		var beside []string
		if fd.keys.in == filepath.Clean(dir) {
			beside = besideKeys
		}
		err = l.found(first, append(files, services(l.modes)...), beside)
	}
	if errors.Is(err, fs.ErrPermission) || readOnly(err) {
		err = ErrReadOnly.Of(err, "dir", dir)
	}
	return err
}

// makeDir makes a ledger's folder, if it is not there.
func makeDir(ops fileOps, dir string) (fs.FileInfo, error) {
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
	if err == nil && !info.IsDir() {
		err = ErrNotEmpty.With("dir", dir)
	}
	return info, err
}

// found makes the files of a new ledger, under its lock, where there is nothing but what
// may be beside them.
func (l *log) found(first head, files []founded, beside []string) error {
	known := slices.Clone(beside)
	for _, f := range files {
		known = append(known, f.name)
	}
	lock, err := prepare(l.ops, l.dir, l.modes.file, l.wait, func(names map[string]bool) error {
		if names[unfinishedFile] {
			return mayFound(l.dir, names, append(known, unfinishedFile, checkpointFile+".new")...)
		}
		return mayFound(l.dir, names, beside...)
	})
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

// mayFound reports whether a folder with these names in it may become a ledger: it has
// none, and nothing that is not known.
func mayFound(dir string, names map[string]bool, known ...string) error {
	if names[checkpointFile] || names[leavesFile] && !names[unfinishedFile] {
		return ErrLedgerExists.With("dir", dir)
	}
	for n := range names {
		if n != lockFile && !slices.Contains(known, n) {
			return ErrNotEmpty.With("dir", dir)
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
	if err = contract.CheckShape(&fd.Entry); err == nil {
		err = contract.CheckSignature(id, &fd.Entry)
	}
	if err == nil {
		_, err = contract.CheckGenesis(fd.Genesis, &fd.Entry)
	}
	if err == nil && len(c.Nodes) > 1 && at.Next == 0 {
		err = ErrReplica.With("dir", l.dir) // two folders would keep two orders
	}
	if err != nil {
		return head{}, nil, err
	}
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
	sign := fd.keys.checkpoint
	key, err := newCheckpointKey(ledgerclient.Origin(id), [32]byte(sign.Public().(ed25519.PublicKey)))
	if fd.follows() {
		key, err = newReplicaKey(id, sign)
	}
	if err != nil {
		return head{}, nil, err
	}
	first, err = checkpointSigner{key, sign}.checkpoint(1, crypto.Hash(tlog.RecordHash(raw[:])))
	if err != nil {
		return head{}, nil, err
	}
	first.next = at.Next
	files = []founded{
		{formatFile, []byte(format), l.modes.file},
		{genesisFile, fd.Genesis, l.modes.file},
		{leavesFile, append(raw[:], make([]byte, leavesRoom)...), l.modes.file},
		{checkpointRoom, first.file(), l.modes.file},
	}
	if fd.keys.in == filepath.Clean(l.dir) { // they are there
		return first, files, nil
	}
	keys := []founded{{name: replicaKeyFile, data: marshalKey([32]byte(sign.Seed()))}}
	if !fd.follows() {
		keys = fd.keys.files()
	}
	files = append([]founded{{"keys", nil, l.modes.keyDir}}, files...)
	for _, f := range keys {
		files = append(files, founded{f.name, f.data, l.modes.key})
	}
	return first, files, nil
}
