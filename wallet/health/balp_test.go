package health

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// balp is what IHE's Basic Audit Log Patterns ask of the two profiles that are written, in
// so far as it is more than R4 asks of every AuditEvent: every cardinality, every value that
// is fixed, and both invariants. Not here is custodian, and token, which never is written,
// and what is only encouraged. Source: https://profiles.ihe.net/ITI/BALP, the two
// StructureDefinitions; read in github.com/IHE/ITI.BasicAudit, input/fsh/Disclose.fsh and
// AuthZ.fsh at 09fe729 (1.1.5-current). The package ihe.iti.balp is in no registry but
// HL7's own.
var balp = map[string][]auditRule{
	disclosureProfile: slices.Concat(
		[]auditRule{
			{element: "modifierExtension"},
			{element: "type", least: 1, most: 1, ok: isCode(Coding{System: dicom, Code: "110106"})},
			{element: "action", most: 1, ok: isValue("R")},
			{element: "recorded", least: 1, most: 1},
			{element: "outcome", least: 1, most: 1},
			{list: "agent", least: 2, most: unbounded},
			{list: "entity", least: 2, most: unbounded},
		},
		slice("subtype", Coding{System: lifecycle, Code: "disclose"}, 1, 1),
		slice("agent", Coding{System: dicom, Code: "110153"}, 1, 1, // source
			auditRule{element: "who", least: 1, most: 1, ok: isObserver}, // val-audit-source
			auditRule{element: "network", least: 1, most: 1}),
		slice("agent", Coding{System: dicom, Code: "110152"}, 1, 1, // recipient
			auditRule{element: "who", least: 1, most: 1},
			auditRule{element: "network", least: 1, most: 1}),
		slice("agent", Coding{System: snomedCT, Code: "429577009"}, 0, 1, // authorizer
			auditRule{element: "who", least: 1, most: 1}),
		aPatient,
	),
	decisionProfile: slices.Concat(
		[]auditRule{
			{element: "modifierExtension"},
			{element: "type", least: 1, most: 1, ok: isCode(Coding{System: dicom, Code: "110113"})},
			{element: "action", most: 1, ok: isValue("E")},
			{element: "recorded", least: 1, most: 1},
			{element: "outcome", least: 1, most: 1},
			{list: "subtype", least: 1, most: unbounded, ok: isCode(Coding{System: decisionKind, Code: "AuthZ-Consent"}, Coding{System: decisionKind, Code: "AuthZ-Role"})},
			{list: "agent", least: 2, most: unbounded},
			{list: "entity", least: 2, most: unbounded, ok: func(_ map[string]any, v any) bool { // closed
				return hasType(v, Coding{System: entityType, Code: "1"}) || hasType(v, Coding{System: resourceTypes, Code: "Consent"})
			}},
		},
		slice("agent", Coding{System: dicom, Code: "110150"}, 1, 1, append(never("role", "altId", "name", "location", "media", "purposeOfUse"), // client
			auditRule{element: "who", least: 1, most: 1},
			auditRule{element: "network", least: 1, most: 1})...),
		slice("agent", Coding{System: participation, Code: "IRCP"}, 1, 1, append(never("altId", "location", "media", "network"), // user
			auditRule{element: "who", least: 1, most: 1},
			auditRule{element: "requestor", most: 1, ok: isValue(true)})...),
		slice("agent", Coding{System: roleClass, Code: "PROV"}, 1, 1, append(never("role", "altId", "name", "location", "policy", "media", "network"), // userorg
			auditRule{element: "who", least: 1, most: 1},
			auditRule{element: "requestor", most: 1, ok: isValue(false)})...),
		slice("agent", Coding{System: securityRole, Code: "authserver"}, 1, 1, append(never("role", "altId", "name", "location", "policy", "media", "network", "purposeOfUse"), // authorizer
			auditRule{element: "who", least: 1, most: 1, ok: isObserver},
			auditRule{element: "requestor", most: 1, ok: isValue(false)})...),
		aPatient,
		slice("entity", Coding{System: resourceTypes, Code: "Consent"}, 1, unbounded,
			auditRule{element: "what", least: 1, most: 1}),
	),
}

var aPatient = slice("entity", Coding{System: entityType, Code: "1"}, 1, 1,
	auditRule{element: "role", least: 1, most: 1, ok: isCode(Coding{System: objectRole, Code: "1"})},
	auditRule{element: "what", least: 1, most: 1, ok: func(_ map[string]any, v any) bool { // only Reference(Patient)
		return v.(map[string]any)["type"] == "Patient"
	}})

const unbounded = math.MaxInt

// auditRule says how many there are of an element in every member of a list, or of the
// members themselves, and what each is. Without a list the element is the event's own.
type auditRule struct {
	list        string // whose members are meant; of a slice those of one type only
	of          Coding
	element     string // "": the members
	least, most int
	ok          func(event map[string]any, value any) bool // nil: it may be anything
}

// slice are the rules of those members of a list that are of a type.
func slice(list string, of Coding, least, most int, rules ...auditRule) []auditRule {
	for i := range rules {
		rules[i].list, rules[i].of = list, of
	}
	return append(rules, auditRule{list: list, of: of, least: least, most: most})
}

func never(elements ...string) (rules []auditRule) {
	for _, e := range elements {
		rules = append(rules, auditRule{element: e})
	}
	return rules
}

func isCode(one ...Coding) func(map[string]any, any) bool {
	return func(_ map[string]any, v any) bool {
		return slices.ContainsFunc(one, func(c Coding) bool {
			return v.(map[string]any)["system"] == c.System && v.(map[string]any)["code"] == c.Code
		})
	}
}

func isValue(one any) func(map[string]any, any) bool {
	return func(_ map[string]any, v any) bool { return v == one }
}

func isObserver(event map[string]any, v any) bool {
	return reflect.DeepEqual(event["source"].(map[string]any)["observer"], v)
}

// hasType reports whether a member of a list is of a type: its type is a Coding or has a
// list of them, or it is a Coding itself.
func hasType(member any, of Coding) bool {
	t := member.(map[string]any)
	if inner, ok := t["type"].(map[string]any); ok {
		t = inner
	}
	if all, ok := t["coding"].([]any); ok {
		return len(all) == 1 && isCode(of)(nil, all[0])
	}
	return isCode(of)(nil, t)
}

// within are the places of which a rule holds, each with what it has there.
func (r *auditRule) within(event map[string]any) (parents []map[string]any, key string) {
	if r.list == "" {
		return []map[string]any{event}, r.element
	}
	members := map[string]any{} // of that type, as an element of their own
	all, _ := event[r.list].([]any)
	var kept []any
	for _, m := range all {
		if r.of == (Coding{}) || hasType(m, r.of) {
			kept = append(kept, m)
			parents = append(parents, m.(map[string]any))
		}
	}
	if r.element != "" {
		return parents, r.element
	}
	members[r.list] = kept
	return []map[string]any{members}, r.list
}

// broken says what of an event is against a rule; "" if nothing is.
func (r *auditRule) broken(event map[string]any) string {
	parents, key := r.within(event)
	for _, p := range parents {
		var values []any
		switch v := p[key].(type) {
		case nil:
		case []any:
			values = v
		default:
			values = []any{v}
		}
		if n := len(values); n < r.least || n > r.most {
			return fmt.Sprintf("%s %v %s: %d, not %d..%d", r.list, r.of, r.element, n, r.least, r.most)
		}
		for _, v := range values {
			if r.ok != nil && !r.ok(event, v) {
				return fmt.Sprintf("%s %v %s: %v", r.list, r.of, r.element, v)
			}
		}
	}
	return ""
}

// spoiled are events that a rule is there to refuse.
func (r *auditRule) spoiled(t *testing.T, event func() map[string]any) (out []map[string]any) {
	t.Helper()
	without := func(all []any) []any {
		return slices.DeleteFunc(all, func(m any) bool { return r.of == (Coding{}) || hasType(m, r.of) })
	}
	add := func(change func(e map[string]any)) {
		e := event()
		change(e)
		out = append(out, e)
	}
	parents, key := r.within(event())
	if r.list != "" && r.element == "" { // the members
		if r.least > 0 {
			add(func(e map[string]any) { e[r.list] = without(e[r.list].([]any)) })
		}
		if r.most != unbounded {
			add(func(e map[string]any) {
				all := e[r.list].([]any)
				for _, m := range parents[0][key].([]any) {
					all = append(all, m, m)
				}
				e[r.list] = all
			})
		}
		if r.ok != nil {
			add(func(e map[string]any) {
				e[r.list] = append(e[r.list].([]any), map[string]any{"type": map[string]any{"system": "x", "code": "y"}, "system": "x", "code": "y"})
			})
		}
		return out
	}
	change := func(to func(was any) any) {
		for i, p := range parents {
			if v := to(p[key]); !reflect.DeepEqual(v, p[key]) {
				add(func(e map[string]any) {
					ps, _ := r.within(e)
					if ps[i][key] = v; v == nil {
						delete(ps[i], key)
					}
				})
			}
		}
	}
	if r.least > 0 {
		change(func(any) any { return nil })
	}
	if r.most == 0 {
		change(func(any) any { return []any{"something"} })
	}
	if r.ok != nil {
		change(func(was any) any {
			switch v := was.(type) {
			case bool:
				return !v
			case string:
				return v + "x"
			}
			return map[string]any{"system": "x", "code": "y", "type": "Device"}
		})
	}
	return out
}

// Whatever happened is written as the profiles that it claims ask; and each of their rules
// refuses what is against it.
func TestAuditProfiles(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	hs := happenings(t)
	for range 100 {
		hs = append(hs, happen(r))
	}
	claimed := map[string]int{}
	refuses := map[*auditRule]bool{}
	for _, entry := range NewAuditBundle(maria, hs).Entry[1:] {
		text, err := json.Marshal(entry.Resource)
		if err != nil {
			t.Fatal(err)
		}
		event := func() (e map[string]any) {
			if err := json.Unmarshal(text, &e); err != nil {
				t.Fatal(err)
			}
			return e
		}
		profile := entry.Resource.(*AuditEvent).Meta.Profile[0]
		claimed[profile]++
		rules := balp[profile]
		for i := range rules {
			rule := &rules[i]
			if says := rule.broken(event()); says != "" {
				t.Fatalf("%s\n%s", says, text)
			}
			if claimed[profile] > 20 {
				continue
			}
			for _, e := range rule.spoiled(t, event) {
				refuses[rule] = true
				if rule.broken(e) == "" {
					t.Fatalf("%+v passes %v", rule, e)
				}
			}
		}
	}
	for profile, rules := range balp {
		for i := range rules {
			if !refuses[&rules[i]] {
				t.Errorf("%s: nothing is against %+v", profile, rules[i])
			}
		}
		if claimed[profile] == 0 {
			t.Errorf("nothing claims %s", profile)
		}
	}
}
