package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
)

// from is a connection from some address.
type from struct {
	net.Conn
	address string
}

func (c from) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.ParseIP(c.address), Port: 1234}
}

// besieged is a node in a bubble, so that its time-outs take no time, and whoever
// comes to it from whatever address.
type besieged struct {
	t        *testing.T
	server   *Server
	folder   *folder.Folder
	listener pipes
	others   sync.WaitGroup
	mu       sync.Mutex
	conns    []net.Conn
}

func besiege(t *testing.T, limits Limits, do func(b *besieged)) {
	dir := filepath.Join(t.TempDir(), "node")
	synctest.Test(t, func(t *testing.T) {
		f, err := folder.Create(dir, "Test ledger", time.Now)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		s, err := New(ctx, f, Options{Limits: limits})
		if err != nil {
			t.Fatal(err)
		}
		s.store = hugeStore{s.store}
		h := s.HTTPServer()
		h.Protocols = new(http.Protocols)
		h.Protocols.SetHTTP1(true)
		h.Protocols.SetUnencryptedHTTP2(true)
		b := &besieged{t: t, server: s, folder: f, listener: make(pipes)}
		go h.Serve(b.listener)
		do(b)
		for _, c := range b.conns {
			c.Close()
		}
		b.others.Wait()
		h.Close()
		s.Close()
		time.Sleep(time.Minute) // on the bubble's clock: net/http closes some connections late
		for name, g := range map[string]*gate{"": &s.gate, " of revocations": &s.stopGate} {
			if open, bytes := g.load(); open != 0 || bytes != 0 || len(g.requests.all)+len(g.memory.all)+len(g.requests.of)+len(g.memory.of) != 0 {
				t.Errorf("%d requests%s and %d bytes are left", open, name, bytes)
			}
		}
		s.conns.mu.Lock()
		defer s.conns.mu.Unlock()
		if n := len(s.conns.all); n != 0 {
			t.Errorf("%d connections are left", n)
		}
		s.connected.Range(func(c, _ any) bool {
			t.Errorf("%v is remembered", c)
			return true
		})
	})
}

func (b *besieged) dial(address string) net.Conn {
	here, there := net.Pipe()
	b.listener <- from{there, address}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conns = append(b.conns, here)
	return here
}

// ask is a client that does as it should.
func (b *besieged) ask(address, method, path string, body []byte) (status int, answer []byte) {
	b.t.Helper()
	conn := b.dial(address)
	defer conn.Close()
	b.others.Go(func() {
		fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: node\r\nContent-Length: %d\r\n\r\n", method, path, len(body))
		conn.Write(body)
	})
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	answer, err = io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, answer
}

// open checks that everybody else is served: who looks, who sends much and above all
// who revokes.
func (b *besieged) open(when string) {
	b.t.Helper()
	const honest = "192.0.2.77"
	key := crypto.GenerateKey()
	e := contract.Entry{Version: contract.Version, Kind: contract.KindRevoke, Author: key.Public(), Subject: contract.ID{1},
		SelfTag: crypto.SelfTag{1}, NotAfter: contract.Forever, Commitment: crypto.Hash{1}}
	if err := e.Sign(b.folder.ID(), key); err != nil {
		b.t.Fatal(err)
	}
	revocation := node.EntriesForm.Marshal([]contract.Entry{e})
	status, answer := b.ask(honest, "POST", node.PathRevoke, revocation)
	if _, codes, err := said(node.AcknowledgementsForm.Parse(answer)); err != nil || status != 200 || codes[0] != ledgerclient.UnknownGrant {
		b.t.Errorf("%s, the keeper is told of a revocation: %d %s", when, status, answer)
	}
	status, answer = b.ask(honest, "POST", node.PathEntries, revocation)
	if out, err := node.OrderedForm(1).Parse(answer); err != nil || status != 200 || out.Outcomes[0].Refusal == nil {
		b.t.Errorf("%s, a revocation is ordered: %d %s", when, status, answer)
	}
	if status, answer = b.ask(honest, "GET", node.PathCheckpoint, nil); status != 200 {
		b.t.Errorf("%s, the head is read: %d %s", when, status, answer)
	}
	if status, answer = b.ask(honest, "POST", node.PathDeposit, make([]byte, 100<<10)); status != http.StatusBadRequest {
		b.t.Errorf("%s, much is sent: %d %s", when, status, answer)
	}
}

// windowZero asks on connections of HTTP/2 whose other end never has room for any of
// the answer. It writes the few frames that this takes.
type windowZero struct {
	b       *besieged
	address string
	conn    net.Conn
	streams uint32
}

func (c *windowZero) frame(kind, flags byte, stream uint32, payload []byte) {
	head := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	c.conn.Write(append(binary.BigEndian.AppendUint32(head, stream), payload...))
}

func (c *windowZero) ask(path string, headers ...string) {
	if c.conn == nil || c.streams == 30 {
		conn := c.b.dial(c.address)
		c.conn, c.streams = conn, 0
		io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
		c.frame(4, 0, 0, []byte{0, 4, 0, 0, 0, 0}) // SETTINGS: the initial window is 0
		c.b.others.Go(func() { io.Copy(io.Discard, conn) })
	}
	// HEADERS: indexed fields and literals without indexing, as in RFC 7541.
	literal := func(b []byte, s string) []byte { return append(append(b, byte(len(s))), s...) }
	block := []byte{0x82, 0x86} // GET, http
	block = literal(append(block, 0x04), path)
	block = literal(append(block, 0x01), "node")
	for i := 0; i < len(headers); i += 2 {
		block = literal(literal(append(block, 0), strings.ToLower(headers[i])), headers[i+1])
	}
	c.frame(1, 0x4|0x1, 2*c.streams+1, block) // all headers, no body
	c.streams++
}

// Threat: from two addresses somebody asks, in whatever way holds what a node has, and
// neither sends nor reads on. Everybody else is served all the while, and at the end
// nothing is left.
func TestSieges(t *testing.T) {
	attackers := []string{"198.51.100.1", "2001:db8::1"}
	locator := []string{node.HeaderLocator, fmt.Sprintf("%064d", 0)}
	for name, attack := range map[string]func(b *besieged, address string) (again func()){
		"HTTP/2 with window 0, a large payload": func(b *besieged, address string) func() {
			c := &windowZero{b: b, address: address}
			return func() { c.ask(node.PathBlobs, locator...) }
		},
		"HTTP/2 with window 0, what is small": func(b *besieged, address string) func() {
			c := &windowZero{b: b, address: address}
			return func() {
				c.ask(node.PathGenesis)
				c.ask(node.Prefix + "nothing")
			}
		},
		"slow readers of one payload": func(b *besieged, address string) func() {
			return func() {
				conn := b.dial(address)
				b.others.Go(func() {
					fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: node\r\n%s: %s\r\n\r\n", node.PathBlobs, locator[0], locator[1])
					for one := make([]byte, 1); ; time.Sleep(time.Second) {
						if _, err := conn.Read(one); err != nil {
							return
						}
					}
				})
			}
		},
		"bodies that trickle": func(b *besieged, address string) func() {
			return func() {
				for path, size := range map[string]int{node.PathBlobs: node.MaxPutsSize, node.PathRevoke: 222 * 4096, node.PathEntries: 222 * 4096} {
					conn := b.dial(address)
					b.others.Go(func() { io.Copy(io.Discard, conn) })
					b.others.Go(func() {
						fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: node\r\nContent-Length: %d\r\n\r\n", path, size)
						drip(conn)
					})
				}
			}
		},
		"connections on which nothing is asked": func(b *besieged, address string) func() {
			return func() {
				conn := b.dial(address)
				b.others.Go(func() { io.Copy(io.Discard, conn) })
				b.others.Go(func() { io.WriteString(conn, "G") })
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			besiege(t, Limits{Requests: 32, Memory: 80 << 20, Connections: 64}, func(b *besieged) {
				var again []func()
				for _, address := range attackers {
					again = append(again, attack(b, address))
				}
				b.open("before")
				// Many at once, and then 12 a second.
				for i := range 40 + 12*30 {
					for _, do := range again {
						do()
					}
					if i >= 40 {
						time.Sleep(time.Second / 12)
					}
					if i == 40 || i%100 == 99 {
						synctest.Wait()
						b.open(fmt.Sprintf("after %d", i+1))
					}
				}
			})
		})
	}
}

// A small answer leaves its place before it is written: others behind the address of
// somebody who reads none of his are served.
func TestSmallAnswersHoldNoPlace(t *testing.T) {
	besiege(t, Limits{Requests: 8, PerAddress: 4}, func(b *besieged) {
		const address = "198.51.100.1"
		c := &windowZero{b: b, address: address}
		for range 20 {
			c.ask(node.PathGenesis)
			synctest.Wait()
		}
		if n, bytes := b.server.gate.load(); n != 0 || bytes < 20*perAnswer {
			t.Errorf("%d places and %d bytes are held", n, bytes)
		}
		if status, answer := b.ask(address, "GET", node.PathCheckpoint, nil); status != 200 {
			t.Errorf("%d %s", status, answer)
		}
		// An answer that says nothing of its length holds what it has until it is read, too.
		c = &windowZero{b: b, address: "198.51.100.2"}
		c.ask(node.PathBlobs, node.HeaderLocator, fmt.Sprintf("%064d", 0), "Range", "bytes=9999999999999999-")
		synctest.Wait()
		if n, _ := b.server.gate.load(); n != 1 {
			t.Errorf("%d places are held for what is not read", n)
		}
	})
}

// Threat: somebody asks for what is refused, with large headers, and never reads why. What
// is held for all these refusals is bounded as what is held for answers is.
func TestRefusalsHoldLittle(t *testing.T) {
	besiege(t, Limits{Memory: 80 << 20}, func(b *besieged) {
		c := &windowZero{b: b, address: "198.51.100.1"}
		const most = node.MaxPutsSize / perAnswer // of one address
		for range most + 100 {
			c.ask(node.Prefix + "nothing")
		}
		synctest.Wait()
		if n, bytes := b.server.gate.load(); n != 0 || bytes != most*perAnswer {
			t.Errorf("%d places and %d bytes are held", n, bytes)
		}
		b.open("beside")
	})
}

// Threat: somebody sends most of large bodies and then a byte a second, so that there
// is no memory for anybody else.
func TestMemoryUnderSiege(t *testing.T) {
	besiege(t, Limits{Memory: 80 << 20}, func(b *besieged) {
		conn := b.dial("198.51.100.3")
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: node\r\nContent-Length: %d\r\n\r\n", node.PathBlobs, node.MaxPutsSize)
		conn.Write(make([]byte, 100<<10))
		synctest.Wait()
		if _, bytes := b.server.gate.load(); bytes == 0 || bytes > 1<<20 {
			t.Errorf("%d bytes are held for what was announced", bytes)
		}
		for _, address := range []string{"198.51.100.1", "2001:db8::1"} {
			conn := b.dial(address)
			b.others.Go(func() { io.Copy(io.Discard, conn) })
			sent := make(chan bool)
			b.others.Go(func() {
				fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: node\r\nContent-Length: %d\r\n\r\n", node.PathBlobs, node.MaxPutsSize)
				conn.Write(make([]byte, 17<<20))
				close(sent)
				drip(conn)
			})
			<-sent
		}
		if _, bytes := b.server.gate.load(); bytes < 60<<20 {
			t.Fatalf("only %d bytes are held", bytes)
		}
		time.Sleep(10 * time.Second)
		if status, answer := b.ask("192.0.2.77", "POST", node.PathBlobs, bytes.Repeat([]byte{0xff}, 17<<20)); status != http.StatusBadRequest {
			t.Errorf("%d %s", status, answer)
		}
		b.open("beside")
	})
}

// blocking is a keeper at which everything but a revocation waits.
type blocking struct {
	ledgerclient.Keeper
	asked chan struct{} // one for each release that has begun
	done  chan struct{} // lets one end
}

func (k blocking) Release(context.Context, ledgerclient.Request) (ledgerclient.Answer, error) {
	k.asked <- struct{}{}
	<-k.done
	return ledgerclient.Answer{}, &ledgerclient.KeeperError{Code: ledgerclient.NoAccess}
}

// Threat: somebody asks for shares that are refused, as often as the node takes it, and
// each refusal is written down under the folder's lock, for which a revocation waits
// behind all who came before it. However many there are, it has at most atDesk before
// it; while it is there one; and of those who wait, whoever has asked for less is first.
func TestRefusalsDoNotHoldUpRevocations(t *testing.T) {
	besiege(t, Limits{}, func(b *besieged) {
		k := blocking{b.server.keeper, make(chan struct{}, 1000), make(chan struct{})}
		b.server.keeper = k
		key := crypto.GenerateKey()
		request := ledgerclient.Request{Ledger: b.folder.ID(), Keeper: k.Key(), Response: key.Public(),
			Access: contract.Entry{Version: contract.Version, Kind: contract.KindAccess, Author: key.Public(), Subject: contract.ID{1}, Commitment: crypto.Hash{1}}}
		const each = 100
		for _, address := range []string{"198.51.100.1", "198.51.100.2"} {
			for range each {
				b.others.Go(func() { b.ask(address, "POST", node.PathRelease, ledgerclient.Marshal(&request)) })
			}
		}
		synctest.Wait()
		if n := len(k.asked); n != atDesk {
			t.Fatalf("%d requests are before a revocation", n)
		}
		b.open("behind 200 requests")
		late := make(chan struct{})
		b.others.Go(func() {
			b.ask("192.0.2.77", "POST", node.PathRelease, ledgerclient.Marshal(&request))
			close(late)
		})
		synctest.Wait()
		// While somebody revokes only one is let in for those who leave.
		revoking, revoked := make(chan struct{}), make(chan struct{})
		b.others.Go(func() {
			b.server.desk.revoke(func() error {
				close(revoking)
				<-revoked
				return nil
			})
		})
		<-revoking
		for n := atDesk; n > 1; n-- {
			k.done <- struct{}{}
			synctest.Wait()
			if began := len(k.asked); began != atDesk {
				t.Fatalf("%d began beside a revocation", began-atDesk)
			}
		}
		k.done <- struct{}{}
		synctest.Wait()
		if began := len(k.asked); began != atDesk+1 {
			t.Fatalf("%d began after all had ended: nobody else gets on", began-atDesk)
		}
		close(revoked)
		synctest.Wait()
		for range atDesk + 2 { // those at work, and two
			k.done <- struct{}{}
			synctest.Wait()
		}
		select {
		case <-late:
		default:
			t.Error("who asked once waits behind those who asked a hundred times")
		}
		close(k.done)
		synctest.Wait()
	})
}

// Threat: somebody floods the keeper with revocations. Those of others go in between,
// together, and one that fails keeps none of the others from it.
func TestRevocationsGoTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var steps [][]int // how many entries of whom
		hold := make(chan struct{})
		o := &orderer[contract.Entry, byte]{desk: &desk{most: 1}, most: stopsAtOnce, do: func(_ context.Context, es []contract.Entry) ([]byte, error) {
			<-hold
			out, step := make([]byte, len(es)), make([]int, 4)
			for i, e := range es {
				out[i] = e.Version
				step[e.Version]++
			}
			steps = append(steps, step)
			if step[3] > 0 {
				return nil, errors.New("damaged")
			}
			return out, nil
		}}
		var asking sync.WaitGroup
		fresh := func() bool { return true }
		submit := func(who byte, n int, begin func() bool, want error) {
			asking.Go(func() {
				out, err := o.submit(t.Context(), client{who}, slices.Repeat([]contract.Entry{{Version: who}}, n), begin)
				if (err == nil) != (want == nil) || err == nil && !bytes.Equal(out, bytes.Repeat([]byte{who}, n)) {
					t.Errorf("%d: %v, %v", who, out, err)
				}
			})
			synctest.Wait()
		}
		submit(1, stopsAtOnce, fresh, nil) // at work
		submit(1, stopsAtOnce, fresh, nil)
		submit(1, stopsAtOnce, fresh, nil)
		submit(2, 1, fresh, nil)
		submit(3, 1, fresh, errors.New("damaged"))
		submit(2, 5, fresh, nil)
		submit(0, 1, func() bool { return false }, errors.New("given up"))
		ctx, cancel := context.WithCancel(t.Context())
		asking.Go(func() {
			if _, err := o.submit(ctx, client{9}, make([]contract.Entry, 1), fresh); err != context.Canceled {
				t.Errorf("%v", err)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(hold)
		asking.Wait()
		o.close()
		// The second step fails and is taken apart. Who waits longest is always in one.
		want := [][]int{
			{0, stopsAtOnce, 0, 0},
			{0, stopsAtOnce, 6, 1}, {0, 0, 1, 0}, {0, 0, 0, 1}, {0, 0, 5, 0}, {0, stopsAtOnce, 0, 0},
			{0, stopsAtOnce, 0, 0},
		}
		if fmt.Sprint(steps) != fmt.Sprint(want) {
			t.Errorf("%v", steps)
		}
	})
}
