package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// A program that would wait asks a test how late it is when it goes on: the test lets time
// pass, and knows when the program does nothing.

// testSleeper is the variable that names where programs ask.
const testSleeper = "CAREKEY_TEST_SLEEPER"

// askSleeper makes a program ask, and takes its time from the answer.
func askSleeper(a *app, at string) {
	var mu sync.Mutex
	now := a.now
	a.now = func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now()
	}
	a.wait = func(ctx context.Context, d time.Duration) error {
		conn, err := net.Dial("tcp", at)
		if err != nil {
			return err
		}
		defer conn.Close()
		defer context.AfterFunc(ctx, func() { conn.Close() })()
		fmt.Fprintln(conn, d)
		line, err := bufio.NewReader(conn).ReadString('\n')
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		t, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(line))
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		now = func() time.Time { return t.In(time.Local) }
		return nil
	}
}

// sleeper is what one program asks at a time.
type sleeper struct {
	net.Listener
	conn  net.Conn  // of who waits
	until time.Time // which it would wait
}

func newSleeper() (*sleeper, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	return &sleeper{Listener: l}, err
}

// asleep returns when the program waits.
func (s *sleeper) asleep(now time.Time) (err error) {
	if err := s.Listener.(*net.TCPListener).SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		return err
	}
	if s.conn, err = s.Accept(); err != nil {
		return fmt.Errorf("nobody waits: %w", err)
	}
	line, err := bufio.NewReader(s.conn).ReadString('\n')
	if err != nil {
		return err
	}
	d, err := time.ParseDuration(strings.TrimSpace(line))
	s.until = now.Add(d)
	return err
}

// wake ends the wait, not before its time, and returns how late it is.
func (s *sleeper) wake(now time.Time) (time.Time, error) {
	if now.Before(s.until) {
		now = s.until
	}
	_, err := fmt.Fprintln(s.conn, now.Format(time.RFC3339Nano))
	s.conn.Close()
	return now, err
}

// pass lets waits go by until it is as late as that, and returns when the program waits again.
func (s *sleeper) pass(now, to time.Time, moved func(time.Time)) (err error) {
	for !s.until.After(to) {
		if now.Before(s.until) {
			now = s.until
		}
		moved(now)
		if _, err = s.wake(now); err == nil {
			err = s.asleep(now)
		}
		if err != nil {
			return err
		}
	}
	moved(to)
	return nil
}

type sleeperKey struct{}

type sleeperOf struct{ *sleeper }

// sleeping: programs of a script that wait, one at a time.
//
//	sleeping start   they ask from now on
//	sleeping         waits until the program waits
//	sleeping next    lets one wait go by, until the program waits again
//	sleeping 61m     lets so much time go by
//	sleeping over    lets one wait go by
func sleeping(ts *testscript.TestScript, neg bool, args []string) {
	of := ts.Value(sleeperKey{}).(*sleeperOf)
	now, err := time.Parse(time.RFC3339Nano, ts.Getenv(testClock))
	ts.Check(err)
	moved := func(t time.Time) {
		ts.Setenv(testClock, t.Format(time.RFC3339Nano))
		if n := ts.Value(scriptNodeKey{}).(*scriptNode); n.n != nil {
			n.mu.Lock()
			n.now = t
			n.mu.Unlock()
		}
	}
	switch strings.Join(args, " ") {
	case "start":
		of.sleeper, err = newSleeper()
		ts.Check(err)
		ts.Defer(func() { of.Close() })
		ts.Setenv(testSleeper, of.Addr().String())
	case "":
		ts.Check(of.asleep(now))
	case "over":
		now, err = of.wake(now)
		moved(now)
		ts.Check(err)
	case "next":
		to := of.until
		if to.Before(now) {
			to = now
		}
		moved(to)
		_, err = of.wake(to)
		ts.Check(err)
		ts.Check(of.asleep(to))
	default:
		d, err := time.ParseDuration(args[0])
		ts.Check(err)
		ts.Check(of.pass(now, now.Add(d), moved))
	}
}

// Time that passes is waited for, and who is asked to end does not wait.
func TestSleep(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	if err := sleep(ctx, 0); err != nil {
		t.Error(err)
	}
	cancel()
	if err := sleep(ctx, time.Hour); err != context.Canceled {
		t.Error(err)
	}
}
