package cli

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/carekey/carekey/crypto/crash"
	"golang.org/x/term"
)

// Size returns the width and the height of the terminal in columns and lines, 0 if out is
// none: output into a file or a pipe is not cut.
func Size(out *os.File) (width, height int) {
	if out != nil {
		width, height, _ = term.GetSize(int(out.Fd())) // negative if it is none
	}
	return max(0, width), max(0, height)
}

// Width is that of Size.
func Width(out *os.File) int {
	width, _ := Size(out)
	return width
}

// Rows are pairs of a name and a value, shown in a line each.
type Rows [][2]string

// Add appends a pair.
func (r *Rows) Add(name, value string) { *r = append(*r, [2]string{name, value}) }

// Text returns the lines, aligned. Further lines of a value stand below its first.
func (r Rows) Text(indent string) string {
	widest := 0
	for _, p := range r {
		widest = max(widest, len(p[0]))
	}
	below := "\n" + indent + strings.Repeat(" ", widest+2)
	var b strings.Builder
	for _, p := range r {
		fmt.Fprintf(&b, "%s%-*s  %s\n", indent, widest, p[0], strings.ReplaceAll(p[1], "\n", below))
	}
	return b.String()
}

// Quote makes a word that a shell takes as it is.
func Quote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:,@%+=") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// UnlessDone returns what f does, or the context's error when that is done first:
// f then goes on until the program ends.
func UnlessDone[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	done := make(chan result, 1)
	go func() {
		defer crash.Report()
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}
