package folder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/keeper"
	"golang.org/x/mod/sumdb/tlog"
)

// findings is damage, that of the lowest entry first.
type findings struct {
	mu  sync.Mutex
	all []*DamagedError
}

func (d *findings) add(file string, entry int64, what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := &DamagedError{File: file, Entry: entry, What: what}
	d.all = append(d.all, e)
	if earlier(e, d.all[0]) {
		d.all[0], d.all[len(d.all)-1] = e, d.all[0]
	}
}

// addError adds what is damage, and passes on any other error.
func (d *findings) addError(err error) error {
	if e := (*DamagedError)(nil); errors.As(err, &e) {
		d.add(e.File, e.Entry, e.What)
		return nil
	}
	return err
}

// verifyStore checks every byte that a reader of a payload would use: packages
// against commitments, payloads against packages, contents piece by piece, and
// the locators that lead to them. Damage goes into found.
//
// It holds no lock: leaves and payloads do not change once they are there. What
// is missing is looked for once more, since a record may be erased meanwhile.
// Payloads whose entries are not in the log are nobody's yet and are not looked
// at; nor does the store know of payloads that were never put.
func verifyStore(ctx context.Context, f *Folder, found *findings) error {
	s := store{f.ground()}
	if err := found.addError(s.packs.payloads.lookAgain()); err != nil {
		return err
	}
	var size uint64
	if err := f.View(ctx, func(v keeper.View) error { size = v.Head().Size; return nil }); err != nil {
		return err
	}
	var mu sync.Mutex
	withdrawn := map[contract.ID]bool{}
	err := f.eachLeaf(ctx, size, func(_ uint64, l *contract.Leaf) error {
		if l.Entry.Kind == contract.KindRecord && l.Entry.Flags&contract.FlagWithdrawn != 0 {
			mu.Lock()
			withdrawn[l.Entry.Subject] = true
			mu.Unlock()
		}
		return nil
	})
	if err != nil {
		return err
	}
	v := &storeVerifier{store: s, f: f, found: found}
	err = f.eachLeaf(ctx, size, func(index uint64, l *contract.Leaf) error {
		e := &l.Entry
		if len(partsOf(e)) > 0 && !withdrawn[e.Subject] && !withdrawn[e.ID(f.id)] {
			return v.entry(ctx, index, e)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := v.locators(ctx); err != nil {
		return err
	}
	return v.payloadPacks()
}

// eachLeaf calls fn with the leaves [0, size) on all cores, in no order.
func (f *Folder) eachLeaf(ctx context.Context, size uint64, fn func(uint64, *contract.Leaf) error) error {
	const step = 4096
	for from := uint64(0); from < size; from += step {
		leaves, err := f.Leaves(ctx, from, min(from+step, size))
		if err != nil {
			return err
		}
		var mu sync.Mutex
		var first error
		parallel(len(leaves), func(i int) bool {
			err := fn(from+uint64(i), &leaves[i])
			mu.Lock()
			defer mu.Unlock()
			if first == nil {
				first = err
			}
			return first == nil
		})
		if first != nil {
			return first
		}
	}
	return nil
}

type storeVerifier struct {
	store
	f     *Folder
	found *findings
}

// entry checks all payloads of one entry.
func (v *storeVerifier) entry(ctx context.Context, index uint64, e *contract.Entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	id := e.ID(v.ledger)
	problems, err := v.problems(id, e)
	if err != nil {
		return v.found.addError(err)
	}
	if len(problems) == 0 {
		return nil
	}
	if gone, err := v.withdrawnNow(ctx, id); err != nil || gone {
		return err
	}
	for _, p := range problems {
		v.found.add(v.relative(p.path), int64(index), p.what)
	}
	return nil
}

type problem struct{ path, what string }

const missing = "missing"

func (v *storeVerifier) problems(id contract.ID, e *contract.Entry) (found []problem, err error) {
	dir := v.blobDir(id)
	if files, err := v.readDir(dir); err != nil {
		return nil, err
	} else if len(files) == 0 {
		return v.packedProblems(id, e) // if a locator leads here, v.locators tells
	}
	beside, _, _, err := v.packedParts(id)
	if err != nil {
		return nil, err
	}
	var pkg []byte
	if e.Kind != contract.KindAccess {
		path := filepath.Join(dir, packageFile)
		if pkg, err = v.readFile(path, maxBlob); err != nil {
			return nil, err
		}
		if pkg == nil {
			return append(found, problem{path, missing}), nil
		}
	}
	for _, part := range partsOf(e) {
		path := filepath.Join(dir, part.String())
		if there, err := exists(path); err != nil {
			return nil, err
		} else if !there && len(beside) > 0 {
			if i := slices.IndexFunc(beside, func(p packedPayload) bool { return p.part == part }); i >= 0 && v.packedDamage(e, &beside[i]) == "" {
				continue // the other part was put again
			}
		}
		what, err := v.payload(path, e, pkg, part)
		if err != nil {
			return nil, err
		}
		if what != "" {
			found = append(found, problem{path, what})
		}
		path = filepath.Join(dir, locatorsFile(part))
		list, err := v.readFile(path, maxLocators)
		if err != nil {
			return nil, err
		}
		names, ok := parseLocators(list, id, part)
		if !ok {
			found = append(found, problem{path, "not the list of locators that was written"})
			continue
		}
		for _, name := range names {
			at, p, err := v.readLocator(name)
			var none *ledgerclient.NotFoundError
			switch {
			case errors.As(err, &none):
				found = append(found, problem{v.locatorFile(name), missing})
			case err == nil && (at != id || p != part):
				found = append(found, problem{v.locatorFile(name), "leads to another payload"})
			}
		}
	}
	return found, nil
}

// payload checks one payload and says what is wrong with it.
func (v *storeVerifier) payload(path string, e *contract.Entry, pkg []byte, part ledgerclient.Part) (what string, err error) {
	const other = "not what the entry commits to"
	var want crypto.Hash
	if part != ledgerclient.PartAccess {
		var reason ledgerclient.StoreReason
		if want, reason = committed(e, pkg, part); reason != "" {
			return other + " (or its package is not)", nil
		}
	}
	if part == ledgerclient.PartContent {
		p, err := contract.ParseRecordPackage(pkg)
		if err != nil {
			return other, nil
		}
		return v.contentDamage(path, &p)
	}
	blob, err := v.read(path, maxBlob)
	if errors.Is(err, fs.ErrNotExist) {
		return missing, nil
	}
	if d := (*DamagedError)(nil); errors.As(err, &d) {
		return d.What, nil
	}
	if err != nil {
		return "", err
	}
	hash := crypto.BlobHash(blob)
	if part == ledgerclient.PartAccess && contract.AccessCommitment(hash) == e.Commitment || want == hash {
		return "", nil
	}
	return other, nil
}

// contentDamage checks a content: its length, its list of piece hashes against
// the head, each piece against the list.
func (v *storeVerifier) contentDamage(path string, p *contract.RecordPackage) (what string, err error) {
	f, err := v.open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return missing, nil
	}
	if d := (*DamagedError)(nil); errors.As(err, &d) {
		return d.What, nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	size := int64(p.ContentSize)
	n := size / contract.PieceSize
	if size%contract.PieceSize != 0 {
		n++
	}
	if info.Size()-size != n*tlog.HashSize {
		return "not of the length that the entry commits to", nil
	}
	list := make([]byte, n*tlog.HashSize)
	if _, err := f.ReadAt(list, size); err != nil && err != io.EOF {
		return "", err
	}
	pieces := make([]crypto.Hash, n)
	for i := range pieces {
		pieces[i] = crypto.Hash(list[i*tlog.HashSize:])
	}
	if ledgerclient.ContentHead(pieces) != p.ContentHead {
		return "its list of pieces is not what the entry commits to", nil
	}
	buf := make([]byte, contract.PieceSize)
	for i := range pieces {
		piece := buf[:min(contract.PieceSize, size-int64(i)*contract.PieceSize)]
		if _, err := f.ReadAt(piece, int64(i)*contract.PieceSize); err != nil && err != io.EOF {
			return "", err
		}
		if crypto.Hash(tlog.RecordHash(piece)) != pieces[i] {
			return fmt.Sprintf("piece %d of %d is not what the entry commits to", i+1, n), nil
		}
	}
	return "", nil
}

// withdrawnNow tells whether the record that an entry belongs to was withdrawn
// by now, or the entry is not in the log.
func (v *storeVerifier) withdrawnNow(ctx context.Context, id contract.ID) (gone bool, err error) {
	err = v.f.View(ctx, func(view keeper.View) error {
		at, ok, err := view.Find(id)
		if err != nil || !ok {
			gone = !ok
			return err
		}
		leaf, err := view.Leaf(at)
		if err != nil || leaf.Entry.Kind != contract.KindRecord {
			return err
		}
		if !leaf.Entry.Opens() {
			if at, ok, err = view.Find(leaf.Entry.Subject); err != nil || !ok {
				return err
			}
		}
		state, err := view.State(at)
		gone = state.Status == contract.StatusClosed
		return err
	})
	return gone, err
}

// locators checks every locator's file, and that there is a payload where it
// leads.
func (v *storeVerifier) locators(ctx context.Context) error {
	files, err := v.readDir(v.path("store", "locators"))
	if err != nil {
		return v.found.addError(err)
	}
	for _, file := range files {
		id, part, err := v.readLocator(file.Name())
		var damaged *DamagedError
		var none *ledgerclient.NotFoundError
		switch {
		case errors.As(err, &damaged):
			v.found.add(damaged.File, NoEntry, damaged.What)
			continue
		case errors.As(err, &none):
			continue // erased meanwhile
		case err != nil:
			return err
		}
		path := filepath.Join(v.blobDir(id), part.String())
		if there, err := exists(path); err != nil {
			return err
		} else if there {
			continue
		}
		if gone, err := v.withdrawnNow(ctx, id); err != nil {
			return err
		} else if !gone {
			v.found.add(v.relative(path), NoEntry, missing)
		}
	}
	return nil
}

// verifyKeeper checks all that the keeper uses or shows: shares against the
// packages of their grants, revocations, acknowledgements and answers with their
// signatures. Damage goes into found. The lock is taken for one grant at a
// time.
func verifyKeeper(ctx context.Context, f *Folder, found *findings) error {
	v := &vaultVerifier{vault: vault{f.ground()}, public: f.config.Keepers[0], found: found}
	hours, err := v.readDir(v.path("keeper", "shares"))
	if err = found.addError(err); err != nil {
		return err
	}
	for _, hour := range hours {
		if err := v.each(ctx, v.path("keeper", "shares", hour.Name()), func(g grantOnLedger, _ string) string {
			return v.shareDamage(g, hour.Name())
		}); err != nil {
			return err
		}
	}
	if err := v.sharePacks(ctx); err != nil {
		return err
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
		if strings.HasSuffix(file.Name(), ".new") || strings.HasSuffix(file.Name(), ".gone") {
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

func (v *vaultVerifier) shareDamage(g grantOnLedger, hour string) string {
	if hour != strconv.FormatUint(uint64(g.entry.NotAfter), 10) {
		return "not under the end of its grant's window"
	}
	d, err := v.share(keeper.Grant{ID: g.id, NotAfter: g.entry.NotAfter})
	if err != nil || d == nil || d.Keeper != v.public || !keeper.CheckShare(d, v.ledger, &g.entry) {
		return "not a share that the grant's author deposited"
	}
	d.Share.Wipe()
	return ""
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
