package batch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
)

const (
	// ErrForeignPlan: a plan was not made by this wallet, or was changed since.
	ErrForeignPlan fault.Code = "plan-foreign"
	// ErrOtherLedger: a plan is for another ledger. ledger
	ErrOtherLedger fault.Code = "plan-foreign/ledger"
	// ErrStalePlan: a consent, a contact or a record that a plan was made on has changed.
	ErrStalePlan fault.Code = "plan-stale"
)

// Plan is a batch that was checked and can be shown before anything is signed. Its JSON
// is what people and scripts read, and with a seal the file that it is kept in.
type Plan struct {
	Ledger crypto.LedgerID `json:"ledger"`
	From   crypto.Address  `json:"from"`
	Made   wallet.Hour     `json:"made"`
	File   string          `json:"file"` // name of the file it was made from
	Report
	Prune      bool              `json:"prune"`
	Give       int               `json:"give"`
	End        int               `json:"end"`
	Stay       int               `json:"stay"`    // consents in force that stay
	Already    int               `json:"already"` // rows that ask for nothing new
	Gate       ledgerclient.Gate `json:"gate"`
	Scope      crypto.Hash       `json:"scope"` // of what the plan was made on
	People     []Person          `json:"people"`
	Warnings   []Warning         `json:"warnings"`
	Recipients []wallet.Contact  `json:"recipients"` // everybody whom a row or an item names
	Choices    []Choice          `json:"choices,omitempty"`
	Items      []Item            `json:"items"` // grants, then revocations

	ask *asked      // what the items ask, if they give nothing
	sum crypto.Hash // of the file that it was read from; zero if it was made of rows
}

// Item is one consent to give or to end.
type Item struct {
	Line     int                    `json:"line"` // of the file; 0 when no row asked for it
	Do       Do                     `json:"do"`
	To       string                 `json:"to"`              // a contact's name, else the address; "" if it is not known
	Link     bool                   `json:"link,omitempty"`  // it is to end a link, and To is the address of that
	State    LinkState              `json:"state,omitempty"` // of a link to end
	Verified bool                   `json:"verified"`
	Records  []wallet.ConsentRecord `json:"records"`
	Choice   int                    `json:"choice,omitempty"` // of a grant that gives parts: which of the plan's it gives, from 1
	Purpose  string                 `json:"purpose"`          // its word
	From     wallet.Hour            `json:"from,omitzero"`
	Until    wallet.Hour            `json:"until"`             // the exact end
	Overlap  bool                   `json:"overlap,omitempty"` // of a grant: the recipient can open some of it already
	Consent  contract.ID            `json:"consent,omitzero"`  // to end
	Why      string                 `json:"why,omitempty"`     // "asked", "replaced", "pruned"
	Loses    bool                   `json:"loses,omitempty"`   // the recipient can then open some of it no more
	Sooner   bool                   `json:"sooner,omitempty"`  // or only until an earlier end

	// While the plan is made.
	whose *person
	scope string // of a revocation: see consent.key
}

// Person is what a plan changes for one person: what she can open afterwards, by all
// consents together, beside what she can open now.
type Person struct {
	Who    string    `json:"who"`             // as in Item.To; "" for consents of which nobody knows whom they are for
	Link   bool      `json:"link,omitempty"`  // it is whoever has a link
	State  LinkState `json:"state,omitempty"` // of the link, if it is to end
	Give   int       `json:"give"`            // consents
	End    int       `json:"end"`
	Stay   int       `json:"stay"`   // consents in force to her
	Access []Access  `json:"access"` // in the order of the constants below, without those of no record
}

// Access is records that change in the same way for one person.
type Access struct {
	Change  Change      `json:"change"`
	Records int         `json:"records"`
	Titles  []string    `json:"titles"`         // of the first three
	First   wallet.Hour `json:"first,omitzero"` // the earliest end of what can be opened afterwards; zero for Loses
	Last    wallet.Hour `json:"last,omitzero"`  // the latest
}

// Change says how what a person can open changes.
type Change string

const (
	Loses  Change = "loses"  // can be opened no more
	Sooner Change = "sooner" // only until an earlier end
	Gains  Change = "gains"  // can be opened for the first time
	Newer  Change = "newer"  // also in a newer version
	Longer Change = "longer" // until a later end
	Keeps  Change = "keeps"  // as before
)

// Warning is something that looks wrong, with the first row and how many. What stays back,
// or goes and is sensitive, is of these kinds:
//
//	empty         nothing is given of Other: a category, a role, or "all"
//	sensitive     entries stay, by sensitivity, as "2 hiv"
//	unclassified  so many entries stay, since no table understands them
//	not-split     the record with that id stays: it is FHIR that could not be split
//	earlier       the record with that id stays: it may be FHIR, and was added before carekey looked
//	missing       the record with that id stays: the store has lost it
//	anything      the record with that id goes whole, and nobody knows what is in it
//	whole         what is sensitive goes, since records go whole: numbers by sensitivity
//	missed        what stays and who treats the patient might need
//	open          a consent to Who stays that gives entries which are sensitive since: numbers by sensitivity
//	naming        how many entries that go still say whose they are, as "52 of 59"
type Warning struct {
	Kind  string      `json:"kind"`            // one of these, or "unverified", "self", "long", "new-purpose", "lookalike", "overlap", "unseen"
	Who   string      `json:"who,omitempty"`   // the contact, where one is concerned
	Other string      `json:"other,omitempty"` // of "lookalike": the other contact; of "new-purpose": the purpose; else as above
	Line  int         `json:"line"`
	Count int         `json:"count"`
	Until wallet.Hour `json:"until,omitzero"` // of "long": the last end
}

// A plan's file is the plan as JSON with one more field at its end, the seal. It binds
// all bytes before it to the wallet that made the plan, so that nobody adds a row on the
// way, or a space between two words.
const (
	sealPurpose = "batch plan 2" // who knows no parts takes a plan with some for one of whole records
	sealField   = ",\n \"seal\": \""
	fileEnd     = "\"\n}\n"
)

// Marshal writes a plan as a file for [Parse]. It holds names and titles.
func (p *Plan) Marshal(w *wallet.Wallet) ([]byte, error) {
	b, err := json.MarshalIndent(p, "", " ")
	if err != nil {
		return nil, err
	}
	b = bytes.TrimSuffix(b, []byte("\n}"))
	sum := sha256.Sum256(b)
	b = append(b, sealField...)
	b = base64.StdEncoding.AppendEncode(b, w.Job().Seal(sealPurpose, sum[:]))
	return append(b, fileEnd...), nil
}

// Parse reads a plan that this wallet wrote. Whatever else the bytes are, they are
// ErrForeignPlan.
func Parse(w *wallet.Wallet, data []byte) (*Plan, error) {
	at := max(0, bytes.LastIndex(data, []byte(sealField)))
	seal, ok := bytes.CutPrefix(data[at:], []byte(sealField))
	seal, too := bytes.CutSuffix(seal, []byte(fileEnd))
	sealed, err := base64.StdEncoding.Strict().DecodeString(string(seal))
	if !ok || !too || err != nil || bytes.ContainsAny(seal, "\r\n") {
		return nil, ErrForeignPlan
	}
	p := &Plan{sum: sha256.Sum256(data[:at])}
	sealedSum, err := w.Job().Open(sealPurpose, sealed)
	if err != nil || !bytes.Equal(sealedSum, p.sum[:]) {
		return nil, ErrForeignPlan
	}
	// The seal says that this wallet wrote it, so that its parts fit each other.
	return p, json.Unmarshal(data, p)
}

// Check returns why a plan cannot be applied now: it is of another wallet or ledger, or
// what it was made on has changed. applied says that it was already, as the last job,
// which has ended.
func Check(ctx context.Context, w *wallet.Wallet, p *Plan) (applied bool, err error) {
	err = w.Together(ctx, func() error {
		j, err := readJob(w)
		if err != nil {
			return err
		}
		if j == nil || p.sum.IsZero() || j.Plan != p.sum {
			return p.check(ctx, w)
		}
		applied = true
		return j.mustBeFinished()
	})
	return applied && err == nil, err
}

func (p *Plan) check(ctx context.Context, w *wallet.Wallet) error {
	if id, _ := w.Ledger(); p.Ledger != id {
		return ErrOtherLedger.With("ledger", p.Ledger)
	}
	if p.From != w.Address() {
		return ErrForeignPlan
	}
	consents, records, err := holdings(ctx, w)
	if err != nil {
		return err
	}
	if p.scope(w, consents, records) != p.Scope {
		return ErrStalePlan
	}
	for i := range p.Choices {
		if changed, err := p.Choices[i].changed(ctx, w); err != nil {
			return err
		} else if changed {
			return ErrStalePlan
		}
	}
	return nil
}

// holdings returns the consents of a wallet, in the ledger's order, and the records that
// are on the ledger, by id.
func holdings(ctx context.Context, w *wallet.Wallet) ([]wallet.Consent, []wallet.Record, error) {
	consents, err := w.Consents().List(ctx)
	if err != nil {
		return nil, nil, err
	}
	records, err := w.Records().List(ctx)
	if err != nil {
		return nil, nil, err
	}
	records = slices.DeleteFunc(records, func(r wallet.Record) bool { return r.Pending == wallet.AddingRecord })
	slices.SortFunc(records, func(a, b wallet.Record) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return consents, records, nil
}

// scope is a hash over all that a plan depends on: the consents to its recipients and
// those that it ends, or all of them if it prunes, the records that it grants, and who
// its recipients are.
func (p *Plan) scope(w *wallet.Wallet, consents []wallet.Consent, records []wallet.Record) crypto.Hash {
	facts := sha256.New()
	list := json.NewEncoder(facts)
	fact := func(v ...any) { list.Encode(v) } // of values that JSON can hold
	to := map[crypto.Address]bool{}
	for _, c := range p.Recipients {
		to[c.Address] = true
		if now, err := w.Contacts().Named(c.Name); err == nil && now.Address == c.Address {
			fact("contact", c.Name, c.Address)
		}
	}
	ends, grants := map[contract.ID]bool{}, map[contract.ID]bool{}
	for i := range p.Items {
		ends[p.Items[i].Consent] = true
		if p.Items[i].Do == Grant {
			for _, r := range p.Items[i].Records {
				grants[r.ID] = true
			}
		}
	}
	for i := range consents {
		// What only ended with time since the plan was made has not changed.
		if c := &consents[i]; inForce(c, p.Made) && (p.Prune || ends[c.ID] || to[c.Address]) {
			fact("consent", c.ID)
		}
	}
	for _, r := range records {
		if grants[r.ID] {
			fact("record", r.ID, r.Version)
		}
	}
	ledger, _ := w.Ledger()
	return crypto.TaggedHash(crypto.TagPlanScope, ledger[:], []byte(w.Address().String()), facts.Sum(nil))
}

// inForce reports whether a consent can be opened at that hour or later.
func inForce(c *wallet.Consent, now wallet.Hour) bool {
	return c.Status != wallet.StatusRevoked && c.Status != wallet.StatusPending && now < c.NotAfter
}
