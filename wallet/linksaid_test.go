package wallet_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
)

// askedShelf is a shelf whose answers somebody changes or holds back.
type askedShelf struct {
	*linkShelf
	answer func(ctx context.Context, q ledgerclient.Inquiry) (ledgerclient.LinkAnswer, error)
}

func (s askedShelf) InquireLink(ctx context.Context, q ledgerclient.Inquiry) (ledgerclient.LinkAnswer, error) {
	return s.answer(ctx, q)
}

// manyLinks is a wallet with links whose node answers as it is told.
func manyLinks(t *testing.T, n int) (w *wallet.Wallet, shelf *askedShelf, ids []contract.ID) {
	p := newPartTown(t, canaryFile(0))
	opt, kept := p.linkOptions(t, "Maria")
	shelf = &askedShelf{linkShelf: kept}
	opt.Services.Links = shelf
	w = must(wallet.Open(t.Context(), opt))(t)
	for range n {
		ids = append(ids, must(w.Links().Give(t.Context(), must(w.Links().Plan(t.Context(), wallet.LinkRequest{Openings: 3, GrantRequest: wallet.GrantRequest{All: true, Until: endOf(1)}}))(t)))(t))
	}
	return w, shelf, ids
}

// A node that hangs is waited for once, and no longer than ten seconds, however many links it
// has; the list is there all the same, and says of each that it is not known.
func TestLinkListWithANodeThatHangs(t *testing.T) {
	const links = 10
	w, shelf, _ := manyLinks(t, links)
	var asked atomic.Int64
	shelf.answer = func(ctx context.Context, _ ledgerclient.Inquiry) (a ledgerclient.LinkAnswer, _ error) {
		asked.Add(1)
		<-ctx.Done()
		return a, ctx.Err()
	}
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		all, err := w.Links().List(t.Context())
		if took := time.Since(begun); err != nil || len(all) != links || took != 10*time.Second {
			t.Fatalf("%d after %v, %v", len(all), took, err)
		}
		for _, c := range all {
			if c.Said != nil || ledgerclient.Unreachable(c.Unsaid) == nil {
				t.Errorf("%+v, %v", c.Said, c.Unsaid)
			}
		}
	})
	if n := asked.Load(); n != 8 {
		t.Errorf("it was asked about %d", n)
	}
}

// What a node says of one link says nothing of another: a forged answer, one about another
// link, one that is lost and one that is silent are told apart, and the rest is believed.
func TestLinkListWithForgedAnswers(t *testing.T) {
	w, shelf, ids := manyLinks(t, 5)
	at := map[contract.ID]int{}
	for i, id := range ids {
		at[id] = i
	}
	shelf.answer = func(ctx context.Context, q ledgerclient.Inquiry) (ledgerclient.LinkAnswer, error) {
		a, err := shelf.linkShelf.InquireLink(ctx, q)
		switch at[q.Grant] {
		case 1:
			a.Left++
		case 2:
			a.Inquiry[0] ^= 1
		case 3:
			return a, &ledgerclient.KeeperError{Grant: q.Grant, Code: ledgerclient.UnknownGrant}
		}
		return a, err
	}
	all := must(w.Links().List(t.Context()))(t)
	if len(all) != len(ids) {
		t.Fatal(len(all))
	}
	for i, c := range all {
		tampered := errors.As(c.Unsaid, new(*ledgerclient.TamperedError))
		if lost := errors.Is(c.Unsaid, wallet.ErrLinkLost); tampered != (i == 1 || i == 2) || lost != (i == 3) || (c.Said != nil) != (i == 0 || i > 3) {
			t.Errorf("link %d: %+v, %v", i, c.Said, c.Unsaid)
		}
	}
}

// Who stops waiting is not told that the node gave no answer.
func TestLinkListThatIsStopped(t *testing.T) {
	w, shelf, _ := manyLinks(t, 2)
	ctx, stop := context.WithCancel(t.Context())
	shelf.answer = func(ctx context.Context, _ ledgerclient.Inquiry) (a ledgerclient.LinkAnswer, _ error) {
		stop()
		<-ctx.Done()
		return a, ctx.Err()
	}
	if _, err := w.Links().List(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
