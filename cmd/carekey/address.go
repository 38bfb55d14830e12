package main

import (
	"context"
	"strings"

	"github.com/carekey/carekey/wallet"
	"github.com/spf13/cobra"
)

func newAddress(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "address",
		Short: "Your address and its eight check words",
		Long: `Print your address: give it to whoever wants to grant you something. It is not
secret. The eight check words on stderr are for comparing by voice: the other side
sees them with carekey contact verify.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withWallet(cmd, looks, func(_ context.Context, w *wallet.Wallet) error {
				words := wordsOf(w.Address())
				if a.flags.json {
					return a.printJSON(struct {
						Address string   `json:"address"`
						Words   []string `json:"words"`
					}{w.Address().String(), words})
				}
				a.print("%s", w.Address())
				a.say("check words: %s", strings.Join(words, " "))
				return nil
			})
		},
	}
}
