package server

import (
	"bytes"
	"crypto/rand"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/node"
)

// bulk asks many questions in one request.
func (w *world) bulk(questions ...node.Question) []node.Said {
	w.t.Helper()
	said, err := node.SaidForm(len(questions)).Parse(w.ok(w.post(node.PathBulk, node.BulkForm.Marshal(questions))))
	w.must(err)
	return said
}

// problem is what was said to a question that was not answered.
func (w *world) problem(s node.Said) node.Kind {
	w.t.Helper()
	if s.How != node.SaidProblem {
		w.t.Fatalf("said %d", s.How)
	}
	p, err := node.ParseProblem(s.Answer)
	w.must(err)
	return p.Kind
}

// asking is a patient's question what was filed about a grant.
func (w *world) asking(g *given) ledgerclient.Inquiry {
	q := ledgerclient.Inquiry{Ledger: w.ledger, Keeper: w.keeper, Grant: g.id}
	rand.Read(q.Nonce[:])
	ledgerclient.Sign(&q, g.key)
	return q
}

// Questions of all kinds in one request are answered as each is alone, in their order; what
// is wrong with one is said of that one. What is refused is filed by itself, and shown to
// the patient whose it is and to nobody else.
func TestBulk(t *testing.T) {
	w := newWorld(t, nil)
	open, refused, strange := w.grant(), w.grant(), w.grant()
	for _, g := range []*given{open, refused, strange} {
		w.give(g)
	}
	access, put := w.access(open)
	w.ok(w.post(node.PathBlobs, node.PutsForm.Marshal([]ledgerclient.Put{put})))
	w.order(access)
	r, response := w.request(open, access)
	never, _ := w.access(refused)
	without, _ := w.request(refused, never)
	wrong := w.inquiry(strange)
	wrong.SignState(crypto.GenerateKey())
	held, asked := w.inquiry(open), w.asking(open)
	terms, nothing := open.puts[0].Locators[0], crypto.Locator(crypto.NewSalt())
	said := w.bulk(
		node.Question{Asked: node.AskPayload, Message: terms[:]},
		node.Question{Asked: node.AskRelease, Message: ledgerclient.Marshal(&without)},
		node.Question{Asked: node.AskState, Message: ledgerclient.Marshal(&wrong)},
		node.Question{Asked: node.AskRelease, Message: ledgerclient.Marshal(&r)},
		node.Question{Asked: node.AskPayload, Message: nothing[:]},
		node.Question{Asked: node.AskState, Message: ledgerclient.Marshal(&held)},
		node.Question{Asked: node.AskInquiry, Message: ledgerclient.Marshal(&asked)},
	)
	begin, err := node.BeginningForm.Parse(said[0].Answer)
	if w.must(err); !bytes.Equal(begin.Bytes, open.puts[0].Blob) || begin.Size != uint64(len(begin.Bytes)) {
		t.Errorf("another payload of %d bytes", begin.Size)
	}
	a, err := ledgerclient.Parse[ledgerclient.Answer](said[1].Answer)
	w.must(err)
	if w.must(a.Verify(&without, w.keeper)); a.Code != ledgerclient.NoAccess {
		t.Errorf("without an access: %s", a.Code)
	}
	if kind := w.problem(said[2]); kind != node.KindKeeper {
		t.Errorf("a stranger: %s", kind)
	}
	a, err = ledgerclient.Parse[ledgerclient.Answer](said[3].Answer)
	w.must(err)
	w.must(a.Verify(&r, w.keeper))
	if got := w.open(open, access, a, response); !bytes.Equal(got, open.secret) {
		t.Errorf("opened %q", got)
	}
	if kind := w.problem(said[4]); kind != node.KindNotFound {
		t.Errorf("no payload: %s", kind)
	}
	if s, err := node.KeeperStateForm.Parse(said[5].Answer); err != nil || !s.Held || s.Grant != open.id {
		t.Errorf("%+v, %v", s, err)
	}
	filed, err := ledgerclient.Parse[ledgerclient.InquiryAnswer](said[6].Answer)
	w.must(err)
	w.must(filed.Verify(&asked, open.entry.Counterparty))
	if len(filed.Refused) != 0 {
		t.Error("a patient is shown another's refused request")
	}
	for _, g := range []*given{refused, strange} {
		q := w.asking(g)
		said := w.bulk(node.Question{Asked: node.AskInquiry, Message: ledgerclient.Marshal(&q)})
		filed, err := ledgerclient.Parse[ledgerclient.InquiryAnswer](said[0].Answer)
		w.must(err)
		w.must(filed.Verify(&q, g.entry.Counterparty))
		want := 0
		if g == refused {
			want = 1
		}
		if len(filed.Refused) != want || want > 0 && filed.Refused[0].Request != without {
			t.Errorf("%d refused requests are filed, want %d", len(filed.Refused), want)
		}
	}
}

// Many questions in one request use up as much as they do one by one: of the requests that
// an address may make, and of the signatures that may be checked for it.
func TestBulkIsCounted(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Limits.Rate, o.Limits.Checks = Rate{0.001, 12}, Rate{0.001, 6} })
	var questions []node.Question
	for range 8 {
		q := ledgerclient.Inquiry{Ledger: w.ledger, Keeper: w.keeper}
		questions = append(questions, node.Question{Asked: node.AskState, Message: ledgerclient.Marshal(&q)})
	}
	count := func(said []node.Said, kind node.Kind) (n int) {
		for _, s := range said {
			if w.problem(s) == kind {
				n++
			}
		}
		return n
	}
	said := w.bulk(questions...)
	if n, more := count(said, node.KindKeeper), count(said, node.KindTooMany); n != 6 || more != 2 {
		t.Errorf("%d were checked, and %d not", n, more)
	}
	loc := crypto.Locator{}
	for i := range questions {
		questions[i] = node.Question{Asked: node.AskPayload, Message: loc[:]}
	}
	said = w.bulk(questions...) // of which four are left
	if n, more := count(said, node.KindNotFound), count(said, node.KindTooMany); n != 4 || more != 4 {
		t.Errorf("%d requests came through, and %d not", n, more)
	}
	w.refused("another", w.post(node.PathBulk, node.BulkForm.Marshal(questions[:1])), node.KindTooMany)
}

// Where the node lacks memory for more answers it says so of those, and nothing was done
// for them.
func TestBulkWithoutRoom(t *testing.T) {
	w := newWorld(t, nil)
	var questions []node.Question
	for range 3 {
		g := w.grant()
		w.give(g)
		q := w.asking(g)
		questions = append(questions, node.Question{Asked: node.AskInquiry, Message: ledgerclient.Marshal(&q)})
	}
	other := w.server.gate.place(client{1})
	other.memory.doing = busy
	w.server.gate.memory.takeWith(&other.memory, w.server.limits.Memory, 0, true)
	said := w.bulk(questions...)
	if said[0].How != node.SaidAnswer || said[1].How != node.SaidAgain || said[2].How != node.SaidAgain {
		t.Errorf("%d, %d, %d", said[0].How, said[1].How, said[2].How)
	}
	other.leave()
	if said := w.bulk(questions...); said[2].How != node.SaidAnswer {
		t.Errorf("afterwards: %d", said[2].How)
	}
}

// What the first answer may take is counted, although it is made at all events: others get
// no memory that is used already.
func TestBulkCountsTheFirst(t *testing.T) {
	w := newWorld(t, nil)
	var during int64
	w.server.questions[node.AskInquiry] = func(*request, []byte) ([]byte, error) {
		_, during = w.server.gate.load()
		return []byte("answer"), nil
	}
	other := w.server.gate.place(client{1})
	other.memory.doing = busy
	all := w.server.limits.Memory
	w.server.gate.memory.takeWith(&other.memory, all, 0, true)
	q := w.asking(w.grant())
	said := w.bulk(node.Question{Asked: node.AskInquiry, Message: ledgerclient.Marshal(&q)})
	if most := int64(node.AskInquiry.Most()); said[0].How != node.SaidAnswer || during < all+most-uncounted || during > all+most+1<<10 {
		t.Errorf("said %d; %d bytes were counted beside %d", said[0].How, during-all, all)
	}
	other.leave()
	if _, left := w.server.gate.load(); left != 0 {
		t.Errorf("%d bytes are counted afterwards", left)
	}
}

// A node that gets busy at a question, of which it then did nothing, says of that one and of
// the rest that they are to be asked again. If it is the first one, the request has failed.
func TestBulkGetsBusy(t *testing.T) {
	w := newWorld(t, nil)
	begun, busyFrom := 0, 2
	w.server.questions[node.AskState] = func(*request, []byte) ([]byte, error) {
		if begun++; begun > busyFrom {
			return nil, refuseFor(node.KindBusy, time.Second)
		}
		return []byte("answer"), nil
	}
	questions := slices.Repeat([]node.Question{{Asked: node.AskState, Message: make([]byte, 193)}}, 5)
	for i, s := range w.bulk(questions...) {
		if want := map[bool]node.How{true: node.SaidAnswer, false: node.SaidAgain}[i < busyFrom]; s.How != want {
			t.Errorf("question %d: %d", i, s.How)
		}
	}
	if begun != busyFrom+1 {
		t.Errorf("%d questions were begun", begun)
	}
	w.refused("busy at the first", w.post(node.PathBulk, node.BulkForm.Marshal(questions)), node.KindBusy)
}

// A node that works long at some of the questions answers these, and not all of them too
// late.
func TestBulkTakesLong(t *testing.T) {
	w := newWorld(t, nil)
	w.server.questions[node.AskState] = func(*request, []byte) ([]byte, error) {
		w.clock.pass(2 * time.Second)
		return []byte("answer"), nil
	}
	questions := slices.Repeat([]node.Question{{Asked: node.AskState, Message: make([]byte, 193)}}, 5)
	answered := 0
	for i, s := range w.bulk(questions...) {
		if (s.How == node.SaidAnswer) != (i < 3) {
			t.Errorf("question %d: %d", i, s.How)
		}
		answered++
	}
	if answered != 5 {
		t.Errorf("%d answers", answered)
	}
}

// While the clock is off nothing is released, however many ask together; all else goes on.
func TestBulkWithoutClock(t *testing.T) {
	w := newWorld(t, nil)
	g := w.grant()
	w.give(g)
	access, _ := w.access(g)
	r, _ := w.request(g, access)
	held := w.inquiry(g)
	w.clock.jump(-3 * time.Hour)
	if err := w.server.look(ctx); !errors.Is(err, ErrClockOff) {
		t.Fatal(err)
	}
	said := w.bulk(node.Question{Asked: node.AskRelease, Message: ledgerclient.Marshal(&r)}, node.Question{Asked: node.AskState, Message: ledgerclient.Marshal(&held)})
	if kind := w.problem(said[0]); kind != node.KindClock || said[1].How != node.SaidAnswer {
		t.Errorf("%s, %d", kind, said[1].How)
	}
}
