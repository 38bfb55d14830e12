package hardening

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/carekey/carekey/crypto/crash"
)

// Signals is the context of a program: it ends when the program is asked to. SIGQUIT
// asks too, and is the program's from then on: by default Go answers it with all
// stacks, and what is on them.
func Signals() (ctx context.Context, stop context.CancelFunc) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGQUIT)
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
}

// Broken writes the one report of a panic that can be shown to anybody, while the
// panic is recovered from: what the runtime says of it, or otherwise the type of its
// value only, and the names of functions.
func Broken(w io.Writer, program string, value any) {
	fmt.Fprintf(w, "error: %s is broken: %s\nhint:  this is a mistake in the program. What follows says where, and nothing of yours:\n", program, crash.Value(value))
	for _, function := range crash.Stack() {
		fmt.Fprintf(w, "       %s\n", function)
	}
}
