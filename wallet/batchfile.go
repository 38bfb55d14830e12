package wallet

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/payload"
)

// planFile is a plan as a file: JSON in exactly one form. Mark binds it to the
// wallet that made it, so that nobody adds a row on the way.
type planFile struct {
	V          int               `json:"carekeyBatchPlan"`
	Ledger     crypto.LedgerID   `json:"ledger"`
	From       crypto.Address    `json:"from"`
	Made       contract.Hour     `json:"made"` // hours since 1970
	File       string            `json:"file"`
	SHA256     crypto.Hash       `json:"sha256"`
	Rows       int               `json:"rows"`
	Changes    bool              `json:"changes"`
	Prune      bool              `json:"prune"`
	Stay       int               `json:"stay"`
	Already    int               `json:"already"`
	Gate       ledgerclient.Gate `json:"gate"`
	Scope      crypto.Hash       `json:"scope"`
	Recipients []Contact         `json:"recipients"`
	Sets       [][]planRecord    `json:"sets"`
	People     []planPerson      `json:"people"`
	Warnings   []planWarning     `json:"warnings"`
	Items      []planItem        `json:"items"`
	Mark       []byte            `json:"mark"`
}

type planRecord struct {
	Record   contract.ID      `json:"record"`
	Version  int              `json:"version"`
	Title    string           `json:"title"`
	Category payload.Category `json:"category"`
	Date     string           `json:"date"`
}

type planWarning struct {
	Kind  string `json:"kind"`
	Who   string `json:"who"`
	Other string `json:"other"`
	Line  int    `json:"line"`
	Count int    `json:"count"`

	Until contract.Hour `json:"until,omitempty"`
}

type planPerson struct {
	To     int          `json:"to"`
	Give   int          `json:"give"`
	End    int          `json:"end"`
	Stay   int          `json:"stay"`
	Access []planAccess `json:"access"`
}

type planAccess struct {
	Kind    AccessChange  `json:"kind"`
	Records int           `json:"records"`
	Titles  []string      `json:"titles"`
	First   contract.Hour `json:"first,omitempty"`
	Last    contract.Hour `json:"last,omitempty"`
}

type planItem struct {
	Line      int             `json:"line"`
	Do        Do              `json:"do"`
	To        int             `json:"to"`
	Set       int             `json:"set"`
	Overlap   bool            `json:"overlap,omitempty"`
	Purpose   payload.Purpose `json:"purpose,omitempty"`
	NotBefore contract.Hour   `json:"notBefore,omitempty"`
	Until     contract.Hour   `json:"notAfter,omitempty"`
	Consent   contract.ID     `json:"consent,omitzero"`
	Why       string          `json:"why,omitempty"`
	Loses     bool            `json:"loses,omitempty"`
	Sooner    bool            `json:"sooner,omitempty"`
}

const planVersion = 1

// planMark is what Mark is sealed as.
const planMark = "batch plan"

func (f *planFile) encode() ([]byte, error) {
	b, err := json.MarshalIndent(f, "", " ")
	return append(b, '\n'), err
}

// MarshalPlan writes a plan as a file for [Wallet.ParsePlan]. It holds names and
// titles.
func (w *Wallet) MarshalPlan(p *BatchPlan) ([]byte, error) {
	f := planFile{V: planVersion, Ledger: p.Ledger, From: p.From, Made: p.Made, File: p.File, SHA256: p.SHA256, Rows: p.Rows, Changes: p.Changes,
		Prune: p.Prune, Stay: p.Stay, Already: p.Already, Gate: p.Gate, Scope: p.Scope, Recipients: p.Recipients,
		Sets: make([][]planRecord, len(p.Sets)), People: make([]planPerson, 0, len(p.People)), Warnings: make([]planWarning, len(p.Warnings)), Items: make([]planItem, len(p.Items))}
	for i, set := range p.Sets {
		for _, r := range set {
			f.Sets[i] = append(f.Sets[i], planRecord{r.ID, r.Version, r.Title, r.Category, r.Date})
		}
	}
	for i, x := range p.Warnings {
		f.Warnings[i] = planWarning(x)
	}
	for _, q := range p.People {
		x := planPerson{q.To, q.Give, q.End, q.Stay, make([]planAccess, len(q.Access))}
		for i, c := range q.Access {
			x.Access[i] = planAccess(c)
		}
		f.People = append(f.People, x)
	}
	for i, x := range p.Items {
		f.Items[i] = planItem(x)
	}
	b, err := f.encode()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	f.Mark = w.home.Key.Seal(planMark, sum[:])
	return f.encode()
}

// ParsePlan reads a plan that this wallet wrote. Whatever else the bytes are, another
// wallet's plan, one that was changed since, be it the space between two words, or no
// plan at all, they are a *ForeignPlanError.
func (w *Wallet) ParsePlan(data []byte) (*BatchPlan, error) {
	var f planFile
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, &ForeignPlanError{}
	}
	if again, err := f.encode(); err != nil || !bytes.Equal(again, data) || f.V != planVersion {
		return nil, &ForeignPlanError{}
	}
	mark := f.Mark
	f.Mark = nil
	b, err := f.encode()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	if said, err := w.home.Key.Open(planMark, mark); err != nil || !bytes.Equal(said, sum[:]) {
		return nil, &ForeignPlanError{}
	}
	// The mark says that this wallet wrote it, so that its numbers fit each other.
	p := &BatchPlan{Ledger: f.Ledger, From: f.From, Made: f.Made, File: f.File, SHA256: f.SHA256, Rows: f.Rows, Changes: f.Changes, Prune: f.Prune,
		Stay: f.Stay, Already: f.Already, Gate: f.Gate, Scope: f.Scope, Recipients: f.Recipients, Sets: make([][]ConsentRecord, len(f.Sets))}
	for i, set := range f.Sets {
		for _, r := range set {
			p.Sets[i] = append(p.Sets[i], ConsentRecord{r.Record, r.Version, r.Title, r.Category, r.Date})
		}
	}
	for _, x := range f.Warnings {
		p.Warnings = append(p.Warnings, BatchWarning(x))
	}
	for _, q := range f.People {
		x := BatchPerson{q.To, q.Give, q.End, q.Stay, nil}
		for _, c := range q.Access {
			x.Access = append(x.Access, BatchAccess(c))
		}
		p.People = append(p.People, x)
	}
	for _, x := range f.Items {
		p.Items = append(p.Items, BatchItem(x))
	}
	p.sum = sum
	return p, nil
}
