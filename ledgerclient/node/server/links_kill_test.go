package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/folder"
)

// envServes names the folder that a process of this test serves.
const envServes = "CAREKEY_TEST_SERVES"

// TestLinkServes is the node that TestLinkKilled kills.
func TestLinkServes(t *testing.T) {
	dir := os.Getenv(envServes)
	if dir == "" {
		return
	}
	clock := &testClock{wall: time.Unix(int64(testHour)*3600+17, 0), mono: time.Hour}
	f, err := folder.Open(dir, folder.Options{Clock: clock.now, EraseAfter: EraseHours})
	if err != nil {
		t.Fatal(err)
	}
	opt := Options{Clock: clock.now, Limits: Limits{Rate: Rate{-1, 0}}}
	takesCrowds(&opt)
	s, err := newServer(ctx, f, opt, clock.uptime)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("at", l.Addr())
	t.Fatal(s.HTTPServer().Serve(l))
}

// serving starts a process that serves the folder, and says where.
func (w *world) serving() (node *exec.Cmd, url string) {
	w.t.Helper()
	node = exec.Command(os.Args[0], "-test.run=^TestLinkServes$", "-test.v")
	node.Env = append(os.Environ(), envServes+"="+w.dir)
	out, err := node.StdoutPipe()
	w.must(err)
	w.must(node.Start())
	w.t.Cleanup(func() { node.Process.Kill() })
	said := bufio.NewScanner(out)
	for said.Scan() {
		if at, ok := strings.CutPrefix(said.Text(), "at "); ok {
			go io.Copy(io.Discard, out)
			return node, "http://" + at
		}
	}
	w.t.Fatal("the node does not start")
	return nil, ""
}

// TestLinkKilled kills the node the moment that somebody was given what is behind a link, while
// others ask for it, again and again: never more than there are places, and each of those who
// had it is in what the node says of the link.
func TestLinkKilled(t *testing.T) {
	const places, people = 6, 4
	w := newWorld(t, takesLinks(nil))
	l := w.link(func(d *ledgerclient.LinkDeposit) { d.Openings = places })
	w.keep(l)
	w.http.Close()
	w.server.Close()
	w.must(w.folder.Close())
	var all []string // who had it
	for round := range places + 1 {
		node, url := w.serving()
		had := make(chan string, people)
		var crowd sync.WaitGroup
		for i := range people {
			by := fmt.Sprintf("n%d-%d", round, i)
			crowd.Go(func() {
				resp, err := http.Get(url + l.path() + "?recipient=" + by)
				if err != nil {
					return // killed
				}
				defer resp.Body.Close()
				if body, err := io.ReadAll(resp.Body); resp.StatusCode == http.StatusOK && err == nil && string(body) == l.jwe {
					had <- by
					node.Process.Kill()
				}
			})
		}
		crowd.Wait()
		node.Process.Kill()
		node.Wait()
		close(had)
		before := len(all)
		for by := range had {
			all = append(all, by)
		}
		if len(all) == before {
			break
		}
	}
	if len(all) == 0 || len(all) > places {
		t.Errorf("%d had it, of %d", len(all), places)
	}
	w.start(takesLinks(nil))
	w.shut("in the end", w.visit(l, "Dr Late", ""))
	a := w.became(l)
	var opened []string
	for _, e := range a.Events {
		if e.What == ledgerclient.LinkOpened {
			opened = append(opened, e.By)
		}
	}
	for _, by := range all {
		if !slices.Contains(opened, by) {
			t.Errorf("%s had it, and the node says nothing of that", by)
		}
	}
	if len(opened) != places || a.State != ledgerclient.LinkExhausted {
		t.Errorf("%d opened, %s", len(opened), a.State)
	}
	if _, err := w.folder.Verify(ctx, nil, nil); err != nil {
		t.Error(err)
	}
}
