package wallet

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/carekey/carekey/wallet/shlink"
	"github.com/carekey/carekey/wallet/view"
	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// Links are SMART Health Links of one's own. Each is a consent for a wallet that exists only
// in the link: it is listed, audited and revoked as any, and nothing on the ledger or in the
// store says that it is one. Beside it a node keeps a file that it hands to whoever has the
// link, which the node can't read, and counts.
//
// What was signed and not handed to the node yet waits in the wallet's home. The link
// itself is kept nowhere: it follows from the consent's seed.
type Links struct{ w *Wallet }

// Links returns the links of this wallet.
func (w *Wallet) Links() Links { return Links{w} }

const (
	// ErrNoNode: the ledger has no node that could open links, as one in a folder
	ErrNoNode fault.Code = "links-untaken/folder"
	// ErrKeepers: the ledger has several keepers: each would give its share to whoever has
	// the link, and count nothing
	ErrKeepers fault.Code = "links-untaken/keepers"
	// ErrNotLink: consent is none of this wallet's links
	ErrNotLink fault.Code = "not-a-link"
	// ErrLinkLost: the node does not have what was behind the link of consent
	ErrLinkLost fault.Code = "link-lost"
)

// LinkRequest says what a link holds, until when, and how often it opens.
type LinkRequest struct {
	GrantRequest        // without To, New and NotAfter: on the ledger a link ends with a day, as other consents
	Openings     uint16 // 1 to 1000, or to what the node takes
	Daily        bool   // openings are those of a day
	Passcode     string // "" if there is none
	Label        string // as Show takes it: it is looked at and kept nowhere
}

// LinkPlan is a link that was checked and can be shown before it is signed.
type LinkPlan struct {
	*GrantPlan
	Takes    ledgerclient.LinkTerms // what the node says of the links that it takes
	Openings uint16
	Daily    bool
	Passcode bool // there is one
	Size     int  // of what the node keeps, bytes
}

// linkMaking is what makes a grant a link.
type linkMaking struct {
	deposit ledgerclient.LinkDeposit // but for what follows from the grant
	file    []byte                   // deflated
}

// address is whom a grant is to: of a link the wallet in it, which follows from the seed.
func (p *GrantPlan) address(seed crypto.Seed) crypto.Address {
	if p.link == nil {
		return p.To.Address
	}
	return seed.LinkAddress()
}

// reader is the key that opens terms and envelope of a grant. That of a link is in the link
// alone, since its node can compute the keys of its wallet.
func (p *GrantPlan) reader(seed crypto.Seed, offsets *crypto.Offsets) crypto.PubKey {
	if p.link == nil {
		return offsets.Seal
	}
	return seed.LinkKey().SealKey().Public()
}

const (
	passcodeTries = 5
	leastPasscode = 4  // characters
	mostPasscode  = 64 // bytes
	argonPasses   = 2  // as LinkPasscode has it
	argonKiB      = 19_456
)

// Plan checks a request and reads what the link will hold. Records that are no FHIR stay.
// Errors beside those of [Grants.Plan]: [ErrNoNode], [ErrKeepers], ledgerclient.ErrNoLinks.
func (ls Links) Plan(ctx context.Context, r LinkRequest) (*LinkPlan, error) {
	var p *LinkPlan
	err := ls.w.with(ctx, func() (err error) {
		p, err = ls.plan(ctx, r)
		return err
	})
	return p, err
}

func (ls Links) plan(ctx context.Context, r LinkRequest) (*LinkPlan, error) {
	takes, err := ls.takes(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkLabel(r.Label); err != nil {
		return nil, err
	}
	if most := min(takes.Openings, ledgerclient.MaxLinkOpenings); r.Openings < 1 || r.Openings > most {
		return nil, badInput("openings", strconv.Itoa(int(r.Openings)), "is not 1 to "+strconv.Itoa(int(most))+", as the node takes it")
	}
	gs := ls.w.Grants()
	if err := gs.confirmed(); err != nil {
		return nil, err
	}
	// Its node holds everybody to the exact end. On the ledger an hour would tell a link for a
	// day from a consent for one, and which two were made with one another.
	r.To, r.New, r.NotAfter = "", nil, 0
	gp, err := gs.planTo(ctx, r.GrantRequest, Contact{}, func(p *GrantPlan, now contract.Hour) (out []Warning) {
		if gs.long(p, now) {
			out = append(out, Warning{Kind: "long"})
		}
		return out
	})
	if err != nil && gp != nil { // why nothing goes
		return &LinkPlan{GrantPlan: gp}, err
	}
	if err != nil {
		return nil, err
	}
	if hours := uint32(gp.Until - max(ls.w.view.Hour(), gp.NotBefore)); hours > takes.Hours {
		return nil, badInput("until", HourTime(gp.Until).Format("2006-01-02 15:04 UTC"), "is later than the node takes links for: "+strconv.Itoa(int(takes.Hours))+" hours")
	}
	if gp.NotBefore > ls.w.view.Hour() {
		return nil, badInput("from", HourTime(gp.NotBefore).Format("2006-01-02 15:04 UTC"), "is later than now: a link holds at once")
	}
	var goes []RecordPlan
	for _, rp := range gp.Records {
		if m := ls.w.view.Thread(rp.ID).Versions[rp.Version-1]; rp.Whole && m.Parts == nil && m.Whole != payload.WholeFHIR {
			rp.Why = WhyNoFHIR
			gp.Left = append(gp.Left, rp)
			continue
		}
		goes = append(goes, rp)
	}
	if gp.Records = goes; len(goes) == 0 {
		return &LinkPlan{GrantPlan: gp}, ErrEmpty.With("of", "part")
	}
	making := &linkMaking{}
	if making.deposit.Passcode, err = passcodeOf(r.Passcode); err != nil {
		return nil, err
	}
	ground := gs.newGround()
	if err := gs.addPlan(ctx, ground, gp); err != nil {
		return nil, err
	}
	bundle, err := ls.bundle(ctx, gp, ground)
	if err != nil {
		return nil, err
	}
	if making.file, err = shlink.Deflate(bundle); err != nil {
		return nil, err
	}
	// In base64url, with a header and what the lock adds.
	if size := len(making.file)/3*4 + 1024; int64(size) > min(takes.Limit, ledgerclient.MaxLinkFile) || len(bundle) > shlink.MaxFile {
		return nil, badInput("records", strconv.Itoa(len(gp.Records)), "hold more than the node takes in a link: choose less of them")
	}
	d := &making.deposit
	d.Ledger, d.Keeper, d.End, d.Openings, d.Daily = ls.w.client.ID(), ls.w.client.Keepers[0].Key(), gp.Until, r.Openings, r.Daily
	gp.link, gp.parts = making, ground.parts
	return &LinkPlan{gp, takes, r.Openings, r.Daily, r.Passcode != "", len(making.file)}, nil
}

// passcodeOf is what the node compares a passcode with.
func passcodeOf(passcode string) (p ledgerclient.LinkPasscode, err error) {
	if passcode == "" {
		return p, nil
	}
	passcode = norm.NFC.String(passcode)
	if n := utf8.RuneCountInString(passcode); !utf8.ValidString(passcode) || n < leastPasscode || len(passcode) > mostPasscode {
		return p, ErrInput.With("field", "passcode", "why", "has 4 characters at least, and 64 bytes at most") // without its value
	}
	p.Attempts = passcodeTries
	rand.Read(p.Salt[:])
	p.Hash = [32]byte(argon2.IDKey([]byte(passcode), p.Salt[:], argonPasses, argonKiB, 1, 32))
	return p, nil
}

// bundle is what the link holds: a single record that goes whole; else a Bundle of what goes, as
// who fetches with a consent has it. It says when that was, for it follows no record.
func (ls Links) bundle(ctx context.Context, p *GrantPlan, g *grantGround) ([]byte, error) {
	var parts []health.Granted
	made := ls.w.opt.Now()
	for i := range p.Records {
		r := &p.Records[i]
		m := g.versions[versionOf{r.ID, r.Version}].Metadata
		if !r.Whole {
			e := g.parts[givenIn(r)]
			some, err := ls.partsOf(ctx, r.ID, m, &e)
			if err != nil {
				return nil, err
			}
			parts = append(parts, some...)
			continue
		}
		file, err := ls.w.Records().file(ctx, r.ID, m)
		if err != nil {
			return nil, err
		}
		if len(p.Records) == 1 && json.Valid(file) { // one resource, and not one in each line
			return health.Dated(file, made), nil
		}
		cut, err := health.Split(file)
		if err != nil {
			return nil, badInput("record", r.Title, "could not be split, and goes into a link alone, or not at all: it is no single resource")
		}
		for j := range cut.Parts {
			if c := &cut.Parts[j]; c.Text {
				parts[len(parts)-1].Text = c.Append(nil)
			} else {
				parts = append(parts, health.Granted{Body: c.Append(nil)})
			}
		}
	}
	var b bytes.Buffer
	err := health.WriteSubset(&b, made, parts)
	return b.Bytes(), err
}

func (ls Links) partsOf(ctx context.Context, id contract.ID, m *payload.Metadata, e *payload.EnvelopePart) ([]health.Granted, error) {
	c, err := stored(ls).content(ctx, m, id)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	parts, _, err := c.granted(ctx, ls.w.client.ID(), e, nil)
	return parts, err
}

// seal makes the deposit of a link for a grant that was signed just now, which its node is to
// be handed; nil if the grant is for somebody's wallet.
func (m *linkMaking) seal(seed crypto.Seed, key *crypto.PrivateKey, id contract.ID, pkg []byte) ([]byte, error) {
	if m == nil {
		return nil, nil
	}
	d := m.deposit
	k := seed.LinkKey()
	jwe, err := shlink.Seal(k.Cipher(), seed.LinkIV(sha256.Sum256(m.file)), m.file)
	if err != nil {
		return nil, err
	}
	d.Grant, d.Package, d.Name = id, pkg, seed.LinkID().Name(d.Ledger)
	d.File = seed.LockKey().SealLinkFile(d.Ledger, crypto.Hash(id), jwe)
	ledgerclient.Sign(&d, key)
	return ledgerclient.Marshal(&d), nil
}

// waiting is the file in which a deposit waits for its node.
func (ls Links) waiting(id contract.ID) string {
	return ls.w.home.In("link-" + hex.EncodeToString(id[:]))
}

// entered lets the deposit of a consent that came onto the ledger wait; it is nil if that is
// no link.
func (ls Links) entered(id contract.ID, deposit []byte) error {
	if deposit == nil {
		return nil
	}
	name := ls.waiting(id)
	return ls.w.home.Write(name, ls.w.home.Key.Seal(filepath.ToSlash(name), deposit))
}

// Give signs a plan, enters it on the ledger, and hands the node what it keeps. With an
// error and an id the consent is given, and the link is handed over by HandOver later.
func (ls Links) Give(ctx context.Context, p *LinkPlan) (id contract.ID, err error) {
	err = ls.w.with(ctx, func() error {
		c, _, err := ls.w.Grants().Give(ctx, p.GrantPlan)
		if id = c.ID; err != nil {
			return err
		}
		return ls.handOver(ctx, c.ID)
	})
	return id, err
}

// HandOver hands the node what waits for it: of links whose giving was interrupted.
func (ls Links) HandOver(ctx context.Context) error {
	return ls.w.with(ctx, func() error {
		var all []error
		for t := range ls.w.view.Of(view.OwnGrant) {
			if err := ls.handOver(ctx, t.ID); err != nil {
				all = append(all, err)
			}
		}
		return errors.Join(all...)
	})
}

// handOver hands over one, if it waits.
func (ls Links) handOver(ctx context.Context, id contract.ID) error {
	name := ls.waiting(id)
	if !ls.waits(id) {
		return nil
	}
	b, err := ls.w.home.Unseal(name)
	if err != nil {
		return err
	}
	d, err := ledgerclient.Parse[ledgerclient.LinkDeposit](b)
	if err != nil {
		return &DamagedError{File: name, Err: err}
	}
	if t := ls.w.view.Thread(id); t != nil && ls.opens(t) {
		at, err := ls.node()
		if err != nil {
			return err
		}
		receipt, err := at.DepositLink(ctx, d)
		if err == nil {
			err = receipt.Verify(&d)
		}
		if err != nil {
			return err
		}
	}
	return os.Remove(ls.w.home.Path(name)) // handed over, or over
}

// opens reports whether a link is neither revoked nor at its exact end, which on the ledger
// comes later.
func (ls Links) opens(t *view.Thread) bool {
	return ls.w.Consents().statusOf(t) == StatusActive && ls.w.view.OpenHour() < t.Until()
}

func (ls Links) waits(id contract.ID) bool {
	_, err := os.Lstat(ls.w.home.Path(ls.waiting(id)))
	return !errors.Is(err, fs.ErrNotExist)
}

// node is what opens links.
func (ls Links) node() (ledgerclient.Links, error) {
	if n := len(ls.w.client.Config().Keepers); n > 1 {
		return nil, ErrKeepers.With("keepers", n)
	}
	if ls.w.client.Links == nil {
		return nil, ErrNoNode
	}
	return ls.w.client.Links, nil
}

// Takes is what there can be in a link of this ledger, for whoever asks a person before there
// is a plan. The error says why there are no links: [ErrNoNode], [ErrKeepers], or
// ledgerclient.ErrNoLinks.
func (ls Links) Takes(ctx context.Context) (takes ledgerclient.LinkTerms, err error) {
	err = ls.w.with(ctx, func() (err error) {
		takes, err = ls.takes(ctx)
		return err
	})
	return takes, err
}

func (ls Links) takes(ctx context.Context) (ledgerclient.LinkTerms, error) {
	at, err := ls.node()
	if err != nil {
		return ledgerclient.LinkTerms{}, err
	}
	return at.LinkTerms(ctx)
}

// List returns the links of this wallet, in the order of the ledger, with what their node says
// of them.
func (ls Links) List(ctx context.Context) ([]Consent, error) {
	all, err := ls.w.Consents().List(ctx)
	all = slices.DeleteFunc(all, func(c Consent) bool { return !c.Link })
	return all, cmp.Or(err, ls.Ask(ctx, all))
}

// has reports whether a thread is a link of one's own: whom it is for follows from its seed.
// Each link has an address of its own, so that one that was looked at is known.
func (ls Links) has(t *view.Thread) bool {
	if t.Role != view.OwnGrant || t.Terms == nil {
		return false
	}
	is, known := ls.w.linkAt[t.Terms.Peer]
	if known {
		return is
	}
	seed, err := ls.w.view.Seed(t.Tag)
	if err != nil {
		return false // whoever holds the key does not answer: an address is shown
	}
	is = seed.LinkAddress() == t.Terms.Peer
	ls.w.linkAt[t.Terms.Peer] = is
	return is
}

// Shown is a link with what its node says of it.
type Shown struct {
	Consent
	Text   string                  // the link, which is secret; "" if it is over
	Viewer string                  // the address of the node's page, which opens it behind #
	Said   ledgerclient.LinkAnswer // by the node, signed
}

// Show returns a link again, also after a restore, with what its node says of it. label goes
// into it: it is kept nowhere else. An [ErrLinkLost] says that the node has nothing of it.
func (ls Links) Show(ctx context.Context, id, label string) (s Shown, err error) {
	if err := checkLabel(label); err != nil {
		return s, err
	}
	err = ls.w.with(ctx, func() error {
		t, err := ls.find(ctx, id)
		if err != nil {
			return err
		}
		if err := ls.handOver(ctx, t.ID); err != nil {
			return err
		}
		s.Consent = ls.w.Consents().of(t)
		q, err := ls.question(t)
		if err != nil {
			return err
		}
		if s.Said, err = ls.answer(ctx, q); err != nil {
			return err
		}
		if !ls.opens(t) || s.Said.State == ledgerclient.LinkEnded || s.Said.State == ledgerclient.LinkLocked {
			return nil
		}
		takes, err := ls.w.client.Links.LinkTerms(ctx)
		if err != nil {
			return err
		}
		seed, err := ls.w.view.Seed(t.Tag)
		if err != nil {
			return err
		}
		made := shlink.Made{URL: takes.URL + "/s/" + seed.LinkID().Encode(), Key: seed.LinkKey().Encode(), Flags: "U", Until: HourTime(t.Until()), Label: label}
		if s.Said.Attempts > 0 {
			made.Flags = "P"
		}
		s.Text, s.Viewer = made.Text(), takes.URL+"/view"
		return nil
	})
	return s, err
}

// Ask has the node of links say what became of each of them that is active on the ledger,
// which alone does not show whether it still opens: into Said, or into Unsaid why that is not
// known. Consents that are no links, or of another ledger, stay as they are.
func (ls Links) Ask(ctx context.Context, cs []Consent) error {
	var ids []contract.ID
	var at []*Consent
	for i := range cs {
		if c := &cs[i]; c.Link && c.Ledger == ls.w.client.ID() && c.Status == StatusActive && !c.Waits {
			ids, at = append(ids, c.ID), append(at, c)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	said, errs, err := ls.Said(ctx, ids)
	if ctx.Err() != nil || err != nil && ledgerclient.Unreachable(err) == nil {
		return err
	}
	for i, c := range at {
		if c.Unsaid = cmp.Or(errs[i], err); c.Unsaid == nil {
			c.Said = &said[i]
		}
	}
	return nil
}

// find finds a link.
func (ls Links) find(ctx context.Context, id string) (*view.Thread, error) {
	t, err := ls.w.find(ctx, view.OwnGrant, id, "consent")
	if err != nil {
		return nil, err
	}
	if err := ls.w.Consents().ownTerms(ctx, t); err != nil {
		return nil, err
	}
	if !ls.has(t) {
		return nil, ErrNotLink.With("consent", t.ID)
	}
	return t, nil
}

// checkLabel refuses what is no label of a link: it is shown to whoever has it, in any
// viewer.
func checkLabel(label string) error {
	switch {
	case utf8.RuneCountInString(label) > shlink.MaxLabel:
		return badInput("label", label, "is longer than "+strconv.Itoa(shlink.MaxLabel)+" characters")
	case !utf8.ValidString(label) || strings.ContainsFunc(label, func(r rune) bool { return !unicode.IsPrint(r) }):
		return badInput("label", label, "has characters that are not to be seen")
	}
	return nil
}
