package health

import (
	"cmp"
	"slices"
	"strings"
)

// ViewContact is somebody whom sources name to be asked or told about a person.
type ViewContact struct {
	Name    string `json:"name"` // "" if no source names it
	Says    string `json:"says"` // relationship, where to reach them, and until when
	Sources []int  `json:"sources"`
}

// contact adds one of a Patient's contacts, or a RelatedPerson, which has the same members.
func (w *viewWho) contact(in *within, res *entered, c tree) {
	says := []string{c.concept("relationship").name}
	for _, t := range firstOf(c.objs("telecom")) {
		value := t.str("value")
		if value == "" {
			continue
		}
		if how := t.str("system"); how != "other" {
			value = strings.TrimSpace(how + " " + value)
		}
		if use := t.str("use"); use != "" {
			value += " (" + use + ")"
		}
		says = append(says, value+runs(t.obj("period")))
	}
	for _, a := range firstOf(c.objs("address")) {
		parts := append(a.strs("line"), strings.TrimSpace(a.str("postalCode")+" "+a.str("city")), a.str("state"), a.str("country"))
		says = append(says, cmp.Or(a.str("text"), strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")))
	}
	if active, ok := c["active"].(bool); ok && !active {
		says = append(says, "no longer in use, says its source")
	}
	says = append(says, strings.TrimPrefix(runs(c.obj("period")), " "))
	if len(res.may) > 0 && res.typ != "Patient" {
		says = append(says, otherMeaning(res.may))
	}
	says = slices.DeleteFunc(says, func(s string) bool { return s == "" })
	name := cmp.Or(humanName(c.objs("name")), in.refName(res, c.obj("organization")))
	if name != "" || len(says) > 0 {
		w.contacts = append(w.contacts, ViewContact{Name: name, Says: strings.Join(says, ", ")})
	}
}

// runs is a period in words, after a space; "" if there is none.
func runs(p tree) string {
	return prefixed(" from ", shownTime(p.str("start"))) + prefixed(" until ", shownTime(p.str("end")))
}

// contacts are those of one person, each once.
func (g *viewGroup) contacts() []ViewContact {
	all := []ViewContact{}
	for _, w := range g.whos {
		for _, c := range w.contacts {
			at := slices.IndexFunc(all, func(x ViewContact) bool { return x.Name == c.Name && x.Says == c.Says })
			if at < 0 {
				at, all = len(all), append(all, c)
			}
			all[at].Sources = uniq(append(slices.Clone(all[at].Sources), w.from.number))
		}
	}
	slices.SortFunc(all, func(a, b ViewContact) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Says, b.Says)) })
	return all
}
