package server

import (
	"encoding/json"
	"io"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/node"
)

// Many questions in one request are many questions: each is counted, has its own turn at
// the folder, is judged, filed and answered by itself, and knows nothing of the others.

// bulkTime is after how long no more of the questions of a request are begun: the other
// side waits for all of the answer.
const bulkTime = 5 * time.Second

func (s *Server) bulk(q *request) error {
	questions, err := node.BulkForm.Parse(q.body)
	if err != nil {
		return err
	}
	if err := s.seen(q); err != nil {
		return err
	}
	said := make([]node.Said, len(questions))
	begun := s.clock.uptime()
	size := 5 * len(questions) // how each was answered, and how long that is
	full := false              // it was busy
	for i, asked := range questions {
		most := size + asked.Asked.Most()
		if i == 0 {
			q.place.count(int64(len(q.body) + most)) // as alone, it is answered at all events
		} else if full || most > node.MaxBulk || s.clock.uptime()-begun > bulkTime || !q.place.reserve(int64(len(q.body)+most)) {
			said[i].How = node.SaidAgain
			continue
		}
		raw, err := s.counted(q, i, asked)
		if full = err != nil && node.ProblemOf(err).Kind == node.KindBusy; full && i > 0 {
			said[i].How = node.SaidAgain // nothing was done
			continue
		}
		switch {
		case q.Context().Err() != nil:
			return errGone
		case full:
			return err
		case err != nil:
			said[i].How = node.SaidProblem
			raw = s.problem(q, err)
		}
		said[i].Answer = raw
		size += len(raw)
	}
	return q.answer(node.TypeBinary, node.SaidForm(len(said)).Marshal(said))
}

// counted answers a question of a bulk request, which counts as a request of its own: for
// the first one the request itself was counted.
func (s *Server) counted(q *request, i int, asked node.Question) ([]byte, error) {
	if i > 0 {
		if wait, ok := s.buckets.take(q.address, "rate", s.limits.Rate, 1); !ok {
			return nil, refuseFor(node.KindTooMany, wait)
		}
	}
	return s.questions[asked.Asked](q, asked.Message)
}

// problem is the document that says why one of several questions was not answered.
func (s *Server) problem(q *request, err error) []byte {
	p := problemOf(err)
	s.complain(q, p.Kind, err)
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // no field of it can fail
	}
	return body
}

// beginning reads the beginning of a payload.
func (s *Server) beginning(q *request, message []byte) ([]byte, error) {
	b, err := s.store.Blob(q.Context(), crypto.Locator(message))
	if err != nil {
		return nil, err
	}
	defer b.Close()
	said := node.Beginning{Size: uint64(b.Size()), Bytes: make([]byte, min(b.Size(), ledgerclient.FirstBytes))}
	if _, err := io.ReadFull(io.NewSectionReader(b, 0, b.Size()), said.Bytes); err != nil {
		return nil, err
	}
	return node.BeginningForm.Marshal(said), nil
}
