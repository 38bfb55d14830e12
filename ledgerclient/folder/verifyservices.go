package folder

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/keeper"
)

// verifyKeeper checks all that the keeper uses or shows: shares against the
// packages of their grants, revocations, acknowledgements and answers with their
// signatures. Damage goes into found. The lock is taken for one grant at a
// time.
func verifyKeeper(ctx context.Context, f *Folder, found *findings) error {
	v := &vaultVerifier{vault: vault{f.ground()}, public: f.config.Keepers[0], found: found}
	hours, err := v.vault.shares.hours()
	if err = found.addError(err); err != nil {
		return err
	}
	for _, end := range hours {
		if err := v.shares(ctx, end); err != nil {
			return err
		}
	}
	if err := v.roomDamage(ctx); err != nil {
		return err
	}
	for dir, check := range map[string]func(grantOnLedger, string) string{
		"stops":   v.stopDamage,
		"answers": v.answersDamage,
		"acks":    v.acksDamage,
	} {
		if err := v.each(ctx, v.path("keeper", dir), check); err != nil {
			return err
		}
	}
	return nil
}

// roomDamage checks the stops and acknowledgements that there was no room for. What is
// behind them was being added, or has gone where it belongs.
func (v *vaultVerifier) roomDamage(ctx context.Context) error {
	return v.lock.read(ctx, func(snap snapshot) error {
		bad := func(what string) { v.found.add(v.relative(v.roomFile()), NoEntry, what) }
		r, err := v.room()
		if damaged := (*DamagedError)(nil); errors.As(err, &damaged) {
			bad(damaged.What)
			return nil
		}
		raw, rerr := v.readFile(v.roomFile(), roomSlots*slotSize+1)
		if err := errors.Join(err, rerr); err != nil || raw == nil {
			return err
		}
		if len(raw) != roomSlots*slotSize {
			bad("not of the length that was written")
			return nil
		}
		grant := func(id contract.ID) (g grantOnLedger, ok bool, err error) {
			at, ok, err := snap.Find(id)
			if err != nil || !ok {
				return g, false, err
			}
			leaf, err := snap.Leaf(at)
			return grantOnLedger{id, leaf.Entry}, leaf.Entry.Kind == contract.KindGrant, err
		}
		for i := range r.stops {
			if g, ok, err := grant(r.stops[i].Subject); err != nil {
				return err
			} else if !ok || !v.stops(&r.stops[i], g) {
				bad("not a revocation by a grant's author")
			}
		}
		for i := range r.acks {
			if r.acks[i].Verify(v.ledger, r.acks[i].Grant, v.public) != nil {
				bad("not an acknowledgement that was signed")
			}
		}
		return nil
	})
}

type vaultVerifier struct {
	vault
	public crypto.PubKey
	found  *findings
}

// grantOnLedger is a grant as its file name tells and as the log has it.
type grantOnLedger struct {
	id    contract.ID
	entry contract.Entry
}

// each calls check with the file of each grant in a folder and reports what it
// says is wrong.
func (v *vaultVerifier) each(ctx context.Context, dir string, check func(g grantOnLedger, path string) (what string)) error {
	files, err := v.readDir(dir)
	if err != nil {
		return v.found.addError(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file.Name(), ".new") {
			continue // what a killed process left: nothing reads it
		}
		path := filepath.Join(dir, file.Name())
		bad := func(what string) { v.found.add(v.relative(path), NoEntry, what) }
		id, ok := unhex(file.Name())
		if !ok {
			bad("not named after a grant")
			continue
		}
		err := v.lock.read(ctx, func(snap snapshot) error {
			at, ok, err := snap.Find(id)
			if err != nil {
				return err
			}
			g := grantOnLedger{id: id}
			if ok {
				leaf, err := snap.Leaf(at)
				if err != nil {
					return err
				}
				g.entry = leaf.Entry
			}
			if g.entry.Kind != contract.KindGrant {
				bad("there is no such grant in the log")
				return nil
			}
			if there, err := exists(path); err != nil || !there {
				return err // destroyed meanwhile
			}
			if what := check(g, path); what != "" {
				bad(what)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// shares checks the shares of grants whose windows end in an hour.
func (v *vaultVerifier) shares(ctx context.Context, end contract.Hour) error {
	path := v.vault.shares.path(end)
	var grants []*contract.Entry
	look := func(records []segRecord) error {
		grants = make([]*contract.Entry, len(records))
		return v.lock.read(ctx, func(snap snapshot) error {
			for i := range records {
				if len(records[i].keys) == 0 {
					continue
				}
				at, ok, err := snap.Find(contract.ID(records[i].keys[0]))
				if err != nil {
					return err
				}
				if !ok {
					continue
				}
				leaf, err := snap.Leaf(at)
				if err != nil {
					return err
				}
				grants[i] = &leaf.Entry
			}
			return nil
		})
	}
	return v.found.verifySegment(v.ground, path, look, func(i int, r *segRecord, body []byte) error {
		e := grants[i]
		d, err := ledgerclient.ParseDeposit(body)
		if err != nil || e == nil || e.Kind != contract.KindGrant || e.NotAfter != end || d.Keeper != v.public || !keeper.CheckShare(&d, v.ledger, e) {
			v.found.add(v.relative(path), NoEntry, "not a share that a grant's author deposited")
		}
		d.Share.Wipe()
		return nil
	})
}

func (v *vaultVerifier) stopDamage(g grantOnLedger, path string) string {
	raw, err := v.readFile(path, maxStop)
	if err != nil {
		return err.Error()
	}
	e, err := contract.ParseEntry(raw)
	if err != nil || !v.stops(&e, g) {
		return "not a revocation by the grant's author"
	}
	return ""
}

// stops tells whether an entry is a revocation of that grant by its author.
func (v *vaultVerifier) stops(e *contract.Entry, g grantOnLedger) bool {
	return e.Kind == contract.KindRevoke && e.Subject == g.id && e.Author == g.entry.Author &&
		contract.CheckShape(e) == nil && contract.CheckSignature(v.ledger, e) == nil
}

func (v *vaultVerifier) answersDamage(g grantOnLedger, _ string) string {
	filed, _, err := v.filed(g.id)
	if err != nil {
		return "not the answers that were written"
	}
	for i := range filed {
		r := &filed[i]
		if r.Verify(v.ledger, v.public) != nil || r.Request.Access.Author != g.entry.Counterparty {
			return fmt.Sprintf("refused request %d is not what was signed", i+1)
		}
	}
	return ""
}

func (v *vaultVerifier) acksDamage(g grantOnLedger, _ string) string {
	acks, err := v.acks(g.id, roomed{})
	if err != nil {
		return "not the acknowledgements that were written"
	}
	for i := range acks {
		if acks[i].Verify(v.ledger, g.id, v.public) != nil {
			return fmt.Sprintf("acknowledgement %d is not what was signed", i+1)
		}
	}
	return ""
}
