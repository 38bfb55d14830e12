package wallet

import (
	"context"
	"errors"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet/view"
)

// Names are what can be named of a wallet on one ledger, as it knew them last.
type Names struct {
	Owner    string    // what she calls herself
	AsOf     time.Time // when the ledger was followed last, to ten minutes; zero if never
	Care     Care
	Contacts []Contact
	Roles    []OwnRole
	Records  []Record   // described ones that were not removed
	Given    []Consent  // oldest first
	Received []Received // oldest first
	Requests []Request  // sent and received, oldest first
	// Deliveries are likewise; which of them were accepted is not looked at.
	Deliveries []Delivery
}

// ReadNames reads them from the wallet's folder alone, for who offers them while a command
// is written: no service is asked, nothing is waited for or finished, and nothing is
// written. What another process has begun may not be among them. opt.Ledger is one that
// the wallet is on; opt.Services are not used.
func ReadNames(ctx context.Context, opt Options) (Names, error) {
	id := opt.Ledger
	if id == (crypto.LedgerID{}) {
		s, err := ReadSettings(opt.Dir)
		if err != nil {
			return Names{}, err
		}
		id = s.Default
	}
	var err error
	opt.Services, err = OutOfReach(opt.Dir, id, ledgerclient.Properties{}, &ledgerclient.UnreachableError{Service: "ledger", Err: errNotAsked})
	if err != nil {
		return Names{}, err
	}
	w, err := Open(ctx, opt)
	if err != nil {
		return Names{}, err
	}
	defer w.Wipe()
	n := Names{Owner: w.Name(), AsOf: w.view.Seen(), Care: w.Backup().Care(), Contacts: w.Contacts().List()}
	n.Roles, _ = w.Roles().List()
	for t := range w.Records().threads() {
		if r := w.Records().newestRecord(t); !r.Missing {
			n.Records = append(n.Records, r)
		}
	}
	for t := range w.view.Of(view.OwnGrant) {
		n.Given = append(n.Given, w.Consents().of(t))
	}
	for t := range w.view.Of(view.Received) {
		n.Received = append(n.Received, w.Inbox().of(t))
	}
	n.Requests = w.Requests().known()
	n.Deliveries = w.Grants().Deliveries().known()
	return n, nil
}

var errNotAsked = errors.New("it is not asked")

// Summary is what Audit.Peek returns, as far as the wallet knows it without asking: nothing of
// what was opened or refused since the last look, and nothing that waits to be sent.
func (n *Names) Summary() Summary {
	s := Summary{Records: len(n.Records), Contacts: len(n.Contacts)}
	for _, c := range n.Given {
		if c.Status == StatusActive || c.Status == StatusUpcoming {
			s.Consents = append(s.Consents, c)
		} else {
			s.Ended++
		}
	}
	for _, r := range n.Received {
		switch {
		case r.Status != StatusActive:
		case r.Fetched == 0:
			s.Inbox = append(s.Inbox, r)
		default:
			s.Fetched = append(s.Fetched, r)
		}
	}
	SortByEnd(s.Fetched)
	return s
}
