package view

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet/home"
)

// Mark says up to which head all of the open ledger was found in order. It is sealed under
// a name that is the ledger's, so that it is of this ledger and made by this wallet; an
// older one, put back by somebody, says less and nothing wrong.
type Mark struct {
	V      int             `json:"v"`
	Ledger crypto.LedgerID `json:"ledger"`
	Checked
	Folder []byte `json:"folder,omitempty"` // of a ledger in a folder: what else was found in order there
}

// Checked is a head up to which all was found in order.
type Checked struct {
	At   int64       `json:"at"`   // Unix time of the check, in seconds; 0: there was none
	Size uint64      `json:"size"` // entries
	Root crypto.Hash `json:"root"`
}

// Time is when it was checked; zero if never.
func (c Checked) Time() time.Time {
	if c.At == 0 {
		return time.Time{}
	}
	return time.Unix(c.At, 0).UTC()
}

const markVersion = 1

// Mark returns the mark of the open ledger; the zero one if there is none. With the error
// comes the zero one too: what was checked before is then not known.
func (v *View) Mark() (m Mark, err error) {
	err = v.Home.ReadSealed(v.Home.In(home.MarkFile), &m)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Mark{}, nil
	case err == nil && m.V != markVersion:
		err = home.WrongVersion(v.Home.In(home.MarkFile), m.V, markVersion)
	case err == nil && m.Ledger != v.Client.ID():
		err = &home.DamagedError{File: v.Home.In(home.MarkFile)}
	}
	if err != nil {
		return Mark{}, err
	}
	return m, nil
}

// SetMark remembers up to where all was found in order. It must be of the history that the
// wallet follows.
func (v *View) SetMark(ctx context.Context, c Checked, folder []byte) error {
	if err := v.Client.CheckPrefix(ctx, c.Size, c.Root, v.head); err != nil {
		return err
	}
	if len(v.unwritten) == 0 {
		if err := v.Home.WriteSealed(v.Home.In(home.MarkFile), Mark{markVersion, v.Client.ID(), c, folder}); err != nil {
			v.AddUnwritten(err)
		}
	}
	return nil
}

// VerifyAll checks all of the open ledger's log, not only what concerns this
// wallet: see ledgerclient.Client.VerifyAll. All leaves are read; of those up to the mark
// signatures and rules are not checked again. It returns the head, and how many signatures
// were checked.
func (v *View) VerifyAll(ctx context.Context, known Checked, progress func(done, total uint64)) (c Checked, signatures uint64, err error) {
	if v.behind != nil {
		return Checked{}, 0, v.behind
	}
	c.At = v.Now().Unix()
	c.Size, c.Root, signatures, err = v.Client.VerifyAll(ctx, known.Size, known.Root, progress)
	if err == nil { // it must be the history that the wallet follows
		err = v.Client.CheckPrefix(ctx, v.state.Pin.Size, v.state.Pin.Root, ledgerclient.Head{Size: c.Size, Root: c.Root})
	}
	return c, signatures, err
}
