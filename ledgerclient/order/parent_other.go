//go:build !linux

package order

import "os/exec"

// endWithParent relies on the program here: it must end at the end of its input.
func endWithParent(*exec.Cmd) {}
