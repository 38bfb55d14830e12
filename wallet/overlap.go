package wallet

import (
	"bufio"
	"context"
	"io"
	"sync"

	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// ahead reads in a goroutine of its own, one piece or less ahead of who reads from it.
// Reading, hashing, encrypting and writing take about the same time each: overlapping
// them is what keeps a large record as fast as its slowest step.
type ahead struct {
	*bufio.Reader
	pipe *io.PipeReader
	done chan struct{}
}

func readAhead(r io.Reader) *ahead {
	return aheadOf(contract.PieceSize, func(w io.Writer) error {
		_, err := io.CopyBuffer(w, r, make([]byte, contract.PieceSize))
		return err
	})
}

// writeAhead has write made in the same way what is read. What takes it collects pieces by
// itself, and of a small file new memory costs as much as what is written into it.
func writeAhead(write func(io.Writer) error) *ahead {
	const room = 128 << 10
	return aheadOf(room, func(w io.Writer) error {
		b := bufio.NewWriterSize(w, room)
		if err := write(b); err != nil {
			return err
		}
		return b.Flush()
	})
}

// aheadOf reads what write writes, up to so many bytes ahead.
func aheadOf(room int, write func(io.Writer) error) *ahead {
	out, in := io.Pipe()
	a := &ahead{bufio.NewReaderSize(out, room), out, make(chan struct{})}
	go func() {
		defer crash.Report()
		defer close(a.done)
		in.CloseWithError(write(in))
	}()
	return a
}

// beside runs f in a goroutine of its own; wait returns what it did.
func beside[T any](f func() T) (wait func() T) {
	out := make(chan T, 1)
	go func() {
		defer crash.Report()
		out <- f()
	}()
	return sync.OnceValue(func() T { return <-out })
}

// Close ends the goroutine and waits for it, so that what it reads may be closed.
func (a *ahead) Close() {
	a.pipe.Close()
	<-a.done
}

// counter counts what is written, until its context is done.
type counter struct {
	ctx      context.Context
	w        io.Writer
	n        int64
	err      error       // of w or ctx
	progress func(int64) // may be nil
}

func (c *counter) Write(p []byte) (n int, err error) {
	if c.err = c.ctx.Err(); c.err != nil {
		return 0, c.err
	}
	n, c.err = c.w.Write(p)
	c.n += int64(n)
	if c.progress != nil {
		c.progress(c.n)
	}
	return n, c.err
}
