package cometbft

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Status is what a network looks like from one of its validators.
type Status struct {
	Words   string         `json:"words"`   // all of it in a sentence
	Blocks  uint64         `json:"blocks"`  // decided
	Items   uint64         `json:"items"`   // in the order
	Last    string         `json:"last"`    // hour of the last item; "" if there is none
	Needed  int            `json:"needed"`  // members without which nothing is decided
	Halted  string         `json:"halted"`  // since when fewer decide, as this validator noticed; "": enough do
	Behind  bool           `json:"behind"`  // this validator still reads blocks that the others have decided
	Members []MemberStatus `json:"members"` // in the order of the configuration
}

// MemberStatus is one member.
type MemberStatus struct {
	Name  string `json:"name"`
	State string `json:"state"` // a state
	Since string `json:"since"` // when it was connected last, if it is missing; otherwise ""
	Twice uint64 `json:"twice"` // number of a block beside which it has voted for another; 0: none
	Wrong uint64 `json:"wrong"` // number of the last block that it proposed with what may not be in it; 0: none
	// Ahead is by how many seconds its clock was ahead of the others', if a minute or more;
	// negative: behind, by so much or more.
	Ahead int64 `json:"ahead"`
}

// The states of a member.
const (
	stateDecides = "decides"
	stateMissing = "missing"       // not connected
	stateApart   = "another draft" // its validator was made of another draft, or is of another version of the engine: not connected
	stateSilent  = "silent"        // connected, and its vote is under none of the blocks since
)

// silentAfter is under how many blocks the vote of a member must be missing: one whose vote
// came late is not under a block that the others had decided by then.
const silentAfter = 20

// Status looks at the network. Who is connected is taken to vote until blocks show that it
// does not.
func (e *Engine) Status() Status {
	state, _ := e.app.last()
	e.app.mu.Lock()
	voted := append([]uint64(nil), e.app.voted...)
	twice := append([]uint64(nil), e.app.twice...)
	wrong := append([]uint64(nil), e.app.wrong...)
	e.app.mu.Unlock()
	e.mu.Lock()
	from := append([]uint64(nil), e.from...)
	seen := append([]time.Time(nil), e.seen...)
	apart := append([]bool(nil), e.apart...)
	off := append([]time.Duration(nil), e.off...)
	e.mu.Unlock()
	s := Status{Blocks: state.Height, Items: state.Size, Needed: e.app.chain.Needed(), Behind: e.behind()}
	if state.Size > 0 {
		s.Last = time.Unix(int64(state.Hour)*3600, 0).UTC().Format(time.RFC3339)
	}
	for i, m := range e.opt.Members {
		ms := MemberStatus{Name: m.Name, State: stateDecides, Twice: twice[i], Wrong: wrong[i], Ahead: int64(off[i] / time.Second)}
		switch {
		case !e.connected(i) && apart[i]:
			ms.State, ms.Since = stateApart, seen[i].UTC().Format(time.RFC3339)
		case !e.connected(i):
			ms.State, ms.Since = stateMissing, seen[i].UTC().Format(time.RFC3339)
		case !s.Behind && state.Height > max(voted[i], from[i])+silentAfter:
			ms.State = stateSilent
		}
		s.Members = append(s.Members, ms)
	}
	e.halt(&s)
	s.Words = words(s)
	return s
}

// halt notes since when too few decide.
func (e *Engine) halt(s *Status) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s.decide() >= s.Needed {
		e.halted = time.Time{}
		return
	}
	if e.halted.IsZero() {
		e.halted = e.opt.Clock()
	}
	s.Halted = e.halted.UTC().Format(time.RFC3339)
}

// decide is how many members do.
func (s *Status) decide() (n int) {
	for _, m := range s.Members {
		if m.State == stateDecides {
			n++
		}
	}
	return n
}

// shownTime is a time of JSON as people read it.
func shownTime(text string) string {
	t, _ := time.Parse(time.RFC3339, text)
	return t.Format("2006-01-02 15:04:05") + " UTC"
}

// words says it for people: "3 of 4 decide; City hospital is missing since …".
func words(s Status) string {
	var missing, silent, clocks, lies []string
	for _, m := range s.Members {
		if m.Twice > 0 {
			lies = append(lies, fmt.Sprintf("%s HAS VOTED TWICE at block %d: its key is in two places, or it lies", m.Name, m.Twice))
		}
		if m.Wrong > 0 {
			lies = append(lies, fmt.Sprintf("%s HAS PROPOSED what may not be in a block, %d: it runs another program, or it lies", m.Name, m.Wrong))
		}
		switch ahead := time.Duration(m.Ahead) * time.Second; {
		case ahead > 0:
			clocks = append(clocks, fmt.Sprintf("the clock of %s is %v ahead", m.Name, ahead))
		case ahead < 0:
			clocks = append(clocks, fmt.Sprintf("the clock of %s is %v behind, or more", m.Name, -ahead))
		}
		switch m.State {
		case stateMissing:
			missing = append(missing, fmt.Sprintf("%s is missing since %s", m.Name, shownTime(m.Since)))
		case stateApart:
			missing = append(missing, fmt.Sprintf("the validator of %s FOLLOWS ANOTHER DRAFT: it was made for another ledger, or is another program", m.Name))
		case stateSilent:
			silent = append(silent, fmt.Sprintf("%s is there and votes for nothing", m.Name))
		}
	}
	text := fmt.Sprintf("%d of %d decide", s.decide(), len(s.Members))
	switch {
	case s.Halted != "":
		text += fmt.Sprintf(", and %d are needed: nothing is ordered since %s", s.Needed, shownTime(s.Halted))
	case s.decide() < s.Needed: // since when is not known
		text += fmt.Sprintf(", and %d are needed: nothing is ordered", s.Needed)
	}
	if s.Behind {
		text += "; this validator still reads what was decided without it"
	}
	return strings.Join(slices.Concat([]string{text}, missing, silent, clocks, lies), "; ")
}
