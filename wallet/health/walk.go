package health

import (
	"encoding/json"
	"iter"
	"slices"
	"strings"

	"github.com/carekey/carekey/wallet/payload"
)

func isBlank(s string) bool { return strings.Trim(s, whiteSpace) == "" }

// lowered makes A to Z small, and nothing else: other programs make other letters small in other
// ways.
func lowered(s string) string {
	if strings.IndexFunc(s, func(c rune) bool { return 'A' <= c && c <= 'Z' }) < 0 {
		return s
	}
	b := []byte(s)
	for i, c := range b {
		b[i] = lower(c)
	}
	return string(b)
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// objects are those in a member of this value: itself, or what is in its arrays.
func objects(v any) iter.Seq[map[string]any] {
	return func(yield func(map[string]any) bool) { eachObject(v, yield) }
}

func eachObject(v any, yield func(map[string]any) bool) bool {
	switch v := v.(type) {
	case map[string]any:
		return yield(v)
	case []any:
		for _, e := range v {
			if !eachObject(e, yield) {
				return false
			}
		}
	}
	return true
}

// value finds what is in the value of a member, or in an element of it.
func (r *reader) value(v any, a around) {
	switch v := v.(type) {
	case map[string]any:
		r.object(v, a)
	case []any:
		for _, e := range v {
			r.value(e, a)
		}
	case string:
		r.text(v)
		r.prose(v, a)
	}
}

// prose notes a string that is no name, code, date or address.
func (r *reader) prose(s string, a around) {
	kind := r.members[a.key]
	if isBlank(s) || kind == memberName || kind == memberWho || kind == memberPlain && !strings.ContainsAny(s, whiteSpace) || a.names {
		return
	}
	r.unclassified(kindFreeText, "text in "+r.where(), "members.csv")
}

// member of an object that is looked at.
type memberOf struct {
	key   string
	value any
}

// special are the members that say what an object is.
type special struct {
	typ, text, code, display, reference, contentType, unit string
	coding                                                 any
	isConcept, isQuantity, isSampled, hasSystem            bool
}

func (r *reader) object(m map[string]any, a around) {
	var o special
	from := len(r.stack)
	for key, v := range m {
		r.stack = append(r.stack, memberOf{key, v})
		switch key {
		case "resourceType":
			o.typ, _ = v.(string)
		case "text":
			o.text, _ = v.(string)
		case "code":
			o.code, _ = v.(string)
		case "display":
			o.display, _ = v.(string)
		case "reference":
			o.reference, _ = v.(string)
		case "contentType":
			o.contentType, _ = v.(string)
		case "unit":
			o.unit, _ = v.(string)
		case "coding":
			o.coding, o.isConcept = v, true
		case "value":
			_, o.isQuantity = v.(json.Number)
		case "dimensions":
			o.isSampled = true
		case "system":
			o.hasSystem = v != nil
		case "implicitRules":
			if s, isText := v.(string); v != nil && !(isText && isBlank(s)) {
				r.unclassified(kindRules, s+" in "+r.where(), "")
			}
		}
	}
	to := len(r.stack)
	in := around{names: a.names, known: a.known, texts: a.texts}
	if o.typ != "" {
		in.texts = r.types[o.typ].names
		r.inner(m, a, o.typ)
	}
	if a.key == "extension" || a.key == "modifierExtension" {
		in.known, in.names = r.extension(m, a)
	}
	kind := r.members[a.key]
	if o.isConcept {
		in.named = o.text != ""
		r.concept(o.coding)
	}
	switch {
	case o.code != "" && (o.hasSystem || !o.isQuantity && kind != memberCoded):
		r.coding(str(m, "system"), o.code, o.display != "" || a.named && a.key == "coding" || o.isQuantity && o.unit != "")
	case a.key == "coding":
	default:
		r.reference(m, a, &o)
	}
	isAttachment := o.contentType != "" || kind == memberAttachment
	for i := from; i < to; i++ {
		key, v := r.stack[i].key, r.stack[i].value
		s, isText := v.(string)
		r.path = append(r.path, key)
		switch {
		case !isText:
			in.key = key
			r.value(v, in)
		case key == "data" && !o.isSampled || strings.HasSuffix(key, "Base64Binary"):
			if s != "" { // what is in it is not looked at
				r.unclassified(kindAttachment, "bytes in "+r.where(), "members.csv")
			}
		case key == "url" && isAttachment:
			r.text(s)
			r.unclassified(kindAttachment, "a file is named in "+r.where(), "members.csv")
		case key == "text":
			r.text(s)
			r.textMember(m, a.key, in, o.isConcept, s)
		case key == "display", key == "reference":
			r.text(s)
		default:
			in.key = key
			r.text(s)
			r.prose(s, in)
		}
		r.path = r.path[:len(r.path)-1]
	}
	clear(r.stack[from:to])
	r.stack = r.stack[:from]
}

// inner looks at an object that is a resource: the part's own, or one within it.
func (r *reader) inner(m map[string]any, a around, typ string) {
	switch {
	case len(r.path) == 0:
		r.coded(m, typ)
	case a.key == "contained":
		r.coded(m, typ)
		if c := r.categoryOf(m); c != payload.Other && c != r.category {
			r.unclassified("contained "+typ, typ+" in "+r.where(), "types.csv")
		}
	default:
		r.unclassified("contained "+typ, typ+" in "+r.where(), "types.csv")
	}
}

// textMember notes what the member text of an object is: a name, what stands beside
// codes, a concept without one, or prose.
func (r *reader) textMember(m map[string]any, key string, in around, isConcept bool, s string) {
	kind := r.members[key]
	switch {
	case isConcept || isBlank(s) || kind == memberName || in.names:
	case kind == memberNote:
		r.unclassified(kindFreeText, "text in "+r.where(), "members.csv")
	default:
		for key := range m {
			if key != "text" && key != "id" && key != "extension" && !strings.HasPrefix(key, "_") {
				r.unclassified(kindFreeText, "text in "+r.where(), "members.csv")
				return
			}
		}
		if !in.texts {
			r.unclassified(kindNoCode, "text in "+r.where(), "")
		}
	}
}

// concept notes a coding in which there is no code.
func (r *reader) concept(coding any) {
	for _, c := range list(coding) {
		if m, ok := c.(map[string]any); ok && str(m, "code") != "" {
			return
		}
	}
	r.unclassified(kindNoCode, "a coding without a code in "+r.where(), "")
}

// coded notes that a resource of this type lacks the member that says what it is about.
func (r *reader) coded(m map[string]any, typ string) {
	names := r.types[typ].coded
	if len(names) == 0 {
		return
	}
	for _, name := range names {
		switch v := m[name].(type) {
		case map[string]any:
			if len(v) > 0 {
				return
			}
		case []any:
			if len(v) > 0 {
				return
			}
		}
	}
	r.unclassified(kindNoCode, typ+" without "+strings.Join(names, " or "), "types.csv")
}

// coding looks a code up.
func (r *reader) coding(address, code string, named bool) {
	sys := r.systems[address]
	if sys == nil {
		sys = r.system(address)
		if address == "" {
			sys = unknown
		}
		r.systems[address] = sys
	}
	this := codeOf{sys, code, named}
	if r.plain[this] {
		return
	}
	said := false
	say := func(kind, table string) {
		said = true
		r.unclassified(kind, code+" in "+r.where(), table)
	}
	normal, known := normalCode(code), r.Tables.systems[sys.name] != nil
	rows := r.codes[sys.name].find(normal)
	if sys.form != nil && !sys.form.MatchString(normal) {
		for _, run := range strings.FieldsFunc(normal, func(c rune) bool {
			return c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z')
		}) {
			rows = append(slices.Clip(rows), r.codes[sys.name].find(run)...)
		}
		say("not a code of "+sys.name, "systems.csv")
	}
	for _, row := range rows {
		said = said || row.Says != plain
		r.row(row, sys.name+" "+code)
	}
	switch {
	case len(rows) > 0:
	case address == "":
		say("code without a system", "")
	case !known:
		say("code system "+address, "")
	case sys.named && !named:
		say(sys.name+" code without a name", "systems.csv")
	}
	if !said && len(r.plain) < maxPlain {
		r.plain[this] = true
	}
}

// extension notes one that is not understood, and returns whether it is and whether its
// strings are names.
func (r *reader) extension(m map[string]any, a around) (known, names bool) {
	address := str(m, "url")
	if a.key == "modifierExtension" {
		r.unclassified("modifier extension", address+" in "+r.where(), "")
		return a.known, false
	}
	if a.known && !strings.ContainsAny(address, ":/") {
		return true, a.names // named relative to the one around it
	}
	normal := normalSystem(address)
	for _, e := range r.exts {
		if begin, ok := strings.CutSuffix(e.address, "*"); e.address == normal || ok && strings.HasPrefix(normal, begin) {
			known, names = true, names || e.names
		}
	}
	if !known {
		r.unclassified("extension "+address, address+" in "+r.where(), "extensions.csv")
	}
	return known, names
}
