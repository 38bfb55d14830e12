package wallet

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/view"
)

// A consent has the keepers of the document that was in force where it came onto the
// ledger, with its numbers, whoever joins or leaves later. They are asked at the same time.
// What one of them answers wrongly, or does not answer, is noted under its key, and the
// others go on: as long as one answers, none of them is the error of what was asked.

// desk is one keeper with the consents that it is asked about.
type desk struct {
	ledgerclient.Keeper
	key  crypto.PubKey
	mute error // why it is not asked again, see view.View.Mute
	of   []about
}

// about is a consent that a keeper is asked about: which of those that are looked at, and
// which line the keeper has in its document.
type about struct {
	i, line int
	config  *contract.Config
}

func (a about) name() string { return ledgerclient.KeeperName(a.config, a.line) }

// near is the keeper if it is at hand.
func (d *desk) near() (ledgerclient.NearKeeper, bool) {
	near, ok := d.Keeper.(ledgerclient.NearKeeper)
	return near, ok
}

// desks are the keepers of consents, each once.
func (cs Consents) desks(ts []*view.Thread) (all []*desk) {
	at := map[crypto.PubKey]*desk{}
	for i, t := range ts {
		_, c := cs.w.client.ConfigAt(t.Index)
		for line, key := range c.Keepers {
			d := at[key]
			if d == nil {
				d = &desk{Keeper: cs.w.client.Keeper(key), key: key, mute: cs.w.view.Mute(key)}
				at[key], all = d, append(all, d)
			}
			d.of = append(d.of, about{i, line, c})
		}
	}
	return all
}

// threadsOf are the consents that a keeper is asked about.
func (d *desk) threadsOf(ts []*view.Thread) []*view.Thread {
	out := make([]*view.Thread, len(d.of))
	for n, a := range d.of {
		out[n] = ts[a.i]
	}
	return out
}

// askAll asks keepers at the same time. ask asks one of them: it runs beside the others, and
// returns why there is no answer, to each of desk.of, and keeps those that there are. take is
// called for each of these, by who called askAll, and returns why it was not answered, or is
// not to be believed. The worst of a keeper is noted. Once enough is true the keepers that are
// left have as long as rest.
func (cs Consents) askAll(ctx context.Context, desks []*desk, rest time.Duration, ask func(ctx context.Context, d *desk) []error, take func(d *desk, n int, err error) error, enough func() bool) {
	errs := make([][]error, len(desks))
	ledgerclient.AskAll(ctx, len(desks), rest, func(ctx context.Context, i int) error {
		errs[i] = ask(ctx, desks[i])
		for n, err := range errs[i] {
			errs[i][n] = ledgerclient.Waited(ctx, err)
		}
		return nil
	}, func(i int, _ error) bool {
		d := desks[i]
		var failed error
		for n := range d.of {
			failed = worseOf(failed, take(d, n, errs[i][n]))
		}
		if failed != nil {
			cs.w.view.Failed(d.key, failed)
		}
		return enough()
	})
}

// worseOf is the first error that is more than silence, else the first.
func worseOf(a, b error) error {
	if a == nil || ledgerclient.Unreachable(a) != nil && b != nil && ledgerclient.Unreachable(b) == nil {
		return b
	}
	return a
}

// held is what the keepers say of their shares of a grant, of one's own or received.
type held struct {
	held, ended, none int             // how many hold theirs, have stopped or destroyed it, have none
	err               error           // why another does not say it: the first
	lost              []crypto.PubKey // of none: who had acknowledged its share, as far as is known
}

// shares asks the keepers about their shares of grants. A keeper that does not see a grant
// on the ledger yet has none. With k, as many as hold a share of each are enough; without, all
// are asked.
func (cs Consents) shares(ctx context.Context, ts []*view.Thread, k []int) ([]held, error) {
	out := make([]held, len(ts))
	desks := cs.desks(ts)
	questions, err := cs.stateQuestions(desks, ts)
	if err != nil {
		return nil, err
	}
	states := map[*desk][]ledgerclient.KeeperState{}
	for _, d := range desks {
		states[d] = make([]ledgerclient.KeeperState, len(d.of))
	}
	type over struct {
		d   *desk
		i   int // of ts
		err error
	}
	var ended []over
	rest, answered := time.Duration(0), false
	if k == nil {
		rest = ledgerclient.Patience
	}
	cs.askAll(ctx, desks, rest, func(ctx context.Context, d *desk) []error {
		return d.states(ctx, ts, questions[d], states[d])
	}, func(d *desk, n int, err error) error {
		h := &out[d.of[n].i]
		e, refused := errors.AsType[*ledgerclient.KeeperError](err)
		switch s := states[d][n]; {
		case refused && e.Code == ledgerclient.UnknownGrant:
			h.none++
		case err != nil:
			h.err = cmp.Or(h.err, err)
			return err
		case s.Ended != 0:
			h.ended++
			ended = append(ended, over{d, d.of[n].i, &ledgerclient.KeeperError{Grant: ts[d.of[n].i].ID, Code: ledgerclient.Revoked}})
		case s.Held:
			h.held++
		default:
			h.none++
			if ts[d.of[n].i].Unheld>>d.of[n].line&1 == 0 {
				h.lost = append(h.lost, d.key)
			}
		}
		answered = true
		return nil
	}, func() bool {
		if k == nil {
			return answered
		}
		for i := range out {
			if out[i].held < k[i] {
				return false
			}
		}
		return true
	})
	// Enough say that they hold theirs, and the ledger that it is open.
	for _, x := range ended {
		if t := ts[x.i]; t.Status == contract.StatusOpen && out[x.i].held >= int(cs.w.keepersOf(t).Release) && cs.w.Changes().action(t.ID) != Revoking {
			cs.w.view.Failed(x.d.key, x.err)
		}
	}
	return out, nil
}

// stateQuestions asks each keeper that is not near about its shares, signed with the key that
// one has of each grant.
func (cs Consents) stateQuestions(desks []*desk, ts []*view.Thread) (map[*desk][]ledgerclient.Inquiry, error) {
	questions := map[*desk][]ledgerclient.Inquiry{}
	if allNear(desks) {
		return questions, nil // nobody is to sign
	}
	sign := make([]func(*ledgerclient.Inquiry) error, len(ts))
	for i, t := range ts {
		if !t.Got() {
			_, key, err := cs.w.view.Key(t)
			if err != nil {
				return nil, err
			}
			sign[i] = func(q *ledgerclient.Inquiry) error { q.SignState(key); return nil }
			continue
		}
		keys, err := cs.w.Inbox().oneTimeKeys(t)
		if err != nil {
			return nil, err
		}
		sign[i] = func(q *ledgerclient.Inquiry) error {
			by := signer{Counterparty: keys}
			q.SignState(&by)
			return by.err
		}
	}
	for _, d := range desks {
		if _, near := d.near(); near {
			continue
		}
		qs := make([]ledgerclient.Inquiry, len(d.of))
		for n, a := range d.of {
			qs[n] = cs.inquiry(d.key, ts[a.i])
			if err := sign[a.i](&qs[n]); err != nil {
				return nil, err
			}
		}
		questions[d] = qs
	}
	return questions, nil
}

// states asks a keeper, and sets what it says of each grant of its desk; the errors are why it
// does not.
func (d *desk) states(ctx context.Context, ts []*view.Thread, questions []ledgerclient.Inquiry, says []ledgerclient.KeeperState) []error {
	errs := make([]error, len(d.of))
	if d.mute != nil {
		for n := range errs {
			errs[n] = d.mute
		}
		return errs
	}
	near, ok := d.near()
	if !ok {
		ledgerclient.States(ctx, d.Keeper, questions, func(n int, s ledgerclient.KeeperState, err error) error {
			says[n], errs[n] = s, err
			return nil
		})
		return errs
	}
	some, whys, err := near.StateAll(ctx, idsOf(d.threadsOf(ts)))
	for n := range d.of {
		if errs[n] = err; err == nil {
			says[n], errs[n] = some[n], whys[n]
		}
	}
	return errs
}

// tellLost notes which keepers of consents say that they have no share, who had acknowledged it:
// they are given it again ten minutes after keepers were given shares last, or at once by sync;
// see Changes.complete. It returns the consents of which one does.
func (cs Consents) tellLost(ts []*view.Thread, said []held) (lost []*view.Thread) {
	for i, t := range ts {
		if cs.statusOf(t) != StatusActive || len(said[i].lost) == 0 {
			continue
		}
		k, keepers := cs.w.view.Keeping(t), cs.w.keepersOf(t).Keepers
		for _, key := range said[i].lost {
			cs.w.view.Failed(key, &ledgerclient.KeeperError{Grant: t.ID, Code: ledgerclient.NoShare})
			k.Unheld |= 1 << slices.Index(keepers, key)
		}
		if len(keepers) > 1 {
			cs.w.view.NoteKeeping(t, k)
			lost = append(lost, t)
		}
	}
	return lost
}

// inquiry is a fresh question to a keeper about a grant; it is not signed yet.
func (cs Consents) inquiry(keeper crypto.PubKey, t *view.Thread) ledgerclient.Inquiry {
	q := ledgerclient.Inquiry{Ledger: cs.w.client.ID(), Keeper: keeper, Grant: t.ID}
	rand.Read(q.Nonce[:])
	return q
}

// inquired is what the keepers filed about a grant.
type inquired struct {
	answers []answered    // of those that answered, by their lines
	silent  []Keeper      // the others
	asOf    contract.Hour // of answers that were kept: when they were asked; else 0
	err     error         // why the answer of one is not known: of the first
}

// answered is what a keeper filed.
type answered struct {
	Keeper
	ledgerclient.InquiryAnswer
}

// Open consents are asked about each time. What the keepers said of one that has ended, and
// whose shares they destroyed, is kept: they can refuse attempts after that too, and no answer
// says that they will not, so that it is shown with its hour.

// isKept reports whether what the keepers said of a consent is kept.
func (cs Consents) isKept(t *view.Thread) bool {
	return t.Asked() != 0 && cs.isOver(t) && !cs.atHand(t)
}

func (cs Consents) isOver(t *view.Thread) bool {
	s := cs.statusOf(t)
	return s == StatusRevoked || s == StatusExpired
}

// kept is what is kept of the keepers' answers about a consent; nil if nothing is, or it
// cannot be read.
func (cs Consents) kept(t *view.Thread) *inquired {
	if !cs.isKept(t) {
		return nil
	}
	filed, err := cs.w.view.Told(t)
	config := cs.w.keepersOf(t)
	if err != nil || !slices.EqualFunc(filed, config.Keepers, func(f view.Filed, k crypto.PubKey) bool { return f.Keeper == k }) {
		return nil
	}
	q := &inquired{asOf: t.Asked()}
	for line := range filed {
		f := &filed[line]
		q.answers = append(q.answers, answered{keeperOf(config, line), ledgerclient.InquiryAnswer{Refused: f.Refused, More: f.More, Acks: f.Acks}})
	}
	return q
}

// keep keeps what the keepers said of a consent just now, if it is over for all of them; with
// onlyNew not that they say the same as before.
func (cs Consents) keep(t *view.Thread, q *inquired, onlyNew bool) {
	if !cs.isOver(t) || cs.atHand(t) {
		return
	}
	filed := make([]view.Filed, len(q.answers))
	for i, a := range q.answers {
		if !slices.ContainsFunc(a.Acks, func(a ledgerclient.Acknowledgement) bool { return a.End == ledgerclient.DestroyedShare }) {
			return
		}
		filed[i] = view.Filed{Keeper: a.Key, Refused: a.Refused, More: a.More, Acks: a.Acks}
	}
	cs.w.view.NoteTold(t, cs.w.view.OpenHour(), filed, onlyNew)
}

// inquire asks the keepers of grants of one's own what they filed about these. Each answer is
// signed over a fresh question and all that it holds, so that an attempt that was filed cannot
// be left out on the way.
func (cs Consents) inquire(ctx context.Context, ts ...*view.Thread) []inquired {
	out := make([]inquired, len(ts))
	keys := make([]*crypto.PrivateKey, len(ts))
	desks := cs.desks(ts)
	if !allNear(desks) {
		for i, t := range ts {
			_, keys[i], out[i].err = cs.w.view.Key(t)
		}
	}
	questions := map[*desk][]ledgerclient.Inquiry{}
	said := map[*desk][]ledgerclient.InquiryAnswer{}
	for _, d := range desks {
		// Nobody is asked about what cannot be signed for.
		d.of = slices.DeleteFunc(d.of, func(a about) bool { return out[a.i].err != nil })
		said[d] = make([]ledgerclient.InquiryAnswer, len(d.of))
		if _, near := d.near(); near {
			continue
		}
		qs := make([]ledgerclient.Inquiry, len(d.of))
		for n, a := range d.of {
			qs[n] = cs.inquiry(d.key, ts[a.i])
			ledgerclient.Sign(&qs[n], keys[a.i])
		}
		questions[d] = qs
	}
	any := false
	cs.askAll(ctx, desks, ledgerclient.Patience, func(ctx context.Context, d *desk) []error {
		errs, mine := make([]error, len(d.of)), said[d]
		near, ok := d.near()
		switch {
		case d.mute != nil:
			for n := range errs {
				errs[n] = d.mute
			}
		case ok:
			some, whys, err := near.FiledAll(ctx, idsOf(d.threadsOf(ts)))
			for n := range d.of {
				if errs[n] = err; err == nil {
					mine[n], errs[n] = some[n], whys[n]
				}
			}
		case len(d.of) > 0:
			ledgerclient.Inquiries(ctx, d.Keeper, questions[d], func(n int, a ledgerclient.InquiryAnswer, err error) error {
				mine[n], errs[n] = a, err
				return nil
			})
		}
		return errs
	}, func(d *desk, n int, err error) error {
		of := d.of[n]
		t, a := ts[of.i], &said[d][n]
		if err == nil {
			if _, near := d.near(); near {
				err = cs.verifyFiled(of.name(), d.key, t, a)
			} else {
				err = cs.verifyAnswer(of.name(), t, &questions[d][n], a)
			}
		}
		if err == nil {
			err = cs.w.view.SameLog(ctx, d.key, a.Size, a.Root)
		}
		q := &out[of.i]
		if err == nil {
			any, q.answers = true, append(q.answers, answered{keeperOf(of.config, of.line), *a})
			return nil
		}
		q.silent = append(q.silent, keeperOf(of.config, of.line))
		q.err = worseOf(q.err, err)
		cs.w.view.SetMute(d.key, err)
		return err
	}, func() bool { return any })
	for i := range out {
		q := &out[i]
		byLine := func(a, b Keeper) int { return cmp.Compare(a.Number, b.Number) }
		slices.SortFunc(q.answers, func(a, b answered) int { return byLine(a.Keeper, b.Keeper) })
		slices.SortFunc(q.silent, byLine)
		if q.err != nil && len(q.answers) > 0 && ledgerclient.Unreachable(q.err) == nil && ctx.Err() == nil {
			// Others answered: what this one said is no answer, and what it knows is not known.
			q.err = &ledgerclient.UnreachableError{Service: "keeper", Err: q.err, Answered: true, Damaged: !is[*ledgerclient.KeeperError](q.err)}
		}
	}
	return out
}

// allNear reports whether all keepers are at hand.
func allNear(desks []*desk) bool {
	return !slices.ContainsFunc(desks, func(d *desk) bool { _, near := d.near(); return !near })
}

// atHand reports whether all keepers of a consent are.
func (cs Consents) atHand(t *view.Thread) bool {
	return !slices.ContainsFunc(cs.w.keepersOf(t).Keepers, func(key crypto.PubKey) bool {
		_, near := cs.w.client.Keeper(key).(ledgerclient.NearKeeper)
		return !near
	})
}

func idsOf(ts []*view.Thread) []contract.ID {
	ids := make([]contract.ID, len(ts))
	for i, t := range ts {
		ids[i] = t.ID
	}
	return ids
}
