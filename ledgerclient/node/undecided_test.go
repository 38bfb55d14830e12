package node_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
)

// A ledger that does not decide says so in the first answers: when one of those who say it cannot
// be a liar, the others, who would say it when they have waited as long, are not waited for. One
// that says it of a ledger that decides keeps nothing from it, and who says that it was ordered and
// is not signed by enough is heard likewise. Nor does one that says it hide that the others want a
// token: the entries wait for that.
func TestUndecidedEndsTheAsking(t *testing.T) {
	for _, kind := range []node.Kind{node.KindUndecided, node.KindUnsigned} {
		p := newPlaces(t)
		var say [4]string // of entries: "undecided", "token", "full", "taken"; "" waits until the test ends
		p.sites = nil
		for i, m := range p.Members {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != node.PathEntries {
					p.serve(i, w, r)
					return
				}
				p.mu.Lock()
				p.asked[i] = append(p.asked[i], "entries")
				p.mu.Unlock()
				switch say[i] {
				case "undecided", "token", "full":
					said := map[string]node.Kind{"undecided": kind, "token": node.KindToken, "full": node.KindFull}[say[i]]
					problem := node.ProblemOf(&node.RefusedError{Kind: said})
					raw, _ := json.Marshal(problem)
					w.Header().Set("Content-Type", node.TypeProblem)
					w.WriteHeader(problem.Status)
					w.Write(raw)
				case "taken":
					w.Write(node.OrderedForm(1).Marshal(node.Ordered{Outcomes: []ledgerclient.Outcome{{ID: p.Shown[0].Entry.ID(p.ID()), Index: 7, Hour: 490_000}}}))
				default:
					<-p.ends
				}
			}))
			t.Cleanup(s.Close)
			p.members[i].URLs = []string{s.URL}
			p.sites = append(p.sites, node.NewSite(p.ID(), p.members[i], 8, m.Key.Sign, p.keepers[i].Key.Sign))
		}
		submit := func() error {
			nw := p.reach(0, node.Options{})
			defer nw.Close()
			p.were()
			_, err := nw.Services().Ledger.Append(ctx, []contract.Entry{p.Shown[0].Entry})
			return err
		}
		say = [4]string{"undecided", "undecided"}
		err := submit()
		u := ledgerclient.Unreachable(err)
		if u == nil || !u.Undecided || !errors.As(err, new(*node.RefusedError)) {
			t.Errorf("%s: %v", kind, err)
		}
		if asked := p.were(); asked[0] != "entries" || !strings.HasPrefix(asked[1], "entries") || asked[2]+asked[3] != "" {
			t.Errorf("%s: asked %q", kind, asked)
		}
		say = [4]string{"undecided", "taken"}
		if err := submit(); err != nil {
			t.Errorf("%s: one liar: %v", kind, err)
		}
		for _, all := range [][4]string{{"undecided", "token", "token", "token"}, {"token", "token", "full", "undecided"}, {"undecided", "token", "full", "full"}} {
			say = all
			err := submit()
			want := kind
			if all[2] == "token" || all[0] == "token" {
				want = node.KindToken
			}
			said := (*node.RefusedError)(nil)
			if u := ledgerclient.Unreachable(err); u == nil || u.Undecided != (want == kind) || !errors.As(err, &said) || said.Kind != want {
				t.Errorf("%s: %q: %v", kind, all, err)
			}
		}
	}
}

// Threat: whoever is asked first says that the request is malformed, or answers with rubbish, and
// so hides that all others want a token. The person is told of the token, of entries as of
// payloads; and that of who did not refuse it may be done. One that wants a token hides nothing
// likewise.
func TestNoLiarHidesAToken(t *testing.T) {
	p := newPlaces(t)
	var say [4]string
	p.sites = nil
	for i, m := range p.Members {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != node.PathEntries && (r.URL.Path != node.PathBlobs || r.Method != http.MethodPost) {
				p.serve(i, w, r)
				return
			}
			if say[i] == "rubbish" {
				w.Write([]byte("rubbish"))
				return
			}
			refuse(w, &node.RefusedError{Kind: node.Kind(say[i])})
		}))
		t.Cleanup(s.Close)
		p.members[i].URLs = []string{s.URL}
		p.sites = append(p.sites, node.NewSite(p.ID(), p.members[i], 8, m.Key.Sign, p.keepers[i].Key.Sign))
	}
	for _, x := range []struct {
		say  [4]string
		want node.Kind
		may  bool // entries may be ordered; payloads are what they are, however often they are put
	}{
		{[4]string{"malformed", "token", "token", "token"}, node.KindToken, false},
		{[4]string{"token", "token", "token", "malformed"}, node.KindToken, false},
		{[4]string{"token", "token", "malformed", "token"}, node.KindToken, false},
		{[4]string{"rubbish", "token", "token", "token"}, node.KindToken, true},
		{[4]string{"full", "token", "token", "token"}, node.KindToken, true},
		{[4]string{"version", "version", "version", "token"}, node.KindNoVersion, false},
		{[4]string{"token", "version", "version", "version"}, node.KindNoVersion, false},
		{[4]string{"token", "full", "full", "full"}, node.KindFull, true},
	} {
		say = x.say
		for what, do := range map[string]func(ledgerclient.Services) error{
			"entries": func(s ledgerclient.Services) error {
				_, err := s.Ledger.Append(ctx, []contract.Entry{p.Shown[0].Entry})
				return err
			},
			"payloads": func(s ledgerclient.Services) error {
				return s.Store.PutBlobs(ctx, []ledgerclient.Put{{Entry: p.Shown[0].Entry, Part: ledgerclient.PartMetadata}})
			},
		} {
			nw := p.reach(0, node.Options{})
			err := do(nw.Services())
			nw.Close()
			said := (*node.RefusedError)(nil)
			if !errors.As(err, &said) || said.Kind != x.want || what == "entries" && (ledgerclient.Unreachable(err) != nil) != x.may {
				t.Errorf("%q: %s: %v", x.say, what, err)
			}
		}
	}
}

// Threat: the node that is asked first does not take a payload, and puts something else at its
// locators at all nodes that have not got it yet. It is stored where it came first. With locators
// that lead to something else everywhere it is not.
func TestOccupiedLocators(t *testing.T) {
	p := newPlaces(t)
	var say [4]*ledgerclient.StoreError
	p.sites = nil
	for i, m := range p.Members {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != node.PathBlobs || say[i] == nil {
				p.serve(i, w, r)
				return
			}
			refuse(w, say[i])
		}))
		t.Cleanup(s.Close)
		p.members[i].URLs = []string{s.URL}
		p.sites = append(p.sites, node.NewSite(p.ID(), p.members[i], 8, m.Key.Sign, p.keepers[i].Key.Sign))
	}
	put := ledgerclient.Put{Entry: p.Shown[0].Entry, Part: ledgerclient.PartMetadata, Blob: []byte("sealed"), Locators: []crypto.Locator{{1}}}
	no := func(why ledgerclient.StoreReason) *ledgerclient.StoreError {
		return &ledgerclient.StoreError{Entry: put.Entry.ID(p.ID()), Part: put.Part, Reason: why}
	}
	occupied := no(ledgerclient.BadLocators)
	for _, x := range []struct {
		what string
		say  [4]*ledgerclient.StoreError
		want ledgerclient.StoreReason
	}{
		{"at all but one", [4]*ledgerclient.StoreError{occupied, nil, occupied, occupied}, ""},
		{"everywhere", [4]*ledgerclient.StoreError{occupied, occupied, occupied, occupied}, ledgerclient.BadLocators},
		{"withdrawn", [4]*ledgerclient.StoreError{no(ledgerclient.Withdrawn), nil, no(ledgerclient.Withdrawn), no(ledgerclient.Withdrawn)}, ledgerclient.Withdrawn},
	} {
		say = x.say
		nw := p.reach(0, node.Options{})
		err := nw.Services().Store.PutBlobs(ctx, []ledgerclient.Put{put})
		nw.Close()
		if said, _ := errors.AsType[*ledgerclient.StoreError](err); (err == nil) != (x.want == "") || err != nil && (said == nil || said.Reason != x.want) {
			t.Errorf("%s: %v", x.what, err)
		}
	}
}

// refuse answers as a node does that has this error.
func refuse(w http.ResponseWriter, err error) {
	problem := node.ProblemOf(err)
	raw, _ := json.Marshal(problem)
	w.Header().Set("Content-Type", node.TypeProblem)
	w.WriteHeader(problem.Status)
	w.Write(raw)
}
