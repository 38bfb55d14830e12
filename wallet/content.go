package wallet

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"filippo.io/age"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/carekey/carekey/wallet/view"
	"golang.org/x/mod/sumdb/tlog"
)

// A content blob is salt 32 ‖ age file ‖ random padding, and behind it, of a file that was
// split, the region of its parts ‖ random padding, contentSize bytes in all, followed by
// the record hashes of its 1 MiB pieces (FORMAT.md).

const saltSize = 32

// encryptContent streams a file through age into an upload, the region of its parts behind
// it if it has one, and says in m what became of it. Memory is flat. region runs beside the
// rest, and is done when this returns.
func encryptContent(ctx context.Context, upload ledgerclient.Upload, src *incoming, region func(io.Writer) error, owner age.Recipient, m *payload.Metadata, progress func(int64)) error {
	var parts *ahead
	if region != nil {
		parts = writeAhead(region)
		defer parts.Close()
	}
	salt := crypto.NewSalt()
	if _, err := upload.Write(salt[:]); err != nil {
		return err
	}
	cipher := &counter{ctx: ctx, w: upload} // all that age writes
	enc, err := age.Encrypt(cipher, owner)
	if err != nil {
		return err
	}
	sum := sha256.New()
	plain, in := &counter{ctx: ctx, w: enc, progress: progress}, io.TeeReader(src, sum)
	if src.held() > contract.PieceSize {
		ahead := readAhead(in)
		defer ahead.Close()
		in = ahead
	}
	if _, err := io.Copy(plain, in); err != nil {
		return err
	}
	if err := enc.Close(); err != nil {
		return err
	}
	end := crypto.PadLength(saltSize + cipher.n)
	if parts != nil {
		end = crypto.PartsStart(plain.n, cipher.n, spare(src.cut))
	}
	if err := pad(upload, saltSize+cipher.n, end); err != nil {
		return err
	}
	if parts != nil {
		out := &counter{ctx: ctx, w: upload}
		if _, err := parts.WriteTo(out); err != nil {
			return err
		}
		m.Parts.Start = end
		m.Parts.End = crypto.PadLength(end + out.n)
		if err := pad(upload, end+out.n, m.Parts.End); err != nil {
			return err
		}
	}
	m.Size, m.SHA256, m.AgeSize = plain.n, crypto.Hash(sum.Sum(nil)), cipher.n
	m.ContentSize, m.Head, err = upload.Sum()
	return err
}

// pad writes random bytes behind n others, up to end. Zeros would show where what is
// encrypted ends.
func pad(w io.Writer, n, end int64) error {
	_, err := io.CopyN(w, rand.Reader, end-n)
	return err
}

// keepKey keeps the file key of what is encrypted, so that a grant needs no look at
// the content.
type keepKey struct {
	age.Recipient
	key *payload.FileKey
}

func (k keepKey) Wrap(key []byte) ([]*age.Stanza, error) {
	copy(k.key[:], key)
	return k.Recipient.Wrap(key)
}

// content is a content blob about to be read by somebody who knows what it must
// be.
type content struct {
	ledgerclient.Blob
	m  *payload.Metadata
	id contract.ID // of the record, for errors
}

// stored is what the store holds of this wallet's. The store is believed in nothing.
type stored struct{ w *Wallet }

// content opens the content of the record version that m describes; close it.
func (st stored) content(ctx context.Context, m *payload.Metadata, record contract.ID) (*content, error) {
	b, err := st.blob(ctx, crypto.Locator(m.Content), "content", record)
	return &content{b, m, record}, err
}

// contents opens contents that are read one after the other: small ones, which come whole
// when they are opened, together.
type contents struct {
	w    *Wallet
	next []crypto.Locator // small ones, in the order in which they are read
	here map[crypto.Locator]ledgerclient.Blob
}

// add says what will be read next.
func (cs *contents) add(rs []OpenedRecord) {
	_, far := cs.w.client.Store.(ledgerclient.BulkStore)
	for i := range rs {
		at := crypto.Locator(rs[i].Content)
		if far && rs[i].ContentSize <= ledgerclient.FirstBytes-32 && !slices.Contains(cs.next, at) { // with the hash of its one piece
			cs.next = append(cs.next, at)
		}
	}
}

// open opens a content; close it.
func (cs *contents) open(ctx context.Context, m *payload.Metadata, record contract.ID) (*content, error) {
	at := crypto.Locator(m.Content)
	if i := slices.Index(cs.next, at); i >= 0 {
		some := cs.next[i:min(len(cs.next), i+ledgerclient.MaxBulk)]
		cs.next = cs.next[i+len(some):]
		cs.here = map[crypto.Locator]ledgerclient.Blob{}
		// What cannot be had is asked for once more when it is read, and says so then.
		ledgerclient.Blobs(ctx, cs.w.client.Store, some, func(i int, b ledgerclient.Blob, err error) error {
			if err == nil {
				cs.here[some[i]] = b
			}
			return nil
		})
	}
	if b := cs.here[at]; b != nil {
		return &content{b, m, record}, nil
	}
	return stored{cs.w}.content(ctx, m, record)
}

func (c *content) tampered(why string) error {
	return tampered("content of record", c.id, errors.New(why))
}

// atAny calls read, and again with another copy of what it reads while it finds that this
// is not what it should be. If another copy is, that is the fault of who keeps the one before;
// otherwise nobody knows whose it is.
func atAny(b ledgerclient.Blob, read func() error) error {
	c, several := b.(ledgerclient.Copied)
	for {
		err := read()
		switch {
		case !several:
			return err
		case err == nil:
			c.Right()
			return nil
		case !is[*ledgerclient.TamperedError](err) || !c.Next(err):
			return err
		}
	}
}

// pieces reads the age file inside the blob; each piece is checked against the
// committed head before a byte of it is handed on.
func (c *content) pieces() (r *pieceReader, err error) {
	err = atAny(c.Blob, func() error {
		r, err = c.list()
		return err
	})
	return r, err
}

// list reads the list of pieces.
func (c *content) list() (*pieceReader, error) {
	size := c.m.ContentSize
	n := (size + contract.PieceSize - 1) / contract.PieceSize
	if size < saltSize+c.m.AgeSize || n < 1 || c.Size() != size+n*32 {
		return nil, c.tampered(fmt.Sprintf("%d bytes long, not %d", c.Size(), size+n*32))
	}
	list := make([]byte, n*32)
	if _, err := c.ReadAt(list, size); err != nil && err != io.EOF {
		return nil, err
	}
	hashes := make([]crypto.Hash, n)
	for i := range hashes {
		hashes[i] = crypto.Hash(list[i*32:])
	}
	if ledgerclient.ContentHead(hashes) != c.m.Head {
		return nil, c.tampered("its list of pieces is not the committed one")
	}
	return &pieceReader{c: c, hashes: hashes, end: saltSize + c.m.AgeSize, buf: make([]byte, contract.PieceSize)}, nil
}

type pieceReader struct {
	c      *content
	hashes []crypto.Hash
	piece  int64  // to read next
	end    int64  // where the age file ends
	buf    []byte // holds one piece
	rest   []byte // of it: verified and not handed on yet
}

func (r *pieceReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// next reads and checks one piece.
func (r *pieceReader) next() error {
	from := r.piece * contract.PieceSize
	if from >= r.end {
		return io.EOF
	}
	b := r.buf[:min(contract.PieceSize, r.c.m.ContentSize-from)]
	err := atAny(r.c.Blob, func() error {
		if _, err := r.c.ReadAt(b, from); err != nil && err != io.EOF {
			return err
		}
		if crypto.Hash(tlog.RecordHash(b)) != r.hashes[r.piece] {
			return r.c.tampered(fmt.Sprintf("piece %d of %d was changed", r.piece+1, len(r.hashes)))
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.rest = b[:min(int64(len(b)), r.end-from)]
	if r.piece == 0 {
		r.rest = r.rest[saltSize:]
	}
	r.piece++
	return nil
}

// copyAge writes the age file to dst.
func (c *content) copyAge(ctx context.Context, dst io.Writer, progress func(int64)) error {
	r, err := c.pieces()
	if err != nil {
		return err
	}
	in := readAhead(r)
	defer in.Close()
	n, err := in.WriteTo(&counter{ctx: ctx, w: dst, progress: progress})
	if err == nil && n != c.m.AgeSize {
		err = c.tampered("shorter than described")
	}
	return err
}

// decrypt writes the file to dst and checks its size at the end, and its hash
// unless that is zero.
func (c *content) decrypt(ctx context.Context, dst io.Writer, id age.Identity, sum crypto.Hash, progress func(int64)) error {
	r, err := c.pieces()
	if err != nil {
		return err
	}
	sealed := readAhead(r)
	defer sealed.Close()
	opened, err := age.Decrypt(sealed, id)
	if err != nil {
		return c.explain(err)
	}
	plain := readAhead(opened)
	defer plain.Close()
	h := sha256.New()
	out := &counter{ctx: ctx, w: dst, progress: progress}
	to := io.Writer(out)
	if !sum.IsZero() {
		to = io.MultiWriter(h, out)
	}
	if _, err := plain.WriteTo(to); out.err != nil {
		return out.err
	} else if err != nil {
		return c.explain(err)
	}
	if out.n != c.m.Size || !sum.IsZero() && crypto.Hash(h.Sum(nil)) != sum {
		return c.tampered("not the file that was described")
	}
	return nil
}

// explain keeps errors of this package, of the system and of a store that gave no
// answer; what age itself found
// wrong means that the committed bytes do not open as they should.
func (c *content) explain(err error) error {
	if is[*ledgerclient.TamperedError](err) || is[*fs.PathError](err) || ledgerclient.Unreachable(err) != nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return tampered("content of record", c.id, err)
}

// blob opens a payload of the store.
func (st stored) blob(ctx context.Context, loc crypto.Locator, what string, id contract.ID) (ledgerclient.Blob, error) {
	if err := st.w.view.Silent("store"); err != nil {
		return nil, err
	}
	b, err := st.w.client.Store.Blob(ctx, loc)
	return b, missing(err, what, id)
}

// missing is the error of a payload that was asked for: [ErrMissing] if the store does not
// hold it.
func missing(err error, what string, id contract.ID) error {
	if is[*ledgerclient.NotFoundError](err) {
		return ErrMissing.With("part", what, "id", id)
	}
	return err
}

// maxSmall bounds a small payload: 64 MiB of plaintext and its sealing.
const maxSmall = 65 << 20

// wanted is a small payload that is read whole.
type wanted struct {
	at   crypto.Locator
	most int64 // bytes
	what string
	id   contract.ID // of what it belongs to, for errors
	// check reports, as a *ledgerclient.TamperedError, that it is not what was committed to:
	// then another copy of it is read, if there is one.
	check func(blob []byte) error
	// may reports whether so many bytes are read now: then [ErrUnread] says that they are not.
	// nil: any are.
	may func(size int64) bool
}

// envelopeOf is the envelope of a consent with those terms.
func envelopeOf(at crypto.Locator, t *view.Thread, tr *payload.Terms) wanted {
	return wanted{at: at, most: maxSmall, what: "envelope", id: t.ID, check: func(blob []byte) error {
		if crypto.BlobHash(blob) != tr.Envelope {
			return tampered("envelope of consent", t.ID, errCommitment)
		}
		return nil
	}}
}

// readBlob reads a small payload whole.
func (st stored) readBlob(ctx context.Context, x wanted) (b []byte, err error) {
	stop := st.readBlobs(ctx, []wanted{x}, func(_ int, whole []byte, why error) error {
		b, err = whole, why
		return nil
	})
	return b, cmp.Or(stop, err)
}

// readBlobs reads small payloads whole, and gives each to take, or why it cannot be had:
// as they come, in no order. With an error of take it is over.
func (st stored) readBlobs(ctx context.Context, all []wanted, take func(i int, b []byte, err error) error) error {
	if err := st.w.view.Silent("store"); err != nil {
		for i := range all {
			if err := take(i, nil, err); err != nil {
				return err
			}
		}
		return nil
	}
	locs := make([]crypto.Locator, len(all))
	for i := range all {
		locs[i] = all[i].at
	}
	return ledgerclient.Blobs(ctx, st.w.client.Store, locs, func(i int, b ledgerclient.Blob, err error) error {
		whole, err := all[i].read(b, err)
		return take(i, whole, err)
	})
}

// read reads a payload that was opened, or was not.
func (x *wanted) read(b ledgerclient.Blob, err error) ([]byte, error) {
	if err != nil {
		return nil, missing(err, x.what, x.id)
	}
	defer b.Close()
	var out []byte
	err = atAny(b, func() error {
		if b.Size() > x.most {
			return tampered(x.what+" of", x.id, fmt.Errorf("%d bytes", b.Size()))
		}
		if x.may != nil && !x.may(b.Size()) {
			return ErrUnread.With("consent", x.id)
		}
		out = make([]byte, b.Size())
		if _, err := b.ReadAt(out, 0); err != nil && err != io.EOF {
			return err
		}
		return x.check(out)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Source is a file to be added.
type Source struct {
	io.Reader        // an io.Seeker too, if it can: then known bytes are recognised before they are encrypted
	Name      string // the file's name; only its base is kept
	Size      int64  // bytes, for progress; -1 if unknown

	Vouched *payload.Vouched // what its issuer signed of it; nil if nobody did
}

// fileKey reads a version's file key from the header of its content, with
// the owner's key.
func (rs Records) fileKey(ctx context.Context, id contract.ID, m *payload.Metadata) (payload.FileKey, error) {
	c, err := stored(rs).content(ctx, m, id)
	if err != nil {
		return payload.FileKey{}, err
	}
	defer c.Close()
	r, err := c.pieces()
	if err != nil {
		return payload.FileKey{}, err
	}
	k, err := crypto.RecordFileKey(r, rs.w.keys.RecordIdentity())
	if err != nil {
		return payload.FileKey{}, c.explain(err)
	}
	return payload.FileKey(k.ExposeSecret()), nil
}
