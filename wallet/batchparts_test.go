package wallet_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/batch"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/home"
)

// partsRecord adds a record with something of everything.
func partsRecord(t testing.TB, w *wallet.Wallet) wallet.Record {
	t.Helper()
	file := must(os.ReadFile(filepath.Join("..", "testdata", "fhir", "parts.json")))(t)
	r, _, err := w.Records().Add(context.Background(), wallet.Source{Reader: strings.NewReader(string(file)), Name: "parts.json", Size: int64(len(file))}, wallet.Describe{Title: "record"}, nil)
	if err != nil || r.Parts == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	return r
}

// Rows give parts of records: a consent of parts is there by what they were chosen by. What
// was chosen by something else is not touched, a whole record is more than its parts, and
// what is sensitive or not understood stays and is said.
func TestBatchParts(t *testing.T) {
	tn, w := batchTown(t)
	r := partsRecord(t, w)
	id := r.ID.String()
	plan := func(text string, prune bool) *batch.Plan {
		t.Helper()
		return must(planFrom(w, text, prune, tn.now))(t)
	}
	is := func(p *batch.Plan, stay, already int, lines ...string) {
		t.Helper()
		if got, want := summary(p), strings.Join(append(lines, ""), "\n"); got != want || p.Stay != stay || p.Already != already {
			t.Errorf("stay %d, already %d:\n%swant %d, %d:\n%s", p.Stay, p.Already, got, stay, already, want)
		}
	}
	said := func(p *batch.Plan) string {
		var out []string
		for _, x := range p.Warnings {
			if x.Kind != "new-purpose" && x.Kind != "unseen" {
				out = append(out, fmt.Sprintf("%s %s %d.%d", x.Kind, x.Other, x.Line, x.Count))
			}
		}
		return strings.Join(out, "; ")
	}

	const nurse = "to,role,until\nAnn,nurse,2026-12-01\nBob,nurse,2026-12-01\nCleo,nurse,2026-12-01\n"
	p := plan(nurse, false)
	is(p, 0, 0, "2 grant Ann record.1 treatment until 2026-12-02", "3 grant Bob record.1 treatment until 2026-12-02", "4 grant Cleo record.1 treatment until 2026-12-02")
	if want := "sensitive 2 mental-health 2.3; missed propranolol, Generalized anxiety disorder 2.3"; said(p) != want {
		t.Errorf("%s, want %s", said(p), want)
	}
	if len(p.Choices) != 1 || len(p.Choices[0].Parts[0].Given) != 8 || p.Choices[0].Scope.Role != "nurse" || !p.Items[0].Records[0].Part {
		t.Errorf("%+v", p.Choices)
	}
	if q := p.People[0].Access[0]; q.Change != batch.Gains || q.Titles[0] != "PART of record (nurse)" {
		t.Errorf("%+v", q)
	}
	// Two choices of as many categories are told apart.
	two := plan(fmt.Sprintf("to,records,categories,until\nAnn,%s,labs vitals,2026-12-01\nAnn,%[1]s,labs problems,2026-12-01\n", id), false)
	if q := two.People[0].Access[0]; len(q.Titles) != 2 || q.Titles[0] == q.Titles[1] || !strings.Contains(q.Titles[1], "problems") {
		t.Errorf("%+v", q)
	}
	// From a plan that was kept, in chunks of which each is read anew.
	defer chunks(1)()
	p = must(batch.Parse(w, must(p.Marshal(w))(t)))(t)
	apply(t, w, p)
	is(plan(nurse, false), 3, 3)
	smith := must(w.Consents().List(context.Background()))(t)
	for _, c := range smith {
		if !c.Records[0].Part || c.Scope.Words() != smith[0].Scope.Words() {
			t.Errorf("%+v", c)
		}
	}

	// Another choice is another thing: it is given beside the first, which stays unless it
	// is pruned.
	const labs = "to,records,categories,without,until\nAnn,%s,labs,unclassified,2026-12-01\n"
	p = plan(fmt.Sprintf(labs, id), false)
	is(p, 3, 0, "2 grant Ann record.1 treatment until 2026-12-02 overlap")
	is(plan(fmt.Sprintf(labs, id), true), 0, 0, "2 grant Ann record.1 treatment until 2026-12-02 overlap",
		"0 revoke Ann record.1 treatment until 2026-12-02 pruned loses", "0 revoke Bob record.1 treatment until 2026-12-02 pruned loses", "0 revoke Cleo record.1 treatment until 2026-12-02 pruned loses")
	// A record and a category together are that category in that record.
	if len(p.Choices[0].Parts[0].Given) != 3 { // two results and the patient
		t.Errorf("%+v", p.Choices[0])
	}
	// The same choice to another end replaces it.
	is(plan("to,role,until\nBob,nurse,2026-12-10\n", false), 2, 0, "2 grant Bob record.1 treatment until 2026-12-11", "2 revoke Bob record.1 treatment until 2026-12-02 replaced")
	// The whole is more than its parts, and parts less than the whole.
	whole := fmt.Sprintf("to,records,whole,until\nCleo,%s,yes,2026-12-01\n", id)
	p = plan(whole, false)
	is(p, 3, 0, "2 grant Cleo record.1 treatment until 2026-12-02")
	if want := "whole 2 mental-health 2.1"; said(p) != want || len(p.Choices) != 0 {
		t.Errorf("%s, want %s", said(p), want)
	}
	apply(t, w, p)
	is(plan(whole, false), 4, 1)
	is(plan("to,categories,until\nCleo,vitals,2026-12-01\n", false), 4, 0, "2 grant Cleo record.1 treatment until 2026-12-02 overlap")

	// What is sensitive goes where it is named; what is not understood too.
	p = plan("to,records,with,until\nAnn,"+id+",mental-health unclassified documents,2026-12-31\n", false)
	if len(p.Choices[0].Parts[0].Given) != r.Parts || said(p) != "overlap  2.1" {
		t.Errorf("%+v, %s", p.Choices[0].Parts, said(p))
	}
	if q := p.People[0].Access[0]; q.Titles[0] != "PART of record (11 categories, with mental-health, unclassified)" {
		t.Errorf("%+v", q)
	}

	// Of what is sensitive in two ways and named by one, the other is what was not named.
	if _, err := w.Records().Correct(context.Background(), id, []int{4}, health.Correction{Add: []health.Sensitivity{health.Genetic}}); err != nil {
		t.Fatal(err)
	}
	p = plan("to,records,with,until\nAnn,"+id+",mental-health,2026-12-30\n", false)
	if !strings.Contains(said(p), "sensitive 2 genetic 2.1") {
		t.Error(said(p))
	}
	if _, err := w.Records().Correct(context.Background(), id, []int{4}, health.Correction{Drop: []health.Sensitivity{health.Genetic}}); err != nil {
		t.Fatal(err)
	}

	// Nothing of a row goes: that is said, and the others are carried out.
	p = plan("to,role,records,until\nAnn,insurer,,2026-12-01\nBob,psychiatrist,"+id+",2026-12-01\n", false)
	is(p, 4, 1, "3 grant Bob record.1 treatment until 2026-12-02 overlap")
	if !strings.Contains(said(p), "empty insurer 2.1") || !strings.Contains(said(p), "unclassified 1 3.1") {
		t.Error(said(p))
	}

	// What was chosen is what is given: labels that were corrected since make another plan.
	p = plan("to,categories,until\nAnn,problems,2026-12-20\n", false)
	if _, err := w.Records().Correct(context.Background(), id, []int{2}, health.Correction{Add: []health.Sensitivity{health.HIV}}); err != nil {
		t.Fatal(err)
	}
	if _, err := batch.Apply(context.Background(), w, p, nil); !errors.Is(err, batch.ErrStalePlan) {
		t.Errorf("labels changed since: %v", err)
	}
	// What was given before the correction is more than the row gives now: it is given anew, and
	// the old consent ends. A row that only grants leaves that, and says what is still open.
	p = plan(nurse, false)
	if p.Already != 0 || p.Give != 3 || p.End != 3 {
		t.Errorf("given before: %d already\n%s", p.Already, summary(p))
	}
	for _, x := range p.Items[p.Give:] {
		if x.Why != "replaced" || x.Loses != (x.To != "Cleo") { // who has the whole
			t.Errorf("%+v", x)
		}
	}
	if strings.Contains(said(p), "open 1 hiv 2.") {
		t.Error(said(p))
	}
	p = plan("action,to,role,until\ngrant,Ann,nurse,2026-12-01\n", false)
	if p.Give != 1 || p.End != 0 || !p.Items[0].Overlap || !strings.Contains(said(p), "open 1 hiv 2.1") {
		t.Errorf("%s%s", summary(p), said(p))
	}
}

// Rows beyond what their role is for, or that no selection is, are each one problem of the
// file.
func TestBatchPartsRefused(t *testing.T) {
	tn, w := batchTown(t)
	partsRecord(t, w)
	_, err := planFrom(w, `to,role,categories,with,without,dated,whole,purpose,until
Ann,nurse,,,,,,,2027-12-31
Ann,nurse,,,,,,research,2026-12-01
Ann,dentist,,,,,,,2026-12-01
Ann,,labs,sad,,,,,2026-12-01
Ann,,labs,,sad,,,,2026-12-01
Ann,,labs,,,2025..2024,,,2026-12-01
Ann,,labs,,,..,,,2026-12-01
Ann,,labs,hiv,,,yes,,2026-12-01
Ann,,labs all,,,,,,2026-12-01
Ann,,,hiv,,,,,2026-12-01
Ann,,labs,sad,,,,,2026-12-02
`, false, tn.now)
	bad, _ := errors.AsType[*batch.LinesError](err)
	var got []string
	for _, p := range bad.Problems {
		got = append(got, fmt.Sprintf("%d:%d %s", p.Line, p.Column, p.Field))
	}
	want := []string{"2:5 role", "3:5 role", "4:5 role", "5:11 with", "6:12 without", "7:13 dated", "8:13 dated", "9:17 whole", "10:6 categories", "11:1 records", "12:11 with"}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Fatalf("%q, want %q: %+v", got, want, bad.Problems)
		}
	}
	if len(got) != len(want) || !strings.Contains(bad.Problems[0].Why, "30 days at most, and for treatment") {
		t.Errorf("%+v", bad.Problems)
	}
}

// A job that gives parts is none for who knows only whole records, and without what was
// chosen it gives nothing.
func TestBatchPartsJob(t *testing.T) {
	tn, w := batchTown(t)
	partsRecord(t, w)
	ctx, cancel := context.WithCancel(context.Background())
	defer chunks(1)()
	p := must(planFrom(w, "to,role,until\nAnn,nurse,2026-12-01\nBob,nurse,2026-12-01\n", false, tn.now))(t)
	if _, err := batch.Apply(ctx, w, p, func(batch.Status) { cancel() }); err == nil {
		t.Fatal("the batch was not stopped")
	}
	folder := filepath.Join(tn.options("Maria").Dir, home.LedgerFolder(w.Settings().Default), "batch")
	names := func() (out []string) {
		for _, e := range must(os.ReadDir(folder))(t) {
			out = append(out, e.Name())
		}
		return out
	}
	if !slices.Contains(names(), "choices") {
		t.Fatalf("%q", names())
	}
	if err := os.Rename(filepath.Join(folder, "choices"), filepath.Join(folder, "kept")); err != nil {
		t.Fatal(err)
	}
	w = tn.again("Maria")
	if _, err := batch.Resume(context.Background(), w, nil); err == nil || !isDamaged(err) {
		t.Errorf("without what was chosen: %v", err)
	}
	if err := os.Rename(filepath.Join(folder, "kept"), filepath.Join(folder, "choices")); err != nil {
		t.Fatal(err)
	}
	if s, err := batch.Resume(context.Background(), w, nil); err != nil || s.Granted != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, c := range must(w.Consents().List(context.Background()))(t) {
		if !c.Records[0].Part || c.Scope == nil || c.Scope.Role != "nurse" {
			t.Errorf("%+v", c)
		}
	}
}

// isDamaged reports whether an error is that of a file of the wallet's that is not what was
// written.
func isDamaged(err error) bool {
	_, ok := errors.AsType[*home.DamagedError](err)
	return ok
}

// Threat: a clinic delivers FHIR that cannot be split, one key of it twice, under a harmless
// category, so that rows by role or category give all of it. It goes by its own name only.
func TestBatchLeavesWhatIsNotSplit(t *testing.T) {
	tn, w := batchTown(t)
	file := []byte(`{"resourceType": "Observation", "status": "final", "status": "amended"}`)
	twice, _, err := w.Records().Add(context.Background(), fileOf("twice.json", file), wallet.Describe{Category: "vitals"}, nil)
	if err != nil || twice.Parts != 0 {
		t.Fatal(twice.Parts, err)
	}
	for row, want := range map[string]bool{
		"to,role,until\nAnn,nurse,2026-12-01\n":                                          false,
		"to,categories,until\nAnn,vitals,2026-12-01\n":                                   false,
		"to,categories,until\nAnn,all,2026-12-01\n":                                      false,
		"to,records,categories,until\nAnn," + twice.ID.String() + ",vitals,2026-12-01\n": false,
		"to,records,until\nAnn," + twice.ID.String() + ",2026-12-01\n":                   true,
		"to,categories,whole,until\nAnn,all,yes,2026-12-01\n":                            true,
	} {
		p, err := planFrom(w, row, false, tn.now)
		if err != nil {
			t.Errorf("%q: %v", row, err)
			continue
		}
		got := false
		for i := range p.Items {
			got = got || slices.ContainsFunc(p.Items[i].Records, func(r wallet.ConsentRecord) bool { return r.ID == twice.ID })
		}
		if got != want {
			t.Errorf("%q gives it: %t", row, got)
		}
	}
}
