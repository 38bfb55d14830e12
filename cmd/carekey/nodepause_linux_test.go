package main

import (
	"os"
	"syscall"
)

// stopProcess makes a process stand still.
var stopProcess = func(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }

// continueProcess makes it go on.
var continueProcess = func(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
