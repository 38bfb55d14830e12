package node

import (
	"math"
	"strconv"
	"strings"

	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// EntriesForm is of a batch of 1 to MaxEntries entries: one behind the other, 222 bytes
// each.
var EntriesForm = list("batch of entries", 1, MaxEntries, ledgerclient.EntryField)

// News are what is new of a log: a checkpoint, and the leaves under it from a position
// on.
type News struct {
	Note   []byte          // nil: the node has none at this moment
	Leaves []contract.Leaf // at most MaxNews: none if there are more
}

// newsSize is the most bytes that News have.
const newsSize = 4 + MaxNote + 2 + MaxNews*contract.LeafSize

func leaf(c *codec.Codec, l *contract.Leaf) {
	raw := l.Marshal()
	if c.Bytes(raw[:]); c.Reading() {
		*l, _ = contract.ParseLeaf(raw[:]) // of any bytes
	}
}

// NewsForm is of the checkpoint behind its length in 4 bytes, the leaves behind their
// number in 2 bytes.
var NewsForm = Form[News]{"news of a log", news}

func news(c *codec.Codec, n *News) {
	codec.Sized[uint32](c, &n.Note, MaxNote)
	codec.Counted[uint16](c, &n.Leaves, MaxNews, leaf)
}

// ParseFrom reads HeaderFrom. Without the header no leaves are wanted.
func ParseFrom(header string) (uint64, error) {
	if header == "" {
		return math.MaxInt64, nil
	}
	from, err := strconv.ParseUint(header, 10, 63)
	if err != nil || strconv.FormatUint(from, 10) != header {
		return 0, malformed(HeaderFrom, errSpare)
	}
	return from, nil
}

// The first byte of an outcome.
const (
	outcomeAccepted  = 0
	outcomeDuplicate = 1
	outcomeRefused   = 2
)

const (
	maxRule    = 32                           // characters of a rule's name
	maxOutcome = 1 + 32 + 8 + 4 + 1 + maxRule // bytes of an outcome
)

// outcome is what 1, id 32, index 8 (of a refusal 0), hour 4, and of a refusal the
// rule's name behind its length in 1 byte.
func outcome(c *codec.Codec, o *ledgerclient.Outcome) {
	what, index := uint8(outcomeAccepted), o.Index
	switch {
	case o.Refusal != nil:
		what, index = outcomeRefused, 0
	case o.Duplicate:
		what = outcomeDuplicate
	}
	codec.Int(c, &what)
	c.Check(what <= outcomeRefused)
	c.Bytes(o.ID[:])
	codec.Int(c, &index)
	codec.Int(c, &o.Hour)
	var refusal contract.Refusal
	if o.Refusal != nil {
		refusal = *o.Refusal
	}
	if what == outcomeRefused {
		codec.Sized[uint8](c, &refusal.Rule, maxRule)
		c.Check(index == 0 && validName(string(refusal.Rule)))
	}
	if c.Reading() {
		o.Index, o.Duplicate = index, what == outcomeDuplicate
		if what == outcomeRefused {
			o.Refusal = &contract.Refusal{Rule: refusal.Rule, Entry: o.ID, Hour: o.Hour}
		}
	}
}

// Ordered is the answer to a batch of entries.
type Ordered struct {
	Outcomes []ledgerclient.Outcome // in the order of the entries
	News     News                   // after them; none with revocations, which nothing holds up
}

// OrderedForm is of the answer to a batch of n entries: n outcomes, then the news.
func OrderedForm(n int) Form[Ordered] {
	return Form[Ordered]{"answer to a batch", func(c *codec.Codec, o *Ordered) {
		codec.List(c, &o.Outcomes, n, outcome)
		news(c, &o.News)
	}}
}

// validName reports whether s can be a rule of this contract or a later one.
func validName(s string) bool {
	return s != "" && len(s) <= maxRule && strings.Trim(s, letters+digits+"-") == ""
}

// ConfigsForm is of the configuration documents that followed the genesis document,
// oldest first, none empty, each behind its length in 4 bytes.
var ConfigsForm = list("list of configurations", 0, MaxConfigs, func(c *codec.Codec, d *[]byte) {
	codec.Sized[uint32](c, d, MaxDocument)
	c.Check(len(*d) > 0)
})
