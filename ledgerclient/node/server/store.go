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

func (s *Server) putBlobs(q *request, puts []ledgerclient.Put) error {
	return s.storing(q, spaceOf(puts), func() error {
		return q.done(q.at(&s.desk, func() error { return s.store.PutBlobs(q.Context(), puts) }))
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
