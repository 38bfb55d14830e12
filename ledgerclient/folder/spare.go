package folder

import (
	"errors"
	"os"
	"runtime"
	"syscall"
)

// A revocation must get through when the disk is full, whoever filled it. So the
// ledger has room of its own from the beginning, which taking a stop or ordering a
// revocation overwrites in place: no new inode, no new block.
//
//	leaves            at least leavesRoom bytes behind those that count
//	checkpoint.room   a file that changes places with the checkpoint
//	keeper/filings    the last segment has room behind what is filed, see vault
//
// It is written with zeros, since not every system can set room aside otherwise. A
// file system that never overwrites (Btrfs, ZFS) promises nothing all the same; there
// only the room that is kept free helps, see Limits in package server.
const (
	leavesRoom     = 128 << 10 // bytes: 508 leaves
	checkpointRoom = checkpointFile + ".room"
)

// noRoom reports whether an error says that nothing more can be made here: no block, no
// inode, no quota.
func noRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) ||
		runtime.GOOS == "windows" && (errors.Is(err, syscall.Errno(39)) || errors.Is(err, syscall.Errno(112)))
}

// exchanger is a fileOps that can make two names change places.
type exchanger interface {
	exchange(a, b string) error
}

// replaceCheckpoint is replaceFile of the checkpoint, which has room of its own that is used
// if there is none elsewhere and the matter is urgent.
func (l *log) replaceCheckpoint(h head, urgent bool) error {
	path, spare := l.path(checkpointFile), l.path(checkpointRoom)
	err := replaceFile(l.ops, path, h.file(), l.modes.file)
	if !urgent || !noRoom(err) {
		if err == nil {
			l.setAside(h)
		}
		return err
	}
	if e := overwriteFile(l.ops, spare, h.file()); e != nil {
		return err
	}
	if x, ok := l.ops.(exchanger); ok && x.exchange(spare, path) == nil {
		return nil
	}
	if err := l.ops.rename(spare, path); err != nil {
		return err
	}
	l.setAside(h) // what was replaced has just become free
	return nil
}

// setAside makes the room of the checkpoint again if it is used up, or was never made. That
// it cannot be made harms nothing yet.
func (l *log) setAside(h head) {
	if there, err := exists(l.path(checkpointRoom)); !there && err == nil {
		if replaceFile(l.ops, l.path(checkpointRoom), h.file(), l.modes.file) == nil {
			l.ops.syncDir(l.dir)
		}
	}
}

// overwriteFile makes data the content of a file that is there, durably.
func overwriteFile(ops fileOps, path string, data []byte) error {
	f, err := ops.open(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(data, 0); err != nil {
		return err
	}
	if err := f.Truncate(int64(len(data))); err != nil {
		return err
	}
	return f.Sync()
}

// extend makes a file of that size as long as what is used up to upTo needs, with room for
// more behind it, which only what is urgent may use up. It writes zeros, and some more than
// that, so that it need not each time; or leaves the file as it was.
func extend(f file, size, upTo, room int64, urgent bool) (int64, error) {
	if size >= upTo+room {
		return size, nil
	}
	to := upTo + room + room/4
	_, err := f.WriteAt(make([]byte, to-size), size)
	if err == nil {
		return to, nil
	}
	f.Truncate(size)
	if urgent && noRoom(err) && upTo <= size {
		err = nil
	}
	return size, err
}
