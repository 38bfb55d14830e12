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

// startServices makes the folder's store and keeper. The keeper's key is read when
// it is first needed: most commands only look, and checking a key against the
// configuration costs more than all that they do.
func (f *Folder) startServices() {
	f.store = store{f.ground()}
	f.keeper = lazyKeeper{f.config.Keepers[0], sync.OnceValue(f.openKeeper)}
}

func (f *Folder) openKeeper() ledgerclient.Keeper {
	g, public := f.ground(), f.config.Keepers[0]
	key, err := f.readCurveKey(keeperKeyFile, public)
	if err != nil {
		// The ledger can be read and verified without its keeper.
		return absentKeeper{public, &ledgerclient.UnreachableError{Service: "keeper", Err: err}}
	}
	// The Folder is the replica: under its lock it is always fresh.
	return &folderKeeper{keeper.New(f.id, key, f, vault{g}, f.hour), f, vault{g}}
}

// ground is one for all of the folder's services, since it remembers what it has seen.
func (f *Folder) ground() *ground {
	f.baseOnce.Do(func() {
		f.base = newGround(&ground{dir: f.dir, ops: f.ops, modes: f.modes, ledger: f.id, hour: f.hour, eraseDue: f.eraseDue, lock: f})
	})
	return f.base
}

// folderKeeper is a keeper that runs only when somebody uses the folder: after
// each call that may write it destroys the shares whose time has come.
type folderKeeper struct {
	*keeper.Keeper
	f *Folder
	v vault
}

func (k *folderKeeper) Deposit(ctx context.Context, deposits []ledgerclient.Deposit) ([]ledgerclient.Receipt, error) {
	defer k.sweep(ctx)
	return k.Keeper.Deposit(ctx, deposits)
}

func (k *folderKeeper) Release(ctx context.Context, r ledgerclient.Request) (ledgerclient.Answer, error) {
	defer k.sweep(ctx)
	return k.Keeper.Release(ctx, r)
}

func (k *folderKeeper) Revoke(ctx context.Context, revocations []contract.Entry) ([]ledgerclient.Acknowledgement, error) {
	defer k.sweep(ctx)
	acks, err := k.Keeper.Revoke(ctx, revocations)
	if noRoom(err) || readOnly(err) {
		// Told, not confirmed: as if nobody had answered, and to be asked again.
		err = &ledgerclient.UnreachableError{Service: "keeper", Err: err}
	}
	return acks, k.unanswered(err)
}

func (k *folderKeeper) Inquire(ctx context.Context, q ledgerclient.Inquiry) (ledgerclient.InquiryAnswer, error) {
	a, err := k.Keeper.Inquire(ctx, q)
	return a, k.unanswered(err)
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
func (k *folderKeeper) sweep(ctx context.Context) {
	var now contract.Hour
	if k.f.View(ctx, func(v keeper.View) error { now = v.Head().Hour; return nil }) != nil {
		return
	}
	if over, err := k.v.over(now); len(over) > 0 && err == nil {
		k.Sweep(ctx)
		k.v.lock.write(ctx, func(snapshot) error { // what is left is no share any more
			for _, end := range over {
				k.v.shares.destroy(end)
			}
			return nil
		})
	}
}

// lazyKeeper is a keeper that is made when it is first asked.
type lazyKeeper struct {
	key crypto.PubKey
	get func() ledgerclient.Keeper
}

var _ ledgerclient.Keeper = lazyKeeper{}

func (k lazyKeeper) Key() crypto.PubKey { return k.key }

func (k lazyKeeper) Deposit(ctx context.Context, deposits []ledgerclient.Deposit) ([]ledgerclient.Receipt, error) {
	return k.get().Deposit(ctx, deposits)
}

func (k lazyKeeper) State(ctx context.Context, q ledgerclient.Inquiry) (ledgerclient.KeeperState, error) {
	return k.get().State(ctx, q)
}

func (k lazyKeeper) Release(ctx context.Context, r ledgerclient.Request) (ledgerclient.Answer, error) {
	return k.get().Release(ctx, r)
}

func (k lazyKeeper) Revoke(ctx context.Context, revocations []contract.Entry) ([]ledgerclient.Acknowledgement, error) {
	return k.get().Revoke(ctx, revocations)
}

func (k lazyKeeper) Inquire(ctx context.Context, q ledgerclient.Inquiry) (ledgerclient.InquiryAnswer, error) {
	return k.get().Inquire(ctx, q)
}

// absentKeeper stands for a keeper whose key cannot be read.
type absentKeeper struct {
	key crypto.PubKey
	err error
}

var _ ledgerclient.Keeper = absentKeeper{}

func (k absentKeeper) Key() crypto.PubKey { return k.key }

func (k absentKeeper) Deposit(context.Context, []ledgerclient.Deposit) ([]ledgerclient.Receipt, error) {
	return nil, k.err
}

func (k absentKeeper) State(context.Context, ledgerclient.Inquiry) (ledgerclient.KeeperState, error) {
	return ledgerclient.KeeperState{}, k.err
}

func (k absentKeeper) Release(context.Context, ledgerclient.Request) (ledgerclient.Answer, error) {
	return ledgerclient.Answer{}, k.err
}

func (k absentKeeper) Revoke(context.Context, []contract.Entry) ([]ledgerclient.Acknowledgement, error) {
	return nil, k.err
}

func (k absentKeeper) Inquire(context.Context, ledgerclient.Inquiry) (ledgerclient.InquiryAnswer, error) {
	return ledgerclient.InquiryAnswer{}, k.err
}
