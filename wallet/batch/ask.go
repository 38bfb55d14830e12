package batch

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/payload"
)

// asked is what a job asks of everybody whom its items name: a letter to each.
type asked struct {
	Ask      payload.Ask     `json:"ask"`
	Purpose  payload.Purpose `json:"purpose"`
	AnswerBy contract.Hour   `json:"answerBy"`
}

func (a *asked) plan() *wallet.AskPlan {
	return &wallet.AskPlan{Ask: a.Ask, Purpose: a.Purpose, AnswerBy: a.AnswerBy}
}

// MakeAsk reads a file that names contacts in a column to, and plans to ask each of them the
// same, once. Who has an open request for the same already is passed over. All that is wrong
// with the file is one *LinesError.
func MakeAsk(ctx context.Context, w *wallet.Wallet, r io.Reader, file string, ask *wallet.AskPlan) (plan *Plan, err error) {
	err = w.Together(ctx, func() error {
		p, err := newPlanner(ctx, w)
		if err != nil {
			return err
		}
		p.File, p.ask = file, &asked{ask.Ask, ask.Purpose, ask.AnswerBy}
		open, err := p.openRequests()
		if err != nil {
			return err
		}
		s := &sheet{columns: []string{"to"}, l: newLines(text.NewReader(r))}
		first := map[crypto.Address]int{} // line
		s.row = func(line []byte, f fields) {
			name, err := wallet.CheckName("to", f["to"].text)
			if in, ok := fault.As(err, wallet.ErrInput); ok {
				s.problem(line, f["to"].at, "to", f["to"].text, fault.Get[string](in, "why"))
				return
			}
			to, why := p.recipient(name)
			if why != "" {
				s.problem(line, f["to"].at, "to", name, why)
				return
			}
			if first[to.Address] != 0 {
				s.problem(line, f["to"].at, "to", name, fmt.Sprintf("is asked in line %d already", first[to.Address]))
				return
			}
			first[to.Address] = s.l.n
			if p.Rows++; open[to.Address] {
				p.Already++
				return
			}
			p.Items = append(p.Items, Item{Line: s.l.n, Do: Ask, To: to.Name, Verified: to.Verified, Records: []wallet.ConsentRecord{}, Purpose: ask.Purpose.Word(), Until: wallet.Hour(ask.AnswerBy)})
		}
		if err := s.read(); err != nil {
			return err
		}
		if p.Rows == 0 && s.bad.Total == 0 {
			s.bad.Add(Problem{Line: max(1, s.l.n), Column: 1, Why: "there is no row in it"})
		}
		if err := s.bad.inOrder(); err != nil {
			return err
		}
		p.Give = len(p.Items)
		p.Scope = p.scope(w, p.consents, p.records)
		plan = p.Plan
		return nil
	})
	return plan, err
}

// openRequests are those who were asked the same, and can still answer.
func (p *planner) openRequests() (map[crypto.Address]bool, error) {
	all, err := p.w.Requests().List(p.ctx, true)
	open, want := map[crypto.Address]bool{}, payload.Marshal(&p.ask.Ask)
	for i := range all {
		r := &all[i]
		if (r.Status == wallet.RequestOpen || r.Status == wallet.RequestPending) && r.Scope != nil && r.Purpose == p.ask.Purpose &&
			bytes.Equal(payload.Marshal(&payload.Ask{Scope: *r.Scope, For: r.For, Until: contract.Hour(r.Until), Reason: r.Reason}), want) {
			open[r.Address] = true
		}
	}
	return open, err
}

// readAsk reads what a job asks; nil if it gives and ends consents.
func (j *job) readAsk() (*wallet.AskPlan, error) {
	if j.V != withAsk {
		return nil, nil
	}
	var a asked
	found, err := j.w.Job().Read(askFile, &a)
	if err != nil || !found {
		return nil, cmp.Or(err, j.w.Job().Damaged(askFile))
	}
	return a.plan(), nil
}
