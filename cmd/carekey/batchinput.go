package main

import (
	"bufio"
	"context"
	"io"
	"os"

	"github.com/carekey/carekey/cmd/cli"
)

// batchInput is a file of rows, or a plan, that is being read. It may be a pipe
// whose other end keeps the program waiting.
type batchInput struct {
	io.Closer
	name string // for people
	r    *bufio.Reader
}

// stdinName is how standard input is called.
const stdinName = "standard input"

// open opens a file and waits for its beginning, before the wallet is opened:
// what writes into a pipe may itself need the wallet. An interruption ends the wait.
func (a batches) open(ctx context.Context, path string) (*batchInput, error) {
	b := &batchInput{name: path}
	in := io.NopCloser(a.in)
	if path == "-" {
		b.name = stdinName
	} else {
		// Opening a pipe waits until somebody writes to it.
		f, err := cli.UnlessDone(ctx, func() (*os.File, error) { return os.Open(path) })
		if err != nil {
			return nil, err
		}
		info, err := f.Stat()
		if err == nil && info.IsDir() {
			err = usage(path+" is a folder", "name a file of rows, or a plan; - is standard input")
		}
		if err != nil {
			f.Close()
			return nil, err
		}
		in = f
	}
	b.Closer, b.r = in, bufio.NewReaderSize(&patientReader{ctx, in}, 64<<10)
	if path != "-" || !a.interactive() { // at a terminal a passphrase may be asked for first
		if _, err := b.r.Peek(1); err != nil && err != io.EOF {
			b.Close()
			return nil, err
		}
	}
	return b, nil
}

// patientReader reads until the context is done, however long a read takes.
type patientReader struct {
	ctx context.Context
	r   io.Reader
}

func (p *patientReader) Read(b []byte) (int, error) {
	// A read that nobody waits for any more must not write to what is the caller's.
	own := make([]byte, len(b))
	n, err := cli.UnlessDone(p.ctx, func() (int, error) { return p.r.Read(own) })
	return copy(b, own[:n]), err
}
