package health

import (
	"slices"
	"strings"

	"github.com/carekey/carekey/wallet/payload"
)

// Selection is what of a record a grant takes.
type Selection struct {
	Role       string             // its name, to be shown; [Selection.By] applies it
	Categories []payload.Category // all but [Documents] if empty; of these [Documents] only if it is named here or in With
	With       []string           // sensitivities, "unclassified", "documents"
	Without    []string           // categories, sensitivities, "unclassified"
	Since      string             // YYYY[-MM[-DD]], its first day included; "" for no bound
	Until      string             // YYYY[-MM[-DD]], its last day included; "" for no bound
	Whole      bool               // the record as it is: nothing is judged
}

// Why a part stays back, as [Selection.Judge] says it.
const (
	WhyWithout      = "without"      // it was named to be left out
	WhyCategory     = "category"     // another category was asked for
	WhyDocuments    = "documents"    // a document, and documents were not named
	WhyDate         = "date"         // outside the dates, without one, or with one that is coarser than the bound
	WhySensitive    = "sensitive"    // it has a sensitivity that was not named
	WhyRules        = "rules"        // rules of its Bundle may change what it says, and a part does not take them along
	WhyUnclassified = "unclassified" // the tables do not understand all of it
)

// By returns the selection that a role and s make together: the role's categories, of
// which s may name fewer, and the sensitivities of both. What s leaves out stays left out.
// The days and purposes of the role are none of a selection's.
func (s Selection) By(r Role) Selection {
	s.Role = r.Name
	if len(s.Categories) == 0 {
		s.Categories = slices.Clone(r.Categories)
	} else {
		s.Categories = slices.DeleteFunc(slices.Clone(s.Categories), func(c payload.Category) bool { return !slices.Contains(r.Categories, c) })
		if len(s.Categories) == 0 {
			s.Categories = []payload.Category{Demographics} // not all
		}
	}
	s.With = slices.Clone(s.With)
	for _, one := range r.Sensitive {
		if !slices.Contains(s.With, string(one)) {
			s.With = append(s.With, string(one))
		}
	}
	return s
}

// Judge reports whether a part with this label goes, and if not, the first reason in the
// order of the Why… constants. Whatever says no wins. [Demographics] go along with every
// category and at every date, since they say whose all the rest is.
func (s *Selection) Judge(l *Label) (goes bool, why string) {
	if s.Whole {
		return true, ""
	}
	asked := func(word string) bool { return slices.Contains(s.With, word) }
	named := slices.Contains(s.Categories, l.Category) || l.Category == Documents && asked(string(Documents))
	switch {
	case s.leavesOut(l):
		return false, WhyWithout
	case l.Category == Documents && !named:
		if len(s.Categories) > 0 {
			return false, WhyCategory
		}
		return false, WhyDocuments
	case len(s.Categories) > 0 && !named && l.Category != Demographics:
		return false, WhyCategory
	case l.Category != Demographics && !s.dated(l.Date):
		return false, WhyDate
	case slices.ContainsFunc(l.Sensitive, func(one Sensitivity) bool { return !asked(string(one)) }):
		return false, WhySensitive
	case slices.Contains(l.Unclassified, kindFileRules): // whoever reads it alone would read something else
		return false, WhyRules
	case len(l.Unclassified) > 0 && !asked(string(Unclassified)):
		return false, WhyUnclassified
	}
	return true, ""
}

func (s *Selection) leavesOut(l *Label) bool {
	return slices.ContainsFunc(s.Without, func(word string) bool {
		return word == string(l.Category) || slices.Contains(l.Sensitive, Sensitivity(word)) || word == string(Unclassified) && len(l.Unclassified) > 0
	})
}

// dated reports whether a date is within the bounds for certain: one that is coarser than
// a bound is not.
func (s *Selection) dated(date string) bool {
	for _, bound := range []string{s.Since, s.Until} {
		if bound != "" && len(date) < len(bound) {
			return false
		}
	}
	return (s.Since == "" || strings.Compare(date[:len(s.Since)], s.Since) >= 0) && (s.Until == "" || strings.Compare(date[:len(s.Until)], s.Until) <= 0)
}
