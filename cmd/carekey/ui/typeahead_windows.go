package ui

import (
	"os"

	"golang.org/x/sys/windows"
)

// dropTypedAhead forgets what was typed before now. Where that cannot be done a
// question is asked all the same.
func dropTypedAhead(in *os.File) { windows.FlushConsoleInputBuffer(windows.Handle(in.Fd())) }
