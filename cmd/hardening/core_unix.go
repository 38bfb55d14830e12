//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package hardening

import "golang.org/x/sys/unix"

// noCore forbids core files, now and for good: the hard limit cannot be raised
// again.
func noCore() error { return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) }
