package wallet

import (
	"io"
	"sync/atomic"

	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Reading, hashing, encrypting and writing take about the same time each;
// overlapping them on all cores is what keeps a large record as fast as its
// slowest step. Both types below hand a fixed number of buffers from step to
// step, so that memory stays flat and few bytes are copied.

const (
	overlapBuffers = 4
	overlapSize    = contract.PieceSize
)

// filled is a buffer and the part of it that holds data.
type filled struct {
	buf, data []byte
	err       error // ends the stream, after the data
}

// ahead reads in a goroutine of its own, at most overlapBuffers pieces ahead.
type ahead struct {
	full chan filled
	free chan []byte
	stop chan struct{}
	done chan struct{}
	cur  filled
	rest []byte // of cur, for Read
}

// readAhead begins to call fill, which returns the part of its buffer of
// overlapSize bytes that it filled.
func readAhead(fill func(buf []byte) ([]byte, error)) *ahead {
	a := &ahead{full: make(chan filled), free: make(chan []byte, overlapBuffers), stop: make(chan struct{}), done: make(chan struct{})}
	for range overlapBuffers {
		a.free <- nil
	}
	go func() {
		defer crash.Report()
		defer close(a.done)
		for {
			var buf []byte
			select {
			case buf = <-a.free:
			case <-a.stop:
				return
			}
			if buf == nil {
				buf = make([]byte, overlapSize)
			}
			data, err := fill(buf)
			select {
			case a.full <- filled{buf, data, err}:
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

// next returns the bytes that come next, until it is called again.
func (a *ahead) next() ([]byte, error) {
	if a.cur.err != nil {
		return nil, a.cur.err
	}
	if a.cur.buf != nil {
		a.free <- a.cur.buf
	}
	a.cur = <-a.full
	if len(a.cur.data) == 0 {
		return nil, a.cur.err
	}
	return a.cur.data, nil
}

// Read makes an io.Reader of next.
func (a *ahead) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		var err error
		if a.rest, err = a.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// copyTo writes all there is to w and reports how many bytes have gone over.
func (a *ahead) copyTo(w io.Writer, progress func(int64)) (int64, error) {
	var n int64
	for {
		b, err := a.next()
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if _, err := w.Write(b); err != nil {
			return n, err
		}
		n += int64(len(b))
		if progress != nil {
			progress(n)
		}
	}
}

// Close ends the goroutine and waits for it, so that the reader below may be
// closed.
func (a *ahead) Close() {
	close(a.stop)
	<-a.done
}

// fillFrom reads until the buffer is full or r ends. Unlike io.ReadFull it leaves
// r's errors as they are: io.ErrUnexpectedEOF is not the end of a file.
func fillFrom(r io.Reader, buf []byte) (data []byte, err error) {
	n := 0
	for n < len(buf) && err == nil {
		var k int
		k, err = r.Read(buf[n:])
		n += k
	}
	return buf[:n], err
}

// behind passes what it is given through writers, in order, each in a goroutine
// of its own.
type behind struct {
	first  chan []byte
	free   chan []byte
	done   chan error
	failed atomic.Bool
}

func writeBehind(writers ...io.Writer) *behind {
	b := &behind{first: make(chan []byte, overlapBuffers), free: make(chan []byte, overlapBuffers), done: make(chan error, len(writers))}
	for range overlapBuffers {
		b.free <- nil
	}
	from := b.first
	for i, w := range writers {
		to := make(chan []byte, overlapBuffers)
		if i == len(writers)-1 {
			to = b.free
		}
		go func(from <-chan []byte) {
			defer crash.Report()
			b.step(w, from, to, i == len(writers)-1)
		}(from)
		from = to
	}
	return b
}

// step is one writer's goroutine.
func (b *behind) step(w io.Writer, from <-chan []byte, to chan<- []byte, last bool) {
	var err error
	for buf := range from {
		if err == nil {
			if _, err = w.Write(buf); err != nil {
				b.failed.Store(true)
			}
		}
		to <- buf
	}
	if !last {
		close(to)
	}
	b.done <- err
}

// copyFrom takes all that r has, or stops once a writer failed: close tells why.
// It returns how many bytes were taken, and the error of r.
func (b *behind) copyFrom(r io.Reader, progress func(int64)) (n int64, err error) {
	for err == nil && !b.failed.Load() {
		buf := <-b.free
		if buf == nil {
			buf = make([]byte, overlapSize)
		}
		buf, err = fillFrom(r, buf[:overlapSize])
		b.first <- buf
		n += int64(len(buf))
		if progress != nil && len(buf) > 0 {
			progress(n)
		}
	}
	if err == io.EOF {
		err = nil
	}
	return n, err
}

// close waits until all is written and returns the first error of a writer.
func (b *behind) close() (err error) {
	close(b.first)
	for range cap(b.done) {
		if e := <-b.done; err == nil {
			err = e
		}
	}
	return err
}
