package server

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/witness"
)

const (
	// witnessEvery is how often the node looks whether there is a head to be cosigned.
	witnessEvery = time.Second
	// renewEvery is how often a head is cosigned again, which shows that it is the newest.
	renewEvery = 5 * time.Minute
	// witnessRest is how long a witness that was of no help is left alone.
	witnessRest = time.Minute
)

// witnesses are those that cosign the node's heads. They are asked in rounds, all of them
// at once about one head, by nobody's request: one that is slow or down delays nothing but
// the next round.
type witnesses struct {
	round sync.Mutex     // one at a time
	all   []askedWitness // one for each

	mu    sync.Mutex
	note  []byte // of the last round in which some cosigned, with their lines; nil: there was none
	text  []byte // of it
	lines string // of it
}

// askedWitness is a witness with what became of asking it.
type askedWitness struct {
	*witness.Witness
	answer witness.Answer // "": it was not asked yet
	told   witness.Answer // in the log
	text   []byte         // that it cosigned last
	line   string
	due    time.Duration // uptime, from when on it is asked although the head is the same, or it was of no help
}

// askWitnesses has the newest head cosigned, if it is not.
func (s *Server) askWitnesses(ctx context.Context) {
	w := &s.witnesses
	w.round.Lock()
	defer w.round.Unlock()
	if s.cosign != nil && s.cosign.signed().Size == 0 {
		return // too few nodes have signed any head
	}
	raw, err := s.shown(ctx)
	if err != nil {
		return // which is said where heads are asked for
	}
	head, err := ledgerclient.Unverified(raw)
	if err != nil {
		return
	}
	text, plain := plainNote(raw)
	head.Note = plain
	now := s.clock.uptime()
	var round sync.WaitGroup
	for i := range w.all {
		a := &w.all[i]
		if rests := a.answer != "" && a.answer != witness.Cosigned && a.answer != witness.Ahead; now < a.due && (rests || bytes.Equal(a.text, text)) {
			continue
		}
		round.Go(func() {
			defer crash.Report()
			a.line, a.answer = a.Ask(ctx, head, func(ctx context.Context, old uint64) ([]crypto.Hash, error) {
				return s.folder.ProveConsistency(ctx, old, head.Size)
			})
			a.text, a.due = text, s.clock.uptime()+witnessRest
			if a.answer == witness.Cosigned {
				a.due = s.clock.uptime() + renewEvery
			}
			s.metrics.count(1, "carekey_witness_answers_total{answer=%q}", a.answer)
		})
	}
	round.Wait()
	if ctx.Err() == nil {
		defer s.tellWitnesses()
	}
	var lines strings.Builder
	for _, a := range w.all {
		if a.answer == witness.Cosigned && bytes.Equal(a.text, text) {
			lines.WriteString(a.line)
		}
	}
	if lines.Len() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text, w.lines = text, lines.String()
	w.note = fitted(raw, w.lines)
}

// tellWitnesses says what has changed, once it is shown to others too.
func (s *Server) tellWitnesses() {
	for i := range s.witnesses.all {
		a := &s.witnesses.all[i]
		if a.answer == a.told {
			continue
		}
		level := s.log.Warn
		if a.answer == witness.Cosigned || a.answer == witness.Ahead {
			level = s.log.Info
		}
		level("witness", "name", a.Key.Name(), "answer", string(a.answer))
		a.told = a.answer
	}
}

// cosigned counts the witnesses whose cosignature is under the head of the last round.
func (w *witnesses) cosigned() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Count(w.lines, "\n")
}

// witnessed puts the cosignatures of witnesses under a checkpoint, as far as there are any
// of this one.
func (s *Server) witnessed(raw []byte) []byte {
	w := &s.witnesses
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lines == "" || !bytes.HasPrefix(raw, append(bytes.Clone(w.text), '\n')) {
		return raw
	}
	return fitted(raw, w.lines)
}

// fitted puts lines under a note, as many of them as it may have.
func fitted(raw []byte, lines string) []byte {
	out := bytes.Clone(raw)
	for line := range strings.Lines(lines) {
		if len(out)+len(line) > ledgerclient.MaxNote {
			break
		}
		out = append(out, line...)
	}
	return out
}

// plainNote is a checkpoint with only those signatures that hold for good: what a witness
// needs to know whose it is. Some take no more than 10 KiB.
func plainNote(raw []byte) (text, plain []byte) {
	end := bytes.LastIndex(raw, []byte("\n\n"))
	text = raw[:end+1]
	origin, _, _ := strings.Cut(string(text), "\n")
	own := []byte("— " + origin + " ")
	plain = append(bytes.Clone(text), '\n')
	for line := range bytes.Lines(raw[end+2:]) {
		if bytes.HasPrefix(line, own) {
			plain = append(plain, line...)
		}
	}
	return text, plain
}

// witnessedHead answers with the newest head that witnesses cosigned.
func (s *Server) witnessedHead(q *request) error {
	s.witnesses.mu.Lock()
	raw := s.witnesses.note
	s.witnesses.mu.Unlock()
	if raw == nil {
		return notFound("page")
	}
	return q.answer(node.TypeNote, raw)
}
