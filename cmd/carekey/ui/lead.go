package ui

import (
	"slices"

	tea "github.com/charmbracelet/bubbletea"
)

// named is a row wherever it stands: what it is, and which.
type named struct{ of, id string }

// can are the keys that mean something where the cursor is, or for what the page is about.
func (m *frame) can(sh *level) (out []*Lead) {
	for i := range m.Keys {
		if k := &m.Keys[i]; len(m.meant(sh, k)) > 0 {
			out = append(out, k)
		}
	}
	return out
}

// meant is what a key would act on: what is marked, the row under the cursor, or what the page
// is about.
func (m *frame) meant(sh *level, k *Lead) (ids []string) {
	for _, row := range sh.marked { // also where a search hides it
		if k.Many && row.of == k.Of {
			ids = append(ids, row.id)
		}
	}
	if len(ids) > 0 {
		return ids
	}
	if sh.body != nil {
		if of, id := sh.body.called(sh.cursor); of == k.Of && id != "" {
			return []string{id}
		}
	}
	if sh.view.Of == k.Of && sh.view.ID != "" {
		return []string{sh.view.ID}
	}
	return nil
}

// lead goes where a key leads to.
func (m *frame) lead(sh *level, key string) tea.Cmd {
	for _, k := range m.can(sh) {
		if k.Key == key {
			return m.push(k.View(m.meant(sh, k)))
		}
	}
	return nil
}

// marks is what the row under the cursor is, if such rows can be marked.
func (m *frame) marks(sh *level) string {
	if sh.body == nil {
		return ""
	}
	of, id := sh.body.called(sh.cursor)
	for _, k := range m.Keys {
		if k.Many && k.Of == of && id != "" {
			return of
		}
	}
	return ""
}

// mark marks the row under the cursor, or takes its mark away, and goes on to the next one.
// It reports whether rows like that can be marked.
func (m *frame) mark(sh *level) bool {
	if m.marks(sh) == "" {
		return false
	}
	of, id := sh.body.called(sh.cursor)
	row := named{of, id}
	if n := slices.Index(sh.marked, row); n >= 0 {
		sh.marked = slices.Delete(sh.marked, n, n+1)
	} else {
		sh.marked = append(sh.marked, row)
	}
	m.move(sh, 1)
	return true
}

// unmark takes the marks from rows that are gone.
func (sh *level) unmark() {
	if len(sh.marked) == 0 {
		return
	}
	there := map[named]bool{}
	for _, s := range sh.page.Sections {
		if t := s.Table; t != nil && t.Of != "" {
			for i := range t.Rows {
				there[named{t.Of, t.ID(i)}] = true
			}
		}
	}
	sh.marked = slices.DeleteFunc(sh.marked, func(row named) bool { return !there[row] })
}
