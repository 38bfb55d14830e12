package order

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/carekey/carekey/crypto/crash"
)

// run is one process of the program.
type run struct {
	name  string
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan []byte   // the program's, one at a time
	over  chan struct{} // closed when nobody reads lines any more
	fault Fault         // why lines was closed
	asked uint64
	done  chan struct{} // closed when the process has ended and all it wrote was read
	once  sync.Once
}

func startRun(path, name string, opt ProgramOptions) (*run, error) {
	failed := &ProgramError{Program: name, Fault: NotARun}
	cmd := exec.Command(path)
	cmd.Env = []string{}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "CAREKEY_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	endWithParent(cmd)
	in, err := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	talk, err3 := cmd.StderrPipe()
	if cmp.Or(err, err2, err3) != nil || cmd.Start() != nil {
		return nil, failed
	}
	r := &run{name: name, cmd: cmd, in: in, lines: make(chan []byte), over: make(chan struct{}), done: make(chan struct{})}
	var readers sync.WaitGroup
	readers.Go(func() {
		defer crash.Report()
		r.read(out)
	})
	readers.Go(func() {
		defer crash.Report()
		relay(talk, opt.Stderr, name)
	})
	go func() {
		defer crash.Report()
		readers.Wait()
		cmd.Wait()
		close(r.done)
	}()
	return r, nil
}

// read passes on the program's lines until one is too long, or the end.
func (r *run) read(out io.Reader) {
	defer io.Copy(io.Discard, out) // lest it blocks on a full pipe before it is ended
	defer close(r.lines)
	in := bufio.NewReaderSize(out, 64<<10)
	for {
		var line []byte
		for {
			part, err := in.ReadSlice('\n')
			if len(line)+len(part) > maxLine {
				r.fault = TooLong
				return
			}
			line = append(line, part...)
			if err == nil {
				break
			}
			if !errors.Is(err, bufio.ErrBufferFull) {
				r.fault = Died
				return
			}
		}
		select {
		case r.lines <- line:
		case <-r.over:
			return
		}
	}
}

// exchange writes a line and returns the next one of the program. ctx's end
// counts as the end of the time that it had.
func (r *run) exchange(ctx context.Context, line []byte, limit time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	failed := func(f Fault) ([]byte, error) { return nil, &ProgramError{Program: r.name, Fault: f} }
	written := make(chan error, 1)
	go func() {
		defer crash.Report()
		_, err := r.in.Write(append(line, '\n'))
		written <- err
	}()
	select {
	case err := <-written:
		if err != nil {
			return failed(Died)
		}
	case <-ctx.Done():
		return failed(Late)
	}
	select {
	case answer, ok := <-r.lines:
		if !ok {
			return failed(r.fault)
		}
		return answer, nil
	case <-ctx.Done():
		return failed(Late)
	}
}

// end closes the program's input, gives it that time and then kills it. Whatever
// it started itself and left running is not waited for.
func (r *run) end(grace time.Duration) {
	r.once.Do(func() {
		close(r.over)
		r.in.Close()
	})
	if grace > 0 {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-r.done:
			return
		case <-timer.C:
		}
	}
	r.cmd.Process.Kill()
}

// maxTalk is how much of a program's standard error is passed on, in bytes.
const maxTalk = 1 << 20

// relay passes on lines of standard error behind the program's name.
func relay(from io.Reader, to io.Writer, name string) {
	defer io.Copy(io.Discard, from)
	if to == nil {
		return
	}
	in := bufio.NewReaderSize(from, 4096)
	left := maxTalk
	for left > 0 {
		line, err := in.ReadSlice('\n')
		left -= len(line) + len(name) + 3
		if text := strings.TrimRight(string(line), "\r\n"); text != "" {
			io.WriteString(to, name+": "+printable(text)+"\n")
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
	io.WriteString(to, name+": says more than is passed on\n")
}
