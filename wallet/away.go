package wallet

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet/home"
)

// unreachable returns what of an error says that a service gave no answer; nil if
// nothing does.
func unreachable(err error) *ledgerclient.UnreachableError {
	u, _ := errors.AsType[*ledgerclient.UnreachableError](err)
	return u
}

// connect reads the configuration of one of the wallet's ledgers, from the wallet's
// own folder if the ledger itself cannot be reached. id is the ledger that is meant;
// zero is whichever answers, or the default.
func connect(ctx context.Context, dir string, s Settings, services ledgerclient.Services, id crypto.LedgerID) (*ledgerclient.Client, error) {
	client, err := ledgerclient.Connect(ctx, services, id)
	if unreachable(err) != nil {
		if id == (crypto.LedgerID{}) {
			id = s.Default
		}
		docs, derr := documents(dir, id)
		if derr != nil {
			return nil, errors.Join(err, derr)
		}
		services.Ledger = ledgerclient.Remember(services.Ledger, docs)
		client, err = ledgerclient.Connect(ctx, services, id)
	}
	if err != nil {
		return nil, err
	}
	if _, ok := s.Ledger(client.ID()); !ok {
		return nil, &ledgerclient.ForeignLedgerError{Want: s.Default, Got: client.ID()}
	}
	return client, nil
}

// OutOfReach returns the services of a ledger that the wallet in dir is on and that
// cannot be reached: see ledgerclient.OutOfReach.
func OutOfReach(dir string, id crypto.LedgerID, p ledgerclient.Properties, why error) (ledgerclient.Services, error) {
	docs, err := documents(dir, id)
	if err != nil {
		return ledgerclient.Services{}, &DamagedError{File: filepath.Join(home.LedgerFolder(id), genesisFile), Err: err}
	}
	return ledgerclient.OutOfReach(docs, p, why)
}

// documents reads the configuration documents that were kept of a ledger.
func documents(dir string, id crypto.LedgerID) ([][]byte, error) {
	doc, err := Genesis(dir, id)
	if err != nil {
		return nil, err
	}
	docs := [][]byte{doc}
	for {
		doc, err := home.ReadFile(dir, filepath.Join(home.LedgerFolder(id), configFile(len(docs))))
		if errors.Is(err, fs.ErrNotExist) {
			return docs, nil
		}
		if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
}

// keepDocuments keeps the configuration documents that followed since the wallet
// looked last; from is how many it has.
func (w *Wallet) keepDocuments(from int) error {
	docs := w.client.Documents()
	for i := from; i < len(docs); i++ {
		if err := w.home.Write(w.home.In(configFile(i)), docs[i]); err != nil {
			return err
		}
	}
	return nil
}

// stayBehind goes on with what was verified last.
func (w *Wallet) stayBehind(err error) {
	w.behind, w.away, w.silent = err, err, nil
	w.head = ledgerclient.Head{Size: w.state.Pin.Size, Root: w.state.Pin.Root, Note: w.state.Pin.Note}
}

// seenEvery is how exactly the wallet remembers when it last followed a ledger:
// looking often must not mean writing often.
const seenEvery = 10 * time.Minute

// caughtUp remembers that the wallet has just seen the ledger's newest head.
func (w *Wallet) caughtUp() {
	w.behind, w.away, w.silent = nil, nil, nil
	now := w.now().Unix()
	if d := now - w.state.Seen; d >= int64(seenEvery/time.Second) || d < 0 {
		w.state.Seen, w.dirty = now, true
	}
}

// disbelieved tells that the ledger is there, and that what it shows is not what the
// wallet saw before, or was not signed. Only ending consents goes on then.
func (w *Wallet) disbelieved() bool { return w.behind != nil && unreachable(w.behind) == nil }

// doWithout tells whether an error only says that a service cannot be reached, so
// that something is not known now and all the rest can be shown. OutOfReach tells
// of it.
func (w *Wallet) doWithout(err error) bool {
	u := unreachable(err)
	if u == nil {
		return false
	}
	if before := unreachable(w.away); before == nil || u.Damaged && !before.Damaged {
		w.away = err
	}
	if u.Damaged {
		return true
	}
	if w.silent == nil {
		w.silent = map[string]error{}
	}
	w.silent[u.Service] = err
	return true
}

// OutOfReach returns why something that was last looked at is not as new, or not as
// complete, as it could be, with an *ledgerclient.UnreachableError in its chain; and
// when the ledger itself was followed last, to ten minutes, zero if never. It
// returns nil if all services answered.
func (w *Wallet) OutOfReach() (since time.Time, err error) {
	if w.behind == nil {
		return w.now(), w.away
	}
	if w.state.Seen == 0 {
		return time.Time{}, w.behind
	}
	return time.Unix(w.state.Seen, 0), w.behind
}

// Behind tells whether the ledger itself is out of reach, so that what the wallet shows is
// of when it was followed last; since is that, to ten minutes, and zero if it never was.
func (w *Wallet) Behind() (since time.Time, behind bool) {
	return w.asOf(), w.behind != nil
}

// asOf is when the ledger was followed last, if it is out of reach; otherwise zero.
func (w *Wallet) asOf() time.Time {
	if w.behind == nil || w.state.Seen == 0 {
		return time.Time{}
	}
	return time.Unix(w.state.Seen, 0)
}

// needLedger is the error of what cannot be done without the ledger.
func (w *Wallet) needLedger() error { return w.behind }

// needThreads is the error of what cannot be done without all that was verified of the
// ledger: it is out of reach, and what was kept of it is lost. That there is nothing in
// it would be wrong then.
func (w *Wallet) needThreads() error {
	if w.state.Rescan {
		return w.behind
	}
	return nil
}
