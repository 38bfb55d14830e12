package wallet

import (
	"strings"

	"github.com/carekey/carekey/wallet/payload"
)

// The words of a record and of a consent are those of its payloads.
type (
	Category = payload.Category
	Purpose  = payload.Purpose
)

// Treatment is the purpose when none is named.
const Treatment = payload.Treatment

// Categories returns the names in alphabetical order, "other" last.
func Categories() []Category { return payload.Categories() }

// Purposes returns the plain words in alphabetical order.
func Purposes() []string { return payload.Purposes() }

// ParseCategory reads a category's name, ignoring case.
func ParseCategory(s string) (Category, error) {
	c, ok := payload.ParseCategory(s)
	if !ok {
		var names []string
		for _, c := range Categories() {
			names = append(names, string(c))
		}
		return "", badInput("category", s, "not one of "+strings.Join(names, ", "))
	}
	return c, nil
}

// ParsePurpose reads a plain word or an HL7 code, ignoring case.
func ParsePurpose(s string) (Purpose, error) {
	p, ok := payload.ParsePurpose(s)
	if ok {
		return p, nil
	}
	why := "not one of " + strings.Join(Purposes(), ", ")
	switch strings.ToUpper(strings.TrimSpace(s)) {
	case "ETREAT", "BTG", "EMERGENCY":
		why = "emergency access is not given by an ordinary grant"
	}
	return "", badInput("purpose", s, why)
}
