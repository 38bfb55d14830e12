package node

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
)

// links are those that the node keeps. What it signs is for the caller to verify.
type links struct{ n *Node }

var (
	_ ledgerclient.Links     = links{}
	_ ledgerclient.LinkPages = links{}
)

// maxLinkPage is more bytes than the page that opens links.
const maxLinkPage = 1 << 20

// maxLinkTerms is more bytes than what a node says of the links that it takes.
const maxLinkTerms = 4096

// maxLinkAnswer is the most bytes that an answer about a link has.
const maxLinkAnswer = 256 + ledgerclient.MaxLinkEvents*(12+ledgerclient.MaxLinkBy+ledgerclient.MaxLinkReason)

func (l links) ask(ctx context.Context, q question) ([]byte, error) {
	q.service, q.header = ofKeeper, l.n.seen()
	raw, err := l.n.wire.ask(ctx, q)
	if none, ok := errors.AsType[*ledgerclient.NotFoundError](err); ok && none.What == "page" {
		return nil, ledgerclient.ErrNoLinks.With("reach", l.n.wire.urls[0])
	}
	return raw, err
}

// LinkTerms says what links may be like.
func (l links) LinkTerms(ctx context.Context) (t ledgerclient.LinkTerms, err error) {
	raw, err := l.ask(ctx, question{path: PathLinks, reads: true, limit: maxLinkTerms})
	if err != nil {
		return t, err
	}
	if err := json.Unmarshal(raw, &t); err != nil || t.Limit < 0 || len(t.URL) > MaxLinkURL {
		return ledgerclient.LinkTerms{}, malformed("what a node says of links", err)
	}
	return t, nil
}

// LinkPage is the hash of the page that opens links, as anybody gets it.
func (l links) LinkPage(ctx context.Context) (h crypto.Hash, err error) {
	raw, err := l.ask(ctx, question{path: PathView, reads: true, limit: maxLinkPage})
	if err != nil {
		return h, err
	}
	return sha256.Sum256(raw), nil
}

// DepositLink keeps a link.
func (l links) DepositLink(ctx context.Context, d ledgerclient.LinkDeposit) (r ledgerclient.LinkReceipt, err error) {
	raw, err := l.ask(ctx, question{path: PathLinks, body: ledgerclient.Marshal(&d), token: true, limit: 1024})
	if err != nil {
		return r, err
	}
	return ledgerclient.Parse[ledgerclient.LinkReceipt](raw)
}

// InquireLink says what became of one.
func (l links) InquireLink(ctx context.Context, q ledgerclient.Inquiry) (a ledgerclient.LinkAnswer, err error) {
	raw, err := l.ask(ctx, question{path: PathLinkInquire, body: ledgerclient.Marshal(&q), reads: true, limit: maxLinkAnswer})
	if err != nil {
		return a, err
	}
	return ledgerclient.ParseLinkAnswer(raw)
}
