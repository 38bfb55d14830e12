package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// stopProcess makes a process stand still.
var stopProcess = func(p *os.Process) error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	return stoodStill(p.Pid)
}

// stoodStill waits until all threads of a process that was told to stop do: the signal
// is for one of them, and the others run on until it is scheduled.
func stoodStill(pid int) error {
	for limit := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(tasks) == 0 {
			return fmt.Errorf("process %d has no threads: %v", pid, err)
		}
		runs := 0
		for _, task := range tasks {
			b, err := os.ReadFile(task)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
				continue
			}
			if err != nil {
				return err
			}
			// pid (name) state: the name may have parentheses too
			if state := b[bytes.LastIndexByte(b, ')')+1:]; !bytes.HasPrefix(state, []byte(" T")) {
				runs++
			}
		}
		if runs == 0 {
			return nil
		}
		if time.Now().After(limit) {
			return fmt.Errorf("%d threads of process %d run on", runs, pid)
		}
	}
}

// continueProcess makes it go on.
var continueProcess = func(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
