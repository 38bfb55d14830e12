package wallet

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
)

// incoming is a file on its way to become a version of a record.
type incoming struct {
	io.Reader                  // all of its bytes
	whole     string           // payload.WholeFHIR or payload.WholeFile; "" if it was split, or nobody looked
	why       string           // why FHIR was not split
	cut       *health.Cut      // nil if it was not split
	size      int64            // of the file, if it was split
	seen      *health.Detector // of a file that is streamed; else nil
	salts     *payload.Salts   // of its parts, if an issuer gave them
	vouched   *payload.Vouched // what the issuer signed of it; nil if nobody did

	// Of one that its owner adds.
	tables      *health.Tables        // nil otherwise
	said        *bookFacts            // what she says of parts, in Labels
	labels      func() []health.Label // of the parts: makes them, or of a large file waits until they are made; nil if it was not split
	before      []recordPart          // of the version that it follows: those of which she said something
	persons     []health.Person
	title, date string // what FHIR says of itself; "" if it does not
}

// receive looks at a file. What may be FHIR is read into memory, up to health.MaxSplit;
// everything else is streamed.
func receive(src Source) (*incoming, error) {
	in := &incoming{whole: payload.WholeFile}
	seen := health.NewDetector(src.Name)
	var file []byte
	steps := []int{64 << 10, health.MaxSplit + 1} // one more, to see the end
	if src.Size >= 64<<10 && src.Size < health.MaxSplit {
		steps = slices.Insert(steps, 1, int(src.Size)+1)
	}
	for _, most := range steps {
		file = slices.Grow(file, most-len(file))
		n, err := io.ReadFull(src, file[len(file):most])
		seen.Write(file[len(file) : len(file)+n])
		file = file[:len(file)+n]
		if err == io.EOF || err == io.ErrUnexpectedEOF { // that was all of it
			in.Reader = bytes.NewReader(file)
			if seen.FHIR() {
				in.split(file)
			}
			return in, nil
		}
		if err != nil {
			return nil, err
		}
		if !seen.Begun() && !seen.FHIR() {
			break
		}
	}
	in.Reader, in.seen = io.MultiReader(bytes.NewReader(file), io.TeeReader(src, seen)), seen
	return in, nil
}

// held is how many bytes of a file are in memory; of one that is streamed more than any
// number.
func (in *incoming) held() int64 {
	if b, ok := in.Reader.(*bytes.Reader); ok {
		return b.Size()
	}
	return math.MaxInt64
}

// split cuts a file that is FHIR, if it can be cut.
func (in *incoming) split(file []byte) {
	cut, err := health.Split(file)
	if err == nil {
		in.whole, in.cut, in.size = "", cut, int64(len(file))
		return
	}
	in.whole, in.why = payload.WholeFHIR, err.Error()
	if e, ok := errors.AsType[*fault.Error](err); ok {
		in.why = fmt.Sprint(e.Value("why"))
	}
}

var tooLarge = health.TooLarge + ", or begins with much white space"

// end says what only the end of a large file tells.
func (in *incoming) end() {
	if in.seen != nil && in.seen.FHIR() {
		in.whole, in.why = payload.WholeFHIR, tooLarge
		if !in.seen.Begun() {
			in.why = health.NotBegun
		}
	}
}

// spareFrom is the size of a file from which memory is spared, in bytes.
const spareFrom = 4 << 20

// sparing keeps a process small while it has a file of that size in memory: what is made to
// label 10,000 parts is ten times what is kept of them. Call what it returns when that is
// over.
func sparing(size int64) (end func()) {
	const (
		usual = 44 << 20 // of which the code of the program is no part
		room  = 8 << 20  // beside what there is
	)
	if size < spareFrom {
		return func() {}
	}
	spared.Lock()
	defer spared.Unlock()
	if spared.files++; spared.files == 1 {
		spared.was = debug.SetMemoryLimit(-1)
	}
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	debug.SetMemoryLimit(min(spared.was, max(usual, int64(now.HeapAlloc)+room)))
	return func() {
		spared.Lock()
		defer spared.Unlock()
		if spared.files--; spared.files == 0 {
			debug.SetMemoryLimit(spared.was)
		}
	}
}

// spared is [sparing] for as long as the parts of a file are made; then their labels are
// made too.
func (in *incoming) spared() (end func()) {
	if in.cut == nil || !in.large() {
		return func() {}
	}
	spare := sparing(in.size)
	return func() {
		if in.labels != nil {
			in.labels()
		}
		spare()
	}
}

// large reports whether memory is spared for a file that was split.
func (in *incoming) large() bool { return in.size >= spareFrom }

// spared counts the large files in memory: the limit is the process's, and is what it was
// before when the last of them is gone.
var spared struct {
	sync.Mutex
	files int
	was   int64
}

// lookedAt reports whether a version was added by a program that splits files.
func lookedAt(m *payload.Metadata) bool {
	return m.Parts != nil && m.Parts.Split == health.SplitVersion || m.Parts == nil && m.Whole != ""
}

// Holding says what a record holds.
type Holding struct {
	Form         string  `json:"form,omitempty"`     // of a file that was added just now: health.FormBundle, FormLines, FormResource; "" if it was not split
	NotSplit     string  `json:"notSplit,omitempty"` // why FHIR was not split: it can only be given whole
	Entries      int     `json:"entries"`            // of them are the following numbers
	Categories   []Count `json:"categories"`
	Sensitive    int     `json:"sensitive"` // with a sensitive fact in it
	Kinds        []Count `json:"kinds"`     // by sensitivity
	Unclassified int     `json:"unclassified"`
	Unknown      []Count `json:"unknown"` // by why they are unclassified

	// Of an update: what was said of these parts of the version before, and does not hold
	// any more, since no part of this one has their bytes.
	Lapsed []string `json:"lapsed,omitempty"`
}

// Count is how many there are of something.
type Count struct {
	Of     string `json:"of"`
	Number int    `json:"number"`
}

// wholeFor is what is in a file that was not split; why is "" if it is no FHIR.
func wholeFor(why string) *Holding {
	return &Holding{NotSplit: why, Categories: []Count{}, Kinds: []Count{}, Unknown: []Count{}}
}

// holding counts what is in n parts, of which at returns the label, and whether it is a
// narrative, which has those of its resource.
func holding(at func(i int) (l *health.Label, text bool), n int) *Holding {
	h := &Holding{}
	categories, kinds, unknown := map[string]int{}, map[string]int{}, map[string]int{}
	for i := range n {
		l, text := at(i)
		if text {
			continue
		}
		h.Entries++
		categories[string(l.Category)]++
		if len(l.Sensitive) > 0 {
			h.Sensitive++
		}
		for _, s := range l.Sensitive {
			kinds[string(s)]++
		}
		if len(l.Unclassified) > 0 {
			h.Unclassified++
		}
		for _, s := range l.Unclassified {
			unknown[s]++
		}
	}
	h.Categories, h.Kinds, h.Unknown = Counts(categories), Counts(kinds), Counts(unknown)
	return h
}

// Counts lists how often each word is there, the most frequent first, then by word.
func Counts[S ~string](of map[S]int) []Count {
	out := make([]Count, 0, len(of))
	for word, n := range of {
		out = append(out, Count{string(word), n})
	}
	slices.SortFunc(out, func(a, b Count) int { return cmp.Or(cmp.Compare(b.Number, a.Number), strings.Compare(a.Of, b.Of)) })
	return out
}
