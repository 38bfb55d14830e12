package main

import (
	"testing"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet"
)

// What is said of witnesses names those that are missing, and those of another history.
func TestWitnessWords(t *testing.T) {
	one := func(name string, counts, other bool) wallet.Witness {
		return wallet.Witness{Cosigned: ledgerclient.Cosigned{Name: name, Other: other}, Counts: counts}
	}
	for _, c := range []struct {
		s    wallet.Witnessed
		want string
	}{
		{wallet.Witnessed{}, "You want no witness for this ledger: its nodes alone vouch for its history."},
		{wallet.Witnessed{Need: 1, Have: 1, Witnesses: []wallet.Witness{one("a", true, false)}}, "1 of 1 witness cosigned what this wallet sees."},
		{wallet.Witnessed{Need: 1, Have: 1, Witnesses: []wallet.Witness{one("a", true, false), one("b\x1b", false, false)}}, `1 of 2 witnesses cosigned what this wallet sees; missing: b\x1b.`},
		{wallet.Witnessed{Need: 2, Have: 1, Witnesses: []wallet.Witness{one("a", true, false), one("b", false, false)}}, "1 of 2 witnesses cosigned what this wallet sees, and you want 2; missing: b."},
		{wallet.Witnessed{Need: 2, Have: 1, Witnesses: []wallet.Witness{one("a", true, false), one("b", false, true)}}, "1 of 2 witnesses cosigned what this wallet sees, and you want 2.\nb cosigned another history of this ledger, which too few of its nodes signed: ask who runs that witness."},
		{wallet.Witnessed{Need: 1, Unknown: true, Witnesses: []wallet.Witness{one("a", false, false), one("b", false, false)}}, "2 witnesses, of which 1 are enough; the ledger cannot be followed, and they cannot be looked at."},
	} {
		if got := witnessWords(c.s); got != c.want {
			t.Errorf("%q, not %q", got, c.want)
		}
	}
}
