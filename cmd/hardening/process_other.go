//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package hardening

// Process does nothing here: the system writes no core files by itself, or has no
// way to ask for it.
func Process() error { return nil }
