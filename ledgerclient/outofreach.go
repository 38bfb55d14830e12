package ledgerclient

import (
	"context"
	"errors"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// OutOfReach returns the services of a ledger that cannot be reached. docs are its
// configuration documents as they were verified before, the genesis document
// first. They are all that these services know: every other question is answered
// with an *UnreachableError around why. Connect works with them, so that a wallet
// can show what it verified last and sign what is to go out later.
func OutOfReach(docs [][]byte, p Properties, why error) (Services, error) {
	if len(docs) == 0 {
		return Services{}, &NotFoundError{What: "ledger"}
	}
	config, err := contract.ParseConfig(docs[len(docs)-1])
	if err != nil {
		return Services{}, &TamperedError{What: "configuration document", Err: err}
	}
	s := Services{Ledger: awayLedger{docs, p, away("ledger", why)}, Store: awayStore{away("store", why)}}
	for _, key := range config.Keepers {
		s.Keepers = append(s.Keepers, awayKeeper{key, away("keeper", why)})
	}
	return s, nil
}

// away is the answer of a service that cannot be reached.
func away(service string, why error) error {
	if u, ok := why.(*UnreachableError); ok {
		why = u.Err
	}
	return &UnreachableError{Service: service, Err: why}
}

type awayLedger struct {
	docs [][]byte
	p    Properties
	err  error
}

func (l awayLedger) Properties() Properties                                      { return l.p }
func (l awayLedger) Genesis(context.Context) ([]byte, error)                     { return l.docs[0], nil }
func (l awayLedger) AtHand() [][]byte                                            { return l.docs[1:] }
func (l awayLedger) Append(context.Context, []contract.Entry) ([]Outcome, error) { return nil, l.err }
func (l awayLedger) Checkpoint(context.Context) ([]byte, error)                  { return nil, l.err }
func (l awayLedger) Leaves(_ context.Context, _, _ uint64) ([]contract.Leaf, error) {
	return nil, l.err
}
func (l awayLedger) ProveConsistency(_ context.Context, _, _ uint64) ([]crypto.Hash, error) {
	return nil, l.err
}

type awayStore struct{ err error }

func (s awayStore) PutBlobs(context.Context, []Put) error              { return s.err }
func (s awayStore) Upload(context.Context) (Upload, error)             { return nil, s.err }
func (s awayStore) Blob(context.Context, crypto.Locator) (Blob, error) { return nil, s.err }
func (s awayStore) Erase(context.Context, contract.Entry) error        { return s.err }

type awayKeeper struct {
	key crypto.PubKey
	err error
}

func (k awayKeeper) Key() crypto.PubKey { return k.key }
func (k awayKeeper) Deposit(context.Context, []Deposit) ([]Receipt, error) {
	return nil, k.err
}
func (k awayKeeper) State(context.Context, Inquiry) (KeeperState, error) {
	return KeeperState{}, k.err
}
func (k awayKeeper) Release(context.Context, Request) (Answer, error) { return Answer{}, k.err }
func (k awayKeeper) Revoke(context.Context, []contract.Entry) ([]Acknowledgement, error) {
	return nil, k.err
}
func (k awayKeeper) Inquire(context.Context, Inquiry) (InquiryAnswer, error) {
	return InquiryAnswer{}, k.err
}

// Remember is a ledger that need not be within reach for Connect: its configuration
// documents, the genesis document first, are known from an earlier time. All else is
// asked of l, which may answer again at any time.
func Remember(l Ledger, docs [][]byte) Ledger { return rememberedLedger{l, docs} }

type rememberedLedger struct {
	Ledger
	docs [][]byte
}

func (l rememberedLedger) Genesis(context.Context) ([]byte, error) { return l.docs[0], nil }

// AtHand are the documents after the first.
func (l rememberedLedger) AtHand() [][]byte { return l.docs[1:] }

func (l rememberedLedger) From(position uint64) {
	if f, ok := l.Ledger.(Follower); ok {
		f.From(position)
	}
}

func (l rememberedLedger) Configs(ctx context.Context) ([][]byte, error) {
	source, ok := l.Ledger.(Configured)
	if !ok {
		return l.docs[1:], nil
	}
	docs, err := source.Configs(ctx)
	if _, unreachable := errors.AsType[*UnreachableError](err); unreachable {
		return l.docs[1:], nil
	}
	return docs, err
}
