package main

import (
	"net/url"
	"strings"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/node/server"
	"github.com/carekey/carekey/wallet/payload"
)

// links say how the node takes links; nil if it takes none. Whoever opens one has a browser
// and no invitation, so that the certificate must be one that browsers trust, and the URL one
// that leaves room in a link. Browsers trust this computer without one.
func (c *config) links(f *folder.Folder) *server.Links {
	u := c.linkURL()
	if u == "" {
		return nil
	}
	return &server.Links{URL: u, Note: linkNote(f.Nodes())}
}

func (c *config) linkURL() string {
	if c.TLS.Pin {
		return ""
	}
	for _, u := range c.URLs {
		if p, err := url.Parse(u); err == nil && p.Path == "" && len(u) <= node.MaxLinkURL {
			return u
		}
	}
	return ""
}

// linkNote makes what wallets read with an opening, on a ledger with so many nodes.
func linkNote(nodes int) func(server.LinkNote) ([]byte, int) {
	return func(n server.LinkNote) ([]byte, int) {
		note := payload.Access{V: payload.Version, Ledger: n.Ledger, Grant: n.Grant, Author: n.Author, From: n.From,
			By: fitting(n.By, payload.ByFits), Link: true, Reason: fitting(n.Reason, payload.ReasonFits), Checkpoint: n.Checkpoint}
		return payload.Marshal(&note), payload.AccessRoom(nodes)
	}
}

// fitting cuts a text of anybody's until there is room for it.
func fitting(s string, fits func(string) bool) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	for !fits(s) {
		s = ledgerclient.CutText(s, len(s)*3/4)
	}
	return s
}
