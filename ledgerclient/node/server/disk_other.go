//go:build !linux && !darwin

package server

// freeSpace is not known here.
func freeSpace(string) (free, all space, ok bool) { return free, all, false }
