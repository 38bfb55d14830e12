package wallet

import (
	"context"
	"errors"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/carekey/carekey/wallet/view"
)

// said is the description of the version at i, with what its owner says instead since;
// nil if it is not known. What she says of a version before it holds of this one too, where
// it was taken over from that one: by a machine that had not heard of it.
func (rs Records) said(t *view.Thread, i int) *payload.Metadata {
	m := t.Versions[i]
	if m == nil {
		return nil
	}
	f, ok := rs.w.book.Facts.described(t.ID, i+1)
	if !ok {
		return m
	}
	said, was := *m, t.Versions[f.Version-1]
	if was == nil { // nobody knows what was taken over
		return m
	}
	if m.Title == was.Title {
		said.Title = f.Title
	}
	if m.Date == was.Date {
		said.Date = f.Date
	}
	if m.Category == was.Category && f.Category.Valid() { // else it is a newer carekey's
		said.Category = f.Category
	}
	return &said
}

// newest is the description of the newest version: [ErrMissing] if the store
// does not hold it.
func (rs Records) newest(t *view.Thread) (*payload.Metadata, error) {
	if m := rs.said(t, len(t.Versions)-1); m != nil {
		return m, nil
	}
	if t.Damage() != nil {
		return nil, t.Damage()
	}
	return nil, ErrMissing.With("part", "metadata", "id", t.ID)
}

func (rs Records) newestRecord(t *view.Thread) Record { return rs.versionRecord(t, len(t.Versions)-1) }

// of is t.record with what waits.
func (rs Records) of(t *view.Thread) Record {
	r := rs.newestRecord(t)
	r.Pending, r.AsOf = rs.w.Changes().action(t.ID), rs.w.view.AsOf()
	return r
}

func (rs Records) versionRecord(t *view.Thread, i int) Record {
	m := rs.said(t, i)
	if m == nil {
		return Record{ID: t.ID, Version: i + 1, Category: payload.Other, Missing: true, Damaged: t.Damage()}
	}
	r := recordOf(m, t.ID)
	r.Signed = rs.w.Contacts().vouchedIn(m)
	r.Source = rs.w.Contacts().senderOf(m.Source)
	return r
}

func recordOf(m *payload.Metadata, id contract.ID) Record {
	r := Record{ID: id, Title: m.Title, Category: m.Category, Date: m.Date, File: m.File, Size: m.Size, SHA256: m.SHA256, Version: m.Version, Added: Hour(m.Added), Whole: m.Whole}
	if m.Parts != nil {
		r.Parts = m.Parts.Count
	}
	return r
}

// describe reads the descriptions of versions that another machine wrote, or that
// were forgotten with the cache, from the store. What the store does not hold or
// has changed stays unknown, so that one record does not hide all others.
func (rs Records) describe(ctx context.Context, t *view.Thread) error {
	t.SetDamage(nil)
	for i := range t.Versions {
		if t.Versions[i] != nil {
			continue
		}
		e, err := rs.w.view.Version(t, i)
		if err != nil {
			return err
		}
		seed, err := rs.w.view.Seed(e.SelfTag)
		if errors.Is(err, view.ErrNotOwn) {
			continue
		}
		if err != nil {
			return err
		}
		id := e.ID(rs.w.client.ID())
		var m *payload.Metadata
		if _, err := stored(rs).readBlob(ctx, wanted{at: seed.Locator(id, byte(ledgerclient.PartMetadata)), most: maxSmall, what: "metadata", id: id, check: func(raw []byte) (err error) {
			if m, err = rs.openMetadata(e, raw); err != nil {
				err = tampered("metadata of record", t.ID, err)
			}
			return err
		}}); err != nil {
			if err := rs.w.spare(t, err); err != nil {
				return err
			}
			continue
		}
		// Its place in the thread numbers a version: another machine may have been faster
		// than the one that wrote this.
		m.Version = i + 1
		if err := rs.w.view.NoteDescription(t, i+1, m); err != nil {
			return err
		}
	}
	return nil
}

// spare takes note that something of a thread cannot be had: it is missing, or what the
// store holds is not what was signed, cannot be reached, or is more than is read now. One thread does not hide all
// others.
func (w *Wallet) spare(t *view.Thread, err error) error {
	if isMissing(err) {
		return nil
	}
	if isTampered(err) || errors.Is(err, ErrUnread) || w.view.DoWithout(err) {
		t.SetDamage(err)
		return nil
	}
	return err
}

func (rs Records) openMetadata(e *contract.Entry, blob []byte) (*payload.Metadata, error) {
	body, err := crypto.OpenBlob(blob)
	if err != nil {
		return nil, err
	}
	plain, err := rs.w.keys.Open(rs.w.sealContext(ledgerclient.PartMetadata, e.Author), body)
	if err != nil {
		return nil, err
	}
	m, err := payload.ParseMetadata(plain)
	if err != nil {
		return nil, err
	}
	pkg := contract.RecordPackage{Metadata: crypto.BlobHash(blob), ContentHead: m.Head, ContentSize: uint64(m.ContentSize)}
	if m.Ledger != rs.w.client.ID() || m.Author != e.Author || pkg.Commitment() != e.Commitment {
		return nil, errCommitment
	}
	return m, nil
}
