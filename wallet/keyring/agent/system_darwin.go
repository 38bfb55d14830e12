package agent

import (
	"net"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// peer is the uid of who is at the other end.
func peer(c *net.UnixConn) (int, error) {
	var cred *unix.Xucred
	err := withDescriptor(c, func(fd int) (err error) {
		cred, err = unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(cred.Uid), nil
}

// The clocks that run while the machine sleeps, and that do not. Here the monotonic one does.
const (
	bootClock  = unix.CLOCK_MONOTONIC
	awakeClock = unix.CLOCK_UPTIME_RAW
)

// shed gives back what starting took.
func shed() { debug.FreeOSMemory() }

// undumped does nothing: the system has no such mark. That the process writes no core
// files keeps the page out of them.
func undumped([]byte) error { return nil }
