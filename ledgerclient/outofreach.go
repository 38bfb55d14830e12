package ledgerclient

import (
	"context"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// OutOfReach returns the services of a ledger that cannot be reached. docs are its
// configurations as they were verified before, see Client.Documents. They are all that these services know: every other question is answered
// with an *UnreachableError around why. Connect works with them, so that a wallet
// can show what it verified last and sign what is to go out later.
func OutOfReach(docs [][]byte, p Properties, why error) (Services, error) {
	terms, err := readTerms(docs)
	if err != nil {
		return Services{}, err
	}
	if u, ok := why.(*UnreachableError); ok {
		why = u.Err
	}
	of := func(service string, key crypto.PubKey) away {
		return away{p, key, &UnreachableError{Service: service, Err: why}}
	}
	s := Services{Known: docs, Ledger: of("ledger", crypto.PubKey{}), Store: of("store", crypto.PubKey{})}
	if keepers := terms[len(terms)-1].Keepers; len(keepers) == 1 { // of several a way to each is to be known
		s.Keepers = []Keeper{of("keeper", keepers[0])}
	}
	return s, nil
}

// away is a ledger, a store or a keeper that cannot be reached.
type away struct {
	p   Properties
	key crypto.PubKey
	err error
}

func (a away) Properties() Properties                                      { return a.p }
func (a away) Genesis(context.Context) ([]byte, error)                     { return nil, a.err }
func (a away) Append(context.Context, []contract.Entry) ([]Outcome, error) { return nil, a.err }
func (a away) Checkpoint(context.Context) ([]byte, error)                  { return nil, a.err }
func (a away) Leaves(context.Context, uint64, uint64) ([]contract.Leaf, error) {
	return nil, a.err
}
func (a away) ProveConsistency(context.Context, uint64, uint64) ([]crypto.Hash, error) {
	return nil, a.err
}

func (a away) PutBlobs(context.Context, []Put) error              { return a.err }
func (a away) Upload(context.Context) (Upload, error)             { return nil, a.err }
func (a away) Blob(context.Context, crypto.Locator) (Blob, error) { return nil, a.err }
func (a away) Erase(context.Context, contract.Entry) error        { return a.err }

func (a away) Key() crypto.PubKey                                    { return a.key }
func (a away) Deposit(context.Context, []Deposit) ([]Receipt, error) { return nil, a.err }
func (a away) State(context.Context, Inquiry) (KeeperState, error)   { return KeeperState{}, a.err }
func (a away) Release(context.Context, Request) (Answer, error)      { return Answer{}, a.err }
func (a away) Revoke(context.Context, []contract.Entry) ([]Acknowledgement, error) {
	return nil, a.err
}
func (a away) Inquire(context.Context, Inquiry) (InquiryAnswer, error) {
	return InquiryAnswer{}, a.err
}
