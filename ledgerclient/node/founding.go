package node

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Member is what an institution tells the others with whom it founds a ledger. All of it
// is public.
//
// The text form, its line, is "carekey-member1" and lower-case base32 (RFC 4648 without
// padding) of
//
//	version 1 (1), length 1, name of the institution
//	checkpoint key 32, node key 33, keeper key 33
//	number of URLs 1 (1 to 4), each behind its length in 1 byte
//	number of fingerprints 1 (0 or 1), SHA-256 of the SubjectPublicKeyInfo 32
//	checksum 4: the first bytes of the tagged hash of what precedes
type Member struct {
	Name        string // for people, as a ledger's
	Node        contract.Node
	Keeper      crypto.PubKey
	URLs        []string    // of its node, 1 to MaxURLs
	Fingerprint crypto.Hash // of the key in the node's TLS certificate; zero: the system's authorities vouch for it
}

const memberPrefix = "carekey-member1"

func (m *Member) fields(c *codec.Codec) {
	versionOne(c)
	codec.Sized[uint8](c, &m.Name, math.MaxUint8)
	c.Bytes(m.Node.Checkpoint[:], m.Node.Key[:], m.Keeper[:])
	codec.Counted[uint8](c, &m.URLs, MaxURLs, func(c *codec.Codec, u *string) { codec.Sized[uint8](c, u, MaxURL) })
	pinned := !m.Fingerprint.IsZero()
	if codec.Bool(c, &pinned); pinned {
		c.Bytes(m.Fingerprint[:])
		c.Check(!m.Fingerprint.IsZero())
	}
}

// String returns the text form.
func (m Member) String() string {
	return crypto.EncodeCode(memberPrefix, codec.Append(nil, m.fields), crypto.TagMemberChecksum)
}

// ParseMember reads a member's line; case, white space and what mail and messengers put
// around it do not matter. The error is an [ErrMember].
func ParseMember(handed string) (Member, error) {
	b, fault := crypto.DecodeCode(memberPrefix, handed, crypto.TagMemberChecksum)
	var m Member
	if fault == "" && (codec.Parse(b, m.fields) != nil || !m.Valid()) {
		fault = crypto.FaultMalformed
	}
	if fault != "" {
		return Member{}, ErrMember.With("fault", fault)
	}
	return m, nil
}

// Valid reports whether String yields a line that ParseMember accepts.
func (m *Member) Valid() bool {
	for _, k := range []crypto.PubKey{m.Node.Key, m.Keeper} {
		if _, err := crypto.ParsePubKey(k[:]); err != nil {
			return false
		}
	}
	at := Invitation{Name: m.Name, URLs: m.URLs, Fingerprint: m.Fingerprint}
	return at.Valid()
}

// keys are all keys that a member brings.
func (m *Member) keys() []string {
	return []string{string(m.Node.Checkpoint[:]), string(m.Node.Key[:]), string(m.Keeper[:])}
}

// Draft is what the founders of a ledger agree upon. It determines the configuration
// document, and so the ledger's id: who has compared the id with the others has compared
// all of the draft. Its text is
//
//	carekey draft 1
//	name NAME
//	threshold T
//	release K
//	member LINE
//
// with the last for each member, 1 to 16, in the order of their lines in the document;
// the first begins the ledger.
type Draft struct {
	Name      string // of the ledger
	Threshold uint8  // how many nodes make a head; see DefaultThreshold
	Release   uint8  // how many keepers' shares open an envelope
	Members   []Member
}

const draftHead = "carekey draft 1"

// DefaultThreshold is how many of n nodes make a head if nothing else is said: the least
// that no two histories can have while fewer nodes lie than may be missing.
func DefaultThreshold(n int) int { return 2*n/3 + 1 }

// Spare is how many nodes may be missing, or lie, without harm: f.
func (d *Draft) Spare() int { return len(d.Members) - int(d.Threshold) }

// String returns the text.
func (d Draft) String() string {
	var b strings.Builder
	line := func(word, value string) { b.WriteString(word + " " + value + "\n") }
	b.WriteString(draftHead + "\n")
	line("name", d.Name)
	line("threshold", strconv.Itoa(int(d.Threshold)))
	line("release", strconv.Itoa(int(d.Release)))
	for _, m := range d.Members {
		line("member", m.String())
	}
	return b.String()
}

// ParseDraft reads a draft that may have come by mail: empty lines and white space around
// lines are passed over. Errors: [ErrDraft], [ErrMember], and those of Check.
func ParseDraft(handed string) (Draft, error) {
	var d Draft
	fail := func(n int, want string) (Draft, error) { return Draft{}, ErrDraft.With("line", n, "want", want) }
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(handed, "\ufeff")) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		n++
		word, value, _ := strings.Cut(line, " ")
		want := []string{draftHead, "name", "threshold", "release", "member"}[min(n, 5)-1]
		number := func(to *uint8) bool {
			v, err := strconv.ParseUint(value, 10, 8)
			*to = uint8(v)
			return err == nil
		}
		ok := word == want
		switch {
		case n == 1:
			ok = line == draftHead
		case n == 2:
			d.Name = value
		case n == 3:
			ok = number(&d.Threshold) && ok
		case n == 4:
			ok = number(&d.Release) && ok
		case n > 4+contract.MaxNodes:
			return fail(n, "the end: a ledger has at most 16 nodes")
		default:
			m, err := ParseMember(value)
			if e, is := fault.As(err, ErrMember); is && ok {
				return Draft{}, ErrMember.With("fault", e.Value("fault"), "line", n)
			}
			d.Members = append(d.Members, m)
		}
		if !ok {
			return fail(n, want)
		}
	}
	if n < 5 {
		return fail(n+1, []string{draftHead, "name", "threshold", "release", "member"}[n])
	}
	return d, d.Check()
}

// Check reports whether a ledger can be founded on a draft. Errors: [ErrDraft] names the
// line of the text and what is wanted there, [ErrKeyTwice] two members with one key, and
// [ErrAlike] two of one name or URL.
func (d *Draft) Check() error {
	n := len(d.Members)
	fail := func(line int, want string) error { return ErrDraft.With("line", line, "want", want) }
	least := DefaultThreshold(n)
	switch {
	case n < 1 || n > contract.MaxNodes:
		return fail(5, "1 to 16 members")
	case !contract.ValidName(d.Name):
		return fail(2, "a name of 1 to 64 bytes without invisible characters")
	case int(d.Threshold) < least || int(d.Threshold) > n:
		return fail(3, "threshold "+between(least, n))
	case d.Release < 1 || int(d.Release) > n:
		return fail(4, "release "+between(1, n))
	}
	by := map[string]int{} // the member with a key
	for i := range d.Members {
		m := &d.Members[i]
		if !m.Valid() {
			return fail(5+i, "a member")
		}
		for _, k := range m.keys() {
			if first, twice := by[k]; twice {
				return ErrKeyTwice.With("first", d.Members[first].Name, "second", m.Name, "lines", [2]int{5 + first, 5 + i})
			}
			by[k] = i
		}
		for _, other := range d.Members[:i] {
			if other.Name == m.Name || slices.ContainsFunc(m.URLs, func(u string) bool { return slices.Contains(other.URLs, u) }) {
				return ErrAlike.With("first", other.Name, "second", m.Name)
			}
		}
	}
	return nil
}

func between(least, most int) string {
	if least == most {
		return strconv.Itoa(most)
	}
	return "from " + strconv.Itoa(least) + " to " + strconv.Itoa(most)
}

// Genesis is the configuration document. Its random bytes are those of the draft's hash,
// so that names, URLs and fingerprints, which the document does not hold, change the
// ledger's id too. Errors: those of Check.
func (d *Draft) Genesis() ([]byte, error) {
	if err := d.Check(); err != nil {
		return nil, err
	}
	sum := crypto.TaggedHash(crypto.TagDraft, []byte(d.String()))
	c := contract.Config{
		Name: d.Name, Contract: contract.ContractVersion, Threshold: d.Threshold, Release: d.Release, Random: [16]byte(sum[:16]),
	}
	for _, m := range d.Members {
		c.Nodes = append(c.Nodes, m.Node)
		c.Keepers = append(c.Keepers, m.Keeper)
	}
	if err := ledgerclient.CheckNodes(c); err != nil {
		return nil, err
	}
	return c.Marshal(), nil
}
