package ledgerclient

import (
	"context"

	"github.com/carekey/carekey/crypto"
)

// Who looks at a hundred consents asks a hundred questions. What is far away takes them
// together: each stays the message that it is alone, with its own nonce, response key and
// signature, so that nothing signed says that they are one wallet's.

// MaxBulk is how many questions go together at most.
const MaxBulk = 64

// FirstBytes is how much of a payload comes when it is opened in bulk, in bytes: most are
// smaller.
const FirstBytes = 64 << 10

// BulkKeeper is a Keeper that is asked much in few round trips. Each answer is given to
// take, or why there is none, as they come, in no order; i is the question's place. With an
// error of take it is over, and that is what is returned.
type BulkKeeper interface {
	Keeper
	States(ctx context.Context, qs []Inquiry, take func(i int, s KeeperState, err error) error) error
	Releases(ctx context.Context, rs []Request, take func(i int, a Answer, err error) error) error
	Inquiries(ctx context.Context, qs []Inquiry, take func(i int, a InquiryAnswer, err error) error) error
}

// BulkStore is a Store of which many payloads are opened in few round trips, as a
// BulkKeeper is asked. take closes what it is given.
type BulkStore interface {
	Store
	Blobs(ctx context.Context, locs []crypto.Locator, take func(i int, b Blob, err error) error) error
}

// Copied is a Blob of which others have copies.
type Copied interface {
	Blob
	// Next goes on with another copy, where what was read is not what it should be, and why.
	// Its Size may be another. false: there is none, and the Blob is as it was.
	Next(why error) bool
	// Right says that what was read last is what it should be. What was read before a Next was
	// not, then: that is the fault of who gave it.
	Right()
}

// States asks a keeper for several states: in bulk, if it can be.
func States(ctx context.Context, k Keeper, qs []Inquiry, take func(i int, s KeeperState, err error) error) error {
	if b, ok := k.(BulkKeeper); ok {
		return b.States(ctx, qs, take)
	}
	return oneByOne(ctx, qs, k.State, take)
}

// Releases asks a keeper for several shares: in bulk, if it can be.
func Releases(ctx context.Context, k Keeper, rs []Request, take func(i int, a Answer, err error) error) error {
	if b, ok := k.(BulkKeeper); ok {
		return b.Releases(ctx, rs, take)
	}
	return oneByOne(ctx, rs, k.Release, take)
}

// Inquiries asks a keeper what it filed about several grants: in bulk, if it can be.
func Inquiries(ctx context.Context, k Keeper, qs []Inquiry, take func(i int, a InquiryAnswer, err error) error) error {
	if b, ok := k.(BulkKeeper); ok {
		return b.Inquiries(ctx, qs, take)
	}
	return oneByOne(ctx, qs, k.Inquire, take)
}

// Blobs opens several payloads: in bulk, if the store takes it.
func Blobs(ctx context.Context, s Store, locs []crypto.Locator, take func(i int, b Blob, err error) error) error {
	if b, ok := s.(BulkStore); ok {
		return b.Blobs(ctx, locs, take)
	}
	return oneByOne(ctx, locs, s.Blob, take)
}

func oneByOne[Q, A any](ctx context.Context, qs []Q, ask func(context.Context, Q) (A, error), take func(int, A, error) error) error {
	all := make([]int, len(qs))
	for i := range all {
		all[i] = i
	}
	return OneByOne(all, func(i int) (A, error) { return ask(ctx, qs[i]) }, take)
}

// OneByOne asks the questions of those numbers, and gives each answer to take. Who is
// silent at one is not asked the others: it is waited for once. Who says that it cannot
// answer one is.
func OneByOne[A any](numbers []int, ask func(i int) (A, error), take func(i int, a A, err error) error) error {
	var none A
	var silence error
	for _, i := range numbers {
		a, err := none, silence
		if silence == nil {
			a, err = ask(i)
		}
		if u := Unreachable(err); u != nil && !u.Damaged && !u.Answered {
			silence = err
		}
		if err := take(i, a, err); err != nil {
			return err
		}
	}
	return nil
}
