package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/crypto/fault"
)

// Name is what the program is started as to be an agent: it then calls [Serve].
const Name = "carekey-agent"

// Prepare makes the folder of the socket, and says whether an agent can be there at all:
// before anybody is asked for a passphrase.
func Prepare(p Place, held time.Duration) error {
	if held < time.Second || held > MaxFor {
		return ErrFor.With("most", fmt.Sprintf("%.0f hours", MaxFor.Hours()))
	}
	_, err := p.socket(true)
	return err
}

// Start starts an agent for that time, in the place of one that may be there, and hands it
// the root. It returns when the agent listens; until is when that ends by itself. Those of
// the same key file in other sessions end, or that is an [ErrElsewhere].
func Start(ctx context.Context, p Place, held time.Duration, root crypto.Root) (until time.Time, err error) {
	fail := func(err error) (time.Time, error) { return until, ErrStart.Of(err, "why", err.Error()) }
	path, err := p.socket(true)
	if err != nil {
		return until, err
	}
	wallet, err := p.wallet()
	if err != nil {
		return fail(err)
	}
	program, err := os.Executable()
	if err != nil {
		return fail(err)
	}
	h := holding{version: version, wallet: wallet, time: uint64(held), wait: uint64(p.patience()), socket: path, keyFile: p.KeyFile}
	told := codec.Append(nil, h.fields)
	told = append([]byte{byte(len(told) >> 8), byte(len(told))}, told...)

	cmd := &exec.Cmd{Path: program, Args: []string{Name}, Env: []string{}, Dir: "/"}
	detach(cmd)
	in, err := cmd.StdinPipe()
	if err != nil {
		return fail(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fail(err)
	}
	if err := cmd.Start(); err != nil {
		return fail(err)
	}
	defer func() {
		if err != nil {
			cmd.Process.Kill()
			cmd.Wait()
			return
		}
		cmd.Process.Release()
	}()
	type answer struct {
		b   []byte
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		defer crash.Report()
		_, err := in.Write(told)
		if err == nil {
			err = root.HandTo(in) // write(2) straight from where it lies
		}
		in.Close()
		b, rerr := io.ReadAll(io.LimitReader(out, maxReport+1))
		answers <- answer{b, errors.Join(err, rerr)}
	}()
	ctx, stop := context.WithTimeout(ctx, 6*p.patience())
	defer stop()
	var r report
	select {
	case got := <-answers:
		if perr := codec.Parse(got.b, r.fields); perr != nil {
			return fail(errors.Join(perr, got.err))
		}
	case <-ctx.Done():
		return until, ErrStart.Of(context.Cause(ctx), "why", "it does not begin")
	}
	if r.until == 0 {
		return until, r.err()
	}
	// What changes it from here on the agent sees.
	if is, err := p.wallet(); err != nil || is != wallet {
		return fail(cmp.Or(err, errors.New("the key file has changed meanwhile")))
	}
	return time.Unix(int64(r.until), 0), nil
}

// codeOf is what a report says of an error.
func codeOf(err error) (code, why string) {
	e, ok := fault.As(err, ErrNotUnlocked)
	if !ok {
		return string(ErrStart), err.Error()
	}
	return string(e.Code), fault.Get[string](e, "why")
}

// err is the error that a report tells of.
func (r *report) err() error {
	for _, code := range []fault.Code{ErrMemory, ErrElsewhere} {
		if r.code == string(code) {
			return code.With("why", r.why)
		}
	}
	return ErrStart.With("why", r.why)
}
