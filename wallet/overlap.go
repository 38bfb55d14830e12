package wallet

import "io"

// Encrypting, hashing and reading take about the same time each; overlapping them
// on two cores is what keeps a large record as fast as its slowest step. Both
// types below use a fixed number of buffers, so that memory stays flat.

const (
	overlapBuffers = 4
	overlapSize    = 1 << 20
)

type filled struct {
	data []byte
	err  error // ends the stream
}

// ahead reads from r in a goroutine of its own, at most overlapBuffers MiB ahead.
type ahead struct {
	full chan filled
	free chan []byte
	stop chan struct{}
	done chan struct{}
	cur  filled
	rest []byte
}

func readAhead(r io.Reader) *ahead {
	a := &ahead{full: make(chan filled), free: make(chan []byte, overlapBuffers), stop: make(chan struct{}), done: make(chan struct{})}
	for range overlapBuffers {
		a.free <- make([]byte, overlapSize)
	}
	go func() {
		defer close(a.done)
		for {
			var buf []byte
			select {
			case buf = <-a.free:
			case <-a.stop:
				return
			}
			n, err := io.ReadFull(r, buf[:overlapSize])
			if err == io.ErrUnexpectedEOF {
				err = io.EOF
			}
			select {
			case a.full <- filled{buf[:n], err}:
			case <-a.stop:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return a
}

func (a *ahead) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.cur.err != nil {
			return 0, a.cur.err
		}
		if a.cur.data != nil {
			a.free <- a.cur.data[:overlapSize]
		}
		a.cur = <-a.full
		a.rest = a.cur.data
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// Close ends the goroutine and waits for it, so that the reader below may be
// closed.
func (a *ahead) Close() {
	close(a.stop)
	<-a.done
}

// behind writes to w in a goroutine of its own.
type behind struct {
	full   chan []byte
	free   chan []byte
	done   chan error
	buf    []byte
	closed bool
	err    error
}

func writeBehind(w io.Writer) *behind {
	b := &behind{full: make(chan []byte, overlapBuffers), free: make(chan []byte, overlapBuffers), done: make(chan error, 1)}
	for range overlapBuffers {
		b.free <- make([]byte, 0, overlapSize)
	}
	go func() {
		var err error
		for buf := range b.full {
			if err == nil {
				_, err = w.Write(buf)
			}
			b.free <- buf[:0]
		}
		b.done <- err
	}()
	return b
}

func (b *behind) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if b.buf == nil {
			b.buf = <-b.free
		}
		k := min(len(p), overlapSize-len(b.buf))
		b.buf = append(b.buf, p[:k]...)
		p = p[k:]
		if len(b.buf) == overlapSize {
			b.full <- b.buf
			b.buf = nil
		}
	}
	return n, nil
}

// Close writes what is left and returns the first error of the writer below.
func (b *behind) Close() error {
	if b.closed {
		return b.err
	}
	b.closed = true
	if len(b.buf) > 0 {
		b.full <- b.buf
	}
	close(b.full)
	b.err = <-b.done
	return b.err
}
