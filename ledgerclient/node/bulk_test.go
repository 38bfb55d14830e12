package node_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
)

// Many payloads come in few requests: each is the one that was asked for, also one that is
// larger than its beginning. An older node, and one that has no room for many, is asked
// less at a time, and one that is away is waited for once.
func TestManyPayloads(t *testing.T) {
	n, inv := start(t)
	var mu sync.Mutex
	asked := map[string]int{}
	var no func(r *http.Request) error
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked[r.Method+" "+r.URL.Path]++
		why := error(nil)
		if no != nil {
			why = no(r)
		}
		mu.Unlock()
		if why == http.ErrAbortHandler {
			panic(why)
		}
		if why != nil {
			sayNo(w, why)
			return
		}
		n.ServeHTTP(w, r)
	}))
	front.Config.ErrorLog = quiet
	defer front.Close()
	inv.URLs = []string{front.URL}
	says := func(why func(r *http.Request) error) {
		mu.Lock()
		defer mu.Unlock()
		no = why
	}
	of := func(request string) int {
		mu.Lock()
		defer mu.Unlock()
		return asked[request]
	}
	s := dial(t, inv, node.Options{})

	key := crypto.GenerateKey()
	var puts []ledgerclient.Put
	var locs []crypto.Locator
	for i := range ledgerclient.MaxBulk + 6 {
		size := 500
		if i == 7 {
			size = 3 * ledgerclient.FirstBytes
		}
		blob := crypto.Blob(crypto.NewSalt(), bytes.Repeat([]byte{byte(i)}, size))
		pkg := contract.RecordPackage{Metadata: crypto.BlobHash(blob), ContentSize: 1}
		e := contract.Entry{Version: contract.Version, Kind: contract.KindRecord, Author: key.Public(), Commitment: pkg.Commitment()}
		if err := e.Sign(inv.Ledger, key); err != nil {
			t.Fatal(err)
		}
		loc := crypto.Locator(crypto.NewSalt())
		puts = append(puts, ledgerclient.Put{Entry: e, Package: pkg.Marshal(), Part: ledgerclient.PartMetadata, Blob: blob, Locators: []crypto.Locator{loc}})
		locs = append(locs, loc)
	}
	if err := s.Store.PutBlobs(ctx, puts); err != nil {
		t.Fatal(err)
	}
	read := func(s ledgerclient.Services) (right int, errs []error) {
		mu.Lock()
		asked = map[string]int{}
		mu.Unlock()
		seen := map[int]bool{}
		if err := ledgerclient.Blobs(ctx, s.Store, locs, func(i int, b ledgerclient.Blob, err error) error {
			if seen[i] {
				t.Errorf("payload %d twice", i)
			}
			seen[i] = true
			if err != nil {
				errs = append(errs, err)
				return nil
			}
			defer b.Close()
			got := make([]byte, b.Size())
			if _, err := b.ReadAt(got, 0); err != nil && err != io.EOF || !bytes.Equal(got, puts[i].Blob) {
				return fmt.Errorf("payload %d: %d bytes, %v", i, len(got), err)
			}
			right++
			return nil
		}); err != nil {
			t.Error(err)
		}
		return right, errs
	}
	expect := func(name string, s ledgerclient.Services, right, bulk, alone int) {
		t.Helper()
		if got, errs := read(s); got != right || len(errs) != len(locs)-right {
			t.Errorf("%s: %d payloads: %v", name, got, errors.Join(errs...))
		}
		mu.Lock()
		defer mu.Unlock()
		if asked["POST "+node.PathBulk] != bulk || asked["GET "+node.PathBlobs] != alone {
			t.Errorf("%s: %v", name, asked)
		}
	}
	all := len(locs)
	expect("a node of now", s, all, 2, 1) // the rest of the large one
	locs = append(locs, crypto.Locator(crypto.NewSalt()))
	expect("one is not there", s, all, 2, 1)
	locs = locs[:all]

	says(func(r *http.Request) error {
		if r.URL.Path == node.PathBulk && r.ContentLength > 20*33 {
			return &node.RefusedError{Kind: node.KindBusy, RetryAfter: 1}
		}
		return nil
	})
	expect("a busy node", s, all, 7, 1) // 64, 32, 16 … of 70 in five
	first := true
	says(func(r *http.Request) error {
		if r.URL.Path == node.PathBulk && !first {
			return &node.RefusedError{Kind: node.KindBusy, RetryAfter: 1}
		}
		first = false
		return nil
	})
	expect("a node that is busy after the first 64", s, all, 4, 1+6) // 6, 3 and 1 together, then one by one
	says(func(r *http.Request) error {
		if r.URL.Path == node.PathBulk {
			return &node.RefusedError{Kind: node.KindTooMany, RetryAfter: 1}
		}
		return nil
	})
	expect("a node that was asked too much", s, 0, 1, 0)
	says(func(*http.Request) error { return http.ErrAbortHandler })
	if got, errs := read(s); got != 0 || len(errs) != all || ledgerclient.Unreachable(errs[0]) == nil || of("GET "+node.PathBlobs) > 0 {
		t.Errorf("a node that is away: %d payloads, %d errors", got, len(errs))
	}
	says(func(r *http.Request) error {
		if r.URL.Path == node.PathBulk {
			return &ledgerclient.NotFoundError{What: "page"}
		}
		return nil
	})
	expect("an older node", s, all, 1, all+1)
	expect("an older node once more", s, all, 0, all+1)
	// An older one that goes away meanwhile is not waited for once for each.
	older := dial(t, inv, node.Options{})
	says(func(r *http.Request) error {
		if r.URL.Path == node.PathBulk {
			return &ledgerclient.NotFoundError{What: "page"}
		}
		return http.ErrAbortHandler
	})
	if got, errs := read(older); got != 0 || len(errs) != all || of("GET "+node.PathBlobs) > 2 {
		t.Errorf("%d payloads, %d errors", got, len(errs))
	}
}
