package wallet

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/outbox"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/carekey/carekey/wallet/view"
)

// Grants gives consents.
type Grants struct{ w *Wallet }

// Grants returns what gives consents.
func (w *Wallet) Grants() Grants { return Grants{w} }

// GrantRequest says who may open what, why and until when.
type GrantRequest struct {
	To      string           // a contact's name
	New     *Contact         // who is meant where To is empty: by a card, and nobody of the contacts
	Records []string         // ids or their beginnings
	All     bool             // every record there is now
	Select  health.Selection // what of these; without Records and All, of every record there is now
	// Kinds are kinds of what no table knows (see [GrantPlan].Unknown) that go although
	// "unclassified" is not among what Select is With.
	Kinds      []string
	NotBefore  contract.Hour
	Until      contract.Hour   // the exact end; 0 = NotAfter
	NotAfter   contract.Hour   // the end on the ledger; 0 = LedgerEnd(Until)
	Purpose    payload.Purpose // "" = the first one of Select's role, else Treatment
	BeyondRole bool            // days and purposes of Select's role do not bind

	within string // the role that was asked for, if Select has none: its days and purposes bind as Select's would
}

// GrantPlan is a grant that was checked and can be shown before it is signed.
type GrantPlan struct {
	To        Contact
	New       bool           // To is none of the contacts
	Records   []RecordPlan   // of which something goes
	Scope     *payload.Scope // what of those that do not go whole; nil if there are none
	Purpose   payload.Purpose
	NotBefore contract.Hour // 0 = from the start
	Until     contract.Hour // the exact end, which the recipient's wallet keeps to; 0 = NotAfter
	NotAfter  contract.Hour // the end on the ledger, to which ledger and keepers hold everybody
	Gate      ledgerclient.Gate
	Warnings  []Warning
	Left      []RecordPlan // that were meant, and of which nothing goes
	Unknown   []Count      // resources that stay since the tables do not understand them, by each kind of it that they have
	Missed    []Missed     // what stays, and who treats the patient might need
	Naming    *Naming      // who reads what goes, without the patient's own resource or for research, reads whose it is; nil if neither is so

	Answers *Answering // what this answers, if it was planned for that

	letter   *payload.Letter   // in place of records
	delivery *payload.Delivery // beside a letter that says so
	request  contract.ID       // the letter that this answers; zero if it answers none

	from  *origin                             // where the consent is moved from
	link  *linkMaking                         // nil if it is for somebody's wallet
	parts map[partsGiven]payload.EnvelopePart // that were read for the plan already
}

// Warning is something that looks wrong in a plan and is for a person to judge.
type Warning struct {
	Kind   string // "unverified", "self", "long", "alike", "unseen", "overlap", "empty"
	Detail string // of "empty": a category of which there is nothing; of "alike": a contact whose name looks like that of a new one; of "overlap": a consent that gives these records already, the one that lasts longest
	// Of "overlap": what that consent is for, and when it ends.
	Purpose payload.Purpose
	Until   contract.Hour
}

// Plan resolves and checks a request. Nothing is signed. Where nothing of what is meant
// can go, the error is an [ErrEmpty], and what stays is in the plan that comes with it. An
// [ErrBeyondRole] says that days or purpose are more than the role is for.
func (gs Grants) Plan(ctx context.Context, r GrantRequest) (*GrantPlan, error) {
	var plan *GrantPlan
	err := gs.w.with(ctx, func() (err error) {
		plan, err = gs.plan(ctx, r)
		return err
	})
	return plan, err
}

func (gs Grants) plan(ctx context.Context, r GrantRequest) (*GrantPlan, error) {
	err := gs.confirmed()
	if err != nil {
		return nil, err
	}
	var to Contact
	if r.New != nil {
		to = *r.New
		to.Name, err = CheckContact(to.Name)
	} else {
		to, err = gs.w.Contacts().Named(r.To)
	}
	if err != nil {
		return nil, err
	}
	return gs.planTo(ctx, r, to, gs.warnings)
}

// planTo is plan once it is known who it is to, which warn has something to say of.
func (gs Grants) planTo(ctx context.Context, r GrantRequest, to Contact, warn func(p *GrantPlan, now contract.Hour) []Warning) (*GrantPlan, error) {
	p := &GrantPlan{To: to, New: r.New != nil, Purpose: r.Purpose, NotBefore: r.NotBefore, Until: r.Until, NotAfter: r.NotAfter, Gate: gs.w.client.Ledger.Properties().Gate}
	role, err := gs.role(r, p)
	if err != nil {
		return nil, err
	}
	if p.Purpose, err = ParsePurpose(string(p.Purpose)); err != nil {
		return nil, err
	}
	if p.NotAfter == 0 {
		p.NotAfter = LedgerEnd(p.Until)
	}
	p.Until = cmp.Or(p.Until, p.NotAfter)
	now := gs.w.view.Hour()
	if p.Until > p.NotAfter {
		return nil, badInput("until", HourTime(p.Until).Format("2006-01-02 15:04 UTC"), "is after the end on the ledger")
	}
	if p.Until <= now {
		return nil, badInput("until", HourTime(p.Until).Format("2006-01-02 15:04 UTC"), "is in the past")
	}
	if p.NotBefore >= p.Until {
		return nil, badInput("from", HourTime(p.NotBefore).Format("2006-01-02 15:04 UTC"), "is not before the end")
	}
	beyond, bound := false, role
	if bound == nil && r.within != "" {
		known, err := gs.w.Roles().Named(r.within) // another is one of the asker's own, and so is one with more in it
		if err == nil && !slices.ContainsFunc(r.Select.Categories, func(c Category) bool { return !slices.Contains(known.Categories, c) }) {
			bound = &known.Role
		}
	}
	if bound != nil {
		if err := withinRole(bound, p, now); err != nil && !r.BeyondRole {
			return nil, err
		} else if err != nil {
			beyond = true
		}
	}
	if err := gs.choose(ctx, r, role, p); err != nil {
		return p, err
	}
	if p.Scope != nil && bound != nil {
		p.Scope.Role, p.Scope.Beyond = bound.Name, beyond
	}
	p.Warnings = warn(p, now)
	for _, k := range r.Select.Categories {
		if !p.Has(k) {
			p.Warnings = append(p.Warnings, Warning{Kind: "empty", Detail: string(k)})
		}
	}
	return p, nil
}

// role is the role of a request, nil if there is none, and what it says of the purpose.
func (gs Grants) role(r GrantRequest, p *GrantPlan) (*health.Role, error) {
	if r.Select.Role == "" {
		p.Purpose = cmp.Or(p.Purpose, payload.Treatment)
		return nil, nil
	}
	known, err := gs.w.Roles().Named(r.Select.Role)
	if err != nil {
		return nil, err
	}
	if p.Purpose == "" && len(known.Purposes) > 0 {
		p.Purpose = known.Purposes[0]
	}
	return &known.Role, nil
}

// Choose is Plan without recipient and time, for whoever gives the same to many: it fills
// in what goes, what stays, and what of it a person should know. What the role of a
// request is for is not looked at.
func (gs Grants) Choose(ctx context.Context, r GrantRequest) (*GrantPlan, error) {
	p := &GrantPlan{Purpose: r.Purpose}
	err := gs.w.with(ctx, func() error {
		role, err := gs.role(r, p)
		if err == nil {
			err = gs.choose(ctx, r, role, p)
		}
		return err
	})
	return p, err
}

// choose fills in what goes and what stays.
func (gs Grants) choose(ctx context.Context, r GrantRequest, role *health.Role, p *GrantPlan) error {
	c, err := gs.chooser(ctx, r, role)
	if err != nil {
		return err
	}
	if err := gs.w.Records().describeAll(ctx); err != nil {
		return err
	}
	return c.choose(ctx, p)
}

// withinRole tells whether a plan is for what a role is for, and no longer.
func withinRole(r *health.Role, p *GrantPlan, now contract.Hour) error {
	if r.Allows(p.Purpose, int(p.Until-max(now, p.NotBefore))) {
		return nil
	}
	return ErrBeyondRole.With("role", r.Name, "days", r.MaxDays, "purposes", r.For())
}

// Has reports whether a plan gives something of a category.
func (p *GrantPlan) Has(k payload.Category) bool {
	return slices.ContainsFunc(p.Records, func(r RecordPlan) bool {
		if (len(r.Judged) == 0 || r.Whole) && r.Category == k {
			return true
		}
		return slices.ContainsFunc(r.Judged, func(j JudgedPart) bool { return j.Stays == "" && j.Category == k })
	})
}

// longGrant is a window of which a person should be asked whether it is meant.
const longGrant = 366 * 24 // hours

// long reports whether a plan is for more than a year.
func (gs Grants) long(p *GrantPlan, now contract.Hour) bool {
	return p.Until-max(now, p.NotBefore) > longGrant
}

func (gs Grants) warnings(p *GrantPlan, now contract.Hour) []Warning {
	var out []Warning
	if !p.To.Verified {
		out = append(out, Warning{Kind: "unverified"})
	}
	if p.To.Address == gs.w.Address() {
		out = append(out, Warning{Kind: "self"})
	}
	if gs.long(p, now) {
		out = append(out, Warning{Kind: "long"})
	}
	if p.New {
		for _, other := range gs.w.book.contacts {
			if Skeleton(other.Name) == Skeleton(p.To.Name) {
				out = append(out, Warning{Kind: "alike", Detail: other.Name})
			}
		}
	}
	// Who was given a record has all of its parts. Who was given parts has not the record,
	// and which they were does not follow from the consent's scope: labels may have changed.
	want := map[versionOf]bool{}
	for _, r := range p.Records {
		want[versionOf{r.ID, r.Version}] = true
	}
	var longest *view.Thread
	for t := range gs.w.view.Of(view.OwnGrant) {
		if t.Terms == nil || t.Terms.Peer != p.To.Address || gs.w.Consents().statusOf(t) != StatusActive || now >= t.Until() {
			continue
		}
		covered := 0
		for _, r := range t.Terms.Set.Records {
			if want[versionOf{r.Record, r.Version}] && r.Root.IsZero() {
				covered++
			}
		}
		if covered == len(want) && (longest == nil || t.Until() > longest.Until()) {
			longest = t
		}
	}
	if longest != nil {
		out = append(out, Warning{Kind: "overlap", Detail: longest.ID.String(), Purpose: longest.Terms.Purpose, Until: longest.Until()})
	}
	if !gs.met()[p.To.Address] {
		out = append(out, Warning{Kind: "unseen"})
	}
	return out
}

// Met are those who ever opened a consent of this wallet on the ledger, or gave one to it.
// Consents that were received count once their terms were read.
func (gs Grants) Met(ctx context.Context) (people map[crypto.Address]bool, err error) {
	err = gs.w.with(ctx, func() error {
		people = gs.met()
		return nil
	})
	return people, err
}

func (gs Grants) met() map[crypto.Address]bool {
	people := map[crypto.Address]bool{}
	for t := range gs.w.view.Of(view.Received) {
		if t.Terms != nil {
			people[t.Terms.Peer] = true
		}
	}
	for t := range gs.w.view.Of(view.OwnGrant) {
		if t.Terms != nil && t.LastAccess != 0 {
			people[t.Terms.Peer] = true
		}
	}
	return people
}

// Give signs a plan, enters it on the ledger and hands the keepers their shares. The code
// tells the recipient where to look, and opens nothing. [ErrPending] means that the consent
// is signed and waits: it comes with the consent and its code.
func (gs Grants) Give(ctx context.Context, p *GrantPlan) (c Consent, code crypto.FetchCode, err error) {
	err = gs.w.with(ctx, func() error {
		s, err := gs.Sign(ctx, []*GrantPlan{p})
		if err == nil {
			err = cmp.Or(s.Errs[0], s.send(ctx, ""))
		}
		if err != nil && !errors.Is(err, ErrPending) {
			return err
		}
		given := s.changes[0]
		if err := failure(given); err != nil {
			return err
		}
		code = gs.w.Consents().codeOf(given.ID)
		if t := gs.w.view.Thread(given.ID); t != nil {
			c = gs.w.Consents().of(t)
		} else {
			c = gs.w.Consents().pendingOf(given)
		}
		return err
	})
	return c, code, err
}

// versionOf names one version of a record.
type versionOf struct {
	record  contract.ID
	version int
}

// grantGround is all that grants are built from, so that they can be built while
// the wallet does something else.
type grantGround struct {
	checkpoint string // the newest signed head
	refused    error  // why nothing is granted on the ledger yet, as of that head
	versions   map[versionOf]*groundVersion
	parts      map[partsGiven]payload.EnvelopePart
}

type groundVersion struct {
	*payload.Metadata
	key   payload.FileKey // zero until a grant gives the whole
	parts *recordParts    // nil until a grant gives parts
}

// partsGiven are some parts of a record's version, as plans share them: by where the list
// of them is.
type partsGiven struct {
	versionOf
	first *int
	n     int
}

func givenIn(r *RecordPlan) partsGiven {
	g := partsGiven{versionOf: versionOf{r.ID, r.Version}, n: len(r.Given)}
	if g.n > 0 {
		g.first = &r.Given[0]
	}
	return g
}

func (gs Grants) newGround() *grantGround {
	return &grantGround{string(gs.w.view.Head().Note), gs.confirmed(), map[versionOf]*groundVersion{}, map[partsGiven]payload.EnvelopePart{}}
}

// addPlan gathers the keys of all record versions in a plan: file keys that the cache
// does not know are read from the store, each once, and so is what is known of parts.
func (gs Grants) addPlan(ctx context.Context, g *grantGround, p *GrantPlan) error {
	maps.Copy(g.parts, p.parts)
	for i := range p.Records {
		r := &p.Records[i]
		v := versionOf{r.ID, r.Version}
		x := g.versions[v]
		if x == nil {
			m, err := gs.grantable(r.Record)
			if err != nil {
				return err
			}
			x = &groundVersion{Metadata: m}
			g.versions[v] = x
		}
		var err error
		if r.Whole {
			err = gs.addKey(ctx, x, v)
		} else if _, ok := g.parts[givenIn(r)]; !ok {
			err = gs.addParts(ctx, g, x, r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// addKey adds the file key of a version.
func (gs Grants) addKey(ctx context.Context, x *groundVersion, v versionOf) error {
	if x.key != (payload.FileKey{}) {
		return nil
	}
	t := gs.w.view.Thread(v.record)
	k := t.Keys[v.version-1]
	if k == nil {
		read, err := gs.w.Records().fileKey(ctx, v.record, x.Metadata)
		if err != nil {
			return err
		}
		gs.w.view.NoteKey(t, v.version, read)
		k = &read
	}
	x.key = *k
	return nil
}

// addParts adds the keys of some parts of a version.
func (gs Grants) addParts(ctx context.Context, g *grantGround, x *groundVersion, r *RecordPlan) (err error) {
	if x.parts == nil {
		if x.parts, err = gs.w.Records().partsOf(ctx, gs.w.view.Thread(r.ID), r.Version); err != nil {
			return err
		}
	}
	if x.parts == nil || len(r.Given) == 0 {
		return badInput("records", r.ID.String(), "is to be given neither whole nor in parts")
	}
	m := x.Metadata
	e := payload.EnvelopePart{Record: r.ID, Author: m.Author, Version: m.Version, Split: m.Parts.Split, Content: m.Content, ContentSize: m.ContentSize, Head: m.Head,
		Start: m.Parts.Start, End: m.Parts.End, Slots: m.Parts.Slots, Root: m.Parts.Root, FrameKey: payload.FrameKey(x.parts.FrameKey().ExposeSecret()), Vouched: m.Vouched.ForParts(m.Parts.Root)}
	for k, i := range r.Given {
		if i < 0 || i >= len(x.parts.Parts) || k > 0 && i <= r.Given[k-1] {
			return badInput("records", r.ID.String(), "has no such parts")
		}
		p := &x.parts.Parts[i]
		e.Items = append(e.Items, payload.Item{Slot: uint32(p.Slot), Of: uint32(p.Of), At: uint32(p.At), Length: uint32(p.Length), Key: payload.PartKey(x.parts.Key(i).ExposeSecret())})
	}
	slices.SortFunc(e.Items, func(a, b payload.Item) int { return cmp.Compare(a.Slot, b.Slot) })
	g.parts[givenIn(r)] = e
	return nil
}

// grantable returns the description of a planned record version, unless the record
// was removed since.
func (gs Grants) grantable(r Record) (*payload.Metadata, error) {
	t := gs.w.view.Thread(r.ID)
	if t == nil || t.Role != view.OwnRecord {
		return nil, ErrNotFound.With("noun", "record", "query", r.ID.String())
	}
	if t.Status == contract.StatusClosed {
		return nil, ErrWithdrawn.With("record", t.ID)
	}
	if r.Version < 1 || r.Version > len(t.Versions) || t.Versions[r.Version-1] == nil {
		return nil, ErrMissing.With("part", "metadata", "id", t.ID)
	}
	return gs.w.Records().said(t, r.Version-1), nil
}

// confirmed is the error for a ledger on which nothing is granted yet.
func (gs Grants) confirmed() error {
	if gs.w.view.Unconfirmed() {
		config, _ := gs.w.Log().Unconfirmed()
		return ErrUnconfirmed.With("ledger", gs.w.client.ID(), "configuration", config)
	}
	if known, all := gs.w.client.Ways(); known < all && all > 1 {
		return ErrNoWay.With("ledger", gs.w.client.ID(), "known", known, "keepers", all)
	}
	return gs.w.view.Openers()
}

// prepare builds and signs everything of a grant. All that the patient must
// be able to make again comes from the thread's seed.
func (gs Grants) prepare(p *GrantPlan, g *grantGround) (*outbox.Change, error) {
	if g.checkpoint == "" { // terms carry a head, and this wallet has never seen one
		return nil, gs.w.view.Behind()
	}
	if g.refused != nil {
		return nil, g.refused
	}
	ledger := gs.w.client.ID()
	seed, tag, err := gs.w.view.NewSeed()
	if err != nil {
		return nil, err
	}
	key := seed.Key()
	author := key.Public()
	to := p.address(seed)
	offsets, err := crypto.NewOffsets(ledger, key, to)
	if err != nil {
		return nil, err
	}
	both := []crypto.PubKey{p.reader(seed, offsets), gs.w.keys.Self()}

	env := payload.Envelope{V: payload.Version, Ledger: ledger, Author: author, Delivery: p.delivery}
	tr := payload.Terms{V: payload.Version, Ledger: ledger, Author: author, Recipient: offsets.Sig, From: gs.w.Address(), Name: gs.w.Name(), To: to,
		NotBefore: p.NotBefore, NotAfter: p.NotAfter, Purpose: p.Purpose, Checkpoint: g.checkpoint}
	if p.Until < p.NotAfter {
		tr.Until = p.Until
	}
	action := Granting
	if tr.Letter, tr.Request = p.letter, p.request; p.letter != nil {
		action, tr.Records = Writing, []payload.TermsRecord{}
	}
	g.fill(p, &env, &tr)

	sealedEnvelope, err := crypto.SealPayload(gs.w.sealContext(ledgerclient.PartEnvelope, author), payload.Marshal(&env), 0, both...)
	if err != nil {
		return nil, err
	}
	lock := seed.LockKey()
	envelopeBlob := crypto.Blob(crypto.NewSalt(), lock.Lock(ledger, author, sealedEnvelope))

	config := gs.w.client.Config()
	tr.K, tr.N = int(config.Release), len(config.Keepers)
	tr.Envelope = crypto.BlobHash(envelopeBlob)
	tr.Lock = lock.Hash(ledger, author)
	shares, err := seed.Shares(tr.K, tr.N)
	if err != nil {
		return nil, err
	}
	for _, s := range shares {
		tr.Shares = append(tr.Shares, s.Hash(ledger, author))
	}
	body := payload.Marshal(&tr)
	if payload.EscapedSize(body) > payload.MaxTerms {
		return nil, badInput("records", strconv.Itoa(len(tr.Records)), "too many for one consent: divide them among several")
	}
	sig, err := gs.w.keys.Sign(payload.TermsDigest(ledger, body))
	if err != nil {
		return nil, err
	}
	sealedTerms, err := crypto.SealPayload(gs.w.sealContext(ledgerclient.PartTerms, author), append(sig[:], body...), payload.TermsRoom(len(config.Nodes), tr.N), both...)
	if err != nil {
		return nil, err
	}
	termsBlob := crypto.Blob(crypto.NewSalt(), sealedTerms)
	pkg := tr.Pack(crypto.BlobHash(termsBlob))

	e := contract.Entry{Version: contract.Version, Kind: contract.KindGrant, Author: author, Counterparty: offsets.Sig, SelfTag: tag,
		NotBefore: p.NotBefore, NotAfter: p.NotAfter, Commitment: pkg.Commitment()}
	if err := e.Sign(ledger, key); err != nil {
		return nil, err
	}
	id := e.ID(ledger)
	put := func(part ledgerclient.Part, blob []byte) outbox.Put {
		return outbox.Put{Part: part, Blob: blob, Locators: []crypto.Locator{seed.Locator(id, byte(part)), offsets.Locator(id, byte(part))}}
	}
	link, err := p.link.seal(seed, key, id, pkg.Marshal())
	if err != nil {
		return nil, err
	}
	effect := &consentEffect{Terms: &tr, Origin: p.from, Link: link}
	return gs.w.Changes().prepare(action, e, pkg.Marshal(), effect, put(ledgerclient.PartTerms, termsBlob), put(ledgerclient.PartEnvelope, envelopeBlob))
}

// fill says in envelope and terms what of a plan's records goes.
func (g *grantGround) fill(p *GrantPlan, env *payload.Envelope, tr *payload.Terms) {
	for i := range p.Records {
		r := &p.Records[i]
		m := g.versions[versionOf{r.ID, r.Version}]
		if !r.Whole {
			env.Parts = append(env.Parts, g.parts[givenIn(r)])
			tr.Records = append(tr.Records, payload.TermsRecord{Record: r.ID, Version: m.Version, Category: payload.Part, Root: m.Parts.Root})
			tr.Scope = p.Scope
			continue
		}
		env.Records = append(env.Records, payload.EnvelopeRecord{Record: r.ID, Version: m.Version, FileKey: m.key, Content: m.Content,
			ContentSize: m.ContentSize, AgeSize: m.AgeSize, Head: m.Head, File: m.File, Size: m.Size, SHA256: m.SHA256, Vouched: m.Vouched.ForWhole()})
		tr.Records = append(tr.Records, payload.TermsRecord{Record: r.ID, Version: m.Version, Title: m.Title, Category: m.Category, Date: m.Date})
	}
}

// consentEffect is what giving a consent means.
type consentEffect struct {
	Terms  *payload.Terms `json:"terms"`
	Origin *origin        `json:"origin,omitempty"` // where it was moved from
	Link   []byte         `json:"link,omitempty"`   // see linkMaking.seal
}

// entered takes up the terms of a consent that came onto the ledger.
func (gs Grants) entered(c *outbox.Change) error {
	e, err := effectOf[consentEffect](c)
	if err != nil {
		return err
	}
	if t := gs.w.view.Thread(c.ID); t.Terms == nil {
		if err := gs.w.view.NoteTerms(t, e.Terms); err != nil {
			return err
		}
	}
	if err := gs.w.Links().entered(c.ID, e.Link); err != nil {
		return err
	}
	if e.Origin != nil {
		gs.w.notes.arrived(e.Origin, movedTo{ID: c.ID})
	}
	return nil
}
