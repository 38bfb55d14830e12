package main

import (
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
)

// chosenJSON is what goes and what stays, in numbers.
type chosenJSON struct {
	Gives     []wallet.Count `json:"gives,omitempty"`     // entries of records that were split, by category
	Sensitive []wallet.Count `json:"sensitive,omitempty"` // of these, by sensitivity
	Stays     []wallet.Count `json:"stays,omitempty"`     // entries that were meant and stay, by why
	Unknown   []wallet.Count `json:"unknown,omitempty"`   // of these, those that are not understood, by kind
	Left      []leftJSON     `json:"left,omitempty"`      // records of which nothing goes
	Missed    []missedJSON   `json:"missed,omitempty"`    // what stays and who treats the patient might need
	Naming    *namingJSON    `json:"naming,omitempty"`
	Warnings  []string       `json:"warnings,omitempty"`
	Answers   *answersJSON   `json:"answers,omitempty"`
}

// answersJSON is the request that is answered, and what of the plan that did not ask for, or
// asked for in vain.
type answersJSON struct {
	Request contract.ID `json:"request"`
	More    []string    `json:"more"`
	Less    []string    `json:"less"`
}

type leftJSON struct {
	ID    contract.ID    `json:"id"`
	Title string         `json:"title"`
	Why   string         `json:"why,omitempty"`   // "" if each of its parts has a reason of its own
	Parts []planPartJSON `json:"parts,omitempty"` // in a list
}

type missedJSON struct {
	Category payload.Category `json:"category"`
	Says     string           `json:"says"`
	Why      string           `json:"why"`
}

// namingJSON is how many entries that go say whose they are.
type namingJSON struct {
	Entries int `json:"entries"`
	Of      int `json:"of"`
}

func chosenOf(p *wallet.GrantPlan) chosenJSON {
	j := chosenJSON{Gives: tally(p, goingBy(categoryOf)), Sensitive: tally(p, goingBy(sensitiveOf)), Unknown: p.Unknown,
		Stays: tally(p, func(j *wallet.JudgedPart) []string {
			if j.Stays == "" {
				return nil
			}
			return []string{j.Stays}
		})}
	for i := range p.Left {
		j.Left = append(j.Left, leftJSON{ID: p.Left[i].ID, Title: p.Left[i].Title, Why: p.Left[i].Why})
	}
	for _, m := range p.Missed {
		j.Missed = append(j.Missed, missedJSON(m))
	}
	if p.Naming != nil {
		j.Naming = &namingJSON{p.Naming.Resources, p.Naming.Of}
	}
	for _, w := range p.Warnings {
		j.Warnings = append(j.Warnings, w.Kind)
	}
	if a := p.Answers; a != nil {
		j.Answers = &answersJSON{a.Request.ID, list(a.More, same), list(a.Less, same)}
	}
	return j
}

// planRecordJSON is what becomes of a record.
type planRecordJSON struct {
	ID      contract.ID    `json:"id"`
	Version int            `json:"version"`
	Title   string         `json:"title"`
	Whole   bool           `json:"whole"`
	Parts   []planPartJSON `json:"parts"`
}

type planPartJSON struct {
	Part int    `json:"part"` // from 1
	Goes bool   `json:"goes"`
	Stay string `json:"stays,omitempty"` // why
	health.Label
}

// planJSON is a plan, part by part.
type planJSON struct {
	To      string           `json:"to"`
	Purpose string           `json:"purpose"`
	From    wallet.Hour      `json:"from,omitzero"`
	Until   wallet.Hour      `json:"until"`
	Scope   *payload.Scope   `json:"scope,omitempty"`
	Records []planRecordJSON `json:"records"` // of which something goes
	chosenJSON
}

func planOf(p *wallet.GrantPlan) planJSON {
	j := planJSON{To: p.To.Name, Purpose: p.Purpose.Word(), From: wallet.Hour(p.NotBefore), Until: wallet.Hour(p.Until), Scope: p.Scope, Records: []planRecordJSON{}, chosenJSON: chosenOf(p)}
	for i := range p.Records {
		r := &p.Records[i]
		j.Records = append(j.Records, planRecordJSON{r.ID, r.Version, r.Title, r.Whole, planParts(r)})
	}
	for i := range p.Left {
		j.Left[i].Parts = planParts(&p.Left[i])
	}
	return j
}

func planParts(r *wallet.RecordPlan) []planPartJSON {
	parts := []planPartJSON{}
	for k := range r.Judged {
		of := &r.Judged[k]
		parts = append(parts, planPartJSON{k + 1, of.Stays == "", of.Stays, of.Label})
	}
	return parts
}
