package ui

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"

	"github.com/carekey/carekey/crypto/fault"
	tea "github.com/charmbracelet/bubbletea"
)

// ErrWordsDiffer says that what a person typed from paper was not what the wallet
// has, three times over.
const ErrWordsDiffer fault.Code = "words-differ"

// CheckWords asks for some of the words, at positions chosen at random, and shows
// none. It returns nil once all that were asked for were right: a wrong one may be
// typed again twice.
func CheckWords(ctx context.Context, in, out *os.File, words []string) error {
	end, err := secretScreen(ctx, in, out, checkModel{words: words, style: styled(), asked: someOf(len(words), checkedWords)})
	switch {
	case err != nil:
		return err
	case end.ended == checkWrong:
		return ErrWordsDiffer
	case end.ended != checkRight:
		return ErrCanceled
	}
	return nil
}

// checkedWords is how many are asked for: who knows five of 24 has the paper.
const checkedWords = 5

// someOf picks k different positions of n, in order.
func someOf(n, k int) []int {
	p := rand.Perm(n)[:min(k, n)]
	slices.Sort(p)
	return p
}

type checkEnd int

const (
	checkGoing checkEnd = iota
	checkRight
	checkWrong
	checkCanceled
)

// checkModel is the screen of CheckWords. Width and height are 0 until known.
type checkModel struct {
	words         []string
	asked         []int // positions, in order
	style         style
	width, height int

	at    int // index in asked
	typed string
	wrong int // wrong answers to this question
	ended checkEnd
}

func (m checkModel) Init() tea.Cmd { return nil }

func (m checkModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		if m.width <= 0 || m.height <= 0 {
			m.width, m.height = 80, 24
		}
	case tea.KeyMsg:
		switch {
		case msg.Type == tea.KeyEsc, msg.Type == tea.KeyCtrlC:
			m.ended = checkCanceled
			return m, tea.Quit
		case m.width == 0 || m.ended != checkGoing:
			return m, nil
		case msg.Type != tea.KeyEnter:
			m.typed = typeWord(m.typed, msg)
			return m, nil
		case m.typed == "":
			return m, nil
		}
		right := m.typed == m.words[m.asked[m.at]]
		m.typed = ""
		if !right {
			if m.wrong++; m.wrong == tries {
				m.ended = checkWrong
				return m, tea.Quit
			}
			return m, nil
		}
		m.wrong = 0
		if m.at++; m.at == len(m.asked) {
			m.ended = checkRight
			return m, tea.Quit
		}
	}
	return m, nil
}

func (m checkModel) View() string {
	if m.width == 0 || m.ended != checkGoing {
		return ""
	}
	line := fit(fmt.Sprintf("Word %d: %s_", m.asked[m.at]+1, m.typed), m.width)
	title := fmt.Sprintf("Type from your paper (%d of %d):", m.at+1, len(m.asked))
	lines := []string{m.style.bold(fit("  "+title, m.width)), "", "  " + line, ""}
	if m.wrong > 0 {
		lines = append(lines, m.style.danger(fit("  That is not this wallet's word. Compare with your paper and type it again.", m.width)), "")
	}
	lines = append(lines, m.style.keysLine(m.width, "  enter: next    esc: stop", "  enter  esc"))
	if m.height < len(lines) || m.width < len(line)+2 {
		lines = []string{line}
	}
	return joinLines(lines)
}
