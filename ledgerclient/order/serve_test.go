package order

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// two is an order of two items that takes every entry for the first.
type two struct{ closed int }

func (b *two) Name() string { return "two" }
func (b *two) Append(_ context.Context, es []contract.Entry) ([]uint64, error) {
	if es[0].Version == 9 {
		return nil, errors.New("full \x1b[2J")
	}
	if es[0].Version == 8 {
		return nil, ErrUnknown.Of(errors.New("silent"))
	}
	return make([]uint64, len(es)), nil
}
func (b *two) Read(_ context.Context, from uint64) ([]Item, error) {
	items := []Item{{Hour: 5, Entry: contract.Entry{Version: 1}}, {Hour: 6, Entry: contract.Entry{Version: 2}}}
	return items[min(from, 2):], nil
}
func (b *two) Configure(_ context.Context, e contract.Entry, document string) (uint64, error) {
	return uint64(len(document)), nil
}
func (b *two) Head(context.Context) (uint64, error) { return 2, nil }
func (b *two) Close() error                         { b.closed++; return nil }

// lone is one of one ledger.
type lone struct {
	two
	id crypto.LedgerID
}

func (b *lone) Keeps() crypto.LedgerID { return b.id }

// A backend of one ledger is not used for another one: nothing is entered there, nor followed.
func TestAnotherLedger(t *testing.T) {
	genesis := []byte("carekey ledger 1\n")
	for _, c := range []struct {
		id    crypto.LedgerID
		other bool
	}{{contract.LedgerID(genesis), false}, {crypto.LedgerID{}, false}, {crypto.LedgerID{7}, true}} {
		b := &lone{id: c.id}
		_, _, err := Begin(t.Context(), b, contract.Entry{Kind: contract.KindConfig}, genesis)
		if errors.Is(err, ErrAnother) != c.other {
			t.Errorf("%v: begin: %v", c.id, err)
		}
		err = Beginning(t.Context(), b, genesis, func(Item, uint64) error { return nil })
		if errors.Is(err, ErrAnother) != c.other {
			t.Errorf("%v: beginning: %v", c.id, err)
		}
		var out bytes.Buffer
		in := `{"protocol":"carekey-order/2","url":"lone:x"}` + "\n"
		if err := Serve(strings.NewReader(in), &out, func(string) (Backend, error) { return b, nil }); err != nil {
			t.Error(err)
		}
		want := `{"protocol":"carekey-order/2","name":"two","append":1024`
		if !c.id.IsZero() {
			want += `,"ledger":"` + c.id.String() + `"`
		}
		if want += "}\n"; out.String() != want {
			t.Errorf("%s", out.String())
		}
	}
}

func entryText(version byte) string {
	return base64.StdEncoding.EncodeToString(append([]byte{version}, make([]byte, contract.Size-1)...))
}

// What PROTOCOL.md shows is what is said, byte by byte, and a request that is none is
// denied and disturbs no other.
func TestServe(t *testing.T) {
	e := contract.Entry{Version: 1, Kind: contract.KindConfig, Commitment: contract.ConfigCommitment([]byte("carekey ledger 1\n"))}
	config, doc := encodeEntry(&e), base64.StdEncoding.EncodeToString([]byte("carekey ledger 1\n"))
	none := `"error":{"code":"failed","message":"no configuration entry with the document that it commits to"}}`
	many := `"` + strings.Repeat(entryText(1)+`","`, MaxAppend) + entryText(1) + `"`
	for _, c := range []struct{ ask, said string }{
		{`{"id":1,"do":"append","entries":["` + entryText(1) + `","` + entryText(2) + `"]}`, `{"id":1,"positions":[0,0]}`},
		{`{"id":2,"do":"append","entries":["` + entryText(9) + `"]}`, `{"id":2,"error":{"code":"failed","message":"full �[2J"}}`},
		{`{"id":3,"do":"append","entries":["` + entryText(8) + `"]}`, `{"id":3,"error":{"code":"unknown","message":"silent"}}`},
		{`{"id":4,"do":"append","entries":["AAAA"]}`, `{"id":4,"error":{"code":"failed","message":"entry 0 is not 222 bytes in base64"}}`},
		{`{"id":5,"do":"append","entries":[]}`, `{"id":5,"error":{"code":"failed","message":"no such request"}}`},
		{`{"id":6,"do":"append","entries":[` + many + `]}`, `{"id":6,"error":{"code":"failed","message":"no such request"}}`},
		{`{"id":7,"do":"read","from":1,"most":1024}`, `{"id":7,"items":[{"hour":6,"entry":"` + entryText(2) + `"}]}`},
		{`{"id":8,"do":"read","from":0,"most":1}`, `{"id":8,"items":[{"hour":5,"entry":"` + entryText(1) + `"}]}`},
		{`{"id":9,"do":"read","from":2,"most":1024}`, `{"id":9,"items":[]}`},
		{`{"id":10,"do":"read","most":1}`, `{"id":10,"error":{"code":"failed","message":"no such request"}}`},
		{`{"id":11,"do":"read","from":0,"most":-1}`, `{"id":11,"error":{"code":"failed","message":"no such request"}}`},
		{`{"id":12,"do":"head","later":{"x":1}}`, `{"id":12,"head":2}`},
		{`{"id":14,"do":"configure","entries":["` + config + `"],"document":"` + doc + `"}`, `{"id":14,"positions":[17]}`},
		{`{"id":15,"do":"configure","entries":["` + config + `"]}`, `{"id":15,` + none},
		{`{"id":16,"do":"configure","entries":["` + config + `"],"document":"AAAA"}`, `{"id":16,` + none},
		{`{"id":17,"do":"configure","entries":["` + config + `"],"document":"` + doc + `\n"}`, `{"id":17,` + none},
		{`{"id":18,"do":"configure","entries":["` + entryText(1) + `"]}`, `{"id":18,` + none},
		{`{"id":19,"do":"configure","entries":["` + config + `","` + config + `"],"document":"` + doc + `"}`, `{"id":19,"error":{"code":"failed","message":"no such request"}}`},
		{`{"id":20,"do":"append","entries":["` + entryText(1) + `","` + config + `"]}`, `{"id":20,"error":{"code":"failed","message":"a configuration entry is ordered with its document"}}`},
		{`{"id":13,"do":"drop"}`, `{"id":13,"error":{"code":"failed","message":"no such request"}}`},
	} {
		b := &two{}
		var out bytes.Buffer
		in := `{"protocol":"carekey-order/2","url":"two:x"}` + "\n" + c.ask + "\n" + `{"id":99,"do":"head"}` + "\n"
		err := Serve(strings.NewReader(in), &out, func(url string) (Backend, error) {
			if url != "two:x" {
				t.Errorf("url %q", url)
			}
			return b, nil
		})
		want := `{"protocol":"carekey-order/2","name":"two","append":1024}` + "\n" + c.said + "\n" + `{"id":99,"head":2}` + "\n"
		if err != nil || out.String() != want || b.closed != 1 {
			t.Errorf("%.80s: %v, closed %d times\n got %s\nwant %s", c.ask, err, b.closed, out.String(), want)
		}
	}
}

// stately is one that says in what state it is.
type stately struct {
	two
	state *State
	err   error
}

func (b *stately) State(context.Context) (*State, error) { return b.state, b.err }

// What is said of a state is said as PROTOCOL.md shows it, and asked only of who says it.
func TestServeState(t *testing.T) {
	for _, c := range []struct {
		b    Backend
		said string
	}{
		{&stately{state: &State{Waits: 42*time.Second + 999*time.Millisecond, Words: "2 of 4 decide, and 3 are needed: nothing is ordered"}},
			`,"state":true}` + "\n" + `{"id":6,"state":{"decides":false,"waits":42,"words":"2 of 4 decide, and 3 are needed: nothing is ordered"}}` + "\n"},
		{&stately{state: &State{Decides: true, Waits: 1 << 62, Words: "x"}}, `,"state":true}` + "\n" + `{"id":6,"state":{"decides":true,"waits":4294967295,"words":"x"}}` + "\n"},
		{&stately{err: errors.New("torn")}, `,"state":true}` + "\n" + `{"id":6,"error":{"code":"failed","message":"torn"}}` + "\n"},
		{&stately{}, `,"state":true}` + "\n" + `{"id":6,"error":{"code":"failed","message":"no such request"}}` + "\n"},
		{&two{}, "}\n" + `{"id":6,"error":{"code":"failed","message":"no such request"}}` + "\n"},
	} {
		var out bytes.Buffer
		in := `{"protocol":"carekey-order/2","url":"two:x"}` + "\n" + `{"id":6,"do":"state"}` + "\n"
		err := Serve(strings.NewReader(in), &out, func(string) (Backend, error) { return c.b, nil })
		if want := `{"protocol":"carekey-order/2","name":"two","append":1024` + c.said; err != nil || out.String() != want {
			t.Errorf("%v\n got %s\nwant %s", err, out.String(), want)
		}
	}
}

// A beginning or a line that is none ends the program with an error.
func TestServeEnds(t *testing.T) {
	const hello = `{"protocol":"carekey-order/2","url":"two:x"}` + "\n"
	open := func(url string) (Backend, error) {
		if url != "two:x" {
			return nil, errors.New("no such order")
		}
		return &two{}, nil
	}
	for _, c := range []struct{ in, said string }{
		{"", ""},
		{hello, `{"protocol":"carekey-order/2","name":"two","append":1024}` + "\n"},
		{"nothing\n", ""},
		{strings.Replace(hello, "/2", "/1", 1), `{"protocol":"carekey-order/2","name":"","error":{"code":"failed","message":"it speaks carekey-order/2 only"}}` + "\n"},
		{strings.Replace(hello, "two:x", "two:y", 1), `{"protocol":"carekey-order/2","name":"","error":{"code":"failed","message":"no such order"}}` + "\n"},
		{hello + "{]\n", `{"protocol":"carekey-order/2","name":"two","append":1024}` + "\n"},
		{hello + `{"id":1,"do":"` + strings.Repeat("x", maxLine) + `"}` + "\n", `{"protocol":"carekey-order/2","name":"two","append":1024}` + "\n"},
	} {
		var out bytes.Buffer
		err := Serve(strings.NewReader(c.in), &out, open)
		if good := c.in == "" || c.in == hello; (err == nil) != good || out.String() != c.said {
			t.Errorf("%.60q: %v, said %s", c.in, err, out.String())
		}
	}
}
