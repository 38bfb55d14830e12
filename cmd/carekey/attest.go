package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/spf13/cobra"
)

// attesting signs a file, or looks at who signed it.
type attesting struct {
	*records
	about, title, attestation string
	check                     bool
}

func (r *records) newAttest() *cobra.Command {
	t := &attesting{records: r}
	c := &cobra.Command{
		Use:   "attest FILE [--about NAME] [-o FILE.attested] | attest --check FILE",
		Short: "Sign a file as its issuer, or see who signed it",
		Long: `Sign a file with your address: that these bytes are yours, and no more. It makes a small
file beside it, FILE.attested, which goes to the patient with the file; her carekey record
add takes both. What she grants then says who signed it, of parts of FHIR too. The file
is not made a record of yours, and nothing is entered on a ledger.

--about says whose it is, by a contact: else it is one that says nobody. The hour in it is
your word, and nothing proves it. The small file is for the patient alone: with it every
guess of a part that she does not give can be tested. You know it too. Each attestation
is a new one; attest a corrected file anew.

--check says who signed a file: one of yours, or one that carekey fetch wrote with its
attestation beside it. Of a file that was changed the exit code is 6.`,
		Example: "  carekey record attest report.json --about maria\n  carekey record attest --check maria-1a2b3c4d/55aef0c0/report.json",
		Args:    cli.Takes(1, 1),
		RunE:    r.onWallet(looks, t.run),
	}
	f := c.Flags()
	f.BoolVar(&t.check, "check", false, "say who signed FILE, and whether it is what was signed")
	f.StringVar(&t.about, "about", "", "whose it is: a contact's `NAME`")
	f.StringVar(&t.title, "title", "", "what you call it, `TITLE` (default: what FHIR says of itself, else the file's name)")
	f.StringVar(&t.attestation, "attestation", "", "with --check: `FILE` that came with it (default: FILE.attested)")
	f.StringVarP(&r.output, "output", "o", "", "write the attestation to `FILE` (default: FILE.attested)")
	f.BoolVar(&r.force, "force", false, "overwrite it")
	return c
}

// attestedJSON is an attestation that was made.
type attestedJSON struct {
	File    string         `json:"file"`
	Serial  payload.Serial `json:"serial"`
	SHA256  crypto.Hash    `json:"sha256"`
	Parts   bool           `json:"parts"` // it holds for parts too
	About   string         `json:"about,omitempty"`
	Written string         `json:"written"`
}

// signerJSON is who signed a file.
type signerJSON struct {
	File   string          `json:"file"`
	Part   bool            `json:"part"` // of a record: parts that were granted
	Signed wallet.Vouching `json:"signed"`
}

func (t *attesting) run(ctx context.Context, w *wallet.Wallet, args []string) error {
	path := args[0]
	f, err := t.source(ctx, path)
	if err != nil {
		return err
	}
	defer f.Close()
	src := wallet.Source{Reader: f, Name: filepath.Base(path), Size: sizeOf(f)}
	if t.check {
		a, err := t.attestationOf(path, t.attestation, payload.MaxAttestation)
		if err != nil {
			return err
		}
		if a == nil {
			return usage("there is no attestation beside "+path, "name the one that came with it: --attestation FILE")
		}
		v, part, err := w.Records().Attested(ctx, src, a)
		if err != nil {
			return err
		}
		t.print("%s", signedWords(v))
		if part {
			t.say("It is PART of a record: other entries may exist.")
		}
		return t.result(signerJSON{path, part, v})
	}
	var about *crypto.Address
	if t.about != "" {
		c, err := w.Contacts().Named(t.about)
		if err != nil {
			return err
		}
		about = &c.Address
	}
	a, err := w.Records().Attest(ctx, src, about, t.title)
	if err != nil {
		return err
	}
	st, d, err := a.Vouched.Read()
	if err != nil {
		return err
	}
	out := t.output
	if out == "" {
		out = path + wallet.AttestationEnd
	}
	b := wallet.AttestationFile(a)
	if err := wallet.SaveFile(out, crypto.Hash{}, t.force, func(dst io.Writer) error { _, err := dst.Write(b); return err }); err != nil {
		return err
	}
	holds := "as a whole; it has no parts"
	if !st.Root.IsZero() {
		holds = "as a whole and in its parts"
	}
	t.say("%s is signed with your address, %s.", quoted(d.Title), holds)
	if about == nil {
		t.say("It says nobody whom it is about. To say it: --about NAME, a contact's.")
	}
	t.printPath(out)
	t.say("It is for the patient alone: whoever has it can test guesses of parts that she keeps back.")
	return t.result(attestedJSON{path, st.Serial, d.SHA256, !st.Root.IsZero(), t.about, out})
}

// attestationOf reads the attestation of a file: that which is named, or the one beside it;
// nil if there is none. It is refused if it has more than most bytes.
func (a *records) attestationOf(path, named string, most int64) (*payload.Attestation, error) {
	at := named
	if at == "" {
		if at = path + wallet.AttestationEnd; !isAttestation(at) {
			return nil, nil
		}
	}
	b, err := disk.ReadFile(at, most)
	if err != nil {
		return nil, err
	}
	return payload.ParseAttestation(b)
}

// isAttestation reports whether a path is that of an attestation beside the file that it is
// of.
func isAttestation(path string) bool {
	of, is := strings.CutSuffix(path, wallet.AttestationEnd)
	if !is {
		return false
	}
	info, err := os.Stat(path)
	_, other := os.Stat(of)
	return err == nil && info.Mode().IsRegular() && !errors.Is(other, fs.ErrNotExist)
}

// vouchedFor is what came with a file that is to be added; nil if nothing did.
func (a *records) vouchedFor(path string) (*payload.Vouched, error) {
	x, err := a.attestationOf(path, a.attestation, payload.MaxVouched)
	if x == nil || err != nil {
		return nil, err
	}
	return &x.Vouched, nil
}

// withoutAttestations leaves out those of other files that are there.
func withoutAttestations(paths []string) []string {
	return slices.DeleteFunc(slices.Clone(paths), func(p string) bool {
		of, is := strings.CutSuffix(p, wallet.AttestationEnd)
		return is && slices.Contains(paths, of)
	})
}

// signedWords says who signed something.
func signedWords(v wallet.Vouching) string {
	name := cli.Clean(v.Name)
	who := ""
	switch {
	case !v.Is():
		return "not signed by its issuer"
	case v.Own:
		who = "signed by you"
	case v.Replaced:
		who = "signed with an address that " + name + " replaced; when cannot be shown"
	case v.Name == "":
		who = "signed by an address you do not know: " + v.Issuer.String()[:24] + "…"
	case v.Verified:
		who = "signed by " + name + " (contact, verified)"
	default:
		who = "signed by " + name + " (contact; check words not compared)"
	}
	return who + map[string]string{wallet.AboutYou: ", about you", wallet.AboutGiver: ", about who gave it", wallet.AboutThem: ", about them", wallet.AboutOther: ", about another address",
		wallet.AboutNobody: "; it says nobody whom it is about", wallet.AboutUntold: "; of parts it is not told whom they are about"}[v.About]
}
