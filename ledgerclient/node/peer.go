package node

import (
	"context"
	"time"

	"github.com/carekey/carekey/crypto"
)

// Peer is another node of the same ledger, to which a node shows what it has signed.
type Peer struct{ wire *wire }

// peerWait is how long a peer may take to begin an answer.
const peerWait = 5 * time.Second

// NewPeer returns the peer at one of some URLs, each of which [ValidURL] takes. fingerprint
// is that of its TLS key; the zero Hash: the system's authorities vouch for it.
func NewPeer(urls []string, fingerprint crypto.Hash) *Peer {
	return &Peer{newWire(&Invitation{URLs: urls, Fingerprint: fingerprint}, peerWait)}
}

// Cosign shows a head with signatures of nodes, and returns the note in which the peer has
// signed the head of that size. Nothing of it is verified: with another root it is of
// another history. The error is a *ledgerclient.RangeError if the log of the peer is smaller,
// or it does not remember that size.
func (p *Peer) Cosign(ctx context.Context, note []byte) ([]byte, error) {
	return p.wire.ask(ctx, question{service: ofLedger, path: PathCosign, body: note, reads: true, urgent: true, limit: MaxNote})
}

// Signed returns the note in which the peer has signed its newest head. Nothing of it is
// verified.
func (p *Peer) Signed(ctx context.Context) ([]byte, error) {
	return p.wire.ask(ctx, question{service: ofLedger, path: PathCosign, reads: true, urgent: true, limit: MaxNote})
}

// Checkpoint returns the note that the peer shows to wallets. Nothing of it is verified.
func (p *Peer) Checkpoint(ctx context.Context) ([]byte, error) {
	return p.wire.ask(ctx, question{service: ofLedger, path: PathCheckpoint, reads: true, urgent: true, limit: MaxNote})
}

// Withdrawn returns the lists of withdrawn tokens that the peer knows. Nothing of them is
// verified.
func (p *Peer) Withdrawn(ctx context.Context) ([]Withdrawn, error) {
	b, err := p.wire.ask(ctx, question{service: ofLedger, path: PathWithdrawn, reads: true, urgent: true, limit: MaxLists})
	if err != nil {
		return nil, err
	}
	return WithdrawnForm.Parse(b)
}

// Sites returns where the institutions are reached, as far as the peer knows. Nothing of it is
// verified.
func (p *Peer) Sites(ctx context.Context) ([]Site, error) { return p.wire.sites(ctx) }

func (w *wire) sites(ctx context.Context) ([]Site, error) {
	b, err := w.ask(ctx, question{service: ofLedger, path: PathSites, reads: true, urgent: true, limit: MaxSites})
	if err != nil {
		return nil, err
	}
	return SitesForm.Parse(b)
}

// Close ends the connections.
func (p *Peer) Close() { p.wire.http.CloseIdleConnections() }
