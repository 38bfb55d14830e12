package agent

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
)

// Client asks one agent. It is safe for concurrent use.
type Client struct {
	Until time.Time // when the agent ends by itself

	place Place
	idle  chan *net.UnixConn // nil: one that is not open yet, or no more
	lines atomic.Int32       // how many there are, idle or not
}

// lines are how many connections a client opens at most, as it needs them.
const lines = 4

// Dial finds the agent that holds the key of a place. One that serves as many as it can is
// waited for, as long as the place has patience. Its errors are cases of [ErrNotUnlocked].
func Dial(ctx context.Context, p Place) (*Client, error) {
	conn, until, err := p.waited(ctx)
	if err != nil {
		return nil, err
	}
	c := &Client{Until: until, place: p, idle: make(chan *net.UnixConn, lines)}
	c.lines.Store(lines)
	c.idle <- conn
	for range lines - 1 {
		c.idle <- nil
	}
	return c, nil
}

// waited opens one connection. An agent that is full is waited for.
func (p Place) waited(ctx context.Context) (*net.UnixConn, time.Time, error) {
	conn, until, err := p.dial(ctx)
	for end := time.Now().Add(p.patience()); errors.Is(err, ErrFull) && time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return nil, until, err
		case <-time.After(20 * time.Millisecond): // most commands are short
		}
		conn, until, err = p.dial(ctx)
	}
	return conn, until, err
}

// dial opens one connection.
func (p Place) dial(ctx context.Context) (*net.UnixConn, time.Time, error) {
	fail := func(err error) (*net.UnixConn, time.Time, error) { return nil, time.Time{}, err }
	path, err := p.socket(false)
	if err != nil {
		return fail(err)
	}
	switch i, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return fail(ErrNotUnlocked)
	case err != nil:
		return fail(p.unfit(err.Error(), ""))
	case owner(i) != os.Getuid():
		return fail(ErrForeign)
	case i.Mode().Type() != fs.ModeSocket:
		return fail(p.unfit(path+" is there, and is no socket", ""))
	}
	wallet, err := p.wallet()
	if err != nil {
		return fail(ErrNotUnlocked.Of(err)) // who opens the file says it
	}
	ctx, stop := context.WithTimeout(ctx, p.patience())
	defer stop()
	plain, err := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return fail(ErrNotUnlocked) // what an agent left that was killed
	case errors.Is(err, syscall.EAGAIN):
		return fail(ErrFull)
	case err != nil:
		return fail(ErrSilent.Of(err))
	}
	conn := plain.(*net.UnixConn)
	until, err := begin(ctx, conn, wallet)
	if err != nil {
		conn.Close()
		return fail(err)
	}
	return conn, until, nil
}

// begin is the client's part of the beginning of a connection.
func begin(ctx context.Context, conn *net.UnixConn, wallet [32]byte) (until time.Time, err error) {
	if uid, err := peer(conn); err != nil || uid != os.Getuid() {
		return until, ErrForeign.Of(err)
	}
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	o := opening{version, wallet}
	if _, err := conn.Write(codec.Append(nil, o.fields)); err != nil && !errors.Is(err, syscall.EPIPE) { // one that is full has said so and hung up
		return until, ErrSilent.Of(err)
	}
	var g greeting
	b := make([]byte, greetingSize)
	if _, err := io.ReadFull(conn, b); err != nil {
		return until, ErrSilent.Of(err)
	}
	if err := codec.Parse(b, g.fields); err != nil {
		return until, ErrSilent.Of(err)
	}
	switch {
	case g.version != version:
		return until, ErrVersion
	case g.state == otherWallet:
		return until, ErrOther
	case g.state == full:
		return until, ErrFull
	case g.state == ended:
		return until, ErrNotUnlocked
	case g.state != welcome:
		return until, ErrSilent
	}
	return time.Unix(int64(g.until), 0), conn.SetDeadline(time.Time{})
}

// Close hangs up: an agent serves only so many connections at once. What is asked after it
// opens one anew.
func (c *Client) Close() {
	for range c.lines.Load() {
		if conn := <-c.idle; conn != nil {
			conn.Close()
		}
		c.idle <- nil
	}
}

// Keys are the keys on a ledger.
func (c *Client) Keys(l crypto.LedgerID) (*crypto.Keys, error) { return crypto.AskKeys(l, c.ask) }

// ask brings one request to the agent. If it has ended, another one may have taken its
// place meanwhile: the first time of two.
func (c *Client) ask(request []byte) ([]byte, error) {
	conn := <-c.idle
	if conn != nil {
		answer, err := c.place.exchange(conn, request)
		if err == nil {
			c.idle <- conn
			return answer, nil
		}
		conn.Close()
	}
	conn, _, err := c.place.dial(context.Background())
	if errors.Is(err, ErrFull) {
		if c.lines.Add(-1) > 0 {
			return c.ask(request) // with one line less
		}
		c.lines.Add(1)
		conn, _, err = c.place.waited(context.Background())
	}
	var answer []byte
	if err == nil {
		if answer, err = c.place.exchange(conn, request); err != nil {
			conn.Close()
			conn = nil
		}
	}
	c.idle <- conn
	return answer, err
}

// exchange sends a request and reads its answer.
func (p Place) exchange(conn *net.UnixConn, request []byte) ([]byte, error) {
	fail := func(err error) ([]byte, error) {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, ErrSilent.Of(err)
		}
		return nil, ErrNotUnlocked.Of(err)
	}
	conn.SetDeadline(time.Now().Add(p.patience()))
	if _, err := conn.Write(append([]byte{byte(len(request))}, request...)); err != nil {
		return fail(err)
	}
	var b [slot]byte
	defer clear(b[:])
	if _, err := io.ReadFull(conn, b[:1]); err != nil {
		return fail(err)
	}
	answer := b[1 : 1+int(b[0])]
	if len(answer) == 0 {
		return nil, ErrNotUnlocked
	}
	if _, err := io.ReadFull(conn, answer); err != nil {
		return fail(err)
	}
	return append(make([]byte, 0, slot), answer...), nil
}

// End ends the agent of a place, if there is one: was tells. It is asked to; one that is full,
// of another version or with another key finds its socket gone within a second, and so does one
// that gives no answer, unless it is stopped: that is an [ErrLeft]. One that was started for the
// same key file in a session with another folder is not found, and ends all the same, or that is
// an [ErrElsewhere].
func End(ctx context.Context, p Place) (was bool, err error) {
	was, err = p.end(ctx)
	terr := touch(p.KeyFile)
	if err == nil && terr != nil && !errors.Is(terr, fs.ErrNotExist) {
		err = ErrElsewhere.Of(terr, "why", terr.Error())
	}
	return was, err
}

func (p Place) end(ctx context.Context) (was bool, err error) {
	path, err := p.socket(false)
	if err != nil {
		if errors.Is(err, ErrNotUnlocked) && !errors.Is(err, ErrPlace) && !errors.Is(err, ErrSystem) {
			err = nil
		}
		return false, err
	}
	i, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || owner(i) != os.Getuid() {
		return false, ErrForeign.Of(err)
	}
	conn, _, err := p.dial(ctx)
	if err == nil {
		_, err = p.exchange(conn, []byte{askEnd})
		conn.Close()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			err = nil // it has hung up
		}
	}
	if errors.Is(err, ErrFull) || errors.Is(err, ErrVersion) || errors.Is(err, ErrOther) {
		err = nil // it looks for its socket
	}
	os.Remove(path)
	if err == error(ErrNotUnlocked) {
		return false, nil // nobody listened any more
	}
	if err != nil {
		err = ErrLeft.Of(err)
	}
	return true, err
}
