package folder

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// This file is what a node needs to mend what its store was given from what other nodes have.

// Damaged are the payloads of the entries [from, to) which the store was given and has no more
// as it was given them: a file is gone or, of the entries that are to be read, a byte is not
// what the entry commits to. Those of records that were withdrawn are left out. Of what the
// store was never given, or of which nothing is left that says so, it knows nothing.
//
// unread are entries of which something was there and nothing can be read that says what, with
// why: nobody can give that again, and it keeps nobody from the others.
func (f *Folder) Damaged(ctx context.Context, from, to uint64, read func(at uint64) bool) (all []ledgerclient.PartOf, unread []error, err error) {
	leaves, err := f.Leaves(ctx, from, to)
	if err != nil {
		return nil, nil, err
	}
	s := store{f.ground()}
	if err := s.payloads.look(); err != nil {
		return nil, nil, err
	}
	for i := range leaves {
		e := &leaves[i].Entry
		if len(partsOf(e)) == 0 {
			continue
		}
		id := e.ID(f.id)
		held, _, lost := s.payloads.find(crypto.Hash(id))
		if lost == nil {
			lost = s.payloads.missing(crypto.Hash(id))
		}
		var bad []ledgerclient.PartOf
		for k := range held {
			if err := ctx.Err(); err != nil {
				return nil, nil, err
			}
			if r := &held[k]; r.mark == markHeld && r.id() == id && !s.isWhole(e, r, read(from+uint64(i))) {
				bad = append(bad, ledgerclient.PartOf{Entry: id, Part: r.part()})
			}
		}
		if len(bad) == 0 && lost == nil {
			continue
		}
		now, err := f.entries(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		if now[0].gone {
			continue
		}
		if all = append(all, bad...); lost != nil {
			unread = append(unread, lost)
		}
	}
	return all, unread, nil
}

// isWhole reports whether a payload is there, and if it is to be read, whether it is what its
// entry commits to. What a disk does not give is not.
func (s store) isWhole(e *contract.Entry, r *found, read bool) bool {
	path := s.contentFile(r.id(), r.part())
	if !read {
		there, err := true, error(nil)
		if r.isFile() {
			there, err = exists(path)
		}
		return there || err != nil
	}
	body, ok, err := s.payloads.body(r)
	if err != nil || !ok {
		return false
	}
	what := ""
	switch {
	case r.isFile():
		what, err = s.contentDamage(path, e, r, body)
	case r.part() == ledgerclient.PartContent:
		what, err = piecesDamage(bytes.NewReader(body[r.pkg:]), int64(len(body))-r.pkg, e, body[:r.pkg])
	case committed(e, body[:r.pkg], r.part(), crypto.BlobHash(body[r.pkg:])) != "":
		what = otherThanCommitted
	}
	return err == nil && what == ""
}

// CopyOf opens the payload of an entry that is in the log, for another node, which verifies
// it: it has no locator. The package is what the entry commits to; of an access it is empty.
// Of a record that was withdrawn there is none.
func (f *Folder) CopyOf(ctx context.Context, of ledgerclient.PartOf) (pkg []byte, b ledgerclient.Blob, err error) {
	none := &ledgerclient.NotFoundError{What: "payload"}
	e, err := f.entries(ctx, of.Entry)
	if err != nil {
		return nil, nil, err
	}
	if e[0].Entry == nil || e[0].gone {
		return nil, nil, none
	}
	s := store{f.ground()}
	held, err := s.heldOf(of)
	if err != nil {
		return nil, nil, err
	}
	for i := range held {
		r := &held[i]
		if !r.isFile() {
			body, ok, err := s.payloads.body(r)
			if err != nil {
				return nil, nil, err
			}
			if ok {
				return body[:r.pkg], blob{io.NewSectionReader(bytes.NewReader(body), r.pkg, int64(len(body))-r.pkg), io.NopCloser(nil)}, nil
			}
			continue
		}
		file, err := s.open(s.contentFile(of.Entry, of.Part))
		if errors.Is(err, fs.ErrNotExist) || errors.As(err, new(*DamagedError)) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		size, tail, err := readTail(file)
		if err == nil && tail.isOf(r) {
			return tail.pkg, blob{io.NewSectionReader(file, 0, size), file}, nil
		}
		file.Close()
		if err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, none
}

// heldOf are the records of a payload that the store was given.
func (s store) heldOf(of ledgerclient.PartOf) (held []found, err error) {
	if err := s.payloads.look(); err != nil {
		return nil, err
	}
	all, _, err := s.payloads.find(crypto.Hash(of.Entry))
	for _, r := range all {
		if r.mark == markHeld && r.id() == of.Entry && r.part() == of.Part {
			held = append(held, r)
		}
	}
	return held, err
}

// TakeCopy stores a payload that another node has given in the place of one that was Damaged, with
// the locators that lead to that. The other node is believed nothing: the entry is the log's,
// it commits to the package and that to the payload, which r gives, of size bytes. put does
// the last step, which is [Folder.PutAll] of one.
//
// Errors: those of PutBlobs and Upload; a *ledgerclient.StoreError says that it is not what
// the entry commits to, before anything of r was read if the package or the size is not, see
// CheckCopy; *ledgerclient.NotFoundError that the store was never given it.
func (f *Folder) TakeCopy(ctx context.Context, of ledgerclient.PartOf, pkg []byte, size int64, r io.Reader, put func(Putting) error) error {
	e, err := f.entries(ctx, of.Entry)
	if err != nil {
		return err
	}
	s := store{f.ground()}
	held, err := s.heldOf(of)
	if err != nil {
		return err
	}
	if e[0].Entry == nil || e[0].gone || len(held) == 0 {
		return &ledgerclient.NotFoundError{What: "payload"}
	}
	p := Putting{names: held[0].names(), Puts: []ledgerclient.Put{{Entry: *e[0].Entry, Package: pkg, Part: of.Part}}}
	refuse := func(why ledgerclient.StoreReason) error {
		return &ledgerclient.StoreError{Entry: of.Entry, Part: of.Part, Reason: why}
	}
	if reason := misfit(e[0].Entry, of.Part, pkg, size); reason != "" {
		return refuse(reason)
	}
	if of.Part != ledgerclient.PartContent {
		p.Puts[0].Blob = make([]byte, size)
		if _, err := io.ReadFull(r, p.Puts[0].Blob); err != nil {
			return err
		}
		return put(p)
	}
	said, err := contract.ParseRecordPackage(pkg)
	if err != nil {
		return err
	}
	up, err := s.Upload(ctx)
	if err != nil {
		return err
	}
	if _, err = io.CopyN(up, r, int64(said.ContentSize)); err == nil {
		p.Content = up
		err = put(p)
	}
	if err != nil {
		return errors.Join(err, up.Abort())
	}
	return nil
}

// CheckCopy checks what another node says before its bytes come, as TakeCopy does: that the
// entry commits to the package, and that a payload of that size can be what is meant. Nobody
// makes room, or waits, for more. The error is a *ledgerclient.StoreError.
func (f *Folder) CheckCopy(ctx context.Context, of ledgerclient.PartOf, pkg []byte, size int64) error {
	e, err := f.entries(ctx, of.Entry)
	if err != nil {
		return err
	}
	if e[0].Entry == nil {
		return &ledgerclient.NotFoundError{What: "payload"}
	}
	if reason := misfit(e[0].Entry, of.Part, pkg, size); reason != "" {
		return &ledgerclient.StoreError{Entry: of.Entry, Part: of.Part, Reason: reason}
	}
	return nil
}

// misfit says why a package, or a payload of that size, cannot be what the entry commits to;
// empty: it may be. A content comes with the hashes of its pieces behind it.
func misfit(e *contract.Entry, part ledgerclient.Part, pkg []byte, size int64) ledgerclient.StoreReason {
	if part == ledgerclient.PartContent {
		p, err := contract.ParseRecordPackage(pkg)
		if err != nil || p.Commitment() != e.Commitment {
			return ledgerclient.BadPackage
		}
		content := int64(p.ContentSize)
		pieces := content / contract.PieceSize
		if content%contract.PieceSize != 0 {
			pieces++
		}
		if size-content != pieces*tlog.HashSize {
			return ledgerclient.BadBlob
		}
		return ""
	}
	// The hash of the payload is not known yet, and nothing has this one.
	if reason := committed(e, pkg, part, crypto.Hash{}); reason != "" && reason != ledgerclient.BadBlob {
		return reason
	}
	if size > maxBlob {
		return ledgerclient.BadBlob
	}
	return ""
}
