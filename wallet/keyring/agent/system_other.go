//go:build !linux && !darwin

package agent

import (
	"errors"
	"io/fs"
	"net"
	"os/exec"
)

// supported: who is at the other end of a socket, and memory that stays where it is, are
// not to be had here in the same way.
const supported = false

func owner(fs.FileInfo) int                    { return -1 }
func shed()                                    {}
func detach(*exec.Cmd)                         {}
func peer(*net.UnixConn) (int, error)          { return 0, errors.ErrUnsupported }
func listen(string) (*net.UnixListener, error) { return nil, errors.ErrUnsupported }
func lockedPage(int) ([]byte, error)           { return nil, errors.ErrUnsupported }
func clocks() (instant, error)                 { return instant{}, errors.ErrUnsupported }
