//go:build (dragonfly && cgo) || (freebsd && cgo) || linux || netbsd || openbsd

package keyring

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"
)

// busAddress is the variable that names the session bus.
const busAddress = "DBUS_SESSION_BUS_ADDRESS"

// reachable finds the session bus before the library looks for it. Left alone,
// the library would look in one place only and then run dbus-launch, which
// starts a stray bus that no keyring listens on and that outlives us. It names
// a bus that it finds in the environment, which is where the library looks
// first.
func reachable() error {
	if a := os.Getenv(busAddress); a != "" && a != "autolaunch:" {
		return nil
	}
	folders := []string{"/run/user/" + strconv.Itoa(os.Getuid())}
	if own := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(own) {
		folders = append([]string{own}, folders...)
	}
	for _, folder := range folders {
		socket := filepath.Join(folder, "bus")
		if fi, err := os.Stat(socket); err == nil && fi.Mode().Type() == os.ModeSocket {
			return os.Setenv(busAddress, "unix:path="+dbus.EscapeBusAddressValue(socket))
		}
	}
	return &AbsentError{Reason: NoBus}
}

// unlockFailed begins the only error the library has for a keyring that stayed
// locked; it has no type and no value of its own.
const unlockFailed = "failed to unlock correct collection"

// classify gives an error of the Secret Service its type, nil if it has none.
func classify(err error) error {
	if e, ok := errors.AsType[dbus.Error](err); ok {
		switch name := e.Name; {
		case name == "org.freedesktop.Secret.Error.IsLocked":
			return &LockedError{Err: err}
		case name == "org.freedesktop.Secret.Error.NoSuchObject":
			// It was found and was gone when it was asked for.
			return &ItemNotFoundError{Kind: KindOS, Err: err}
		case name == "org.freedesktop.DBus.Error.ServiceUnknown",
			name == "org.freedesktop.DBus.Error.NameHasNoOwner",
			strings.HasPrefix(name, "org.freedesktop.DBus.Error.Spawn."):
			return &AbsentError{Reason: NoProvider, Err: err}
		case name == "org.freedesktop.DBus.Error.NoReply",
			name == "org.freedesktop.DBus.Error.Disconnected":
			return &AbsentError{Reason: BrokeOff, Err: err}
		}
		return nil
	}
	e, network := errors.AsType[*net.OpError](err)
	switch {
	case network && e.Op == "dial", is[*exec.Error](err):
		return &AbsentError{Reason: NoBus, Err: err}
	case network, errors.Is(err, dbus.ErrClosed), errors.Is(err, io.EOF):
		return &AbsentError{Reason: BrokeOff, Err: err}
	}
	if strings.HasPrefix(err.Error(), unlockFailed) {
		return &LockedError{Err: err}
	}
	return nil
}
