//go:build darwin || freebsd

package disk

import "syscall"

func (s *Stamp) fill(sys any) bool {
	st, ok := sys.(*syscall.Stat_t)
	if ok {
		s.Device, s.Inode, s.Changed = uint64(st.Dev), st.Ino, uint64(st.Ctimespec.Nano())
	}
	return ok
}
