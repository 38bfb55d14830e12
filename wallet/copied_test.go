package wallet_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
)

// changedStore is a store of which every payload has several copies: in all but the last a byte
// is changed, near that place of the payload, 0 being its beginning and 1 its end.
type changedStore struct {
	ledgerclient.Store
	copies int
	at     float64
	next   int // how often another one was wanted
	right  int // how often what was read was right
	whys   []error
}

func (s *changedStore) Blob(ctx context.Context, loc crypto.Locator) (ledgerclient.Blob, error) {
	b, err := s.Store.Blob(ctx, loc)
	if err != nil {
		return nil, err
	}
	return &changedBlob{b, s, 1}, nil
}

type changedBlob struct {
	ledgerclient.Blob
	s    *changedStore
	copy int
}

func (b *changedBlob) ReadAt(p []byte, off int64) (int, error) {
	n, err := b.Blob.ReadAt(p, off)
	if at := int64(b.s.at * float64(b.Size()-1)); b.copy < b.s.copies && at >= off && at < off+int64(n) {
		p[at-off] ^= 1
	}
	return n, err
}

func (b *changedBlob) Next(why error) bool {
	if b.copy == b.s.copies {
		return false
	}
	b.copy++
	b.s.next++
	b.s.whys = append(b.s.whys, why)
	return true
}

func (b *changedBlob) Right() { b.s.right++ }

// Threat: the first store that is asked gives what is not what was committed to. What another
// has is read in its place, of all that a wallet reads; where none has it, that is the error.
func TestAnotherCopyIsRead(t *testing.T) {
	ctx := context.Background()
	for _, at := range []float64{0, 0.5, 0.7, 1} {
		tn := newTown(t)
		patient, clinic := tn.person("Maria"), tn.person("Dr Smith")
		text := strings.Repeat("Penicillin: anaphylaxis, 2009. ", 3*contract.PieceSize/30)
		add(t, patient, "long.txt", text)
		patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String())
		_, code := grant(t, patient, "Dr Smith", tn.now)
		for copies := 3; copies > 0; copies-- {
			o := tn.options("Dr Smith")
			s := &changedStore{Store: o.Services.Store, copies: copies, at: at}
			o.Services.Store = s
			w := must(wallet.Open(ctx, o))(t)
			opened, err := w.Inbox().OpenByCode(ctx, code, "check-up")
			var got bytes.Buffer
			if err == nil {
				err = opened.Read(ctx, 0, &got, nil)
			}
			if err != nil || got.String() != text {
				t.Errorf("at %v of %d copies: %d bytes, %v", at, copies, got.Len(), err)
			}
			if least := 2 * (copies - 1); s.next < least || s.right == 0 {
				t.Errorf("at %v of %d copies: %d were passed over, %d right", at, copies, s.next, s.right)
			}
			for _, why := range s.whys {
				if !errors.As(why, new(*ledgerclient.TamperedError)) {
					t.Error(why)
				}
			}
		}
		o := tn.options("Maria")
		s := &changedStore{Store: o.Services.Store, copies: 2, at: at}
		o.Services.Store = s
		w := must(wallet.Open(ctx, o))(t)
		if events := must(w.Audit().Events(ctx))(t); len(events) != 2 || events[1].Reason != "check-up" {
			t.Errorf("at %v: %+v", at, events)
		}
		if s.next == 0 {
			t.Errorf("at %v: no reason was read", at)
		}
	}

	// All copies are changed.
	tn := newTown(t)
	patient, clinic := tn.person("Maria"), tn.person("Dr Smith")
	add(t, patient, "a.txt", "a")
	patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String())
	_, code := grant(t, patient, "Dr Smith", tn.now)
	o := tn.options("Dr Smith")
	o.Services.Store = allChanged{&changedStore{Store: o.Services.Store, copies: 2, at: 0.5}}
	w := must(wallet.Open(ctx, o))(t)
	if _, err := w.Inbox().OpenByCode(ctx, code, "check-up"); !errors.As(err, new(*ledgerclient.TamperedError)) {
		t.Error(err)
	}
}

// allChanged has no copy that is right.
type allChanged struct{ *changedStore }

func (s allChanged) Blob(ctx context.Context, loc crypto.Locator) (ledgerclient.Blob, error) {
	b, err := s.changedStore.Blob(ctx, loc)
	if err != nil {
		return nil, err
	}
	return lastChanged{b.(*changedBlob)}, nil
}

type lastChanged struct{ *changedBlob }

func (b lastChanged) Next(error) bool { return false }
