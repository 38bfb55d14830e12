package wallet

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/wallet/atomicfile"
	"github.com/carekey/carekey/wallet/home"
	"github.com/carekey/carekey/wallet/payload"
)

// Every change goes through the journal: the signed entries and their small
// payloads are written to one sealed file before anything leaves the wallet, and
// the file is removed when all is done. Each step can be repeated without harm,
// so that finishing an interrupted batch is doing all of it again:
//
//	prepared   the file is in the journal
//	ordered    payloads in the store, entries in the log
//	deposited  the keepers have their shares, or know of the revocation
//	ready      the file is gone
//
// Batches go out in the order in which they were signed. One that cannot be ordered
// holds back those behind it, but for revocations of what the ledger shows already,
// which do not wait for anything else: not even for the journal. Where that cannot be
// written they are sent all the same, and who follows the ledger finds them there.
//
// A file that cannot be read is named and passed over: nobody knows what it holds, and
// nothing waits for it. A file of another name is nobody's.
type batch struct {
	V       int      `json:"v"`
	Told    bool     `json:"told,omitempty"` // every keeper has answered to the revocations
	Tag     string   `json:"tag,omitempty"`  // who is told what became of it, see Signed.Send
	Changes []change `json:"-"`

	name    string // of the file; "" if the batch could not be written
	ordered bool   // its entries are in the log, as far as they were not refused
	left    error  // why it is left in the journal
}

const batchVersion = 2

// Action says what a change does.
type Action string

const (
	AddingRecord   Action = "add record"
	UpdatingRecord Action = "update record"
	RemovingRecord Action = "remove record"
	Granting       Action = "grant"
	Revoking       Action = "revoke"
	Accessing      Action = "access"
	KeepingBook    Action = "keep contacts"
)

// change is one entry on its way.
type change struct {
	Action   Action            `json:"action"`
	Entry    []byte            `json:"entry"`
	Package  []byte            `json:"package,omitempty"`
	Blobs    []journalPut      `json:"blobs,omitempty"`
	Metadata *payload.Metadata `json:"metadata,omitempty"` // of a record version
	FileKey  *payload.FileKey  `json:"fileKey,omitempty"`  // of the same
	Terms    *payload.Terms    `json:"terms,omitempty"`    // of a grant
	Origin   *origin           `json:"origin,omitempty"`   // of a record version or a grant that is moved here

	entry   contract.Entry
	id      contract.ID
	outcome ledgerclient.Outcome
	err     error                          // refused, or given up
	acks    []ledgerclient.Acknowledgement // of a revocation, from before it was ordered
}

type journalPut struct {
	Part     ledgerclient.Part `json:"part"`
	Locators []payload.Locator `json:"locators"`
	Size     int               `json:"size"` // of Blob, in the journal
	Blob     []byte            `json:"-"`
}

// newChange signs nothing; the entry must be signed already.
func (w *Wallet) newChange(a Action, e contract.Entry, pkg []byte, blobs ...journalPut) change {
	raw := e.Marshal()
	return change{Action: a, Entry: raw[:], Package: pkg, Blobs: blobs, entry: e, id: e.ID(w.client.ID())}
}

// carryOut journals changes and brings them to their end. After it returns
// without an error each change has an outcome, or err says why it was refused.
// An error means that the batch stays in the journal and the next run goes on,
// unless it was without effect. It is a *PendingError if nothing is wrong but that a
// service is out of reach.
func (w *Wallet) carryOut(ctx context.Context, changes []change) error {
	if len(changes) == 0 {
		return nil
	}
	return w.carryOutBatch(ctx, &batch{V: batchVersion, Changes: changes})
}

// carryOutBatch is carryOut for a batch that may have a tag.
func (w *Wallet) carryOutBatch(ctx context.Context, b *batch) error {
	wait := w.view.behind
	if wait == nil && !w.overtakes(b) {
		wait = w.blocked()
	}
	ends := b.ends()
	if wait != nil && unreachable(wait) == nil && !ends {
		return wait
	}
	// The last moment at which nothing has happened.
	if err := ctx.Err(); err != nil {
		return err
	}
	b.name = w.batchName()
	if err := w.writeBatch(b); err != nil {
		if !ends {
			return err
		}
		b.name = ""
		w.view.unwritten = append(w.view.unwritten, err)
	}
	w.view.signed = make(map[contract.Entry]bool, len(b.Changes))
	defer func() { w.view.signed = nil }()
	for i := range b.Changes {
		w.view.signed[b.Changes[i].entry] = true
	}
	// From here on an interruption would only leave to the next run what takes
	// a moment now.
	ctx = context.WithoutCancel(ctx)
	err := w.tryNow(ctx, b, wait)
	if err == nil {
		return nil
	}
	if wait == nil && w.withoutEffect(ctx, b, err) {
		// The person is told that it failed, so it must not happen later.
		return errors.Join(err, w.forget(b))
	}
	if b.name == "" {
		return err // what is not in the journal does not wait
	}
	b.left = err
	w.waiting = append(w.waiting, b)
	if unreachable(err) != nil {
		return &PendingError{Err: err}
	}
	return err // what waits is told with the error
}

// tryNow brings a batch to its end, or as far as it goes if something is in the way:
// then the keepers are told of its revocations. It returns why it did not end.
func (w *Wallet) tryNow(ctx context.Context, b *batch, wait error) error {
	if wait == nil {
		return w.run(ctx, b)
	}
	w.tellKeepersOf(ctx, b)
	if u := unreachable(wait); b.ends() && (u == nil || u.Answered) && w.overtakes(b) {
		// The ledger is there, and what it shows cannot be believed, or it shows nothing
		// now. It is told all the same: a revocation harms nobody. Its answer would prove
		// nothing.
		w.client.Submit(ctx, b.entries())
	}
	return wait
}

// ends tells whether a batch does nothing but revoke consents that a person named.
func (b *batch) ends() bool {
	for i := range b.Changes {
		if b.Changes[i].Action != Revoking {
			return false
		}
	}
	return b.Tag == ""
}

func (b *batch) entries() []contract.Entry {
	out := make([]contract.Entry, len(b.Changes))
	for i := range b.Changes {
		out[i] = b.Changes[i].entry
	}
	return out
}

// batchName is the name of a new file in the journal: behind all others, whatever
// the clock says.
func (w *Wallet) batchName() string {
	at := uint64(w.now().UnixNano())
	if n := len(w.waiting); n > 0 {
		before, _, _ := strings.Cut(w.waiting[n-1].name, "-")
		if last, err := strconv.ParseUint(before, 16, 64); err == nil {
			at = max(at, last+1)
		}
	}
	var r [8]byte
	rand.Read(r[:])
	return fmt.Sprintf("%016x-%s", at, hex.EncodeToString(r[:]))
}

// overtakes tells whether a batch need not wait for those before it: it revokes
// only what the ledger shows.
func (w *Wallet) overtakes(b *batch) bool {
	for i := range b.Changes {
		if c := &b.Changes[i]; c.Action != Revoking || w.view.threads.find(c.entry.Subject) == nil {
			return false
		}
	}
	return true
}

// blocked is why nothing new can be begun at once; nil if it can.
func (w *Wallet) blocked() error {
	for _, b := range w.waiting {
		if len(b.Changes) > 0 && (!b.ordered || unreachable(b.left) == nil) {
			return b.left
		}
	}
	return nil
}

// Stuck returns why changes still wait in the journal; nil if none do.
func (w *Wallet) Stuck() error {
	for _, b := range w.waiting {
		if len(b.Changes) > 0 {
			return b.left
		}
	}
	return nil
}

// PassedOver returns why parts of the journal were passed over: an error for each file
// of the wallet's own that cannot be read, or one for the folder. What they hold may
// have been sent or not.
func (w *Wallet) PassedOver() (errs []error) {
	for _, b := range w.waiting {
		if len(b.Changes) == 0 {
			errs = append(errs, b.left)
		}
	}
	return errs
}

// withoutEffect tells whether a batch that has just failed left nothing that
// others could see. A revocation is never without effect: the keepers were told,
// and it is to reach the ledger as soon as it can. Nor is anything that an
// unreachable ledger may still order.
func (w *Wallet) withoutEffect(ctx context.Context, b *batch, err error) bool {
	if unreachable(err) != nil {
		return false
	}
	for i := range b.Changes {
		if b.Changes[i].Action == Revoking {
			return false
		}
	}
	if err := w.view.follow(ctx); err != nil {
		return false
	}
	for i := range b.Changes {
		if _, _, ordered := w.view.placed(b.Changes[i].id, b.Changes[i].entry.Subject); ordered {
			return false
		}
	}
	return true
}

// forget removes a batch from the journal.
func (w *Wallet) forget(b *batch) error {
	if b.name == "" {
		return nil
	}
	path := filepath.Join(w.home.Dir, w.journalFile(b.name))
	if err := os.Remove(path); err != nil {
		return err
	}
	return disk.SyncDir(filepath.Dir(path))
}

// run does all steps of a batch, whether or not some were done before, and
// removes it from the journal.
func (w *Wallet) run(ctx context.Context, b *batch) error {
	w.stopFirst(ctx, b)
	if err := w.renew(b); err != nil {
		return err
	}
	var puts []ledgerclient.Put
	for i := range b.Changes {
		c := &b.Changes[i]
		for _, p := range c.Blobs {
			put := ledgerclient.Put{Entry: c.entry, Package: c.Package, Part: p.Part, Blob: p.Blob}
			for _, l := range p.Locators {
				put.Locators = append(put.Locators, crypto.Locator(l))
			}
			puts = append(puts, put)
		}
	}
	if len(puts) > 0 {
		if err := w.client.Store.PutBlobs(ctx, puts); err != nil && !allWithdrawn(err) {
			return err
		}
	}
	if err := w.order(ctx, b); err != nil {
		return err
	}
	if err := w.view.follow(ctx); err != nil {
		return err
	}
	b.ordered = true // settle finds out whether it is
	if err := w.settle(ctx, b); err != nil {
		return err
	}
	if b.ends() {
		// All of it is on the ledger, where it is found again.
		w.trySave()
		if err := w.forget(b); err != nil {
			w.view.unwritten = append(w.view.unwritten, err)
		}
		return nil
	}
	if err := w.save(); err != nil {
		return err
	}
	if err := w.tell(b); err != nil {
		return err
	}
	return w.forget(b)
}

// allWithdrawn tells whether a store refused payloads only because their threads
// were withdrawn since the batch was begun: then they are to stay away.
func allWithdrawn(err error) bool {
	refused := []error{err}
	var b *ledgerclient.BatchError
	if errors.As(err, &b) {
		refused = b.Unwrap()
	}
	for _, e := range refused {
		var s *ledgerclient.StoreError
		if !errors.As(e, &s) || s.Reason != ledgerclient.Withdrawn {
			return false
		}
	}
	return true
}

// stopFirst tells the keepers of revocations before they are ordered, so that
// whoever orders cannot delay them. A keeper that cannot be reached does not
// keep the revocation from the ledger.
func (w *Wallet) stopFirst(ctx context.Context, b *batch) {
	var revocations []contract.Entry
	var of []*change
	b.Told = true
	for i := range b.Changes {
		c := &b.Changes[i]
		switch {
		case c.Action != Revoking:
		case w.view.threads.find(c.entry.Subject) == nil:
			// Ordered before its grant, by whoever was told, it would never count.
			b.Told = false
		default:
			c.acks = nil
			revocations, of = append(revocations, c.entry), append(of, c)
		}
	}
	if len(revocations) == 0 {
		return
	}
	for _, k := range w.client.Keepers {
		// What is refused, or not signed as it should be, is found again in settle,
		// which asks once more and reads the answers.
		acks, err := k.Revoke(ctx, revocations)
		if err != nil {
			b.Told = b.Told && unreachable(err) == nil
			continue
		}
		for j := range acks {
			if j < len(of) && acks[j].Verify(w.client.ID(), of[j].entry.Subject, k.Key()) == nil {
				of[j].acks = append(of[j].acks, acks[j])
			}
		}
	}
}

// tellKeepersOf tells the keepers of revocations that cannot be ordered now, unless
// they know.
func (w *Wallet) tellKeepersOf(ctx context.Context, b *batch) {
	if b.Told || !slices.ContainsFunc(b.Changes, func(c change) bool { return c.Action == Revoking }) {
		return
	}
	if w.stopFirst(ctx, b); b.Told {
		w.rewrite(b) // if it cannot be written they are told again: that does no harm
	}
}

// rewrite writes a batch anew that changed on its way. Revocations go on where that
// cannot be done: what the journal has of them has the same effect.
func (w *Wallet) rewrite(b *batch) error {
	if b.name == "" {
		return nil
	}
	err := w.writeBatch(b)
	if err != nil && b.ends() {
		w.view.unwritten = append(w.view.unwritten, err)
		return nil
	}
	return err
}

// renew signs removals of records anew that waited for so long that no ledger
// accepts them any more. Should what they replace be on the ledger after all, the
// rules let only one of the two through. The other changes that go stale mean
// nothing by then, or hold a content that the store has dropped: the ledger says so.
func (w *Wallet) renew(b *batch) error {
	changed := false
	for i := range b.Changes {
		c := &b.Changes[i]
		if c.Action != RemovingRecord || c.entry.NotAfter > w.view.ledgerHour() || !w.mustGetThrough(c) {
			continue
		}
		if _, _, ordered := w.view.placed(c.id, c.entry.Subject); ordered {
			continue
		}
		c.entry.NotBefore, c.entry.NotAfter = contract.Acceptance(w.view.ledgerHour())
		if err := w.signAnew(c); err != nil {
			return err
		}
		changed = true
	}
	if !changed {
		return nil
	}
	return w.writeBatch(b)
}

// signAnew signs a follow-up of a thread of one's own once more. Its tag is fresh: with
// the same one the signature, and so all bytes, would be the same again.
func (w *Wallet) signAnew(c *change) error {
	_, key := w.view.key(w.view.threads.find(c.entry.Subject))
	c.entry.SelfTag = w.view.tagger.Tag(crypto.NewNonce())
	if err := c.entry.Sign(w.client.ID(), key); err != nil {
		return err
	}
	raw := c.entry.Marshal()
	c.Entry, c.id = raw[:], c.entry.ID(w.client.ID())
	return nil
}

// order appends the entries that are not in the log yet: of a batch that was sent
// before and not answered, nobody knows. Sending one twice would do no harm, since
// a ledger knows an entry by its id. Contents that vanished from the store
// meanwhile, because too much time passed, end a change: without them its entry
// would promise what nobody has. A refusal counts only if the log shows its reason. A
// revocation or removal that can never come into the log as it is signed, because it
// was ordered before what it is about, is signed anew, once.
func (w *Wallet) order(ctx context.Context, b *batch) error {
	var at []int // of the changes
	for i := range b.Changes {
		c := &b.Changes[i]
		if index, hour, ordered := w.view.placed(c.id, c.entry.Subject); ordered {
			c.outcome = ledgerclient.Outcome{ID: c.id, Index: index, Hour: hour, Duplicate: true}
			continue
		}
		if c.Metadata != nil {
			blob, err := w.client.Store.Blob(ctx, crypto.Locator(c.Metadata.Content))
			var none *ledgerclient.NotFoundError
			if errors.As(err, &none) {
				c.err = &MissingError{What: "content", ID: c.id}
				continue
			}
			if err != nil {
				return err
			}
			blob.Close()
		}
		at = append(at, i)
	}
	anew := map[int]bool{}
	again := func(i int) error {
		anew[i] = true
		if err := w.signAnew(&b.Changes[i]); err != nil {
			return err
		}
		return w.rewrite(b)
	}
	for len(at) > 0 {
		entries := make([]contract.Entry, len(at))
		for j, i := range at {
			entries[j] = b.Changes[i].entry
		}
		outcomes, err := w.client.Submit(ctx, entries)
		if spent := (*ledgerclient.SpentError)(nil); errors.As(err, &spent) {
			j := slices.IndexFunc(at, func(i int) bool { return b.Changes[i].id == spent.Entry })
			if j < 0 || anew[at[j]] {
				return err
			}
			if c := &b.Changes[at[j]]; !w.mustGetThrough(c) {
				c.err = err
				at = slices.Delete(at, j, j+1)
			} else if err := again(at[j]); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if slices.ContainsFunc(outcomes, func(o ledgerclient.Outcome) bool { return o.Refusal != nil }) {
			if err := w.view.follow(ctx); err != nil {
				return err
			}
		}
		var left []int
		for j, o := range outcomes {
			i := at[j]
			c := &b.Changes[i]
			c.outcome = o
			if o.Refusal == nil {
				continue
			}
			rightly, err := w.refuses(c, o.Refusal.Hour)
			switch {
			case err != nil:
				return err
			case rightly:
				c.err = &RefusedError{By: "ledger", Rule: o.Refusal.Rule, Hour: o.Refusal.Hour, Consent: c.consent(), Giving: c.Action == Granting}
			case o.Refusal.Rule != contract.RuleUnknownSubject || anew[i] || !w.mustGetThrough(c):
				return &ledgerclient.TamperedError{What: "answer to a submission", Err: fmt.Errorf("entry %s is refused, by rule %s, and the log shows no reason", c.id, o.Refusal.Rule)}
			default: // ordered before what it is about
				if err := again(i); err != nil {
					return err
				}
				left = append(left, i)
			}
		}
		at = left
	}
	return nil
}

// mustGetThrough tells whether a change is signed anew when its bytes can never come
// into the log, though nothing forbids what they say. All others can be made again.
func (w *Wallet) mustGetThrough(c *change) bool {
	return (c.Action == Revoking || c.Action == RemovingRecord) && w.view.threads.find(c.entry.Subject) != nil
}

// refuses tells whether the contract refuses a change at that hour, in the log that
// this wallet has followed: a refusal is not believed without its reason.
func (w *Wallet) refuses(c *change, hour contract.Hour) (bool, error) {
	var s contract.State
	if t := w.view.threads.find(c.entry.Subject); t != nil {
		var err error
		if s, err = w.view.judged(t); err != nil {
			return false, err
		}
	}
	_, err := contract.Apply(w.client.Params(), s, &c.entry, c.id, w.view.state.Pin.Size, hour)
	var r *contract.Refusal
	if errors.As(err, &r) {
		return true, nil
	}
	return false, err
}

// consent is the grant that a change concerns; zero for records.
func (c *change) consent() contract.ID {
	switch c.Action {
	case Granting:
		return c.id
	case Revoking, Accessing:
		return c.entry.Subject
	}
	return contract.ID{}
}

// settle does what follows once the entries are in the log: what the wallet
// knows of them goes to the cache, shares to the keepers, withdrawn content away.
func (w *Wallet) settle(ctx context.Context, b *batch) error {
	var grants []*change
	var revocations []contract.Entry
	for i := range b.Changes {
		c := &b.Changes[i]
		if c.err != nil {
			continue
		}
		t := w.view.threads.find(c.opening())
		if _, _, ordered := w.view.placed(c.id, c.entry.Subject); !ordered {
			return &ledgerclient.TamperedError{What: "answer to a submission", Err: fmt.Errorf("entry %s is not in the log", c.id)}
		}
		switch c.Action {
		case AddingRecord, UpdatingRecord, KeepingBook:
			n := t.versionOf(c.id)
			if n > 0 && t.versions[n-1] == nil {
				said := *c.Metadata
				said.Version = n // another machine's version may have come between
				if err := w.view.noteDescription(t, n, &said); err != nil {
					return err
				}
			}
			if n > 0 && c.Origin != nil {
				w.arrived(c.Origin, movedTo{t.id, n})
			}
			if n > 0 && t.keys[n-1] == nil && c.FileKey != nil {
				w.view.noteKey(t, n, *c.FileKey)
			}
		case Granting:
			if t.terms == nil {
				if err := w.view.noteTerms(t, c.Terms); err != nil {
					return err
				}
			}
			if c.Origin != nil {
				w.arrived(c.Origin, movedTo{ID: c.id})
			}
			grants = append(grants, c)
		case Revoking:
			revocations = append(revocations, c.entry)
		case RemovingRecord:
			if err := w.client.Store.Erase(ctx, c.entry); err != nil {
				return err
			}
		}
	}
	if err := w.deposit(ctx, grants); err != nil {
		return err
	}
	if len(revocations) > 0 {
		if _, err := w.tellKeepers(ctx, revocations); err != nil {
			return err
		}
	}
	return nil
}

// versionOf is the number of the record version that an entry entered; 0 if it is
// none of this thread's.
func (t *thread) versionOf(id contract.ID) int {
	if t.id == id {
		return 1
	}
	n := 1
	for _, f := range t.past() {
		if f.kind == contract.KindRecord && f.flags&contract.FlagWithdrawn == 0 {
			n++
			if f.id == id {
				return n
			}
		}
	}
	return 0
}

// finishJournal brings to an end what an interrupted run left in the journal.
// noLock is why the lock is not held: then it is only read, for another process may be
// at it.
func (w *Wallet) finishJournal(ctx context.Context, noLock error) {
	w.waiting = nil
	names, err := w.journalNames(noLock == nil)
	if err != nil {
		w.waiting = []*batch{{left: err}}
		return
	}
	for _, name := range names {
		b, err := w.readBatch(name)
		if err != nil {
			w.waiting = append(w.waiting, &batch{name: name, left: err})
			continue
		}
		if noLock != nil {
			b.left = noLock
			w.waiting = append(w.waiting, b)
			continue
		}
		wait := w.view.behind
		if wait == nil && !w.overtakes(b) {
			wait = w.blocked()
		}
		if b.left = w.tryNow(ctx, b, wait); b.left != nil {
			w.waiting = append(w.waiting, b)
			continue
		}
		if b.Tag != "" {
			continue // who sent it is told
		}
		for i := range b.Changes {
			w.finished = append(w.finished, Finished{Action: b.Changes[i].Action, ID: b.Changes[i].id, Err: b.Changes[i].err})
		}
	}
}

// pending lists what is in the journal.
func (w *Wallet) pending() []Pending {
	var out []Pending
	for _, b := range w.waiting {
		for i := range b.Changes {
			out = append(out, Pending{Action: b.Changes[i].Action, ID: b.Changes[i].id, Err: b.left})
		}
	}
	return out
}

// journalFile is the name of a batch's file in the profile's folder.
func (w *Wallet) journalFile(name string) string {
	return filepath.Join(w.home.In(home.JournalDir), name)
}

// isJournalName tells whether a name is one that batchName gives. Others are not the
// wallet's.
func isJournalName(name string) bool {
	at, random, _ := strings.Cut(name, "-")
	isHex := func(s string) bool { return len(s) == 16 && strings.Trim(s, "0123456789abcdef") == "" }
	return isHex(at) && isHex(random)
}

// journalNames returns the journal's files, oldest first. Half-written files, there
// and in the folders above, are removed if tidy: under the lock nobody is writing them.
func (w *Wallet) journalNames(tidy bool) ([]string, error) {
	dir := filepath.Join(w.home.Dir, w.home.In(home.JournalDir))
	for _, d := range []string{w.home.Dir, filepath.Join(w.home.Dir, w.home.Ledger), dir} {
		beside, err := disk.ReadDir(d)
		if err != nil || !tidy {
			continue // what matters of it is said below
		}
		for _, e := range beside {
			if atomicfile.IsTemp(e) {
				os.Remove(filepath.Join(d, e.Name())) // garbage: the next run tries again
			}
		}
	}
	entries, err := disk.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, os.Mkdir(dir, 0o700)
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if isJournalName(e.Name()) {
			names = append(names, e.Name())
		}
	}
	sort.Strings(names)
	return names, nil
}
