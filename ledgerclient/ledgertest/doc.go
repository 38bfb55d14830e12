// Package ledgertest is the suite that every backend must pass, each case with the
// rule that it checks. For an order:
//
//	func TestBackend(t *testing.T) {
//		path := filepath.Join(t.TempDir(), "order")
//		ledgertest.Run(t, ledgertest.Harness{
//			Order: func(ctx context.Context) (order.Backend, error) { return mine.Open(path) },
//		})
//	}
//
// and for a whole ledger the same with Ledger in place of Order, and Keeper for a
// keeper that judges on it. A case that a harness leaves no way to check is skipped, or
// fails where CAREKEY_NO_SKIP is set.
//
// One case is the seeded run: the same entries, valid and invalid, twice and out of
// order, made from fixed keys. The answers and the leaves must be those of a model in
// this package, which is written from contract/SPEC.md with the plainest means. With
// a clock that can be set and a new ledger they, and the root, are the same on every
// backend for ever.
//
// Check runs the suite outside of go test.
package ledgertest
