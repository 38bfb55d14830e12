package main

import (
	"context"

	"github.com/carekey/carekey/crypto"
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
		RunE: a.onWallet(looks, func(_ context.Context, w *wallet.Wallet, _ []string) error {
			a.print("%s", w.Address())
			a.say("check words: %s", checkWords(w.Address()))
			return a.result(addressJSON{w.Address(), w.Address().Words()})
		}),
	}
}

type addressJSON struct {
	Address crypto.Address `json:"address"`
	Words   [8]string      `json:"words"`
}
