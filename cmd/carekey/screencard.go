package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/cmd/qr"
	"github.com/carekey/carekey/crypto"
)

// cardLeads are the keys for the card of the wallet's owner, which leads to a ledger.
func (x *glance) cardLeads() []ui.Lead {
	return []ui.Lead{
		{Key: "c", Word: "card", Does: "your card, which leads others to a ledger and to you", Of: "ledger", View: func(ids []string) *ui.View {
			v := x.view("Your card", thatOne(ids[0]), func(_ context.Context, s *session, _ bool) error {
				return cards{s.app}.show(s.all[0], cardFlags{})
			})
			v.Of, v.ID = "card", ids[0]
			return v
		}},
		{Key: "p", Word: "picture", Does: "write your card as a picture", Of: "card", View: func(ids []string) *ui.View {
			return x.act("Your card as a picture", looks, thatOne(ids[0]), func(ctx context.Context, s *session) error {
				file, err := asks(&s.console).Line(ctx, "The new file, which ends in .png; nothing is card.png in this folder:")
				if err != nil {
					return err
				}
				if file == "" {
					file = "card.png"
				}
				if !strings.EqualFold(filepath.Ext(file), ".png") {
					return usage("a picture ends in .png", "name it so, or write a text: carekey card -o FILE")
				}
				if file, err = filepath.Abs(file); err != nil {
					return err
				}
				return cards{s.app}.show(s.all[0], cardFlags{file: file})
			})
		}},
	}
}

// draw puts the QR code of a card onto a page, where a terminal shows all of it at once.
func (a cards) draw(c crypto.Card) error {
	code, columns, lines, err := qr.Text(c.String())
	if err != nil {
		return err
	}
	a.page.LayOut(func(width, height int) []string {
		if columns <= width && lines <= height {
			return strings.Split(strings.TrimRight(code, "\n"), "\n")
		}
		return ui.Wrap(fmt.Sprintf("Its QR code takes %d columns and %d lines, which cannot be seen at once here: p writes it as a picture.", columns, lines), min(width, cli.MaxProse))
	})
	return nil
}
