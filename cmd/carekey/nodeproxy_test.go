package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"
)

// proxyFault is what a proxy does to one request.
type proxyFault string

const (
	faultNone      proxyFault = ""
	faultDrop      proxyFault = "drop"      // it does not arrive
	faultLose      proxyFault = "lose"      // it arrives, its answer does not
	faultTruncate  proxyFault = "truncate"  // half of its answer arrives
	faultDuplicate proxyFault = "duplicate" // it arrives twice
	faultDelay     proxyFault = "delay"     // it arrives a little later
	faultLate      proxyFault = "late"      // it is given up, and arrives behind the requests after it
	faultBefore    proxyFault = "before"    // something happens before it arrives, see proxy.event
	faultAfter     proxyFault = "after"     // something happens after it arrived; its answer does not
	faultPartition proxyFault = "partition" // it does not arrive, nor does any after it
)

// proxy stands between wallets and a node and does something to one request.
type proxy struct {
	URL   string
	event func() // of faultBefore and faultAfter

	happening sync.WaitGroup // an event from its request's arrival to its end

	mu     sync.Mutex
	target string // of the node
	count  int    // requests since arm
	at     int    // which one the fault is for, from 1
	fault  proxyFault
	late   []*http.Request
	bodies [][]byte
	behind int // how many requests until what is late arrives
}

func newProxy(t *testing.T) *proxy {
	p := &proxy{}
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	p.URL = s.URL
	return p
}

// arm counts anew and sets the fault of the request number at; 0 is none. It returns
// when an event of the fault before has ended: a command whose other requests failed
// by it can be faster.
func (p *proxy) arm(f proxyFault, at int, event func()) {
	p.mu.Lock()
	p.count, p.fault, p.at, p.event = 0, f, at, event
	p.mu.Unlock()
	p.happening.Wait()
}

// counted is how many requests came since arm.
func (p *proxy) counted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

func (p *proxy) aim(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// forward sends a request on to the node.
func (p *proxy) forward(r *http.Request, body []byte) (*http.Response, []byte, error) {
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	out, err := http.NewRequest(r.Method, target+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	out.Header = r.Header.Clone()
	answer, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	return answer, got, err
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	p.mu.Lock()
	p.count++
	f := faultNone
	switch {
	case p.count == p.at:
		f = p.fault
	case p.count > p.at && p.at > 0 && p.fault == faultPartition:
		f = faultPartition
	}
	event := func() {}
	if f == faultBefore || f == faultAfter {
		p.happening.Add(1)
		happens := p.event
		event = func() { defer p.happening.Done(); happens() }
	}
	var late []*http.Request
	var bodies [][]byte
	if p.behind--; p.behind <= 0 {
		late, bodies, p.late, p.bodies = p.late, p.bodies, nil, nil
	}
	if f == faultLate {
		p.late, p.bodies, p.behind = append(p.late, r), append(p.bodies, body), 3
	}
	p.mu.Unlock()
	defer func() {
		for i := range late {
			p.forward(late[i], bodies[i])
		}
	}()
	switch f {
	case faultDrop, faultLate, faultPartition:
		panic(http.ErrAbortHandler)
	case faultDelay:
		<-time.After(20 * time.Millisecond)
	case faultBefore:
		event()
	case faultDuplicate:
		p.forward(r, body)
	}
	answer, got, err := p.forward(r, body)
	if f == faultAfter {
		event()
		err = http.ErrAbortHandler
	}
	if err != nil || f == faultLose {
		panic(http.ErrAbortHandler)
	}
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(got)))
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Length", answer.Header.Get("Content-Length"))
	}
	w.WriteHeader(answer.StatusCode)
	if f == faultTruncate {
		got = got[:len(got)/2]
	}
	w.Write(got)
	if f == faultTruncate {
		panic(http.ErrAbortHandler)
	}
}

func (p *proxy) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprintf("%s at request %d of %d", p.fault, p.at, p.count)
}
