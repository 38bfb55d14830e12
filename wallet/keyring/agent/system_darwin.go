package agent

import (
	"net"
	"runtime/debug"
	"time"

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

// clocks reads the clocks: here the monotonic one runs while the machine sleeps.
func clocks() (now instant, err error) {
	now.wall = time.Now().Round(0) // without Go's own clock, which stands still while the machine sleeps
	if now.boot, err = clock(unix.CLOCK_MONOTONIC); err == nil {
		now.awake, err = clock(unix.CLOCK_UPTIME_RAW)
	}
	return now, err
}

// shed gives back what starting took.
func shed() { debug.FreeOSMemory() }

// undumped does nothing: the system has no such mark. That the process writes no core
// files keeps the page out of them.
func undumped([]byte) error { return nil }
