//go:build linux || darwin

package agent

import (
	"io/fs"
	"net"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const supported = true

func owner(i fs.FileInfo) int {
	if s, ok := i.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid)
	}
	return -1
}

// detach starts a program so that neither the terminal nor its end reaches it.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// listen makes a socket of mode 0600. The process does nothing else meanwhile.
func listen(path string) (*net.UnixListener, error) {
	defer unix.Umask(unix.Umask(0o177))
	return net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
}

// lockedPage is memory that is never swapped, and that the collector of garbage does not
// know.
func lockedPage(size int) ([]byte, error) {
	page, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	if err = unix.Mlock(page); err == nil {
		err = undumped(page)
	}
	if err != nil {
		unix.Munmap(page)
		return nil, err
	}
	return page, nil
}

// clocks reads the clocks.
func clocks() (now instant, err error) {
	now.wall = time.Now().Round(0) // without Go's own clock, which stands still while the machine sleeps
	if now.boot, err = clock(bootClock); err == nil {
		now.awake, err = clock(awakeClock)
	}
	return now, err
}

func clock(id int32) (time.Duration, error) {
	var t unix.Timespec
	err := unix.ClockGettime(id, &t)
	return time.Duration(t.Nano()), err
}

func withDescriptor(c *net.UnixConn, f func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	if err := raw.Control(func(fd uintptr) { ferr = f(int(fd)) }); err != nil {
		return err
	}
	return ferr
}
