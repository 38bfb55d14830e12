package contract

import (
	"bytes"
	"encoding/hex"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/carekey/carekey/crypto"
)

const configHead = "carekey ledger 1"

// Marshal returns the configuration document. A Config whose fields break the
// rules yields text that ParseConfig refuses.
func (c *Config) Marshal() []byte {
	b := c.marshalUnapproved()
	for i := range c.Approvals {
		a := &c.Approvals[i]
		b = append(b, "sign "...)
		b = hex.AppendEncode(b, a.Node[:])
		b = append(b, ' ')
		b = hex.AppendEncode(b, a.Signature[:])
		b = append(b, '\n')
	}
	return b
}

func (c *Config) marshalUnapproved() []byte {
	b := append([]byte(configHead), "\nname "...)
	b = append(b, c.Name...)
	b = append(b, "\ncontract "...)
	b = strconv.AppendUint(b, uint64(c.Contract), 10)
	for i := range c.Nodes {
		b = append(b, "\nnode "...)
		b = hex.AppendEncode(b, c.Nodes[i].Checkpoint[:])
		b = append(b, ' ')
		b = hex.AppendEncode(b, c.Nodes[i].Key[:])
	}
	b = append(b, "\nthreshold "...)
	b = strconv.AppendUint(b, uint64(c.Threshold), 10)
	for i := range c.Keepers {
		b = append(b, "\nkeeper "...)
		b = hex.AppendEncode(b, c.Keepers[i][:])
	}
	b = append(b, "\nrelease "...)
	b = strconv.AppendUint(b, uint64(c.Release), 10)
	b = append(b, "\nrandom "...)
	b = hex.AppendEncode(b, c.Random[:])
	if c.Previous != (crypto.Hash{}) {
		b = append(b, "\nprevious "...)
		b = hex.AppendEncode(b, c.Previous[:])
	}
	return append(b, '\n')
}

// ParseConfig reads a configuration document. It accepts exactly what Marshal
// writes for a Config within its limits. The errors are [ErrConfig], and
// [ErrContractVersion] for a document of a contract version that this package
// does not know: what follows that line may have changed its meaning.
func ParseConfig(document []byte) (Config, error) {
	p := &configParser{rest: document}
	c := p.config()
	if p.err != nil {
		return Config{}, p.err
	}
	if !bytes.Equal(c.Marshal(), document) { // what was read line by line has one encoding; this is the proof
		return Config{}, ErrConfig.With("line", 0, "want", "the only encoding of its content")
	}
	return c, nil
}

// configParser keeps the first error; after it nothing more is read.
type configParser struct {
	rest []byte
	line int // number of the last line that was read
	err  error
}

func (p *configParser) config() Config {
	var c Config
	p.head()
	c.Name = p.name()
	if c.Contract = p.number("contract", 255); p.err == nil && c.Contract != ContractVersion {
		p.err = ErrContractVersion.With("version", c.Contract)
	}
	for p.more("node", MaxNodes, len(c.Nodes)) {
		f := p.field("node", 2)
		n := Node{Key: p.key(f[1])}
		p.hex(n.Checkpoint[:], f[0])
		for _, m := range c.Nodes {
			if m.Checkpoint == n.Checkpoint || m.Key == n.Key {
				p.fail("a node with keys of its own")
			}
		}
		c.Nodes = append(c.Nodes, n)
	}
	c.Threshold = p.number("threshold", len(c.Nodes))
	for p.more("keeper", MaxKeepers, len(c.Keepers)) {
		k := p.key(p.field("keeper", 1)[0])
		for _, l := range c.Keepers {
			if l == k {
				p.fail("a keeper with a key of its own")
			}
		}
		c.Keepers = append(c.Keepers, k)
	}
	c.Release = p.number("release", len(c.Keepers))
	p.hex(c.Random[:], p.field("random", 1)[0])
	if p.err != nil || len(p.rest) == 0 {
		return c
	}
	p.hex(c.Previous[:], p.field("previous", 1)[0])
	if c.Previous == (crypto.Hash{}) {
		p.fail("a previous document")
	}
	for p.more("sign", MaxNodes, len(c.Approvals)) {
		f := p.field("sign", 2)
		a := Approval{Node: p.key(f[0])}
		p.hex(a.Signature[:], f[1])
		c.Approvals = append(c.Approvals, a)
	}
	if p.err == nil && len(p.rest) > 0 {
		p.line++
		p.fail("the end")
	}
	return c
}

// more reports whether another line with the keyword is to be read. The first
// one must be there; after have = most there must be none.
func (p *configParser) more(keyword string, most, have int) bool {
	if p.err != nil {
		return false
	}
	if have == 0 {
		return true
	}
	if !bytes.HasPrefix(p.rest, []byte(keyword+" ")) {
		return false
	}
	if have == most {
		p.line++
		p.fail("at most " + strconv.Itoa(most) + " lines " + keyword)
		return false
	}
	return true
}

// next takes the next line.
func (p *configParser) next() string {
	if p.err != nil {
		return ""
	}
	p.line++
	line, rest, ended := bytes.Cut(p.rest, []byte{'\n'})
	if !ended {
		p.fail("a line that ends in a newline")
		return ""
	}
	p.rest = rest
	return string(line)
}

func (p *configParser) head() {
	if p.next() != configHead {
		p.fail(configHead)
	}
}

// value takes the next line and returns what follows its keyword and a space.
func (p *configParser) value(keyword string) string {
	value, ok := strings.CutPrefix(p.next(), keyword+" ")
	if !ok {
		p.fail(keyword)
	}
	return value
}

// field takes the next line and returns the n words after its keyword, which
// are empty after an error.
func (p *configParser) field(keyword string, n int) []string {
	words := strings.Split(p.value(keyword), " ")
	if len(words) != n {
		p.fail(keyword + " and " + strconv.Itoa(n) + " words")
		return make([]string, n)
	}
	return words
}

// number reads a decimal number from 1 to most without leading zeros.
func (p *configParser) number(keyword string, most int) uint8 {
	value := p.field(keyword, 1)[0]
	if p.err != nil {
		return 0
	}
	n, err := strconv.ParseUint(value, 10, 8)
	if err != nil || n < 1 || int(n) > most || value != strconv.FormatUint(n, 10) {
		p.fail(keyword + " from 1 to " + strconv.Itoa(most))
		return 0
	}
	return uint8(n)
}

// hex reads exactly len(dst) bytes in lower-case hexadecimal.
func (p *configParser) hex(dst []byte, word string) {
	if p.err != nil {
		return
	}
	b, err := hex.DecodeString(word)
	if err != nil || len(b) != len(dst) || hex.EncodeToString(b) != word {
		p.fail(strconv.Itoa(len(dst)) + " bytes in lower-case hexadecimal")
		return
	}
	copy(dst, b)
}

func (p *configParser) key(word string) crypto.PubKey {
	var b crypto.PubKey
	p.hex(b[:], word)
	if p.err != nil {
		return crypto.PubKey{}
	}
	k, err := crypto.ParsePubKey(b[:])
	if err != nil {
		p.fail("a compressed secp256k1 public key")
	}
	return k
}

func (p *configParser) name() string {
	name := p.value("name")
	if p.err == nil && !ValidName(name) {
		p.fail("a name of 1 to 64 bytes without invisible characters")
	}
	return name
}

// invisible lists, as pairs of first and last, what a name must not hold:
// control characters, spaces other than U+0020, and what is not seen or turns
// the direction of writing. The list is part of the format: it does not follow
// later versions of Unicode, since all hosts must agree.
var invisible = [...][2]rune{
	{0x00, 0x1f}, {0x7f, 0xa0}, {0xad, 0xad}, {0x34f, 0x34f}, {0x61c, 0x61c}, {0x115f, 0x1160}, {0x1680, 0x1680},
	{0x17b4, 0x17b5}, {0x180b, 0x180f}, {0x2000, 0x200f}, {0x2028, 0x202f}, {0x205f, 0x206f}, {0x2800, 0x2800},
	{0x3000, 0x3000}, {0x3164, 0x3164}, {0xe000, 0xf8ff}, {0xfe00, 0xfe0f}, {0xfeff, 0xfeff}, {0xffa0, 0xffa0},
	{0xfff0, 0xffff}, {0xe0000, 0x10ffff},
}

// ValidName reports whether a ledger can be called that: 1 to MaxName bytes of UTF-8,
// nothing invisible, no spaces at the ends or two in a row.
func ValidName(name string) bool {
	if name == "" || len(name) > MaxName || !utf8.ValidString(name) {
		return false
	}
	if name[0] == ' ' || name[len(name)-1] == ' ' || strings.Contains(name, "  ") {
		return false
	}
	for _, r := range name {
		for _, bad := range invisible {
			if bad[0] <= r && r <= bad[1] {
				return false
			}
		}
	}
	return true
}

// fail keeps the first error.
func (p *configParser) fail(want string) {
	if p.err == nil {
		p.err = ErrConfig.With("line", p.line, "want", want)
	}
}
