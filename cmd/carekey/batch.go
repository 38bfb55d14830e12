package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/batch"
	"github.com/spf13/cobra"
)

const batchHelp = `Change many consents at once. A file says what should be, as CSV or JSON Lines:

  to,categories,purpose,until
  Dr Smith,labs allergies,treatment,2030-12-31

or, with a column action of grant and revoke, what to change. Look first with batch
plan, then carry it out with batch apply. What is stopped in the middle, by you, a
crash or a full disk, goes on with batch resume: every row is done exactly once.

  to          name of a contact              categories  labs allergies, or all
  records     ids, with spaces between them  purpose     default: treatment
  from        first day, 2026-01-31          until       last day
  action      grant or revoke                consent     to revoke, an id
  profile     the wallet that the row is for

What goes is chosen as with carekey grant, also by columns role, with, without, dated and
whole (yes). Nobody is asked about what is unclassified: it stays, and the plan says so.
Consents that the file does not name stay as they are, unless you say --prune. A wallet
signs only for its own profiles.`

func newBatch(a *app) *cobra.Command {
	b := batches{a}
	c := group("batch", "Many consents at once: plan, look, apply, resume",
		b.newPlan(), b.newApply(), b.newResume(), b.newStatus(), b.newDrop(), b.newSchema())
	c.Long = batchHelp
	return c
}

// batches is many consents at once.
type batches struct{ *app }

type batchFlags struct {
	output, results string
	prune, force    bool
	asks            check
}

func (a batches) newPlan() *cobra.Command {
	var f batchFlags
	c := &cobra.Command{
		Use:   "plan FILE [--prune] [-o PLAN] [--check]",
		Short: "What a file would change; nothing is signed",
		Long: `Read a file (- is standard input), report all that is wrong with it, compare it with
the consents in force and show what would change: who gains and who loses what, what
stays, and what looks wrong. Nothing is signed. A plan that is kept with -o can be
applied as it was shown: it is sealed by this wallet, so that nothing can be put in its
place, and refused if a consent that it was made on has changed.`,
		Example: "  carekey batch plan consents.csv -o plan.json\n  carekey batch apply plan.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if namesRows(f.output) {
				return usage("a plan is not kept under a name in .csv or .jsonl, which batch apply reads as rows", "name it plan.json, for example")
			}
			in, err := a.open(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer in.Close()
			return a.withWallet(cmd, looks, func(ctx context.Context, w *wallet.Wallet) error { return a.plan(ctx, w, in, f) })
		},
	}
	c.Flags().BoolVar(&f.prune, "prune", false, "end every consent that the file does not name")
	c.Flags().StringVarP(&f.output, "output", "o", "", "keep the plan in the file `PLAN`; it holds names and titles")
	c.Flags().BoolVar(&f.force, "force", false, "overwrite PLAN")
	f.asks.flag(c, "consents would be given or ended")
	return c
}

func (a batches) newApply() *cobra.Command {
	var f batchFlags
	c := &cobra.Command{
		Use:   "apply (PLAN | FILE.csv | FILE.jsonl) [--prune] [--results FILE]",
		Short: "Carry out a plan, or a file",
		Long: `Show what would change, ask once, sign and submit. Rows are read from a file whose name
ends in .csv or .jsonl; everything else must be a plan that this wallet sealed, whatever
is in it. All cores sign; a bar shows how far it is, or a line for every 1000 items where
there is no terminal. --results writes one JSON object a line for every item, with the
fetch code of each consent, which need not be sent: recipients find consents with
carekey inbox. If it is stopped, carekey batch resume goes on.`,
		Args: cli.Takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := a.open(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer in.Close()
			return a.withWallet(cmd, writes, func(ctx context.Context, w *wallet.Wallet) error { return a.apply(ctx, w, in, f) })
		},
	}
	c.Flags().BoolVar(&f.prune, "prune", false, "end every consent that the file does not name")
	resultFlags(c, &f)
	acceptClock(a.app, c)
	return c
}

func resultFlags(c *cobra.Command, f *batchFlags) {
	c.Flags().StringVar(&f.results, "results", "", "write what became of every item to `FILE`, as JSON Lines; - is stdout")
	c.Flags().BoolVar(&f.force, "force", false, "overwrite the results' FILE")
}

func (a batches) newResume() *cobra.Command {
	var f batchFlags
	c := &cobra.Command{
		Use:   "resume [--results FILE]",
		Short: "Go on with a batch where it was stopped",
		Long: `Go on with the batch that was applied last, exactly where it was stopped: nothing is
done twice and nothing is left out. It asks nothing, since you said yes before, and gives
what was chosen then, whatever was said of parts since. Of a batch that has ended it only
writes the results.`,
		RunE: a.onWallet(writes, func(ctx context.Context, w *wallet.Wallet, _ []string) error {
			if err := a.checkResults(f); err != nil {
				return err
			}
			s, err := batch.StatusOf(ctx, w)
			if err != nil {
				return err
			}
			s, err = a.carryOn(s, func(progress func(batch.Status)) (batch.Status, error) { return batch.Resume(ctx, w, progress) })
			return a.ended(ctx, w, s, err, f)
		}),
	}
	resultFlags(c, &f)
	acceptClock(a.app, c)
	return c
}

func (a batches) newStatus() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "How far the batch is that was applied last",
		RunE: a.onWallet(looks, func(ctx context.Context, w *wallet.Wallet, _ []string) error {
			s, err := batch.StatusOf(ctx, w)
			if err != nil {
				return err
			}
			return a.show(s, "")
		}),
	}
}

func (a batches) newDrop() *cobra.Command {
	return &cobra.Command{
		Use:   "drop",
		Short: "Forget what is left of a batch",
		Long:  "Forget the items of a batch that were not begun. What was done stays done.",
		RunE: a.onWallet(looks, func(ctx context.Context, w *wallet.Wallet, _ []string) error {
			s, err := batch.StatusOf(ctx, w)
			if err != nil {
				return err
			}
			left := s.Items - s.Done
			if left > 0 {
				if err := a.confirm(ctx, "", "Forget "+plural(left, "item", "items")+" of the batch?", ""); err != nil {
					return err
				}
			}
			if s, err = batch.Drop(ctx, w); err != nil {
				return err
			}
			a.say("Forgotten: %s. What was done stays done: %s given, %d ended.", plural(left, "item", "items"), plural(s.Granted, "consent", "consents"), s.Revoked)
			return a.result(batchJSON{Status: s})
		}),
	}
}

func (a batches) newSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "The JSON Schema of one line of a file",
		RunE: func(*cobra.Command, []string) error {
			_, err := a.out.Write(batch.Schema())
			return err
		},
	}
}

// namesRows reports whether a file is one of rows for batch apply. Its name says so and
// nothing in it: who can write to a file that was approved as a plan can make it begin
// like anything.
func namesRows(file string) bool {
	ext := strings.ToLower(filepath.Ext(file))
	return ext == ".csv" || ext == ".jsonl"
}

// readPlan reads a plan that this wallet sealed; applied says that it was carried out
// already.
func readPlan(ctx context.Context, w *wallet.Wallet, in *batchInput) (p *batch.Plan, applied bool, err error) {
	const most = 1 << 30
	data, err := io.ReadAll(io.LimitReader(in.r, most))
	if err != nil {
		return nil, false, err
	}
	if p, err = batch.Parse(w, data); err == nil {
		applied, err = batch.Check(ctx, w, p)
	}
	return p, applied, err
}

// rows makes a plan of a file of rows.
func (a batches) rows(ctx context.Context, w *wallet.Wallet, in *batchInput, f batchFlags) (*batch.Plan, error) {
	place, err := a.place()
	if err != nil {
		return nil, err
	}
	plan, err := batch.Make(ctx, w, in.r, batch.Options{File: filepath.Base(in.name), Prune: f.prune,
		Now: a.now(), Profile: a.profile(), Known: func(name string) bool {
			_, err := wallet.ReadSettings(wallet.ProfileDir(place.home, name))
			return err == nil
		}})
	if bad, ok := errors.AsType[*batch.LinesError](err); ok {
		for i := range bad.Problems {
			bad.Problems[i].File = in.name
		}
	}
	return plan, err
}

// frugal makes the garbage collector come when the heap has grown by half: a batch
// makes much garbage, of a few megabytes at a time, and is to fit beside what else runs
// on a small machine. It costs some 2 % of the processor's time.
func frugal() (undo func()) {
	was := debug.SetGCPercent(50)
	return func() { debug.SetGCPercent(was) }
}

func (a batches) plan(ctx context.Context, w *wallet.Wallet, in *batchInput, f batchFlags) error {
	defer frugal()()
	p, err := a.rows(ctx, w, in, f)
	if err != nil {
		return err
	}
	if f.output != "" {
		err := wallet.SaveFile(f.output, crypto.Hash{}, f.force, func(dst io.Writer) error {
			b, err := p.Marshal(w)
			if err == nil {
				_, err = dst.Write(b)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	a.print("%s", a.ours(batchPreview(p, groundOf(w))))
	if len(p.Items) > 0 {
		if err := a.table(p); err != nil {
			return err
		}
	}
	switch {
	case len(p.Items) == 0:
	case f.output != "":
		a.next("carekey batch apply %s", cli.Quote(f.output))
	case !namesRows(in.name):
		a.next("keep what was read as a plan with -o PLAN, then carekey batch apply PLAN")
	case f.prune:
		a.next("carekey batch apply %s --prune", cli.Quote(in.name))
	default:
		a.next("carekey batch apply %s", cli.Quote(in.name))
	}
	if err := a.result(p); err != nil {
		return err
	}
	var changes []string
	if len(p.Items) > 0 {
		changes = []string{plural(p.Give, "consent", "consents") + " to give", thousands(p.End) + " to end"}
	}
	return f.asks.answer([]*wallet.Wallet{w}, changes...)
}

func (a batches) apply(ctx context.Context, w *wallet.Wallet, in *batchInput, f batchFlags) error {
	defer frugal()()
	if err := a.checkResults(f); err != nil {
		return err
	}
	var p *batch.Plan
	var applied bool
	var err error
	if namesRows(in.name) {
		p, err = a.rows(ctx, w, in, f)
	} else if f.prune {
		err = usage("a plan says already whether it prunes", "leave out --prune, or make the plan with it")
	} else {
		p, applied, err = readPlan(ctx, w, in)
	}
	if err != nil {
		return err
	}
	if applied {
		a.say("This plan was applied already: nothing is done twice.")
		s, err := batch.StatusOf(ctx, w)
		return a.ended(ctx, w, s, err, f)
	}
	if len(p.Items) == 0 {
		a.print("%s", a.ours(batchPreview(p, groundOf(w))))
		return a.result(batchJSON{Status: batch.Status{File: p.File, Finished: true}})
	}
	if err := a.confirm(ctx, batchPreview(p, groundOf(w)), batchQuestion(p), ""); err != nil {
		return err
	}
	s, err := a.carryOn(batch.Status{Items: len(p.Items)}, func(progress func(batch.Status)) (batch.Status, error) {
		return batch.Apply(ctx, w, p, progress)
	})
	return a.ended(ctx, w, s, err, f)
}

// checkResults finds out, before anything is signed, whether the results can be
// written.
func (a batches) checkResults(f batchFlags) error {
	switch {
	case f.results == "":
		return nil
	case f.results != "-":
		return wallet.MaySave(f.results, f.force)
	case a.flags.json:
		return usage("--json and --results - both write to stdout", "name a file for the results")
	}
	return nil
}

// carryOn runs a job that has come as far as from with a bar, or with a line for every
// thousand items.
func (a batches) carryOn(from batch.Status, run func(progress func(batch.Status)) (batch.Status, error)) (batch.Status, error) {
	const every = 1000
	said := from.Done / every
	step, end := a.steps("signing")
	defer end()
	return run(func(s batch.Status) {
		if step != nil {
			step(uint64(s.Done), uint64(s.Items))
		} else if s.Done/every > said && s.Done < s.Items {
			said = s.Done / every
			a.say("%s of %s done", thousands(s.Done), thousands(s.Items))
		}
	})
}

// errBatchStopped: a batch was not carried out as a whole. done, items; results, where they
// were to be written; left, that something is left to do
const errBatchStopped fault.Code = "batch-stopped"

// ended reports what became of a run.
func (a batches) ended(ctx context.Context, w *wallet.Wallet, s batch.Status, err error, f batchFlags) error {
	if err != nil && s.Begun == 0 {
		return err
	}
	if err != nil {
		return errBatchStopped.Of(err, "done", s.Done, "items", s.Items, "left", true)
	}
	var failed error // the first
	write := func(dst io.Writer) error {
		b := bufio.NewWriter(dst)
		enc := json.NewEncoder(b)
		enc.SetEscapeHTML(false)
		err := batch.Results(ctx, w, func(r batch.Result) error {
			failed = cmp.Or(failed, r.Err)
			return enc.Encode(resultOf(r))
		})
		return errors.Join(err, b.Flush())
	}
	switch {
	case f.results == "-":
		err = write(a.out)
	case f.results != "":
		err = wallet.SaveFile(f.results, crypto.Hash{}, f.force, write)
	case s.Failed > 0:
		err = write(io.Discard)
	}
	if err != nil {
		return errBatchStopped.Of(err, "done", s.Done, "items", s.Items, "results", cmp.Or(f.results, "FILE"), "left", false)
	}
	if err := a.show(s, f.results); err != nil {
		return err
	}
	switch {
	case s.Failed == 0:
		return nil
	case s.Granted+s.Revoked+s.Sent == 0:
		return failed
	}
	return wallet.ErrPartly.Of(failed, "done", s.Granted+s.Revoked+s.Sent, "failed", s.Failed+s.Kept)
}

// resultJSON is a line of a file with results.
type resultJSON struct {
	batch.Result
	Error *failure `json:"error,omitempty"`
}

// resultOf is a result with its error in words.
func resultOf(r batch.Result) resultJSON {
	out := resultJSON{Result: r}
	if r.Err != nil {
		f := explain(r.Err)
		out.Error = &f
	}
	return out
}

// show says how far a job is; results is the file with what became of each item.
func (a batches) show(s batch.Status, results string) error {
	tell := a.print
	if results == "-" { // which has stdout
		tell = a.say
	}
	if s.Sent > 0 {
		tell("%s: %s of %s done: %s sent.", s.File, thousands(s.Done), plural(s.Items, "item", "items"), plural(s.Sent, "request", "requests"))
	} else {
		tell("%s: %s of %s done: %s given, %s ended.", s.File, thousands(s.Done), plural(s.Items, "item", "items"), plural(s.Granted, "consent", "consents"), thousands(s.Revoked))
	}
	if s.Failed > 0 {
		tell("%s failed.", thousands(s.Failed))
	}
	if s.Kept > 0 {
		tell("%s kept, since what should replace them failed.", thousands(s.Kept))
	}
	switch {
	case !s.Finished:
		a.next("carekey batch resume")
	case results == "-":
	case results != "":
		a.say("What became of each is in %s, with its fetch code.", results)
	case s.Granted > 0:
		a.next("the fetch codes: carekey batch resume --results FILE")
	}
	return a.result(batchJSON{s, results})
}

type batchJSON struct {
	batch.Status
	Results string `json:"results,omitempty"` // the file with what became of each item
}
