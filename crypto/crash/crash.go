// Package crash tells of a panic without telling a secret.
//
// What Go prints when a program panics, or is ended by SIGQUIT, has the arguments of
// every function on the stack in it, and with them up to ten words of an array, and
// whatever an earlier call left in their places; and the value of the panic. So the
// programs of this project report a panic themselves, by the names of functions
// alone. A panic ends in the goroutine where it happens: each one defers [Report],
// and the main one does it by its own means.
//
// What the runtime ends the program for without a panic (two goroutines in one map, no
// memory, a stack without end) is reported by the runtime, and cannot be kept from it.
package crash

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
)

var handler atomic.Pointer[func(value any)]

// Handle says what is done with the panic of a goroutine that defers [Report]. f runs
// where it happened, so that [Stack] tells where that is, and ends the program.
// Without it a panic is the runtime's.
func Handle(f func(value any)) { handler.Store(&f) }

// Report is the first thing that a goroutine defers: it hands a panic to what was
// given to [Handle].
func Report() {
	f := handler.Load()
	if f == nil {
		return
	}
	if value := recover(); value != nil {
		(*f)(value)
		panic("crash: its handler came back") // whoever waits for this goroutine would wait for ever
	}
}

// Value tells what can be told of the value of a panic: what the runtime says, such as
// an index out of range, or otherwise its type.
func Value(value any) string {
	if e, ok := value.(runtime.Error); ok {
		return e.Error()
	}
	return fmt.Sprintf("%T", value)
}

// Stack returns the functions that were running when what is running now began to
// panic, the innermost first, without those of the runtime:
// "package.function (file:line)". Where nothing panics it is those that are running.
func Stack() []string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	var out []string
	for {
		f, more := frames.Next()
		switch {
		case f.Function == "runtime.gopanic":
			out = nil // what is above it was deferred
		case f.Function != "" && !strings.HasPrefix(f.Function, "runtime."):
			out = append(out, fmt.Sprintf("%s (%s:%d)", f.Function, f.File[strings.LastIndexByte(f.File, '/')+1:], f.Line))
		}
		if !more {
			return out
		}
	}
}
