//go:build linux || darwin

package server

import "syscall"

// freeSpace is how many bytes can still be written to the file system that a
// folder is on; false if it does not say.
func freeSpace(dir string) (uint64, bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return uint64(st.Bavail) * uint64(st.Bsize), true
}
