package contract

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/carekey/carekey/crypto"
)

const configHead = "carekey ledger 1"

// Marshal returns the configuration document. A Config whose fields break the
// rules yields text that ParseConfig refuses.
func (c *Config) Marshal() []byte {
	d := lines(c.marshalUnapproved())
	for _, a := range c.Approvals {
		d.add("sign", a.Node.String(), a.Signature.String())
	}
	return d
}

func (c *Config) marshalUnapproved() []byte {
	var d lines
	d.add(configHead)
	d.add("name", c.Name)
	d.add("contract", strconv.Itoa(int(c.Contract)))
	for _, n := range c.Nodes {
		d.add("node", hex.EncodeToString(n.Checkpoint[:]), n.Key.String())
	}
	d.add("threshold", strconv.Itoa(int(c.Threshold)))
	for _, k := range c.Keepers {
		d.add("keeper", k.String())
	}
	d.add("release", strconv.Itoa(int(c.Release)))
	d.add("random", hex.EncodeToString(c.Random[:]))
	if !c.Previous.IsZero() {
		d.add("previous", c.Previous.String())
	}
	return d
}

// lines are a document of lines of words.
type lines []byte

func (d *lines) add(words ...string) { *d = append(*d, strings.Join(words, " ")+"\n"...) }

// ParseConfig reads a configuration document. It accepts exactly what Marshal
// writes for a Config within its limits. The errors are [ErrConfig], and
// [ErrContractVersion] for a document of a contract version that this package
// does not know: what follows that line may have changed its meaning.
//
// Each line is judged alone, and by the limits on what the lines before it said. That
// no line is missing, twice or in another place, and each in its one form, is what the
// comparison with Marshal proves.
func ParseConfig(document []byte) (Config, error) {
	var c Config
	line := 0
	for text := range strings.Lines(string(document)) {
		line++
		if err := c.read(line, text); err != nil {
			return Config{}, err
		}
	}
	if c.Previous.IsZero() != (len(c.Approvals) == 0) {
		return Config{}, ErrConfig.With("line", line+1, "want", "a previous document with approvals, or neither")
	}
	only := c.Marshal()
	if !bytes.Equal(only, document) {
		same := 0
		for same < min(len(only), len(document)) && only[same] == document[same] {
			same++
		}
		from := 1 + bytes.LastIndexByte(only[:same], '\n')
		want, _, _ := strings.Cut(string(only[from:]), "\n")
		return Config{}, ErrConfig.With("line", 1+bytes.Count(only[:from], []byte{'\n'}), "want", cmp.Or(want, "the end"))
	}
	return c, nil
}

// read reads one line into c.
func (c *Config) read(line int, text string) error {
	text, ended := strings.CutSuffix(text, "\n")
	keyword, value, _ := strings.Cut(text, " ")
	want := "" // what should stand there, if it does not
	number := func(most int) uint8 {
		n, err := strconv.ParseUint(value, 10, 8)
		if err != nil || n < 1 || int(n) > most || value != strconv.FormatUint(n, 10) {
			want = keyword + " from 1 to " + strconv.Itoa(most)
		}
		return uint8(n)
	}
	key := func(word string) (k crypto.PubKey) {
		if k.UnmarshalText([]byte(word)) != nil {
			want = "a compressed secp256k1 public key in lower-case hexadecimal"
		}
		return k
	}
	bytesOf := func(dst []byte, word string) {
		b, err := hex.DecodeString(word)
		if copy(dst, b); err != nil || len(b) != len(dst) {
			want = strconv.Itoa(len(dst)) + " bytes in lower-case hexadecimal"
		}
	}
	first, second, _ := strings.Cut(value, " ")
	switch {
	case !ended:
		want = "a line that ends in a newline"
	case line == 1:
		if text != configHead {
			want = configHead
		}
	case keyword == "name":
		if c.Name = value; !ValidName(value) {
			want = "a name of 1 to 64 bytes without invisible characters"
		}
	case keyword == "contract":
		c.Contract = number(255)
		if want == "" && line == 3 && c.Name != "" && c.Contract != ContractVersion {
			return ErrContractVersion.With("version", c.Contract)
		}
	case keyword == "node" && len(c.Nodes) < MaxNodes:
		n := Node{Key: key(second)}
		bytesOf(n.Checkpoint[:], first)
		if slices.ContainsFunc(c.Nodes, func(m Node) bool { return m.Checkpoint == n.Checkpoint || m.Key == n.Key }) {
			want = "a node with keys of its own"
		}
		c.Nodes = append(c.Nodes, n)
	case keyword == "threshold":
		c.Threshold = number(len(c.Nodes))
	case keyword == "keeper" && len(c.Keepers) < MaxKeepers:
		k := key(value)
		if slices.Contains(c.Keepers, k) {
			want = "a keeper with a key of its own"
		}
		c.Keepers = append(c.Keepers, k)
	case keyword == "release":
		c.Release = number(len(c.Keepers))
	case keyword == "random":
		bytesOf(c.Random[:], value)
	case keyword == "previous":
		bytesOf(c.Previous[:], value)
	case keyword == "sign" && len(c.Approvals) < MaxNodes:
		a := Approval{Node: key(first)}
		bytesOf(a.Signature[:], second)
		c.Approvals = append(c.Approvals, a)
	default:
		want = "a line of a configuration, and no more of a kind than it can have"
	}
	if want != "" {
		return ErrConfig.With("line", line, "want", want)
	}
	return nil
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
