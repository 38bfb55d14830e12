//go:build !linux

package main

import "os"

// Nothing makes a process stand still here.
var stopProcess, continueProcess func(*os.Process) error
