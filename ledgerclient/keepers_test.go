package ledgerclient_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/ledgertest"
)

// Keepers are asked at the same time. Who is silent is waited for as long as others are not
// enough, and then a little longer; with nothing more to wait for, not at all.
func TestAskAll(t *testing.T) {
	const forever = -1
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		after  []int // seconds until each answers; forever: it ends with its context alone
		fails  int   // which of them fails; -1: none
		enough int
		rest   int // seconds
		lasts  int // seconds
		said   []int
		silent []int
	}{
		"one":                          {after: []int{40}, fails: -1, enough: 1, rest: 3, lasts: 40, said: []int{0}},
		"one that fails":               {after: []int{1}, enough: 1, rest: 3, lasts: 1, said: nil},
		"all at once":                  {after: []int{2, 1, 2, 2}, fails: -1, enough: 2, rest: 3, lasts: 2, said: []int{0, 1, 2, 3}},
		"one is silent":                {after: []int{1, 2, forever, 3}, fails: -1, enough: 2, rest: 3, lasts: 5, said: []int{0, 1, 3}, silent: []int{2}},
		"nothing more is wanted":       {after: []int{1, 2, forever, 9}, fails: -1, enough: 2, rest: 0, lasts: 2, said: []int{0, 1}},
		"one comes just in time":       {after: []int{1, 4, 3, 2}, fails: -1, enough: 1, rest: 4, lasts: 4, said: []int{0, 1, 2, 3}},
		"never enough: all are waited": {after: []int{1, 2, 30, 31}, fails: -1, enough: 5, rest: 3, lasts: 31, said: []int{0, 1, 2, 3}},
		"a failure is no answer":       {after: []int{1, 20, forever, 19}, fails: 0, enough: 2, rest: 1, lasts: 21, said: []int{1, 3}, silent: []int{2}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				var said, silent []int
				ledgerclient.AskAll(context.Background(), len(c.after), time.Duration(c.rest)*time.Second, func(ctx context.Context, i int) error {
					var comes <-chan time.Time
					if c.after[i] != forever {
						comes = time.After(time.Duration(c.after[i]) * time.Second)
					}
					select {
					case <-comes:
					case <-ctx.Done():
						return fmt.Errorf("asking: %w", ctx.Err())
					}
					if i == c.fails {
						return broken
					}
					return nil
				}, func(i int, err error) bool {
					u := ledgerclient.Unreachable(err)
					switch {
					case err == nil:
						said = append(said, i)
					case u != nil && u.Service == "keeper":
						silent = append(silent, i)
					case err != broken || i != c.fails:
						t.Errorf("%d: %v", i, err)
					}
					return len(said) >= c.enough
				})
				slices.Sort(said)
				slices.Sort(silent)
				if took := time.Since(begun); took != time.Duration(c.lasts)*time.Second || !slices.Equal(said, c.said) || !slices.Equal(silent, c.silent) {
					t.Errorf("after %v: %v answered, %v were silent", took, said, silent)
				}
			})
		})
	}
}

// An interruption is no silence of a keeper's.
func TestAskAllInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	ledgerclient.AskAll(ctx, 3, time.Hour, func(ctx context.Context, i int) error {
		if i == 0 {
			cancel()
		}
		<-ctx.Done()
		return ctx.Err()
	}, func(i int, err error) bool {
		if !errors.Is(err, context.Canceled) || ledgerclient.Unreachable(err) != nil {
			t.Errorf("%d: %v", i, err)
		}
		return false
	})
}

// An entry has the configuration that was in force when it came, also when others follow.
func TestConfigAt(t *testing.T) {
	nodes := ledgertest.Institutions("config at", 9)
	n := ledgertest.NewNetwork(3, nodes[:4]...)
	n.Grow(2) // positions 1 and 2
	first := n.Config()
	n.Change(4, nodes[1:6]...) // position 3
	second := n.Config()
	n.Grow(1) // position 4
	c := connect(t, n)
	if _, _, err := c.Advance(t.Context(), ledgerclient.Pin{}, ledgerclient.Pin{}, func(uint64, *contract.Leaf) error { return nil }); err != nil {
		t.Fatal(err)
	}
	for position, want := range []contract.Config{first, first, first, first, second, second, second} {
		number, got := c.ConfigAt(uint64(position))
		if got.Commitment() != want.Commitment() || number != map[bool]int{true: 1}[position > 3] {
			t.Errorf("position %d: configuration %d of %d nodes", position, number, len(got.Nodes))
		}
	}
	if f := ledgerclient.Liars(&first); f != 1 {
		t.Errorf("%d of 4 may lie", f)
	}
}

// A screen that says how many operators would have to break the rules never says more than
// there are: two histories take the signatures of those who sign both.
func TestOperators(t *testing.T) {
	for _, tt := range []struct {
		nodes              int
		threshold, release uint8
		want               int
	}{
		{1, 1, 1, 1},
		{4, 3, 1, 1},
		{4, 3, 2, 2},
		{4, 3, 3, 2},
		{4, 4, 3, 3},
		{7, 5, 5, 3},
	} {
		c := &contract.Config{Nodes: make([]contract.Node, tt.nodes), Threshold: tt.threshold, Release: tt.release}
		if got := ledgerclient.Operators(c); got != tt.want {
			t.Errorf("%d nodes, %d sign, %d keepers open: %d operators, want %d", tt.nodes, tt.threshold, tt.release, got, tt.want)
		}
	}
}
