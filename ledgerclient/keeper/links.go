package keeper

import (
	"context"
	"crypto/subtle"
	"errors"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// A link is a grant to a wallet that exists only in the link. Whoever has it is let in by
// the node that keeps it, so often as the deposit says: these are the rules of that, and
// the count, which is durable before anything is given. How it is opened is the node's.
//
// What is kept opens nothing: the link's id, from which its wallet's keys derive, is not
// there, nor is the key of its content.

// LinkVault keeps links. What a method has done when it returns is durable. All methods are
// safe for concurrent use, by one process.
type LinkVault interface {
	// Kept calls fn with each link that was kept, without its file, and with its steps in
	// their order; whole says that these are all. With an error too it calls it with what
	// can be read.
	Kept(ctx context.Context, fn func(d ledgerclient.LinkDeposit, hash crypto.Hash, steps []LinkStep, whole bool)) error
	// Has reports whether there is anything of a grant's link, also where not all of it can be
	// read.
	Has(ctx context.Context, grant contract.ID) (bool, error)
	// Steps are those of one link.
	Steps(ctx context.Context, grant contract.ID) ([]LinkStep, error)
	// Keep keeps a link.
	Keep(ctx context.Context, d *ledgerclient.LinkDeposit) error
	// Add takes down a step of a link.
	Add(ctx context.Context, grant contract.ID, step LinkStep) error
	// File is what is behind a link; nil if it was erased.
	File(ctx context.Context, grant contract.ID) ([]byte, error)
	// Erase overwrites the file of a link.
	Erase(ctx context.Context, grant contract.ID) error
}

// LinkStep is what is taken down of an opening: that a place was taken, and what became of
// it. Of a place of which nothing more is known somebody may have had what is behind the link.
type LinkStep struct {
	What   LinkStepKind
	Number uint32 // of the place, counted from 1; of LinkTurnedAway 0
	At     uint64 // seconds since 1970: when the place was taken
	By     string // what was typed; of LinkTaken and LinkTurnedAway
	Reason string
	Access []contract.Entry // at most one: that was made for it; of LinkTaken and LinkEntered
}

// LinkStepKind says what a LinkStep is.
type LinkStepKind uint8

const (
	LinkTaken      LinkStepKind = iota // a place, and a try of the passcode
	LinkGiven                          // what is behind the link; the try was right
	LinkGivenBack                      // nothing was given: place and try are as before
	LinkWrong                          // passcode: the try is used, the place is not
	LinkTurnedAway                     // it could not be opened
	LinkEntered                        // the passcode was right, and it is opened by an access that was made for it
)

// maxTurnedAway is how many who were turned away are taken down of a link: nobody fills the
// disk with it.
const maxTurnedAway = 200

// Fields are what 1, number 4, seconds 8, who 1 + n, why 2 + n, accesses 1 (0, 1), access 222.
func (s *LinkStep) Fields(c *codec.Codec) {
	codec.Int(c, &s.What)
	c.Check(s.What <= LinkEntered)
	codec.Int(c, &s.Number)
	codec.Int(c, &s.At)
	codec.Sized[uint8](c, &s.By, ledgerclient.MaxLinkBy)
	codec.Sized[uint16](c, &s.Reason, ledgerclient.MaxLinkReason)
	c.Check(utf8.ValidString(s.By) && utf8.ValidString(s.Reason))
	codec.Counted[uint8](c, &s.Access, 1, ledgerclient.EntryField)
}

// Links are the links of one node.
type Links struct {
	keeper *Keeper
	vault  LinkVault
	lost   bool // there may be links that could not be read

	keeping sync.Mutex // one deposit at a time
	mu      sync.Mutex
	byName  map[crypto.Hash]*Link
	byGrant map[contract.ID]*Link
}

// Link is one link that is kept. It is for one goroutine at a time but for its methods.
type Link struct {
	Deposit ledgerclient.LinkDeposit // without its file
	hash    crypto.Hash

	mu       sync.Mutex
	count    linkCount
	erased   bool
	damaged  bool // how often it was opened is not known
	checking bool // a passcode
}

// linkCount counts the places and tries of a link.
type linkCount struct {
	daily, locked bool
	last          uint32         // number of the last place
	day           uint64         // of used, if daily
	used          int            // places
	wrong         int            // tries, those included of which nothing is known
	access        contract.Entry // the last that was made
	accesses      uint32         // that were made
	away          int            // turned away
}

const secondsOfDay = 86_400

func (c *linkCount) roll(at uint64) {
	if day := at / secondsOfDay; c.daily && day > c.day {
		c.day, c.used = day, 0
	}
}

// step counts a step. Of a place that was taken on an earlier day nothing comes back.
func (c *linkCount) step(s *LinkStep) {
	back := func() {
		if !c.daily || s.At/secondsOfDay == c.day {
			c.used = max(0, c.used-1)
		}
	}
	right := func() {
		if c.locked {
			c.wrong = max(0, c.wrong-1)
		}
	}
	if len(s.Access) > 0 {
		c.access = s.Access[0]
		c.accesses++
	}
	switch s.What {
	case LinkTaken:
		c.roll(s.At)
		c.last = max(c.last, s.Number)
		c.used++
		if c.locked {
			c.wrong++
		}
	case LinkGiven:
		right()
	case LinkGivenBack:
		back()
		right()
	case LinkWrong:
		back()
	case LinkTurnedAway:
		c.away++
	}
}

// ErrLink: a link cannot be opened; it is all that whoever opens it is told
var ErrLink = errors.New("the link opens nothing")

// ErrLinkBusy: somebody else's passcode is being checked
var ErrLinkBusy = errors.New("a passcode of the link is being checked")

// NewLinks reads what is kept; with an error there is all that can be read.
func NewLinks(ctx context.Context, k *Keeper, v LinkVault) (*Links, error) {
	l := &Links{keeper: k, vault: v, byName: map[crypto.Hash]*Link{}, byGrant: map[contract.ID]*Link{}}
	err := v.Kept(ctx, func(d ledgerclient.LinkDeposit, hash crypto.Hash, steps []LinkStep, whole bool) {
		n := newLink(d, hash)
		n.damaged = !whole
		for i := range steps {
			n.count.step(&steps[i])
		}
		l.byName[d.Name], l.byGrant[d.Grant] = n, n
	})
	l.lost = err != nil
	return l, err
}

func newLink(d ledgerclient.LinkDeposit, hash crypto.Hash) *Link {
	d.File = nil
	return &Link{Deposit: d, hash: hash, count: linkCount{daily: d.Daily, locked: d.Passcode.Attempts > 0}}
}

// Deposit keeps a link. It must be for this ledger and this keeper, signed by the author of
// a grant on the replica that is neither over nor revoked, with the package that the grant
// commits to, whose one share is here: another keeper would give its own to whoever has the
// link, and ask for no passcode; and its end not behind the grant's. The same again yields a receipt again; another for the same grant or name is
// refused. The error is a *ledgerclient.KeeperError or the vault's.
func (l *Links) Deposit(ctx context.Context, d *ledgerclient.LinkDeposit) (r ledgerclient.LinkReceipt, err error) {
	k := l.keeper
	grants, head, err := k.grants(ctx, 1, func(int) contract.ID { return d.Grant })
	if err != nil {
		return r, err
	}
	code := k.judgeLink(d, &grants[0], head)
	if code == ledgerclient.Released {
		rec, err := k.look(ctx, grants[0].Grant)
		if err != nil {
			return r, err
		}
		switch {
		case rec.Stopped:
			code = ledgerclient.Revoked
		case rec.Share == nil:
			code = ledgerclient.NoShare
		}
	}
	if code != ledgerclient.Released {
		return r, &ledgerclient.KeeperError{Grant: d.Grant, Code: code}
	}
	hash := d.Hash()
	l.keeping.Lock()
	defer l.keeping.Unlock()
	there := l.Find(d.Name)
	other := l.Of(d.Grant) != there || there != nil && there.hash != hash
	if there == nil && !other { // or it was kept, and cannot be read: its count would begin anew
		if other, err = l.Holds(ctx, d.Grant); err != nil {
			return r, err
		}
	}
	if other {
		return r, &ledgerclient.KeeperError{Grant: d.Grant, Code: ledgerclient.BadRequest}
	}
	if there == nil {
		if err := l.vault.Keep(ctx, d); err != nil {
			return r, err
		}
		n := newLink(*d, hash)
		n.Deposit.Package = slices.Clone(d.Package)
		l.mu.Lock()
		l.byName[d.Name], l.byGrant[d.Grant] = n, n
		l.mu.Unlock()
	}
	r = ledgerclient.LinkReceipt{Ledger: k.ledger, Grant: d.Grant, Keeper: k.public, Deposit: hash, Hour: head.Hour}
	ledgerclient.Sign(&r, k.key)
	return r, nil
}

// judgeLink returns Released if a link may be kept, as far as its grant says.
func (k *Keeper) judgeLink(d *ledgerclient.LinkDeposit, g *grant, head Head) ledgerclient.Code {
	switch {
	case d.Ledger != k.ledger || d.Keeper != k.public || len(d.File) == 0:
		return ledgerclient.BadRequest
	case !g.ok:
		return ledgerclient.UnknownGrant
	case d.Verify(g.state.Author) != nil:
		return ledgerclient.WrongKey
	case g.state.Status == contract.StatusClosed:
		return ledgerclient.Revoked
	case max(head.Hour, k.clock()) >= min(d.End, g.NotAfter):
		return ledgerclient.Expired
	case d.End > g.NotAfter:
		return ledgerclient.BadRequest
	}
	p, err := contract.ParseGrantPackage(d.Package)
	if err != nil || p.Commitment() != g.opening.Commitment || p.N != 1 {
		return ledgerclient.BadRequest
	}
	return ledgerclient.Released
}

// Find returns the link with a name; nil if there is none.
func (l *Links) Find(name crypto.Hash) *Link {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byName[name]
}

// Of returns the link of a grant; nil if there is none.
func (l *Links) Of(grant contract.ID) *Link {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byGrant[grant]
}

// Holds reports whether a grant is that of a link, whose share goes to nobody from outside:
// also where the link cannot be read, as long as anything of it can.
func (l *Links) Holds(ctx context.Context, grant contract.ID) (bool, error) {
	if l.Of(grant) != nil || !l.lost {
		return l.Of(grant) != nil, nil
	}
	return l.vault.Has(ctx, grant)
}

// LinkGrant is what the ledger says of a link's grant now.
type LinkGrant struct {
	Author, Counterparty crypto.PubKey
	Hour                 contract.Hour // the later one of ledger and clock
	LastAccess           contract.Hour
	Open                 bool
	known                bool
	followUps            uint32
}

// Grant looks a link's grant up.
func (l *Links) Grant(ctx context.Context, n *Link) (g LinkGrant, err error) {
	grants, head, err := l.keeper.grants(ctx, 1, func(int) contract.ID { return n.Deposit.Grant })
	if err != nil {
		return g, err
	}
	s := &grants[0].state
	rec, err := l.keeper.look(ctx, grants[0].Grant)
	return LinkGrant{
		Author: s.Author, Counterparty: s.Counterparty, Hour: max(head.Hour, l.keeper.clock()), LastAccess: s.LastAccess,
		Open: grants[0].ok && s.Status == contract.StatusOpen && !rec.Stopped, known: grants[0].ok, followUps: s.Count,
	}, err
}

// state is what a link is; the lock is held.
func (n *Link) state(g *LinkGrant, at uint64) ledgerclient.LinkState {
	n.count.roll(at)
	switch {
	case !g.Open || g.Hour >= n.Deposit.End || n.damaged || n.older(g):
		return ledgerclient.LinkEnded
	case n.count.locked && n.count.wrong >= int(n.Deposit.Passcode.Attempts):
		return ledgerclient.LinkLocked
	case n.count.used >= int(n.Deposit.Openings):
		return ledgerclient.LinkExhausted
	}
	return ledgerclient.LinkActive
}

// older reports whether the ledger has accesses of the link that are not counted here: then
// what counts is older than the ledger that it is beside, and how many places there are is
// not known.
func (n *Link) older(g *LinkGrant) bool { return g.Open && g.followUps > n.count.accesses }

// Older reports whether what counts the openings of a link is older than the ledger.
func (n *Link) Older(g *LinkGrant) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.older(g)
}

// State is what a link is.
func (n *Link) State(g *LinkGrant, at uint64) ledgerclient.LinkState {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.state(g, at)
}

// Locked reports whether a link has a passcode.
func (n *Link) Locked() bool { return n.Deposit.Passcode.Attempts > 0 }

// LastAccess is the last access that was made for a link; zero: there was none.
func (n *Link) LastAccess() contract.Entry {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.count.access
}

// Place is a place that was taken.
type Place struct {
	Access contract.Entry // by which it is opened; with a passcode once it was said
	links  *Links
	link   *Link
	step   LinkStep
}

// Take takes a place, durably. access is the one to open it by, unless another one of the
// same hours was made for somebody else meanwhile. With a passcode it takes a try too, and
// the link is busy until what became of it was said; access is then nothing, and said with
// [Place.Enter]. Whoever comes when there is none is taken down, and told [ErrLink].
func (l *Links) Take(ctx context.Context, n *Link, g *LinkGrant, at uint64, by, reason string, access contract.Entry) (*Place, error) {
	step := LinkStep{What: LinkTaken, At: at, By: ledgerclient.CutText(by, ledgerclient.MaxLinkBy), Reason: ledgerclient.CutText(reason, ledgerclient.MaxLinkReason)}
	n.mu.Lock()
	if n.checking {
		n.mu.Unlock()
		return nil, ErrLinkBusy
	}
	if n.state(g, at) != ledgerclient.LinkActive || !n.count.locked && access.Author == (crypto.PubKey{}) {
		away := n.count.away < maxTurnedAway
		step.What = LinkTurnedAway
		if away {
			n.count.step(&step)
		}
		n.mu.Unlock()
		if away {
			if err := l.vault.Add(ctx, n.Deposit.Grant, step); err != nil {
				return nil, err
			}
		}
		return nil, ErrLink
	}
	if !n.count.locked && (n.count.access.Author != access.Author || n.count.access.NotBefore < access.NotBefore) {
		step.Access = []contract.Entry{access}
	}
	step.Number = n.count.last + 1
	n.count.step(&step) // before it is durable: nobody else gets it meanwhile
	n.checking = n.count.locked
	p := &Place{n.count.access, l, n, step}
	n.mu.Unlock()
	if err := l.vault.Add(ctx, n.Deposit.Grant, step); err != nil {
		p.done() // whether it is on the disk is not known: it stays counted
		return nil, err
	}
	return p, nil
}

// Enter takes down, durably, by which access a link with a passcode is opened, once that was
// right: of those who did not know it no words come onto the ledger.
func (p *Place) Enter(ctx context.Context, access contract.Entry) error {
	if p.Access = access; p.link.LastAccess() == access {
		return nil
	}
	step := LinkStep{What: LinkEntered, Number: p.step.Number, At: p.step.At, Access: []contract.Entry{access}}
	if err := p.links.vault.Add(ctx, p.link.Deposit.Grant, step); err != nil {
		return err
	}
	p.link.mu.Lock()
	defer p.link.mu.Unlock()
	p.link.count.step(&step)
	return nil
}

func (p *Place) done() {
	p.link.mu.Lock()
	defer p.link.mu.Unlock()
	p.link.checking = false
}

// Say takes down what became of a place. That what is behind a link was given is written down
// only where it takes back a try: that a place was taken says as much.
func (p *Place) Say(ctx context.Context, what LinkStepKind) error {
	defer p.done()
	if what == LinkGiven && !p.link.Locked() {
		return nil
	}
	step := LinkStep{What: what, Number: p.step.Number, At: p.step.At}
	if err := p.links.vault.Add(ctx, p.link.Deposit.Grant, step); err != nil {
		return err
	}
	p.link.mu.Lock()
	defer p.link.mu.Unlock()
	p.link.count.step(&step)
	return nil
}

// Right compares a passcode's hash with the link's, in a time that does not tell.
func (p *Place) Right(hash [32]byte) bool {
	return subtle.ConstantTimeCompare(hash[:], p.link.Deposit.Passcode.Hash[:]) == 1
}

// AttemptsLeft is how many tries a link has left.
func (n *Link) AttemptsLeft() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return max(0, int(n.Deposit.Passcode.Attempts)-n.count.wrong)
}

// LinkAsk asks for the share of a link's grant, by an access that was made for it.
type LinkAsk struct {
	Link   *Link
	Access contract.Entry
}

// LinkShare is what comes of that: a share to be wiped if the code is Released.
type LinkShare struct {
	Share crypto.Share
	Code  ledgerclient.Code
}

// Shares are the shares of links' grants, for the node that keeps both and has made the
// accesses: under the rules of [Keeper.Release], without requests that go nowhere.
func (l *Links) Shares(ctx context.Context, asks []LinkAsk) ([]LinkShare, error) {
	all := make([]*wanted, len(asks))
	for i := range asks {
		access, of := &asks[i].Access, asks[i].Link.Deposit.Grant
		all[i] = &wanted{grant: of, access: access.ID(l.keeper.ledger), asked: func(g grant) ledgerclient.Code {
			switch {
			case !g.ok:
				return ledgerclient.UnknownGrant
			case access.Kind != contract.KindAccess || access.Subject != of:
				return ledgerclient.BadRequest
			case access.Author != g.state.Counterparty:
				return ledgerclient.WrongKey
			}
			return ledgerclient.Released
		}}
	}
	if _, err := l.keeper.shares(ctx, all...); err != nil {
		return nil, err
	}
	out := make([]LinkShare, len(all))
	for i, w := range all {
		out[i] = LinkShare{w.share, w.code}
	}
	return out, nil
}

// File is what is behind a link; the error is ErrLink if it was erased.
func (l *Links) File(ctx context.Context, n *Link) ([]byte, error) {
	b, err := l.vault.File(ctx, n.Deposit.Grant)
	if err == nil && b == nil {
		err = ErrLink
	}
	return b, err
}

// Inquire tells the author of a link's grant what became of it. at is now, in seconds since
// 1970. The error is a *ledgerclient.KeeperError or the vault's.
func (l *Links) Inquire(ctx context.Context, q ledgerclient.Inquiry, at uint64) (a ledgerclient.LinkAnswer, err error) {
	k := l.keeper
	refused := func(code ledgerclient.Code) error { return &ledgerclient.KeeperError{Grant: q.Grant, Code: code} }
	if q.Ledger != k.ledger || q.Keeper != k.public {
		return a, refused(ledgerclient.BadRequest)
	}
	n := l.Of(q.Grant)
	if n == nil {
		return a, refused(ledgerclient.UnknownGrant)
	}
	g, err := l.Grant(ctx, n)
	if err != nil {
		return a, err
	}
	if q.VerifyLink(g.Author) != nil {
		return a, refused(ledgerclient.WrongKey)
	}
	steps, err := l.vault.Steps(ctx, q.Grant)
	if err != nil {
		return a, err
	}
	events := linkEvents(steps)
	more := max(0, len(events)-ledgerclient.MaxLinkEvents)
	a = ledgerclient.LinkAnswer{Inquiry: q.Hash(), Openings: n.Deposit.Openings, Daily: n.Deposit.Daily, Passcode: n.Locked(), More: uint32(more), Events: events[more:], Attempts: uint8(n.AttemptsLeft())}
	n.mu.Lock()
	a.State = n.state(&g, at)
	a.Left = uint16(max(0, int(n.Deposit.Openings)-n.count.used))
	n.mu.Unlock()
	ledgerclient.Sign(&a, k.key)
	return a, nil
}

// linkEvents are what steps say that happened. A place of which nothing more was taken down
// counts as an opening.
func linkEvents(steps []LinkStep) (events []ledgerclient.LinkEvent) {
	became := map[uint32]LinkStepKind{}
	for _, s := range steps {
		if s.What != LinkTurnedAway {
			became[s.Number] = s.What
		}
	}
	for _, s := range steps {
		e := ledgerclient.LinkEvent{What: ledgerclient.LinkOpened, At: s.At, By: s.By, Reason: s.Reason}
		switch {
		case s.What == LinkTurnedAway:
			e.What = ledgerclient.LinkRefused
		case s.What != LinkTaken || became[s.Number] == LinkGivenBack:
			continue
		case became[s.Number] == LinkWrong:
			e.What = ledgerclient.LinkWrong
		}
		events = append(events, e)
	}
	return events
}

// Sweep erases what is behind links that have ended for good. One whose grant is not on the
// replica has not before its time is over: that may be behind, or an older one.
func (l *Links) Sweep(ctx context.Context) error {
	l.mu.Lock()
	var all []*Link
	for _, n := range l.byGrant {
		all = append(all, n)
	}
	l.mu.Unlock()
	var errs []error
	for _, n := range all {
		n.mu.Lock()
		erased := n.erased
		n.mu.Unlock()
		if erased {
			continue
		}
		g, err := l.Grant(ctx, n)
		n.mu.Lock()
		over := n.Deposit.End != 0 && g.Hour >= n.Deposit.End // no end is known of one that is damaged
		ended := err == nil && (over || g.known && (!g.Open || n.count.locked && n.count.wrong >= int(n.Deposit.Passcode.Attempts) && !n.checking))
		n.mu.Unlock()
		if ended {
			if err = l.vault.Erase(ctx, n.Deposit.Grant); err == nil {
				n.mu.Lock()
				n.erased = true
				n.mu.Unlock()
			}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
