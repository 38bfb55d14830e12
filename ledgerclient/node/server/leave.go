package server

import "time"

// holder has something of which there is no more for others: a place, a connection, an
// upload.
type holder struct {
	from  client
	waits time.Duration // since the other side did anything
	firm  bool          // makes room only where its client has more than who comes
}

// mustLeave is who has to make room for a client, false if nobody has: of the client
// that has most, or of itself where it has all that one may have, the one that waits
// longest. Who has no more than the client is waited for, as long as the patience.
func mustLeave[K any](all func(see func(K, holder)), has func(client) int64, comes client, own bool, patience time.Duration) (out K, ok bool) {
	var most int64
	var longest time.Duration
	all(func(k K, h holder) {
		n := has(h.from)
		if n <= has(comes)+1 {
			if h.firm || h.waits < patience {
				return
			}
			n = 0 // all such are alike
		}
		if own && h.from != comes {
			return
		}
		if !ok || n > most || n == most && h.waits > longest {
			out, ok, most, longest = k, true, n, h.waits
		}
	})
	return out, ok
}
