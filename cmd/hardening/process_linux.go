package hardening

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Process hardens the process it is called in, and those that it starts against
// core dumps and against descriptors that are this process's own. An error says that the system did not allow a part of it.
func Process() error {
	closeOnExec()
	return errors.Join(noCore(), unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
}
