package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
)

// pipes is a listener whose connections are pipes: time in them is a bubble's.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

// Close is called once, by http.Server.Close.
func (p pipes) Close() error {
	close(p)
	return nil
}
func (pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// Threat: somebody who sends or reads a byte a second holds a place for ever. Each
// is cut off, and the time it took is measured on a clock that runs ahead when all
// wait.
func TestSlowDrip(t *testing.T) {
	for _, test := range []struct {
		name string
		by   time.Duration // when it is over at the latest
		do   func(t *testing.T, conn net.Conn, dripping *sync.WaitGroup)
	}{
		{"header", 12 * time.Second, func(t *testing.T, conn net.Conn, dripping *sync.WaitGroup) {
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: node\r\nX-Slow: ", node.PathCheckpoint)
			drip(conn)
		}},
		{"body", 35 * time.Second, func(t *testing.T, conn net.Conn, dripping *sync.WaitGroup) {
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: node\r\nContent-Length: 22200\r\n\r\n", node.PathEntries)
			dripping.Go(func() { drip(conn) })
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			if p, err := node.ParseProblem(body); err != nil || p.Kind != node.KindTooSlow || resp.StatusCode != http.StatusRequestTimeout {
				t.Errorf("%d %s %v", resp.StatusCode, body, err)
			}
		}},
		{"large body", 35 * time.Second, func(t *testing.T, conn net.Conn, dripping *sync.WaitGroup) {
			// A keeper's route: it takes no token.
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: node\r\nContent-Length: %d\r\n\r\n", node.PathDeposit, node.MaxDeposits)
			dripping.Go(func() { drip(conn) })
			wantStatus(t, conn, http.StatusRequestTimeout)
		}},
		{"a body that begins well", 45 * time.Second, func(t *testing.T, conn net.Conn, dripping *sync.WaitGroup) {
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: node\r\nContent-Length: %d\r\n\r\n", node.PathDeposit, node.MaxDeposits)
			conn.Write(make([]byte, 2*step+1)) // earns 8 seconds
			dripping.Go(func() { drip(conn) })
			wantStatus(t, conn, http.StatusRequestTimeout)
		}},
		{"answer", 35 * time.Second, func(t *testing.T, conn net.Conn, dripping *sync.WaitGroup) {
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: node\r\n\r\n", node.PathGenesis)
			one := make([]byte, 1)
			for {
				if _, err := conn.Read(one); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}},
		{"large answer", 35 * time.Second, func(t *testing.T, conn net.Conn, dripping *sync.WaitGroup) {
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: node\r\n%s: %064d\r\n\r\n", node.PathBlobs, node.HeaderLocator, 0)
			one := make([]byte, 1)
			for {
				if _, err := conn.Read(one); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}},
		{"refused body", 5 * time.Second, func(t *testing.T, conn net.Conn, dripping *sync.WaitGroup) {
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: node\r\n%s: 9\r\nContent-Length: 32\r\n\r\n", node.PathState, node.HeaderVersion)
			dripping.Go(func() { drip(conn) })
			wantStatus(t, conn, http.StatusBadRequest)
		}},
		{"a pause between requests", 61 * time.Second, func(t *testing.T, conn net.Conn, dripping *sync.WaitGroup) {
			r := bufio.NewReader(conn)
			for range 2 {
				fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: node\r\nContent-Length: 32\r\nExpect: 100-continue\r\n\r\n", node.PathUploadAbort)
				if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
					t.Fatalf("%q, %v", line, err)
				}
				if _, err := r.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
				conn.Write(make([]byte, 32))
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatal(err)
				}
				if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusNoContent || len(body) != 0 {
					t.Errorf("%d, %d bytes, %v", resp.StatusCode, len(body), err)
				}
				time.Sleep(baseTime + time.Millisecond) // on the bubble's clock
			}
		}},
		{"nothing more", 125 * time.Second, func(t *testing.T, conn net.Conn, dripping *sync.WaitGroup) {
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: node\r\n\r\n", node.PathGenesis)
			io.Copy(io.Discard, conn)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "node")
			synctest.Test(t, func(t *testing.T) {
				f, err := folder.Create(dir, "Test ledger", time.Now)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				s, err := New(ctx, f, Options{})
				if err != nil {
					t.Fatal(err)
				}
				s.store = hugeStore{s.store}
				listener := make(pipes)
				h := s.HTTPServer()
				go h.Serve(listener)
				here, there := net.Pipe()
				listener <- there
				start := time.Now()
				var dripping sync.WaitGroup
				test.do(t, here, &dripping)
				if took := time.Since(start); took > test.by {
					t.Errorf("over after %s", took)
				}
				here.Close()
				dripping.Wait()
				h.Close()
				s.Close()
				time.Sleep(time.Second) // on the bubble's clock: net/http closes some connections late
				if open, bytes := s.gate.load(); open != 0 || bytes != 0 {
					t.Errorf("%d requests and %d bytes are left", open, bytes)
				}
			})
		})
	}
}

// hugeStore has one payload, of which nobody can wait for the end.
type hugeStore struct{ ledgerclient.Store }

func (hugeStore) Blob(context.Context, crypto.Locator) (ledgerclient.Blob, error) {
	return hugeBlob{}, nil
}

type hugeBlob struct{}

func (hugeBlob) ReadAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (hugeBlob) Size() int64                           { return 1 << 40 }
func (hugeBlob) Close() error                          { return nil }

// drip sends a byte a second until it cannot.
func drip(conn net.Conn) {
	for {
		if _, err := conn.Write([]byte("x")); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

// wantStatus reads an answer.
func wantStatus(t *testing.T, conn net.Conn, status int) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != status {
		t.Errorf("status %d", resp.StatusCode)
	}
}
