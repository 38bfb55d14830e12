package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/node/server"
)

// TestLoad lets many clients store, submit and read at one node, a process of its
// own, all at once. Every error must be a refusal that PROTOCOL.md names. How long
// things took and how much memory the node ever had is printed, and judged only for
// being bounded.
//
// CAREKEY_LOAD=200,5m plays 200 clients for 5 minutes.
func TestLoad(t *testing.T) {
	clients, rounds, until := 8, 10, time.Time{}
	if s := os.Getenv("CAREKEY_LOAD"); s != "" {
		n, d, _ := strings.Cut(s, ",")
		number, err1 := strconv.Atoi(n)
		length, err2 := time.ParseDuration(d)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		clients, rounds, until = number, 1<<40, time.Now().Add(length)
	}
	p := startNode(t, clients)
	took := &times{all: map[string][]time.Duration{}, refused: map[node.Kind]int{}}
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			c := newLoadClient(t, p.invitation)
			for n := 0; n < rounds && (until.IsZero() || time.Now().Before(until)) && !t.Failed(); n++ {
				c.round(t, took)
			}
		})
	}
	group.Wait()
	memory := p.peak(t)
	t.Logf("%d clients; the node had at most %d MiB", clients, memory>>20)
	for _, line := range took.lines() {
		t.Log(line)
	}
	// 256 MiB for bodies is the node's own limit; the rest is the program, its tables
	// and what the garbage collector leaves lying.
	if memory > 1<<30 {
		t.Errorf("the node had %d MiB", memory>>20)
	}
}

// nodeProcess is a node at work.
type nodeProcess struct {
	cmd        *exec.Cmd
	invitation node.Invitation
}

func startNode(t *testing.T, clients int) *nodeProcess {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	must(err)
	dir := t.TempDir()
	bin := filepath.Join(dir, "carekey-node"+filepath.Ext(self))
	if filepath.Ext(self) != ".exe" {
		bin = filepath.Join(dir, "carekey-node")
	}
	must(os.Symlink(self, bin))
	run := func(args ...string) []byte {
		out, err := exec.Command(bin, args...).Output()
		must(err)
		return out
	}
	ledger := filepath.Join(dir, "ledger")
	run("init", ledger, "--name", "City ledger", "--url", "https://127.0.0.1:8443")
	// All clients have one address here: what a node allows one address is for all.
	must(edit(ledger, func(c *config) error {
		none := server.Rate{PerSecond: -1, Burst: 1}
		c.Limits = server.Limits{
			Requests: 256, PerAddress: 256, Connections: 1024, ConnectionsPerAddress: 1024,
			Rate: none, Order: none, Checks: none, Bytes: none,
		}
		return nil
	}))
	p := &nodeProcess{cmd: exec.Command(bin, "serve", ledger, "--listen", "127.0.0.1:0")}
	out, err := p.cmd.StdoutPipe()
	must(err)
	must(p.cmd.Start())
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	must(err)
	url := strings.TrimPrefix(strings.TrimSpace(line), "listening ")
	var said struct{ Invitation string }
	must(json.Unmarshal(run("invite", ledger, "--url", url, "--json"), &said))
	p.invitation, err = node.ParseInvitation(said.Invitation)
	must(err)
	return p
}

// peak is the most memory that the node ever had, in bytes; 0 where it is not told.
func (p *nodeProcess) peak(t *testing.T) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Log("this system does not tell how much memory the node had")
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err != nil {
				t.Error(err)
			}
			return n << 10
		}
	}
	return 0
}

// times are how long things took, and what was refused.
type times struct {
	mu      sync.Mutex
	all     map[string][]time.Duration
	refused map[node.Kind]int
}

func (s *times) took(what string, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[what] = append(s.all[what], d)
}

func (s *times) lines() (lines []string) {
	for _, what := range []string{"store", "submit", "fetch", "head"} {
		all := s.all[what]
		if len(all) == 0 {
			continue
		}
		slices.Sort(all)
		at := func(q float64) time.Duration { return all[int(q*float64(len(all)-1))].Round(10 * time.Microsecond) }
		lines = append(lines, fmt.Sprintf("%-6s  %6d times: p50 %s, p99 %s, max %s", what, len(all), at(0.5), at(0.99), at(1)))
	}
	for kind, n := range s.refused {
		lines = append(lines, fmt.Sprintf("refused %d times: %s", n, kind))
	}
	return lines
}

// loadClient is one wallet as a node sees it.
type loadClient struct {
	node   *node.Node
	client *ledgerclient.Client
	key    *crypto.PrivateKey
}

func newLoadClient(t *testing.T, i node.Invitation) *loadClient {
	n, err := node.Dial(t.Context(), i, node.Options{Wait: time.Minute})
	if err != nil {
		t.Error(err)
		return nil
	}
	c, err := ledgerclient.Connect(t.Context(), n.Services(), i.Ledger)
	if err != nil {
		t.Error(err)
		return nil
	}
	return &loadClient{n, c, crypto.GenerateKey()}
}

// round stores a payload, submits its entry, fetches the payload and reads the head.
func (c *loadClient) round(t *testing.T, s *times) {
	if c == nil {
		return
	}
	body := make([]byte, 4096)
	rand.Read(body)
	blob := crypto.Blob(crypto.NewSalt(), body)
	pkg := contract.RecordPackage{Metadata: crypto.BlobHash(blob), ContentHead: crypto.Hash(crypto.NewSalt()), ContentSize: 1}
	e := contract.Entry{Version: contract.Version, Kind: contract.KindRecord, Author: c.key.Public(), Commitment: pkg.Commitment()}
	if err := e.Sign(c.client.ID(), c.key); err != nil {
		t.Error(err)
		return
	}
	loc := crypto.Locator(crypto.NewSalt())
	do := func(what string, f func(context.Context) error) bool {
		start := time.Now()
		err := f(t.Context())
		if err == nil {
			s.took(what, time.Since(start))
			return true
		}
		var refused *node.RefusedError
		if !errors.As(err, &refused) {
			t.Errorf("%s: %v", what, err)
			return false
		}
		s.mu.Lock()
		s.refused[refused.Kind]++
		s.mu.Unlock()
		return false
	}
	ok := do("store", func(ctx context.Context) error {
		return c.client.Store.PutBlobs(ctx, []ledgerclient.Put{{Entry: e, Package: pkg.Marshal(), Part: ledgerclient.PartMetadata, Locators: []crypto.Locator{loc}, Blob: blob}})
	}) && do("submit", func(ctx context.Context) error {
		out, err := c.client.Ledger.Append(ctx, []contract.Entry{e})
		if err == nil && out[0].Refusal != nil {
			return out[0].Refusal
		}
		return err
	})
	if !ok {
		return
	}
	do("fetch", func(ctx context.Context) error {
		b, err := c.client.Store.Blob(ctx, loc)
		if err != nil {
			return err
		}
		defer b.Close()
		got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
		if err == nil && crypto.BlobHash(got) != pkg.Metadata {
			return errors.New("another payload")
		}
		return err
	})
	do("head", func(ctx context.Context) error {
		_, err := c.client.Head(ctx)
		return err
	})
}
