//go:build !((dragonfly && cgo) || (freebsd && cgo) || linux || netbsd || openbsd)

package keyring

import "os/exec"

// reachable has nothing to look for: the keychain and the credential manager
// are part of the system.
func reachable() error { return nil }

// classify gives an error of the system its type, nil if it has none.
func classify(err error) error {
	if is[*exec.Error](err) {
		return ErrUnsupported.Of(err)
	}
	return nil
}
