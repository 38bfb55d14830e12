package order

import (
	"os/exec"
	"syscall"
)

// endWithParent has the system kill the program when this process dies.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
