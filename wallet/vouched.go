package wallet

import (
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
)

// ErrSaltsUsed: an issuer gave salts that another version of the owner's has. Who was given
// parts of that one could test guesses of this. record
const ErrSaltsUsed fault.Code = "attestation/salts-used"

// Whom an issuer says that a file is about, as its reader sees it.
const (
	AboutYou    = "you"
	AboutGiver  = "giver"  // of a record that was granted
	AboutThem   = "them"   // of what is delivered: whom it is for
	AboutOther  = "other"  // another address
	AboutNobody = "nobody" // the issuer does not say
	AboutUntold = "untold" // of parts it is not told
)

// Vouching is what is known of who signed a file. The zero value is that nobody did.
type Vouching struct {
	Issuer   crypto.Address `json:"issuer"`
	Name     string         `json:"name,omitempty"` // of a contact; "" if the address is none's
	Verified bool           `json:"verified"`       // the contact's check words were compared
	Own      bool           `json:"own,omitempty"`  // signed with this wallet's own key
	Replaced bool           `json:"replaced"`       // the contact has another address by now: when it was signed cannot be shown
	About    string         `json:"about"`
	Title    string         `json:"title,omitempty"` // what the issuer calls it: his word, and hostile
	Signed   Hour           `json:"signed"`          // as the issuer says; nothing proves it
	Serial   payload.Serial `json:"serial"`
}

// Is reports whether somebody signed.
func (v Vouching) Is() bool { return !v.Issuer.IsZero() }

// vouching says who signed what was read; giver is whose record it is, of one's own zero.
func (cs Contacts) vouching(st *payload.Statement, d *payload.Detail, giver crypto.Address) Vouching {
	c := cs.known(st.Issuer)
	v := Vouching{Issuer: st.Issuer, Name: c.Name, Verified: c.Verified, Own: st.Issuer == cs.w.Address(), Signed: Hour(st.Hour), Serial: st.Serial, About: AboutUntold}
	if v.Name == "" {
		v.Name = cs.replaced(st.Issuer)
		v.Replaced = v.Name != ""
	}
	if d == nil {
		return v
	}
	v.Title = d.Title
	switch {
	case d.About == nil:
		v.About = AboutNobody
	case *d.About == cs.w.Address():
		v.About = AboutYou
	case *d.About == giver:
		v.About = AboutGiver
	default:
		v.About = AboutOther
	}
	return v
}

// replaced is the contact that had an address which it has no more, and has another one now;
// "" if there is none.
func (cs Contacts) replaced(a crypto.Address) string {
	for _, f := range cs.w.book.Facts.Contacts {
		if f.Removed && f.Address == a && f.Was == "" && cs.index(f.Name) >= 0 {
			return cs.w.book.contacts[cs.index(f.Name)].Name
		}
	}
	return ""
}

// vouchedIn is what stands in one's own metadata: it was checked when it came, and is under
// a commitment of one's own.
func (cs Contacts) vouchedIn(m *payload.Metadata) Vouching {
	if m.Vouched == nil {
		return Vouching{}
	}
	st, d, err := m.Vouched.Kept()
	if err != nil {
		return Vouching{}
	}
	return cs.vouching(st, d, crypto.Address{})
}

// Sender is who delivered a version of a record. The zero value is that nobody did.
type Sender struct {
	Delivery contract.ID    `json:"delivery"`
	Address  crypto.Address `json:"address"`
	Name     string         `json:"name,omitempty"` // of a contact; "" if the address is none's
	Verified bool           `json:"verified"`       // the contact's check words were compared
	Sent     Hour           `json:"sent"`           // when it came onto the ledger
}

// senderOf says who delivered what has that source.
func (cs Contacts) senderOf(s *payload.Source) Sender {
	if s == nil {
		return Sender{}
	}
	c := cs.known(s.From)
	return Sender{Delivery: s.Delivery, Address: s.From, Name: c.Name, Verified: c.Verified, Sent: Hour(s.Sent)}
}

func otherFile(why string) error { return payload.ErrAttestation.With("why", why) }

// errOtherBytes: what was signed is not this file.
var errOtherBytes = otherFile("what was signed are other bytes than these: the file was changed, or is another one")

func splitsAlike(st *payload.Statement) error {
	if st.Split != 0 && st.Split != health.SplitVersion { // 0: the file is not split
		return WrongVersion("attestation", st.Split, health.SplitVersion)
	}
	return nil
}

// vouchFor has what its issuer signed go along with a file.
func (in *incoming) vouchFor(v *payload.Vouched) {
	if v == nil {
		return
	}
	if in.vouched = v; in.cut != nil {
		in.salts = v.Salts
	}
}

// checkVouched is for when the bytes of a version are known: m says what they are.
func (in *incoming) checkVouched(m *payload.Metadata) error {
	if in.vouched == nil {
		return nil
	}
	st, d, err := in.vouched.Read()
	if err != nil {
		return err
	}
	if d == nil || d.Size != m.Size || d.SHA256 != m.SHA256 {
		return errOtherBytes
	}
	if !st.Root.IsZero() && (m.Parts == nil || m.Parts.Root != st.Root) {
		return otherFile("the parts that were signed are not those of the file")
	}
	m.Vouched = in.vouched.ForWhole() // the salts stand with the parts
	return nil
}
