package server

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
)

// Over TLS clients speak HTTP/2: deadlines, refusals without a body and several
// requests on one connection work there too.
func TestHTTP2(t *testing.T) {
	w := newWorld(t, nil)
	w.http = httptest.NewUnstartedServer(nil)
	w.http.Config = w.server.HTTPServer()
	w.http.EnableHTTP2 = true
	w.http.StartTLS()
	t.Cleanup(w.http.Close)
	r, err := w.http.Client().Get(w.http.URL + node.PathCheckpoint)
	w.must(err)
	io.Copy(io.Discard, r.Body)
	r.Body.Close()
	if r.ProtoMajor != 2 || r.TLS == nil {
		t.Fatalf("%s", r.Proto)
	}
	v := w.record(3*contract.PieceSize + 1)
	w.add(v)
	if got := w.ok(w.fetch(v.upload.Locators[0])); !bytes.HasPrefix(got, v.content) {
		t.Errorf("%d bytes", len(got))
	}
	var wg sync.WaitGroup
	for range 8 {
		entries := w.records(3)
		wg.Go(func() {
			if r := w.post(node.PathEntries, node.EntriesForm.Marshal(entries)); r.status != http.StatusOK {
				t.Errorf("status %d %s", r.status, r.body)
			}
		})
	}
	wg.Wait()
	w.refused("too large", w.post(node.PathState, make([]byte, 1025)), node.KindTooLarge)
	w.refused("method", w.post(node.PathGenesis, []byte("x")), node.KindMethod)
	w.ok(w.get(node.PathCheckpoint))
}
