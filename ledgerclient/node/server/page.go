package server

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"strings"

	"github.com/carekey/carekey/crypto"
)

// The page that opens a link in a browser. It is one file with nothing outside of itself,
// and its policy names the hashes of the one style and the one script that are in it, so
// that a browser runs nothing else. The key stays in the fragment of its address, which no
// browser sends.
//
// Whoever serves it can serve another one: it protects against this node's disk, and not
// against this node.

var (
	//go:embed page/page.html
	pageFrame string
	//go:embed page/page.css
	pageStyle string
	//go:embed page/view.js
	pageView string
	//go:embed page/link.js
	pageLink string
	//go:embed page/page.js
	pageScript string
)

// viewPage is the page as it is served, and its policy.
var viewPage, viewPolicy = makePage()

// ViewPageHash is the SHA-256 of the page that nodes of this version serve.
func ViewPageHash() crypto.Hash { return sha256.Sum256(viewPage) }

func makePage() (page []byte, policy string) {
	style, script := "\n"+pageStyle, "\n\"use strict\";\n"+pageView+pageLink+pageScript
	whole := strings.Replace(pageFrame, "<style>\n", "<style>"+style, 1)
	whole = strings.Replace(whole, "<script>\n", "<script>"+script, 1)
	return []byte(whole), "default-src 'none'; script-src " + hashOf(script) + "; style-src " + hashOf(style) +
		"; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func (s *Server) viewPage(q *request) error {
	h := q.w.Header()
	h.Set("Content-Security-Policy", viewPolicy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	return q.answer("text/html; charset=utf-8", viewPage)
}
