package folder

import (
	"context"
	"errors"
	"sync"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/keeper"
)

// startServices makes the folder's store and keeper.
func (f *Folder) startServices() {
	f.store = store{f.ground()}
	f.keeper = &folderKeeper{f: f, v: vault{f.ground()}, open: sync.OnceValues(f.openKeeper)}
}

func (f *Folder) openKeeper() (*keeper.Keeper, error) {
	key, err := f.readCurveKey(keeperKeyFile, f.config.Keepers...)
	if err != nil {
		// The ledger can be read and verified without its keeper.
		return nil, &ledgerclient.UnreachableError{Service: "keeper", Err: err}
	}
	// The Folder is the replica: under its lock it is always fresh.
	return keeper.New(f.id, key, f, vault{f.ground()}, f.hour), nil
}

// ground is one for all of the folder's services, since it remembers what it has seen.
func (f *Folder) ground() *ground {
	f.baseOnce.Do(func() {
		f.base = newGround(&ground{dir: f.dir, ops: f.ops, modes: f.modes, ledger: f.id, hour: f.hour, eraseDue: f.eraseDue, lock: f.log})
	})
	return f.base
}

// folderKeeper is a keeper that runs only when somebody uses the folder: after
// each call that may write it destroys the shares whose time has come. Its key is read when
// it is first needed: most commands only look, and checking a key against the
// configuration costs more than all that they do.
type folderKeeper struct {
	f    *Folder
	v    vault
	open func() (*keeper.Keeper, error)
}

var _ ledgerclient.NearKeeper = (*folderKeeper)(nil)

// Key is the key of the keeper here: of several that the one whose private half is here,
// or zero if that cannot be read.
func (k *folderKeeper) Key() crypto.PubKey {
	if of := k.f.config.Keepers; len(of) == 1 {
		return of[0]
	}
	rules, err := k.open()
	if err != nil {
		return crypto.PubKey{}
	}
	return rules.Key()
}

func (k *folderKeeper) Deposit(ctx context.Context, deposits []ledgerclient.Deposit) ([]ledgerclient.Receipt, error) {
	rules, err := k.open()
	if err != nil {
		return nil, err
	}
	defer k.sweep(ctx, rules)
	return rules.Deposit(ctx, deposits)
}

func (k *folderKeeper) State(ctx context.Context, q ledgerclient.Inquiry) (ledgerclient.KeeperState, error) {
	rules, err := k.open()
	if err != nil {
		return ledgerclient.KeeperState{}, err
	}
	return rules.State(ctx, q)
}

func (k *folderKeeper) Release(ctx context.Context, r ledgerclient.Request) (ledgerclient.Answer, error) {
	rules, err := k.open()
	if err != nil {
		return ledgerclient.Answer{}, err
	}
	defer k.sweep(ctx, rules)
	return rules.Release(ctx, r)
}

func (k *folderKeeper) Revoke(ctx context.Context, revocations []contract.Entry) ([]ledgerclient.Acknowledgement, error) {
	rules, err := k.open()
	if err != nil {
		return nil, err
	}
	defer k.sweep(ctx, rules)
	acks, err := rules.Revoke(ctx, revocations)
	if noRoom(err) || readOnly(err) {
		// Told, not confirmed: as if nobody had answered, and to be asked again.
		err = &ledgerclient.UnreachableError{Service: "keeper", Err: err}
	}
	return acks, k.unanswered(err)
}

func (k *folderKeeper) Inquire(ctx context.Context, q ledgerclient.Inquiry) (ledgerclient.InquiryAnswer, error) {
	rules, err := k.open()
	if err != nil {
		return ledgerclient.InquiryAnswer{}, err
	}
	a, err := rules.Inquire(ctx, q)
	return a, k.unanswered(err)
}

// FiledAll is Inquire of many grants: who can use a folder can read what its keeper filed,
// and could sign for it.
func (k *folderKeeper) FiledAll(ctx context.Context, grants []contract.ID) ([]ledgerclient.InquiryAnswer, []error, error) {
	out := make([]ledgerclient.InquiryAnswer, len(grants))
	errs, err := k.near(ctx, grants, func(i int, head keeper.Head, _ *contract.State, rec *keeper.Record) (err error) {
		a := ledgerclient.InquiryAnswer{Size: head.Size, Root: head.Root}
		a.Acks = rec.Acks
		if a.Refused, a.More, err = k.v.requests(grants[i]); err == nil {
			out[i] = a
		}
		return err
	})
	return out, errs, err
}

// StateAll is State of many grants.
func (k *folderKeeper) StateAll(ctx context.Context, grants []contract.ID) ([]ledgerclient.KeeperState, []error, error) {
	out := make([]ledgerclient.KeeperState, len(grants))
	errs, err := k.near(ctx, grants, func(i int, _ keeper.Head, s *contract.State, rec *keeper.Record) error {
		out[i] = keeper.StateOf(grants[i], s, rec)
		return nil
	})
	return out, errs, err
}

// near calls fn with each grant that is on the ledger, and what is held about it as of now,
// under the lock. Errors are those of each grant by itself.
func (k *folderKeeper) near(ctx context.Context, grants []contract.ID, fn func(i int, head keeper.Head, s *contract.State, rec *keeper.Record) error) ([]error, error) {
	if _, err := k.open(); err != nil { // where the keeper has no key it is not at work
		return nil, err
	}
	errs := make([]error, len(grants))
	err := k.f.read(ctx, func(snap snapshot) error {
		if err := k.v.filings.look(); err != nil {
			return err
		}
		var in nearShares
		defer in.close()
		for i, id := range grants {
			var rec keeper.Record
			s, ok, err := stateOf(snap, id)
			if err == nil && !ok {
				err = &ledgerclient.KeeperError{Grant: id, Code: ledgerclient.UnknownGrant}
			}
			if err == nil {
				err = k.v.stopsAndAcks(id, &rec)
			}
			if err == nil {
				rec.Share, err = in.share(k.v, keeper.Grant{ID: id, NotAfter: s.NotAfter})
			}
			if err == nil {
				err = fn(i, snap.Head(), &s, &rec)
			}
			if rec.Share != nil {
				rec.Share.Share.Wipe()
			}
			errs[i] = k.unanswered(err)
		}
		return nil
	})
	return errs, k.unanswered(err)
}

// nearShares reads shares, and keeps the file of the last one open: many end in one hour.
type nearShares struct {
	end  contract.Hour
	f    *segment
	seen *shareFile
}

func (n *nearShares) share(v vault, g keeper.Grant) (d *ledgerclient.Deposit, err error) {
	if n.f == nil || n.end != g.NotAfter {
		n.close()
		if n.f, n.seen, err = v.shares.open(g.NotAfter, false); err != nil || n.f == nil {
			n.f = nil
			return nil, err
		}
		n.end = g.NotAfter
	}
	return v.shareIn(n.f, n.seen, g)
}

func (n *nearShares) close() {
	if n.f != nil {
		n.f.Close()
	}
}

// stateOf is the state of a grant; false if there is none with that id.
func stateOf(snap snapshot, id contract.ID) (contract.State, bool, error) {
	at, ok, err := snap.Find(id)
	if err != nil || !ok {
		return contract.State{}, false, err
	}
	s, err := snap.State(at)
	return s, s.Kind == contract.KindGrant && s.Status != contract.StatusNone, err
}

// unanswered is the error of a question about some grants of which something is damaged
// here. Of others there is an answer.
func (k *folderKeeper) unanswered(err error) error {
	err = damagedKind(k.f.dir, err)
	if errors.As(err, new(*DamagedError)) {
		return &ledgerclient.UnreachableError{Service: "keeper", Err: err, Damaged: true}
	}
	return err
}

// sweep looks at the files of shares, which are named by the end of the window,
// and reads more only if one is over. What fails is done at the next call: it
// must not take back what the call itself has done.
func (k *folderKeeper) sweep(ctx context.Context, rules *keeper.Keeper) {
	var now contract.Hour
	if k.f.View(ctx, func(v keeper.View) error { now = v.Head().Hour; return nil }) != nil {
		return
	}
	if over, err := k.v.over(now); len(over) > 0 && err == nil {
		rules.Sweep(ctx)
		k.v.lock.write(ctx, func(snapshot) error { // what is left is no share any more
			for _, end := range over {
				k.v.shares.destroy(end)
			}
			return nil
		})
	}
}
