package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/order"
	"github.com/carekey/carekey/wallet"
)

// ledger is an open ledger: what a wallet works with, and how all of it is checked.
type ledger struct {
	ledgerclient.Services
	at      locator
	folder  *folder.Folder             // that it is in; nil for one at a node
	program string                     // what the program that keeps its order calls itself
	away    error                      // why it cannot be reached; nil if it can
	passed  func() []node.PassedOver   // nodes that others stood in for; nil: it is at none
	keeps   func(crypto.PubKey) string // what the institution with a keeper calls itself, or ""; nil with passed
	closers []func() error
}

func (l *ledger) close() error {
	var errs []error
	for _, f := range slices.Backward(l.closers) {
		errs = append(errs, f())
	}
	l.closers = nil
	return errors.Join(errs...)
}

// outOfReach makes of a ledger that does not answer what the wallet in dir verified
// of it last. Its store and keepers are asked all the same, if it has any.
func (l *ledger) outOfReach(dir string, id crypto.LedgerID, why error) error {
	props := l.at.properties()
	if l.Ledger != nil {
		props = l.Ledger.Properties()
	}
	known, err := wallet.OutOfReach(dir, id, props, why)
	if err != nil {
		return err
	}
	if l.Store != nil {
		known.Store, known.Keepers = l.Store, l.Keepers
	}
	if l.at.node != nil {
		known.Place = l.at.node.Place()
	}
	l.Services, l.away = known, why
	return nil
}

// verify checks everything and remembers it, if there is a wallet. What the wallet found in
// order before is taken from its mark, unless all is to be checked.
func (l *ledger) verify(ctx context.Context, w *wallet.Wallet, all bool, progress func(done, total uint64)) (*verifyJSON, error) {
	var v verifyJSON
	var known wallet.Checked
	var mark []byte
	var err error
	if w != nil && !all {
		if known, mark, err = w.Log().Mark(); err != nil {
			v.Unread = true
		}
	}
	switch {
	case l.folder != nil && (w == nil || !l.Ledger.Properties().Remote):
		return &v, l.verifyFolder(ctx, w, mark, &v, progress)
	case w != nil:
		c, signatures, err := w.Log().Verify(ctx, known, progress)
		if err == nil {
			err = w.Log().SetMark(ctx, c, nil)
		}
		v.Size, v.Root, v.Signatures = c.Size, c.Root, signatures
		if n := c.Size - signatures; err == nil && n > 0 {
			v.Before = &beforeJSON{n, instant(known.Time())}
		}
		return &v, err
	}
	c, err := ledgerclient.Connect(ctx, l.Services, l.at.node.Ledger)
	if err == nil {
		v.Size, v.Root, v.Signatures, err = c.VerifyAll(ctx, 0, crypto.Hash{}, progress)
	}
	return &v, err
}

// wholeCheck is since when all payloads of a folder were read once, by its mark.
func wholeCheck(mark []byte) (since time.Time, err error) {
	m, err := folder.ParseMark(mark)
	if err != nil {
		return since, err
	}
	return m.Whole(), nil
}

// verifyFolder is verify of a ledger in a folder.
func (l *ledger) verifyFolder(ctx context.Context, w *wallet.Wallet, mark []byte, v *verifyJSON, progress func(done, total uint64)) error {
	var known *folder.Mark
	var err error
	if len(mark) > 0 {
		if known, err = folder.ParseMark(mark); err != nil {
			known, v.Unread = nil, true
		}
	}
	r, err := l.folder.Verify(ctx, known, progress)
	if err != nil {
		return err
	}
	v.Size, v.Root, v.Signatures, v.Keeper = r.Size, r.Root, r.Signatures, r.Held
	v.Payloads = &payloadsJSON{r.Bytes, r.Read, instant(r.Whole())}
	if r.From > 0 {
		v.Before = &beforeJSON{r.From, instant(known.At())}
	}
	if w == nil {
		return nil
	}
	return w.Log().SetMark(ctx, wallet.Checked{At: r.At().Unix(), Size: r.Size, Root: r.Root}, r.Marshal())
}

// follows reports whether the ledger is a folder that only follows an order, which nobody
// named with it: then nothing can be entered.
func (l *ledger) follows(ctx context.Context) bool {
	if l.folder == nil || l.at.order != "" {
		return false
	}
	_, _, err := l.folder.Consumed(ctx)
	return err == nil
}

// isNoLedger reports whether a folder holds no ledger, such as that of a disk which
// is not plugged in.
func isNoLedger(err error) bool { return errors.Is(err, folder.ErrNoLedger) }

// isAway reports whether an error of opening a ledger means that it is out of reach,
// so that the wallet goes on with what it verified last.
func isAway(err error) bool { return is[*ledgerclient.UnreachableError](err) || isNoLedger(err) }

// errInviter: the node of an invitation gives no answer, and nothing else is known of its ledger.
const errInviter fault.Code = "inviter"

// taken says that a folder holds something else.
func taken(dir string) error { return folder.ErrNotEmpty.With("dir", dir) }

// opener opens ledgers for the wallet in a place.
type opener struct {
	*app
	place
}

func (a *app) opener(p place) opener { return opener{a, p} }

// openLedger opens the ledger that is meant.
func (a *app) openLedger(ctx context.Context, p place) (*ledger, error) {
	return a.opener(p).open(ctx, p.at)
}

// openFolder opens a ledger in a folder.
func (a *app) openFolder(ctx context.Context, dir string) (*ledger, error) {
	return a.opener(place{}).open(ctx, locator{dir: dir})
}

// open opens a ledger. Where the wallet uses its order itself, the folder beside that
// one is the replica; beside a node there is one in the home.
func (o opener) open(ctx context.Context, at locator) (_ *ledger, err error) {
	l := &ledger{at: at}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	switch {
	case at.bad != nil:
		err = at.bad
	case at.node != nil:
		err = o.dial(ctx, l)
	case at.order != "":
		err = l.use(o.replica(ctx, at.dir))
	default:
		err = l.use(folder.Open(at.dir, o.options()))
	}
	if err == nil && at.order != "" {
		err = o.follow(ctx, l)
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// options open a folder.
func (o opener) options() folder.Options {
	return folder.Options{Clock: o.now, AcceptClock: o.flags.acceptClock, Wait: o.patience}
}

// use makes a folder that was opened the ledger.
func (l *ledger) use(f *folder.Folder, err error) error {
	if err == nil {
		l.folder, l.Services = f, f.Services()
		l.closers = append(l.closers, f.Close)
	}
	return err
}

// dial prepares to speak with a node. If the wallet knows the ledger already, nothing is
// asked before it is needed.
func (o opener) dial(ctx context.Context, l *ledger) error {
	opt := node.Options{Wait: o.patience}
	id := l.at.node.Ledger
	if docs, err := wallet.Documents(o.dir, id); err == nil {
		opt.Genesis, opt.Later = docs[0], docs[1:]
	}
	opt.Sites, opt.Keep = wallet.Sites(o.dir, id), func(sites []byte) error { return wallet.KeepSites(o.dir, id, sites) }
	n, err := node.Reach(ctx, *l.at.node, opt)
	if opt.Genesis == nil && ledgerclient.Unreachable(err) != nil {
		return errInviter.Of(err)
	}
	if err != nil {
		return err
	}
	l.Services, l.closers, l.passed = n.Services(), append(l.closers, n.Close), n.Passed
	l.keeps = n.Institution
	l.Now = o.now
	return nil
}

// follow makes the order itself that of a ledger which was opened beside it.
func (o opener) follow(ctx context.Context, l *ledger) error {
	b, err := o.start(ctx, l.at.order)
	if err != nil {
		return err
	}
	l.closers = append(l.closers, b.Close)
	l.program = b.Name()
	replica, signer := l.folder, ledgerclient.Ledger(nil)
	if l.at.node != nil {
		signer = l.Ledger
		if replica, err = o.ownReplica(ctx, l.at, signer, b); err != nil {
			return err
		}
		l.closers = append(l.closers, replica.Close)
	}
	direct := order.NewDirect(l.at.order, order.NewLedger(b, replica, o.now), signer)
	direct.Wait = o.patience
	l.Ledger = direct
	return nil
}

// start starts the program that keeps an order. One that is there and does not answer is
// a ledger out of reach.
func (o opener) start(ctx context.Context, url string) (order.Backend, error) {
	var talk io.Writer // of the program; nil: it is not heard
	if o.talks() && o.page == nil {
		talk = o.err
	}
	b, err := order.Start(ctx, url, order.ProgramOptions{Stderr: talk, Timeout: o.patience})
	if e, ok := errors.AsType[*order.ProgramError](err); ok && e.Fault != order.BadURL && e.Fault != order.Missing {
		return nil, &ledgerclient.UnreachableError{Service: "ledger", Err: err}
	}
	if err != nil { // no *order.Program in the interface
		return nil, err
	}
	return b, nil
}

// replica opens the folder beside an order, which must not keep one itself.
func (o opener) replica(ctx context.Context, dir string) (*folder.Folder, error) {
	f, err := folder.Open(dir, o.options())
	if err != nil {
		return nil, err
	}
	if _, _, err := f.Consumed(ctx); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// ownReplica opens the replica that the home has of an order beside a node, and
// makes it when there is none. It holds what is public and follows from the order.
func (o opener) ownReplica(ctx context.Context, at locator, l ledgerclient.Ledger, b order.Backend) (*folder.Folder, error) {
	genesis, err := l.Genesis(ctx)
	if err != nil {
		return nil, err
	}
	dir := at.replica(o.place.home)
	f, err := o.replica(ctx, dir)
	if !isNoLedger(err) {
		return f, err
	}
	err = order.Beginning(ctx, b, genesis, func(item order.Item, next uint64) (err error) {
		f, err = folder.CreateReplica(dir, genesis, item.Entry, folder.Ordered{Next: next, Hour: item.Hour}, folder.Options{Clock: o.now})
		return err
	})
	if errors.Is(err, folder.ErrLedgerExists) { // another process was faster
		return o.replica(ctx, dir)
	}
	return f, err
}

// create makes a new ledger in a folder, or in an order with a folder beside it.
func (o opener) create(ctx context.Context, at locator) (*ledger, error) {
	const name = "carekey"
	if at.order == "" {
		l := &ledger{at: at}
		if err := l.use(folder.Create(at.dir, name, o.now)); err != nil {
			return nil, err
		}
		return l, nil
	}
	if err := o.begin(ctx, at, name); err != nil {
		return nil, err
	}
	return o.open(ctx, at)
}

// begin puts a new ledger into an order, with the folder beside it.
func (o opener) begin(ctx context.Context, at locator, name string) error {
	if l, err := o.open(ctx, locator{dir: at.dir}); err == nil { // before anything is ordered for ever
		l.close()
		return folder.ErrLedgerExists.With("dir", at.dir)
	}
	fd, err := folder.NewFounding(name)
	if err != nil {
		return err
	}
	b, err := o.start(ctx, at.order)
	if err != nil {
		return err
	}
	defer b.Close()
	f, err := folder.CreateIn(ctx, at.dir, fd, b, o.now)
	if err != nil {
		return err
	}
	return f.Close()
}

// checkClock asks a person about a clock that a folder would not believe. It is
// done before anything is signed, so that nothing is left half-done when the
// answer is no. After a yes, which is for this ledger and no other, it returns that
// ledger opened with it, and the program as it is for that.
func (a *app) checkClock(ctx context.Context, p place, l *ledger) (*ledger, *app, error) {
	if a.flags.acceptClock || l.Ledger.Properties().Clock != "local" {
		return l, a, nil
	}
	last, err := lastHour(ctx, l.Services)
	if err != nil {
		return l, a, err
	}
	now := a.hour()
	if now <= last || now-last <= folder.MaxIdle {
		return l, a, nil
	}
	doubt := folder.ErrClock.With("last", last, "now", now)
	if !a.interactive() {
		return l, a, doubt
	}
	about := explain(doubt).Message + ".\nLedger time never goes back: an entry at a wrong hour ends every consent whose end lies before it."
	if len(p.settings.Ledgers) > 1 {
		about = "Ledger " + ledgerTitles(p)[p.id] + ": " + about
	}
	ok, err := asks(&a.console).Confirm(ctx, about, "", "Is your clock right?", "yes")
	if err != nil {
		return l, a, err
	}
	if !ok {
		return l, a, cli.ErrDeclined
	}
	believes := *a
	believes.flags.acceptClock = true
	l.close()
	again, err := believes.openLedger(ctx, p)
	if err != nil {
		return l, a, err // which can be closed twice
	}
	return again, &believes, nil
}

// hour is the hour that the clock says it is.
func (a *app) hour() contract.Hour { return contract.Hour(max(0, a.now().Unix()/3600)) }

// length is the number of the ledger's entries.
func length(ctx context.Context, s ledgerclient.Services) (uint64, error) {
	c, err := ledgerclient.Connect(ctx, s, crypto.LedgerID{})
	if err != nil {
		return 0, err
	}
	head, err := c.Head(ctx)
	return head.Size, err
}

// lastHour is the ledger hour of the newest entry, as who keeps the ledger says. Of several nodes
// any one would have to be believed: then it is the hour that enough of them have signed, which
// the last entry's is not after.
func lastHour(ctx context.Context, s ledgerclient.Services) (contract.Hour, error) {
	c, err := ledgerclient.Connect(ctx, s, crypto.LedgerID{})
	if err != nil {
		return 0, err
	}
	head, err := c.Head(ctx)
	if err != nil {
		return 0, err
	}
	if len(c.Config().Nodes) > 1 {
		return contract.Hour(head.Time.Unix() / 3600), nil
	}
	leaves, err := s.Ledger.Leaves(ctx, head.Size-1, head.Size)
	if err != nil {
		return 0, err
	}
	if len(leaves) != 1 {
		return 0, &ledgerclient.TamperedError{What: "leaves"}
	}
	return leaves[0].Hour, nil
}
