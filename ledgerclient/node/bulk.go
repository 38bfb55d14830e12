package node

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/carekey/carekey/ledgerclient"
)

// bulkOf are questions of one kind that go together. They are numbered.
type bulkOf[A any] struct {
	service string
	asked   Asked
	turn    time.Duration                // as of a question
	message func(i int) []byte           // what is asked
	parse   func(int, []byte) (A, error) // what is answered
	alone   func(i int) (A, error)       // asks without the others
	take    func(int, A, error) error
}

// bulk asks n questions in few requests, in an order that is left to chance, and gives
// each answer to take. One that has no room in an answer is asked again; a node that
// knows no bulk requests, or has room for none, is asked one by one. What ends a request
// is said of all questions that were not answered: a node that is away is waited for once.
func bulk[A any](ctx context.Context, n *Node, b bulkOf[A], count int) error {
	var none A
	left := rand.Perm(count)
	for len(left) > 1 && !n.alone.Load() {
		var again []int
		var stop error // of take
		done := 0
		failed := inParts(len(left), func(int) int { return ledgerclient.MaxBulk }, func(at, end int) error {
			part := left[at:end]
			said, err := b.ask(ctx, n, part)
			if err != nil {
				return err
			}
			done = end
			for k, i := range part {
				a, err := none, error(nil)
				switch said[k].How {
				case SaidAgain:
					again = append(again, i)
					continue
				case SaidAnswer:
					a, err = b.parse(i, said[k].Answer)
				default:
					err = problemIn(b.service, said[k].Answer)
				}
				if stop = b.take(i, a, err); stop != nil {
					return stop
				}
			}
			return nil
		})
		if stop != nil {
			return stop
		}
		rest := append(again, left[done:]...)
		full := isBusy(failed) || failed == nil && done > 0 && len(again) == done
		if failed != nil && !full && !n.alone.Load() {
			return ledgerclient.OneByOne(rest, func(int) (A, error) { return none, failed }, b.take)
		}
		if left = rest; full {
			break // it has room for none of them together
		}
	}
	return ledgerclient.OneByOne(left, b.alone, b.take)
}

// ask asks some of the questions in one request.
func (b *bulkOf[A]) ask(ctx context.Context, n *Node, some []int) ([]Said, error) {
	questions := make([]Question, len(some))
	for k, i := range some {
		questions[k] = Question{b.asked, b.message(i)}
	}
	raw, err := n.wire.ask(ctx, question{service: b.service, path: PathBulk, header: n.seen(), body: BulkForm.Marshal(questions),
		reads: b.asked != AskRelease, turn: b.turn, limit: min(MaxBulk, int64(len(some))*(1+4+int64(max(b.asked.Most(), MaxProblem))))})
	if missing, ok := errors.AsType[*ledgerclient.NotFoundError](err); ok && missing.What == "page" {
		n.alone.Store(true) // it is older
	}
	if err != nil {
		return nil, err
	}
	said, err := SaidForm(len(some)).Parse(raw)
	if err != nil { // nothing in it is an answer to anything
		err = &ledgerclient.UnreachableError{Service: b.service, Err: err}
	}
	return said, err
}

// problemIn is the error that a problem stands for.
func problemIn(service string, raw []byte) error {
	p, err := ParseProblem(raw)
	if err != nil {
		return &ledgerclient.UnreachableError{Service: service, Err: err}
	}
	return p.Err(service)
}
