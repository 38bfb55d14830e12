package disk

import "io/fs"

// Stamp is by what a file is known to be as it was: a file that was written to, or that
// another was put in the place of, has another one. Whoever may set the system's clock, or
// writes to the disk beneath the file system, can give a changed file its old stamp, and so
// can who goes on writing through a mapping of the file until the system next writes that
// page to the disk: see Settled.
type Stamp struct {
	Device, Inode uint64
	Size          uint64 // bytes
	Modified      uint64 // Unix time in nanoseconds: can be set by anybody who can write the file
	Changed       uint64 // Unix time in nanoseconds, of the last change of anything: can not
}

// StampOf is the stamp of a regular file, from Stat or Lstat. ok is false where the system
// keeps no time that nobody can set.
func StampOf(info fs.FileInfo) (s Stamp, ok bool) {
	if !info.Mode().IsRegular() {
		return Stamp{}, false
	}
	s = Stamp{Size: uint64(info.Size()), Modified: uint64(info.ModTime().UnixNano())}
	ok = s.fill(info.Sys())
	return s, ok
}

// settling is for how long, in nanoseconds, a file may be changed once more without another
// stamp: clocks of file systems tick in up to 2 s, and a page that is mapped is written to
// the disk after some 35 s.
const settling = 60e9

// Settled reports whether the last change was so long before now, a Unix time in
// nanoseconds, that another would have given the file another stamp.
func (s *Stamp) Settled(now int64) bool { return int64(s.Changed)+settling < now }
