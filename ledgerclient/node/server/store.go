package server

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
)

// signed is how many signatures payloads stand under: that of an entry is checked once.
func signed(puts []ledgerclient.Put) (n int) {
	for i := range puts {
		if i == 0 || puts[i].Entry != puts[i-1].Entry {
			n++
		}
	}
	return n
}

// putsAtOnce is how many payloads go in one step, of 16 KiB each: who revokes meanwhile
// waits for little more than for one request.
const putsAtOnce = 256

// sizeOf is how much of a step a request takes.
func sizeOf(p folder.Putting) (size int) {
	for i := range p.Puts {
		size += 1 + len(p.Puts[i].Blob)>>14
	}
	return size
}

// put puts what a request brings, with what others bring at the same time. begun is false
// if it was given up before.
func (s *Server) put(q *request, p folder.Putting) (begun bool, err error) {
	errs, err := queued(q, s.puts, []folder.Putting{p})
	if err != nil {
		return false, err
	}
	return true, errs[0]
}

func (s *Server) putBlobs(q *request, puts []ledgerclient.Put) error {
	return s.storing(q, spaceOf(puts), func() error {
		_, err := s.put(q, folder.Putting{Puts: puts})
		return q.done(err)
	})
}

func (s *Server) blob(q *request) error {
	values := q.Header.Values(node.HeaderLocator)
	var loc crypto.Hash
	if len(values) != 1 || loc.UnmarshalText([]byte(values[0])) != nil {
		return refuse(node.KindMalformed)
	}
	if strings.Contains(q.Header.Get("Range"), ",") {
		q.Header.Del("Range") // one range at a time; RFC 9110 lets a server pass over others
	}
	b, err := s.store.Blob(q.Context(), crypto.Locator(loc))
	if err != nil {
		return err
	}
	defer b.Close()
	payload := io.NewSectionReader(b, 0, b.Size())
	if b.Size() <= uncounted {
		// It is read at once: a place is for work, and not for who reads slowly.
		small := make([]byte, b.Size())
		if _, err := io.ReadFull(payload, small); err != nil {
			return err
		}
		b.Close()
		payload = io.NewSectionReader(bytes.NewReader(small), 0, b.Size())
		q.place.answers(b.Size())
	}
	q.w.Header().Set("Content-Type", node.TypeBinary)
	http.ServeContent(q.w, q.Request, "", time.Time{}, payload)
	return nil
}

func (s *Server) erase(q *request, withdrawal []contract.Entry) error {
	return q.done(q.at(&s.desk, func() error { return s.store.Erase(q.Context(), withdrawal[0]) }))
}
