package wallet

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/view"
)

const (
	// linksAtOnce is how many links a node is asked about at the same time.
	linksAtOnce = 8
	// linkWait is how long it may take to answer where a list waits for it: that shows what the
	// ledger says all the same.
	linkWait = 10 * time.Second
)

// Said is what the node of links says of each alone, signed: its word for how often it was
// opened, which nothing else shows; or why there is none. Errors are those of Show. A node that
// gives no answer is waited for once, however many links there are.
func (ls Links) Said(ctx context.Context, ids []contract.ID) (said []ledgerclient.LinkAnswer, errs []error, err error) {
	said, errs = make([]ledgerclient.LinkAnswer, len(ids)), make([]error, len(ids))
	err = ls.w.Look(ctx, func() error {
		questions := make([]ledgerclient.Inquiry, len(ids))
		for i, id := range ids {
			t, err := ls.find(ctx, id.String())
			if err == nil {
				questions[i], err = ls.question(t)
			}
			if errs[i] = err; ctx.Err() != nil {
				return err
			}
		}
		var mu sync.Mutex
		var silent error // it was waited for
		var asking sync.WaitGroup
		places := make(chan struct{}, linksAtOnce)
		for i := range ids {
			if errs[i] != nil {
				continue
			}
			places <- struct{}{}
			mu.Lock()
			errs[i] = silent
			mu.Unlock()
			if errs[i] != nil {
				<-places
				continue
			}
			asking.Go(func() {
				defer crash.Report()
				defer func() { <-places }()
				if said[i], errs[i] = ls.soon(ctx, questions[i]); ledgerclient.Unreachable(errs[i]) != nil {
					mu.Lock()
					silent = errs[i]
					mu.Unlock()
				}
			})
		}
		asking.Wait()
		return ctx.Err()
	})
	return said, errs, err
}

// soon is answer, for who waits no longer than linkWait.
func (ls Links) soon(ctx context.Context, q ledgerclient.Inquiry) (a ledgerclient.LinkAnswer, err error) {
	wait, cancel := context.WithTimeout(ctx, linkWait)
	defer cancel()
	a, err = ls.answer(wait, q)
	if err != nil && ctx.Err() == nil && wait.Err() != nil {
		err = &ledgerclient.UnreachableError{Service: "keeper", Err: context.DeadlineExceeded}
	}
	return a, err
}

// question asks what became of a link.
func (ls Links) question(t *view.Thread) (q ledgerclient.Inquiry, err error) {
	if _, err := ls.node(); err != nil {
		return q, err
	}
	_, key, err := ls.w.view.Key(t)
	if err != nil {
		return q, err
	}
	q = ls.w.Consents().inquiry(ls.w.client.Keepers[0].Key(), t)
	q.SignLink(key)
	return q, nil
}

// answer is what the node says to a question.
func (ls Links) answer(ctx context.Context, q ledgerclient.Inquiry) (a ledgerclient.LinkAnswer, err error) {
	a, err = ls.w.client.Links.InquireLink(ctx, q)
	if refused := (*ledgerclient.KeeperError)(nil); errors.As(err, &refused) && refused.Code == ledgerclient.UnknownGrant {
		return a, ErrLinkLost.With("consent", q.Grant)
	}
	if err != nil {
		return a, err
	}
	if err := a.Verify(&q); err != nil {
		return a, &ledgerclient.TamperedError{What: "answer about a link", Err: err}
	}
	return a, nil
}
