//go:build linux || darwin

package server

import "syscall"

// freeSpace is what can still be made on the file system that a folder is on; false
// if it does not say. One that makes files out of nothing (Btrfs) has no number of
// them.
func freeSpace(dir string) (free, all space, ok bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return free, all, false
	}
	const most = 1 << 62
	free.bytes = int64(min(uint64(st.Bavail)*uint64(st.Bsize), most))
	all.bytes = int64(min(uint64(st.Blocks)*uint64(st.Bsize), most))
	free.files, all.files = int64(min(uint64(st.Ffree), most)), int64(min(uint64(st.Files), most))
	return free, all, true
}
