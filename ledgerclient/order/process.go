package order

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/carekey/carekey/crypto/crash"
)

// run is one process of the program.
type run struct {
	name  string
	cmd   *exec.Cmd
	kill  context.CancelFunc
	in    io.WriteCloser
	out   io.ReadCloser
	lines *bufio.Reader // of out
	talk  *talk         // nil: nobody listens
	asked uint64
}

// lingering is how long what the program started itself may keep its standard error
// open once it has ended.
const lingering = time.Second

func startRun(path, name string, opt ProgramOptions) (*run, error) {
	ctx, kill := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, path)
	cmd.WaitDelay = lingering
	cmd.Env = []string{}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "CAREKEY_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	endWithParent(cmd)
	r := &run{name: name, cmd: cmd, kill: kill}
	if opt.Stderr != nil {
		r.talk = &talk{to: opt.Stderr, name: name, left: maxTalk}
		cmd.Stderr = r.talk
	}
	in, err := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if cmp.Or(err, err2) != nil || cmd.Start() != nil {
		kill()
		return nil, &ProgramError{Program: name, Fault: NotARun}
	}
	r.in, r.out, r.lines = in, out, bufio.NewReaderSize(out, 64<<10)
	return r, nil
}

// exchange writes a line and returns the next one of the program. ctx's end counts as
// the end of the time that it had, at which it is killed. After an error it must be
// ended.
func (r *run) exchange(ctx context.Context, line []byte, limit time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	late := context.AfterFunc(ctx, func() {
		defer crash.Report()
		r.kill()
		r.in.Close() // what the program started may hold the other end
		r.out.Close()
	})
	answer, fault := r.next(append(line, '\n'))
	if !late() {
		fault = Late
	}
	if fault != "" {
		return nil, &ProgramError{Program: r.name, Fault: fault}
	}
	return answer, nil
}

func (r *run) next(question []byte) (line []byte, wrong Fault) {
	if _, err := r.in.Write(question); err != nil {
		return nil, Died
	}
	for {
		part, err := r.lines.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			return nil, TooLong
		}
		line = append(line, part...)
		if err == nil {
			return line, ""
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, Died
		}
	}
}

// end closes the program's input, gives it that time and then kills it. Whatever
// it started itself and left running is not waited for.
func (r *run) end(grace time.Duration) {
	r.in.Close()
	timer := time.AfterFunc(grace, r.kill)
	defer timer.Stop()
	r.cmd.Wait()
	r.kill()
	if r.talk != nil {
		r.talk.Write([]byte("\n"))
	}
}

const (
	maxTalk  = 1 << 20 // how much of a program's standard error is passed on, in bytes
	talkLine = 4096    // and of one line
)

// talk passes on lines behind the program's name.
type talk struct {
	to   io.Writer
	name string
	left int
	line []byte // what is not passed on yet
}

func (t *talk) Write(p []byte) (int, error) {
	for t.line = append(t.line, p...); t.left > 0; {
		line, rest, whole := bytes.Cut(t.line, []byte("\n"))
		if len(line) > talkLine {
			line, rest, whole = t.line[:talkLine], t.line[talkLine:], true
		}
		if !whole {
			return len(p), nil
		}
		t.line = rest
		t.left -= len(line) + len(t.name) + 4
		if text := strings.TrimRight(string(line), "\r"); text != "" {
			io.WriteString(t.to, t.name+": "+printable(text)+"\n")
		}
		if t.left <= 0 {
			io.WriteString(t.to, t.name+": says more than is passed on\n")
		}
	}
	t.line = nil
	return len(p), nil
}
