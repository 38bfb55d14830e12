package server

import (
	"context"
	"slices"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
)

// The keeper of the folder judges on the folder's own log, under its lock, so that
// its head is as fresh as it can be; the clock is the server's to judge.

// seen lets the folder read on in an order that is kept elsewhere if who asks has seen more
// of the log than it has: what was ordered through another node is not unknown here. The
// order is read up to its head once, and not waited for: anybody can name any size.
func (s *Server) seen(q *request) error {
	named := q.Header.Get(node.HeaderFrom)
	if s.opt.Ledger == nil || named == "" {
		return nil
	}
	size, err := node.ParseFrom(named)
	if err != nil {
		return err
	}
	head, err := s.folder.Head(q.Context())
	if err != nil || size <= head.Size {
		return err
	}
	return q.at(&s.follow, func() error { return s.opt.Ledger.Follow(q.Context()) })
}

func (s *Server) deposit(q *request, deposits []ledgerclient.Deposit) error {
	clear(q.body) // the shares
	defer func() {
		for i := range deposits {
			deposits[i].Share.Wipe()
		}
	}()
	if err := s.seen(q); err != nil {
		return err
	}
	free, ok := s.disk.take(spaceOfDeposits(deposits))
	if !ok {
		return refuse(node.KindFull)
	}
	defer free()
	var receipts []ledgerclient.Receipt
	err := q.at(&s.desk, func() (err error) {
		receipts, err = s.keeper.Deposit(q.Context(), deposits)
		return err
	})
	replies, err := node.Replies(receipts, err)
	if err != nil {
		return err
	}
	return q.answer(node.TypeBinary, node.ReceiptsForm.Marshal(replies))
}

// question is what the node says to one question, which is a message. It costs so many
// checks, and is answered at the folder, after what there may be to do first.
type question func(q *request, message []byte) ([]byte, error)

func asked[Q, A any](s *Server, parse func([]byte) (Q, error), checks int, first func(*request) error, do func(context.Context, Q) (A, error), marshal func(A) []byte) question {
	return func(q *request, message []byte) (raw []byte, err error) {
		asked, err := parse(message)
		if err == nil {
			err = q.charge(checks)
		}
		if err == nil && first != nil {
			err = first(q)
		}
		if err != nil {
			return nil, err
		}
		err = q.at(&s.desk, func() error {
			answer, err := do(q.Context(), asked)
			if err == nil {
				raw = marshal(answer)
			}
			return err
		})
		return raw, err
	}
}

// beforeRelease is what comes before an answer that cannot be taken back: the clock must be
// right, and a revocation may stand in the order that the folder has not read yet, or the
// access behind what enough nodes have signed.
func (s *Server) beforeRelease(q *request) error {
	if s.clock.off() != nil {
		return refuse(node.KindClock)
	}
	if s.opt.Ledger != nil {
		if err := q.at(&s.follow, func() error { return s.opt.Ledger.Follow(q.Context()) }); err != nil {
			return err
		}
	}
	if s.cosign == nil {
		return nil
	}
	awake(s.cosign.wake)
	_, err := q.enoughSigned()
	return err // whether enough have, the keeper judges
}

// newQuestions are those that a request may hold many of.
func (s *Server) newQuestions() map[node.Asked]question {
	return map[node.Asked]question{
		node.AskPayload: s.beginning,
		node.AskState:   asked(s, ledgerclient.Parse[ledgerclient.Inquiry], 1, nil, s.keeper.State, node.KeeperStateForm.Marshal),
		node.AskRelease: asked(s, ledgerclient.Parse[ledgerclient.Request], 2, s.beforeRelease, s.releaseAsked, func(a ledgerclient.Answer) []byte { return ledgerclient.Marshal(&a) }),
		node.AskInquiry: asked(s, ledgerclient.Parse[ledgerclient.Inquiry], 1, nil, s.keeper.Inquire, func(a ledgerclient.InquiryAnswer) []byte { return ledgerclient.Marshal(&a) }),
	}
}

// alone is what a route does whose body is one question.
func (s *Server) alone(what node.Asked) func(*request) error {
	return func(q *request) error {
		if err := s.seen(q); err != nil {
			return err
		}
		raw, err := s.questions[what](q, q.body)
		if err != nil {
			return err
		}
		return q.answer(node.TypeBinary, raw)
	}
}

// releaseAsked is release for who asks from outside. The share of a link's grant goes to
// nobody: whoever has the link has the keys that could ask for it, and would be asked for no
// passcode and counted by nobody.
func (s *Server) releaseAsked(ctx context.Context, r ledgerclient.Request) (ledgerclient.Answer, error) {
	if s.links != nil {
		held, err := s.links.Holds(ctx, r.Access.Subject)
		if err == nil && held {
			err = &ledgerclient.KeeperError{Grant: r.Access.Subject, Code: ledgerclient.BadRequest}
		}
		if err != nil {
			return ledgerclient.Answer{}, err
		}
	}
	return s.release(ctx, r)
}

func (s *Server) release(ctx context.Context, r ledgerclient.Request) (ledgerclient.Answer, error) {
	a, err := s.keeper.Release(ctx, r)
	if err == nil {
		s.metrics.count(1, `carekey_releases_total{code=%q}`, a.Code)
	}
	return a, err
}

// stopped is what the keeper says to one revocation.
type stopped = node.Reply[ledgerclient.Acknowledgement]

// stop hands revocations to the keeper.
func (s *Server) stop(ctx context.Context, revocations []contract.Entry) ([]stopped, error) {
	return node.Replies(s.keeper.Revoke(ctx, revocations))
}

func (s *Server) revoke(q *request, revocations []contract.Entry) error {
	if err := s.seen(q); err != nil {
		// A stop of what is known here does not depend on the order.
		s.log.Warn("order", "cause", cause(err))
	}
	var replies []stopped
	// Who has many lets in between who has few.
	for some := range slices.Chunk(revocations, stopsAtOnce) {
		out, err := queued(q, s.stopper, some)
		if err != nil {
			return err
		}
		replies = append(replies, out...)
	}
	return q.answer(node.TypeBinary, node.AcknowledgementsForm.Marshal(replies))
}
