package payload

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Part is the category of a record of which only parts are granted. No record of one's
// own has it: what the parts are is not said by one word.
const Part Category = "part"

// MaxRegion is the most bytes that the parts of one record take in its content, with
// their padding: what [crypto.MaxParts] parts of a file of 32 MiB can take.
const MaxRegion = 160 << 20

// MetadataParts says where the parts of a record version are and what they hang on.
type MetadataParts struct {
	Split int         `json:"split"`          // version of the cut
	Count int         `json:"count"`          // of parts
	Slots int         `json:"slots"`          // of leaves, those of no part included
	Root  crypto.Hash `json:"root"`           // of the tree over the leaves
	Start int64       `json:"start"`          // of the parts' region in the content blob: [crypto.PartsStart]; of those made earlier [crypto.PadLength]
	End   int64       `json:"end"`            // of the region with its padding: of the blob
	Salts *Salts      `json:"salts,omitzero"` // if an issuer gave them
}

func (m *Metadata) partsInRange() bool {
	p := m.Parts
	if p == nil {
		return m.Whole == "" || m.Hidden == "" && (m.Whole == WholeFHIR || m.Whole == WholeFile)
	}
	behind := int64(len(crypto.Salt{})) + m.AgeSize
	return m.Whole == "" && m.Hidden == "" && p.Split >= 1 && p.Count >= 1 && p.Count <= crypto.MaxParts && p.Slots == crypto.Slots(p.Count) &&
		m.Size < 1<<40 && m.AgeSize < 1<<40 && p.End == m.ContentSize && regionInRange(p.Slots, p.Start, p.End) &&
		p.Start >= behind && p.Start <= crypto.PartsStart(m.Size, m.AgeSize, p.End-p.Start) // classes are no larger than the region
}

// regionInRange reports whether a frame has its place between start and end, and both
// are where something padded ends.
func regionInRange(slots int, start, end int64) bool {
	return start >= crypto.PadLength(0) && start < 1<<41 && start == crypto.PadLength(start) &&
		end-start >= int64(crypto.FrameSize(slots)) && end-start <= MaxRegion && end == crypto.PadLength(end)
}

// Scope says what of FHIR records was granted, for all of the records with a root. What
// of a record is not in it may exist or not.
type Scope struct {
	Role       string     `json:"role,omitempty"`   // the name of a named choice. A reader treats it as hostile
	Beyond     bool       `json:"beyond,omitempty"` // its days or purposes are exceeded
	Categories []Category `json:"categories"`       // sorted, at most MaxScope
	Sensitive  []string   `json:"sensitive"`        // sorted, at most MaxScope
	Since      string     `json:"since,omitempty"`  // first day of what is given, YYYY-MM-DD
	Until      string     `json:"until,omitempty"`  // last one
}

// MaxScope is the most words of one kind in a scope.
const MaxScope = 32

// MarshalJSON writes lists without words as such.
func (s Scope) MarshalJSON() ([]byte, error) {
	type plain Scope
	p := plain(s)
	p.Categories, p.Sensitive = append([]Category{}, s.Categories...), append([]string{}, s.Sensitive...)
	return encode(p)
}

// Words is a scope as people read it. The role's name is the giver's word.
func (s *Scope) Words() string {
	var b strings.Builder
	if s.Role != "" {
		b.WriteString(s.Role)
		if s.Beyond {
			b.WriteString(" (beyond its days or purposes)")
		}
		b.WriteString(": ")
	}
	if len(s.Categories) == 0 {
		b.WriteString("nothing")
	}
	b.WriteString(Listed(s.Categories))
	if len(s.Sensitive) > 0 {
		b.WriteString("; with " + Listed(s.Sensitive))
	}
	switch { // of what was meant, not of what there is
	case len(s.Categories) == 0:
	case len(s.Sensitive) == 0:
		b.WriteString("; nothing sensitive, if there is any")
	case len(s.Sensitive) == 1 && s.Sensitive[0] == "unclassified":
		b.WriteString("; nothing known to be sensitive, if there is any")
	}
	switch {
	case s.Since != "" && s.Until != "":
		b.WriteString("; dated " + s.Since + " to " + s.Until)
	case s.Since != "":
		b.WriteString("; dated " + s.Since + " or later")
	case s.Until != "":
		b.WriteString("; dated " + s.Until + " or earlier")
	}
	return b.String()
}

func (t *Terms) scopeInRange() bool {
	partial := 0
	for i := range t.Records {
		r := &t.Records[i]
		switch {
		case r.Root.IsZero() && r.Category == Part, !r.Root.IsZero() && (r.Category != Part || r.Title != "" || r.Date != ""):
			return false
		case !r.Root.IsZero():
			partial++
		}
	}
	s := t.Scope
	if s == nil || partial == 0 {
		return s == nil && partial == 0
	}
	return s.inRange()
}

func (s *Scope) inRange() bool {
	return len(Marshal(s.Role))-len(`""`) <= MaxWord && (s.Role != "" || !s.Beyond) && areWords(s.Categories) && areWords(s.Sensitive) &&
		isDay(s.Since) && isDay(s.Until) && (s.Since == "" || s.Until == "" || s.Since <= s.Until)
}

// areWords reports whether a list of words is sorted and has none twice.
func areWords[T ~string](words []T) bool {
	for i, w := range words {
		if w == "" || !isWord(string(w)) || i > 0 && words[i-1] >= w {
			return false
		}
	}
	return len(words) <= MaxScope
}

// isDay reports whether a date is one of a calendar, to the day, or missing.
func isDay(s string) bool {
	_, err := time.Parse(time.DateOnly, s)
	return s == "" || err == nil
}

// MarshalJSON writes a list without records as such.
func (e Envelope) MarshalJSON() ([]byte, error) {
	type plain Envelope
	p := plain(e)
	if p.Records == nil {
		p.Records = []EnvelopeRecord{}
	}
	return encode(p)
}

// EnvelopePart is what opens some parts of one record version. Nothing of the whole is in
// it: neither its name nor its size nor its hash, which would confirm a guess of the parts
// that are not given.
type EnvelopePart struct {
	Record      contract.ID   `json:"record"`
	Author      crypto.PubKey `json:"author"` // the record's thread key, that frame and parts are bound to
	Version     int           `json:"version"`
	Split       int           `json:"split,omitempty"` // version of the cut; those before 2 are not named
	Content     Locator       `json:"content"`
	ContentSize int64         `json:"contentSize"`
	Head        crypto.Hash   `json:"head"`
	Start       int64         `json:"start"` // as in MetadataParts
	End         int64         `json:"end"`
	Slots       int           `json:"slots"`
	Root        crypto.Hash   `json:"root"`
	FrameKey    FrameKey      `json:"frameKey"`
	Items       Items         `json:"items"`
	Vouched     *Vouched      `json:"vouched,omitempty"` // without its detail
}

// Items are the granted parts of one record version, by slot. Their text is base64
// without padding of 32 bytes for each.
type Items []Item

// Item is one granted part.
type Item struct {
	Slot   uint32 // of the part's leaf in the frame
	Of     uint32 // of a narrative: the slot of the resource that it was cut from, if that is granted too; else Slot
	At     uint32 // where the part's ciphertext begins, counted from the region's start
	Length uint32 // of the ciphertext
	Key    PartKey
}

const itemSize = 4 + 4 + 4 + 4 + len(PartKey{})

// MarshalText returns the text form.
func (items Items) MarshalText() ([]byte, error) {
	b := make([]byte, 0, len(items)*itemSize)
	for i := range items {
		for _, n := range []uint32{items[i].Slot, items[i].Of, items[i].At, items[i].Length} {
			b = binary.BigEndian.AppendUint32(b, n)
		}
		b = append(b, items[i].Key[:]...)
	}
	return base64.RawStdEncoding.AppendEncode(nil, b), nil
}

// UnmarshalText accepts exactly what MarshalText writes.
func (items *Items) UnmarshalText(text []byte) error {
	b, err := base64.RawStdEncoding.Strict().AppendDecode(nil, text)
	if err != nil || len(b)%itemSize != 0 || base64.RawStdEncoding.EncodedLen(len(b)) != len(text) {
		return fmt.Errorf("not rows of %d bytes in base64", itemSize)
	}
	*items = make(Items, 0, len(b)/itemSize)
	for row := range slices.Chunk(b, itemSize) {
		n := func(i int) uint32 { return binary.BigEndian.Uint32(row[4*i:]) }
		*items = append(*items, Item{n(0), n(1), n(2), n(3), PartKey(row[16:])})
	}
	return nil
}

// inRange reports whether every item lies in the region and overlaps no other, and every
// narrative that names its resource is the one of a resource that is granted too.
func (p *EnvelopePart) inRange() bool {
	if !p.Vouched.inRange(false) || p.Version < 1 || p.Split < 0 || len(p.Items) == 0 || p.Slots != crypto.Slots(p.Slots) || p.End != p.ContentSize || !regionInRange(p.Slots, p.Start, p.End) {
		return false
	}
	free, next := int64(crypto.FrameSize(p.Slots)), int64(0)
	for i := range p.Items {
		it := &p.Items[i]
		if int64(it.Slot) < next || int64(it.Slot) >= int64(p.Slots) ||
			int64(it.At) < free || !crypto.IsPartSize(int(it.Length)) || int64(it.At)+int64(it.Length) > p.End-p.Start {
			return false
		}
		free, next = int64(it.At)+int64(it.Length), int64(it.Slot)+1
	}
	narrated := map[uint32]bool{}
	for _, it := range p.Items {
		if it.Of == it.Slot {
			continue
		}
		of, ok := slices.BinarySearchFunc(p.Items, it.Of, func(it Item, slot uint32) int { return cmp.Compare(it.Slot, slot) })
		if !ok || p.Items[of].Of != it.Of || narrated[it.Of] {
			return false
		}
		narrated[it.Of] = true
	}
	return true
}
