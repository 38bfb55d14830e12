package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"
)

// recoverCrash turns a panic of the goroutine that defers it into the one report
// that can be shown to anybody. Go's own shows the arguments of every function on
// the stack, up to ten bytes of a key among them, and the value of the panic. This
// one shows what the runtime says (an index, a nil pointer), or otherwise the type
// of the value only, and the names of functions.
func recoverCrash(w io.Writer, exit *int) {
	r := recover()
	if r == nil {
		return
	}
	*exit = exitUnexpected
	what := fmt.Sprintf("%T", r)
	if e, ok := r.(runtime.Error); ok {
		what = e.Error()
	}
	fmt.Fprintf(w, "error: carekey is broken: %s\nhint:  this is a mistake in the program. What follows says where, and nothing of yours:\n", what)
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		f, more := frames.Next()
		if f.Function != "" && !strings.HasPrefix(f.Function, "runtime.") {
			file := f.File[strings.LastIndexByte(f.File, '/')+1:]
			fmt.Fprintf(w, "       %s (%s:%d)\n", f.Function, file, f.Line)
		}
		if !more {
			return
		}
	}
}
