package main

import (
	"strings"
	"testing"
)

// An operator whose shell does not find the order's program is not told that the order has
// halted, which it need not have.
func TestStatusOfAnOrderThatCannotBeAsked(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	s := newApp().askOrder(t.Context(), "nowhere:x")
	if s == nil || s.Decides != nil || !strings.HasPrefix(s.text(), "not known from here: ") || !strings.Contains(s.text(), "carekey-ledger-nowhere") {
		t.Errorf("%+v", s)
	}
}
