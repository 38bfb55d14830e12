package main

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/ledgertest"
	"github.com/carekey/carekey/ledgerclient/node"
)

// told is what a node says of the log to a request: a note, and leaves with their position
// among those of the answer.
type told struct {
	note   []byte
	leaves []contract.Leaf
}

// aboutLog is the lie that changes what a node says of the log, wherever it does.
func aboutLog(change func(t *told)) lie {
	return func(r *http.Request, body, answer []byte) []byte {
		news := func(n *node.News) {
			t := told{n.Note, n.Leaves}
			change(&t)
			n.Note, n.Leaves = t.note, t.leaves
		}
		switch path := r.URL.Path; {
		case path == node.PathCheckpoint:
			t := told{note: answer}
			change(&t)
			return t.note
		case path == node.PathNews:
			n, err := node.NewsForm.Parse(answer)
			if err != nil {
				return answer
			}
			news(&n)
			return node.NewsForm.Marshal(n)
		case path == node.PathEntries:
			form := node.OrderedForm(len(body) / contract.Size)
			o, err := form.Parse(answer)
			if err != nil || len(o.News.Note) == 0 {
				return answer
			}
			news(&o.News)
			return form.Marshal(o)
		case strings.HasPrefix(path, node.PathTile+"entries/"):
			leaves, err := node.ParseEntryBundle(answer, len(answer)/(2+contract.LeafSize))
			if err != nil {
				return answer
			}
			t := told{leaves: leaves}
			change(&t)
			var raw []byte
			for i := range t.leaves {
				leaf := t.leaves[i].Marshal()
				raw = append(raw, leaf[:]...)
			}
			return node.EntryBundle(raw)
		}
		return answer
	}
}

// ordered is the lie that changes what came of entries.
func ordered(change func(o *ledgerclient.Outcome)) lie {
	return func(r *http.Request, body, answer []byte) []byte {
		if r.URL.Path != node.PathEntries {
			return answer
		}
		form := node.OrderedForm(len(body) / contract.Size)
		o, err := form.Parse(answer)
		if err != nil {
			return answer
		}
		for i := range o.Outcomes {
			change(&o.Outcomes[i])
		}
		o.News = node.News{}
		return form.Marshal(o)
	}
}

// lastLeaf is the lie that changes the last of some leaves.
func lastLeaf(change func(leaves []contract.Leaf, last int)) lie {
	return aboutLog(func(t *told) {
		if n := len(t.leaves); n > 0 {
			t.leaves = slices.Clone(t.leaves)
			change(t.leaves, n-1)
		}
	})
}

// releases is the lie that changes what the keeper of an institution answers to who opens.
func (m *member) releases(change func(q *ledgerclient.Request, a *ledgerclient.Answer)) lie {
	one := func(message, answer []byte) []byte {
		q, err := ledgerclient.Parse[ledgerclient.Request](message)
		if err != nil {
			return answer
		}
		a, err := ledgerclient.Parse[ledgerclient.Answer](answer)
		if err != nil {
			return answer
		}
		before := ledgerclient.Marshal(&a)
		if change(&q, &a); bytes.Equal(ledgerclient.Marshal(&a), before) {
			return answer
		}
		ledgerclient.Sign(&a, keeperKey{m})
		return ledgerclient.Marshal(&a)
	}
	return func(r *http.Request, body, answer []byte) []byte {
		switch r.URL.Path {
		case node.PathRelease:
			return one(body, answer)
		case node.PathBulk:
			questions, err := node.BulkForm.Parse(body)
			if err != nil {
				return answer
			}
			said, err := node.SaidForm(len(questions)).Parse(answer)
			if err != nil {
				return answer
			}
			for i, q := range questions {
				if q.Asked == node.AskRelease && said[i].How == node.SaidAnswer {
					said[i].Answer = one(q.Message, said[i].Answer)
				}
			}
			return node.SaidForm(len(said)).Marshal(said)
		}
		return answer
	}
}

// keeperKey signs as the keeper of an institution.
type keeperKey struct{ m *member }

func (k keeperKey) Sign(h crypto.Hash) crypto.Signature { return k.m.keys.SignAsKeeper(h) }

// seal puts a share into an answer that releases it.
func (m *member) seal(q *ledgerclient.Request, a *ledgerclient.Answer, s crypto.Share) {
	sealed, err := crypto.SealShare(crypto.ShareContext{Ledger: q.Ledger, Grant: q.Access.Subject, Keeper: m.keys.Keeper(), Access: q.Access.ID(q.Ledger)}, s, q.Response)
	m.r.must(err)
	a.Code, a.Sealed = ledgerclient.Released, sealed
}

// Threats: one of four institutions does what it can, and it is the one that invited both
// wallets, and is asked first. What it does is found out, and its name is said with it; and all
// of the main job goes on with the others, in each of its commands.
func TestOneEvilInstitution(t *testing.T) {
	lane.OneGoroutine(t)
	r := newRegion(t, 3, 2, "City hospital", "Region clinic", "University", "Patients")
	r.reached()
	evil, honest := r.members[0], r.members[1:]
	p := r.meet(evil.invitation(), evil.invitation())
	before := p.give("before")
	p.fetch(before)

	var old []byte                                        // a note
	held := map[contract.ID]crypto.Share{}                // that it was given
	other := func(q *ledgerclient.Request) crypto.Share { // that opens nothing
		all, err := crypto.NewEntropy().Root().Seed(q.Ledger, crypto.NewNonce()).Shares(1, 1)
		r.must(err)
		return all[0]
	}
	for _, c := range []struct {
		name  string
		lie   lie
		waits bool   // with what opens a consent the others wait for it
		want  string // what is said
	}{
		{name: "a stale head", lie: aboutLog(func(t *told) {
			if t.note != nil && old == nil {
				old = r.signed(t.note, r.now().Add(-15*time.Minute)) // when all had signed it
			}
			if t.note != nil {
				t.note, t.leaves = old, nil
			}
		}), want: "Node 1 (City hospital) gave nothing that can be used: the newest head that the ledger shows is 15 minutes old"},
		{name: "a forked head", lie: aboutLog(func(t *told) {
			if head, _, ok := strings.Cut(string(t.note), "\n\n"); ok {
				lines := strings.Split(head, "\n")
				root := crypto.Hash{1}
				lines[2] = base64.StdEncoding.EncodeToString(root[:])
				t.note = evil.note(strings.Join(lines, "\n")+"\n", r.now())
			}
		}), want: "Node 1 (City hospital) gave nothing that can be used: the head that the ledger's node shows is signed by 1 of the 3 nodes"},
		{name: "a withheld entry", lie: lastLeaf(func(leaves []contract.Leaf, last int) {
			if last > 0 {
				leaves[last] = leaves[last-1]
			} else {
				leaves[0].Entry.Commitment[3] ^= 1
			}
		}), want: "Node 1 (City hospital) is not to be believed: "},
		{name: "a wrong hour", lie: lastLeaf(func(leaves []contract.Leaf, last int) { leaves[last].Hour++ }),
			want: "Node 1 (City hospital) is not to be believed: "},
		{name: "a wrong tile", lie: func(r *http.Request, _, answer []byte) []byte {
			if strings.HasPrefix(r.URL.Path, node.PathTile+"0/") {
				answer[40] ^= 4
			}
			return answer
		}, want: "Node 1 (City hospital) is not to be believed: tile of the log does not verify"},
		{name: "entries not taken", lie: func(r *http.Request, _, answer []byte) []byte {
			if r.URL.Path == node.PathEntries {
				return nil
			}
			return answer
		}, want: "Node 1 (City hospital) gave no answer in time"},
		{name: "entries refused", lie: ordered(func(o *ledgerclient.Outcome) {
			*o = ledgerclient.Outcome{ID: o.ID, Hour: o.Hour, Refusal: &contract.Refusal{Rule: contract.RuleSignature, Entry: o.ID, Hour: o.Hour}}
		}), want: "Node 1 (City hospital) is not to be believed: answer to a submission does not verify"},
		{name: "a wrong share", lie: evil.releases(func(q *ledgerclient.Request, a *ledgerclient.Answer) {
			if a.Code == ledgerclient.Released {
				evil.seal(q, a, other(q))
			}
		}), waits: true, want: "Keeper 1 (City hospital, " + evil.keys.Keeper().String()[:8] + ") is not to be believed: share of keeper 1"},
		{name: "a share after the revocation", lie: func() lie {
			released := evil.releases(func(q *ledgerclient.Request, a *ledgerclient.Answer) {
				if share, ok := held[q.Access.Subject]; ok && a.Code != ledgerclient.Released {
					evil.seal(q, a, share)
				}
			})
			return func(r *http.Request, body, answer []byte) []byte {
				if some, err := node.DepositsForm.Parse(body); err == nil && r.URL.Path == node.PathDeposit {
					for _, d := range some {
						held[d.Grant] = d.Share
					}
				}
				return released(r, body, answer)
			}
		}(), want: "Keeper 1 (City hospital, " + evil.keys.Keeper().String()[:8] + ") is not to be believed: answer of keeper 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			outer := r.t
			r.t = t
			defer func() {
				r.t = outer
				evil.begin(nil)
				for _, m := range honest {
					m.waitFor(nil)
				}
			}()
			evil.begin(c.lie)
			r.said = ""
			given := p.give(c.name)
			if c.waits {
				for _, m := range honest {
					m.waitFor(evil)
				}
			}
			p.fetch(given)
			p.fetch(before) // what its sender had seen is compared with what is shown now
			if code, out, talk := r.run("patient", "audit"); code != 0 || !strings.Contains(out, "check-up") {
				t.Errorf("exit %d: %s%s", code, out, talk)
			}
			p.does("patient", "revoke", given.consent, "--yes")
			p.refused(given)
			r.mustRun("patient", "ledger", "verify")
			if !evil.lied() {
				t.Error("nobody was told the lie")
			}
			if !strings.Contains(r.said, c.want) {
				t.Errorf("it is not named:\n%s", r.said)
			}
			for _, m := range honest {
				if strings.Contains(r.said, m.name) {
					t.Errorf("%s is named:\n%s", m.name, r.said)
				}
			}
		})
	}
	r.said = ""
	if code, _, talk := r.run("patient", "status"); code != 0 || strings.Contains(talk, "City hospital") {
		t.Errorf("exit %d: %s", code, talk)
	}
}

// waitFor makes it answer who opens a consent when the other has lied; nil: at once.
func (m *member) waitFor(other *member) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.after = other
}

// note is a head as this institution alone signs it at a time.
func (m *member) note(text string, at time.Time) []byte {
	key, err := folder.CheckpointKey(m.dir)
	m.r.must(err)
	return ledgertest.Institution{Checkpoint: key, Key: crypto.GenerateKey()}.Sign(text, at)
}

// signed is a head as all institutions sign it at a time.
func (r *region) signed(note []byte, at time.Time) []byte {
	text, _, _ := strings.Cut(string(note), "\n\n")
	var nodes []contract.Node
	var notes [][]byte
	for _, m := range r.members {
		nodes, notes = append(nodes, m.keys.Node()), append(notes, m.note(text+"\n", at))
	}
	all, err := ledgerclient.JoinNotes(r.id, nodes, notes[0], notes[1:]...)
	r.must(err)
	return all
}
