// Package nodetest is a carekey node that lies, for tests. It serves an honest
// node's answers and changes them in exactly one way, chosen by name: what a
// wallet must find out, name, and survive without loss.
package nodetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/node/server"
	"github.com/carekey/carekey/ledgerclient/order"
)

// Node is a running node on loopback, without TLS, that can lie.
type Node struct {
	Dir string // the ledger's folder
	URL string

	folder *folder.Folder
	server *server.Server
	http   *http.Server
	now    func() time.Time
	order  order.Backend // nil: the folder itself
	links  *server.Links // nil: none are taken

	mu    sync.Mutex
	lie   string
	path  string // that a lie without one of its own is about
	kept  []byte // a checkpoint from before
	other *Node  // that answers instead, in some lies
}

// Start serves the ledger in dir, and makes it if there is none. now is its clock;
// nil is the system's. Close ends the node.
func Start(dir, name string, now func() time.Time) (*Node, error) {
	return StartOrdered(dir, name, now, nil)
}

// StartOrdered is Start of a ledger whose order the backend keeps.
func StartOrdered(dir, name string, now func() time.Time, b order.Backend) (*Node, error) {
	if now == nil {
		now = time.Now
	}
	n := &Node{Dir: dir, now: now, order: b}
	err := n.serve("")
	if !errors.Is(err, folder.ErrNoLedger) {
		return n, err
	}
	var f *folder.Folder
	if b == nil {
		f, err = folder.Create(dir, name, now)
	} else if fd, ferr := folder.NewFounding(name); ferr != nil {
		err = ferr
	} else {
		f, err = folder.CreateIn(context.Background(), dir, fd, b, now)
	}
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	return n, n.serve("")
}

// serve opens the ledger and begins to listen.
func (n *Node) serve(address string) (err error) {
	if n.folder, err = folder.Open(n.Dir, folder.Options{Clock: n.now, EraseAfter: server.EraseHours}); err != nil {
		return err
	}
	none := server.Rate{PerSecond: -1}
	opt := server.Options{Clock: n.now, Limits: server.Limits{Rate: none, Order: none, Bytes: none, Checks: none}, Links: n.links}
	if n.order != nil {
		opt.Ledger = order.NewLedger(n.order, n.folder, n.now)
	}
	if n.server, err = server.New(context.Background(), n.folder, opt); err != nil {
		n.folder.Close()
		return err
	}
	l, err := Listen(address)
	if err != nil {
		n.server.Close()
		n.folder.Close()
		return err
	}
	n.http = n.server.HTTPServer()
	n.http.Handler = n
	n.URL = "http://" + l.Addr().String()
	go n.http.Serve(l)
	return nil
}

// Listen listens at an address or, without one, at a free port that no connection of this
// machine gets while the node is stopped: systems give them ports above 32,767.
func Listen(address string) (net.Listener, error) {
	for try := 0; address != ""; try++ {
		l, err := net.Listen("tcp", address)
		// A program that is just being started beside has what was open here until it runs.
		if err == nil || try == 1000 || !errors.Is(err, syscall.EADDRINUSE) {
			return l, err
		}
		time.Sleep(5 * time.Millisecond)
	}
	for try := 0; ; try++ {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(10_000+rand.IntN(22_000))))
		if err == nil || try == 100 {
			return l, err
		}
	}
}

// Metrics are what the node's operator would read, in the Prometheus text format.
func (n *Node) Metrics() string {
	w := httptest.NewRecorder()
	n.server.Operator().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

// Token gives a token that is good for a year, for an invitation, and lets the node take
// entries only with one from now on.
func (n *Node) Token() (secret string, err error) {
	keys, err := folder.KeysIn(n.Dir)
	if err != nil {
		return "", err
	}
	t := node.GiveToken(n.folder.ID(), keys.Node().Key, keys, contract.Hour(n.now().Unix()/3600)+365*24, 1_000_000)
	return t.Secret(), n.server.SetClosed(true)
}

// TakeLinks begins again at the same address, with a node that takes links.
func (n *Node) TakeLinks(links server.Links) error {
	n.links = &links
	return n.Restart()
}

// Stop ends the node until Restart: who asks it finds nobody.
func (n *Node) Stop() {
	n.http.Close()
	n.server.Close()
	n.folder.Close()
}

// Restart ends the node, if it runs, and begins again at the same address.
func (n *Node) Restart() error {
	n.Stop()
	return n.serve(strings.TrimPrefix(n.URL, "http://"))
}

// Close ends the node for good. Its ledger stays.
func (n *Node) Close() {
	n.mu.Lock()
	other := n.other
	n.other = nil
	n.mu.Unlock()
	if other != nil {
		other.Close()
	}
	n.Stop()
}

// Invitation is the invitation to the node.
func (n *Node) Invitation() (node.Invitation, error) {
	doc, err := n.folder.Genesis(context.Background())
	if err != nil {
		return node.Invitation{}, err
	}
	i, err := node.InvitationTo(doc, []string{n.URL})
	i.Node = n.folder.Node().Checkpoint
	return i, err
}

// Lies are the names of the lies.
func Lies() []string {
	return slices.Sorted(maps.Keys(lies))
}

// Lie makes the node lie from now on; "" makes it honest. The lies slow-drip,
// giant-answer, endless-answer and redirect are about the requests whose path
// without node.Prefix begins with about; two-histories with "skip" first takes the
// entries that came since Remember into the other history, but for the first. The
// others know what they are about.
func (n *Node) Lie(name, about string) error {
	if lies[name] == nil && name != "" {
		return fmt.Errorf("no lie %q; there are: %s", name, strings.Join(Lies(), ", "))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.other != nil {
		n.other.Close()
		n.other = nil
	}
	var err error
	switch name {
	case "another-ledger":
		n.other, err = Start(n.Dir+".another", "City ledger", n.now)
	case "two-histories":
		if n.other, err = Start(n.Dir+".fork", "", n.now); err == nil && about == "skip" {
			err = n.catchUp(n.other)
		}
	}
	if err != nil {
		return err
	}
	n.lie, n.path = name, about
	return nil
}

// Remember keeps what the lies need that show the past: the newest checkpoint as
// it is, and a copy of the ledger with its keys, from which two-histories goes on.
func (n *Node) Remember() error {
	raw, err := n.folder.CheckpointAt(context.Background(), n.now())
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.kept = raw
	n.mu.Unlock()
	fork := n.Dir + ".fork"
	if err := os.RemoveAll(fork); err != nil {
		return err
	}
	if err := os.CopyFS(fork, os.DirFS(n.Dir)); err != nil || n.order == nil {
		return err
	}
	checkpoint := filepath.Join(fork, "checkpoint")
	raw, err = os.ReadFile(checkpoint)
	_, own, _ := bytes.Cut(raw, []byte("\n")) // the other history is no order's
	return errors.Join(err, os.WriteFile(checkpoint, own, 0o600))
}

// catchUp appends to the other history what it does not have of this one, but for
// the first entry.
func (n *Node) catchUp(other *Node) error {
	ctx := context.Background()
	there, err := other.folder.Head(ctx)
	if err != nil {
		return err
	}
	here, err := n.folder.Head(ctx)
	if err != nil {
		return err
	}
	leaves, err := n.folder.Leaves(ctx, there.Size+1, here.Size)
	if err != nil {
		return err
	}
	entries := make([]contract.Entry, len(leaves))
	for i := range leaves {
		entries[i] = leaves[i].Entry
	}
	_, err = other.folder.Services().Ledger.Append(ctx, entries)
	return err
}

// ServeHTTP answers as the lie has it, or honestly.
func (n *Node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	tell := lies[n.lie]
	n.mu.Unlock()
	if tell == nil || !tell(n, w, r) {
		n.server.ServeHTTP(w, r)
	}
}
