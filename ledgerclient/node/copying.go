package node

import (
	"context"
	"encoding/binary"
	"io"
	"net/http"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// CopyRequest is a node's question for a payload of which it has no whole copy any more, to
// another node of its ledger.
//
//	ledger 32, checkpoint key 32 of the node that is asked, key 33 of the node that asks
//	time 8, in seconds since 1970
//	entry 32, part 1
//	signature 64
type CopyRequest struct {
	Ledger    crypto.LedgerID
	Asked     [32]byte      // checkpoint key
	Node      crypto.PubKey // Node.Key of who asks
	Time      uint64        // seconds since 1970
	Of        ledgerclient.PartOf
	Signature crypto.Signature // by Node, over all before it
}

func (r *CopyRequest) fields(c *codec.Codec) {
	c.Bytes(r.Ledger[:], r.Asked[:], r.Node[:])
	codec.Int(c, &r.Time)
	c.Bytes(r.Of.Entry[:])
	codec.Int(c, &r.Of.Part)
	c.Check(r.Of.Part >= ledgerclient.PartMetadata && r.Of.Part <= ledgerclient.PartAccess)
	c.Signature(r.Signature[:])
}

// CopyRequestForm is of one request.
var CopyRequestForm = Form[CopyRequest]{"request of a node", func(c *codec.Codec, r *CopyRequest) { r.fields(c) }}

// MaxCopyRequest is how long a request is, in bytes.
const MaxCopyRequest = 32 + 32 + 33 + 8 + 32 + 1 + 64

func (r *CopyRequest) digest() crypto.Hash {
	return crypto.TaggedHash(crypto.TagCopyRequest, codec.Unsigned(r.fields))
}

// Sign signs the request as the node that asks.
func (r *CopyRequest) Sign(by func(crypto.Hash) crypto.Signature) { r.Signature = by(r.digest()) }

// By reports whether one of these nodes has signed it.
func (r *CopyRequest) By(nodes []contract.Node) bool {
	return named(nodes, r.Node) && r.Node.Verify(r.digest(), r.Signature)
}

// Copy is what a peer gives of a payload. Nothing of it is verified. Close it.
type Copy struct {
	io.ReadCloser        // the payload
	Package       []byte // what the entry commits to; of an access: empty
	Size          int64  // of the payload, in bytes
}

// Copy asks a peer for a payload. It is to be read to its end within the time of ctx.
func (p *Peer) Copy(ctx context.Context, r *CopyRequest) (*Copy, error) {
	var c *Copy
	_, err := p.wire.each(ctx, &question{service: ofStore, path: PathCopies, body: CopyRequestForm.Marshal(*r), reads: true, urgent: true}, func(a *answering) error {
		if a.StatusCode != http.StatusOK {
			return a.foreign()
		}
		body := a.watch.reader(a.Body)
		var head [4]byte
		if _, err := io.ReadFull(body, head[:]); err != nil {
			return a.err(err)
		}
		n := binary.BigEndian.Uint32(head[:])
		c = &Copy{Size: a.ContentLength - 4 - int64(n)}
		if n > MaxPackage || c.Size < 0 || c.Size > maxStored {
			return a.foreign()
		}
		c.Package = make([]byte, n)
		if _, err := io.ReadFull(body, c.Package); err != nil {
			return a.err(err)
		}
		c.ReadCloser = &coming{body, a}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// coming is the rest of an answer.
type coming struct {
	io.Reader
	a *answering
}

func (c *coming) Close() error {
	c.a.end()
	return nil
}
