//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package hardening

// Process hardens the process it is called in, and those that it starts. An error
// says that the system did not allow a part of it.
func Process() error {
	closeOnExec()
	return noCore()
}
