package server

import (
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/node"
)

// HashToken is what a node keeps of a submit token.
func HashToken(token string) crypto.Hash {
	return crypto.TaggedHash(crypto.TagSubmitToken, []byte(token))
}

// checkToken returns the hash of a request's token, if it is one of the node's. All of
// them are compared, each in constant time.
func (s *Server) checkToken(r *http.Request) (hash crypto.Hash, ok bool) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return hash, false
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || !node.ValidToken(token) {
		return hash, false
	}
	hash = HashToken(token)
	found := 0
	for _, h := range *s.tokens.Load() {
		found |= subtle.ConstantTimeCompare(h[:], hash[:])
	}
	return hash, found == 1
}
