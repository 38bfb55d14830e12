package health

import (
	"slices"
	"strings"

	"github.com/carekey/carekey/wallet/payload"
)

func isBlank(s string) bool {
	for i := range len(s) {
		if !isSpace(s[i]) {
			return false
		}
	}
	return true
}

func hasSpace(s string) bool {
	for i := range len(s) {
		if isSpace(s[i]) {
			return true
		}
	}
	return false
}

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

// value finds what is in the value of a member, or in an element of it.
func (r *reader) value(at int32, a around) {
	switch n := &r.all[at]; n.kind {
	case objectNode:
		r.object(at, a)
	case listNode:
		for i, end := r.inside(at); i < end; i = r.all[i].end {
			r.value(i, a)
		}
	case textNode:
		r.text(n.text)
		r.prose(n.text, a)
	}
}

// prose notes a string that is no name, code, date or address.
func (r *reader) prose(s string, a around) {
	kind := a.of.kind
	if kind == memberName || kind == memberWho || a.names || isBlank(s) || kind == memberPlain && !hasSpace(s) {
		return
	}
	r.unclassified(kindFreeText, "text in "+r.where(), "members.csv")
}

// special are the members that say what an object is.
type special struct {
	typ, text, code, display, reference, contentType, unit, system string
	coding, id                                                     int32 // if it has them
	isConcept, isQuantity, isSampled, hasSystem, hasID             bool
}

// isResource reports whether a member is the entry's resource, which is looked at by itself.
func (r *reader) isResource(at, member int32) bool { return at == 0 && member == r.resource }

// special looks at the members of an object.
func (r *reader) special(at int32) (o special) {
	for i, end := r.inside(at); i < end; i = r.all[i].end {
		if r.isResource(at, i) {
			continue
		}
		n := &r.all[i]
		s := ""
		if n.kind == textNode {
			s = n.text
		}
		switch n.of.role {
		case saysType:
			o.typ = s
		case saysText:
			o.text = s
		case saysCode:
			o.code = s
		case saysDisplay:
			o.display = s
		case saysReference:
			o.reference = s
		case saysContentType:
			o.contentType = s
		case saysUnit:
			o.unit = s
		case saysCoding:
			o.coding, o.isConcept = i, true
		case saysValue:
			o.isQuantity = n.kind == numberNode
		case saysDimensions:
			o.isSampled = true
		case saysSystem:
			o.system, o.hasSystem = s, n.kind != nullNode
		case saysIdentifier:
			o.id, o.hasID = i, n.kind == objectNode
		case saysRules:
			if n.kind != nullNode && !(n.kind == textNode && isBlank(s)) {
				r.unclassified(kindRules, s+" in "+r.where(), "")
			}
		}
	}
	return o
}

func (r *reader) object(at int32, a around) {
	o := r.special(at)
	in := around{names: a.names, known: a.known, texts: a.texts}
	if o.typ != "" {
		in.texts = r.types[o.typ].names
		r.inner(at, a, o.typ)
	}
	if a.of.name == "extension" || a.of.name == "modifierExtension" {
		in.known, in.names = r.extension(at, a)
	}
	if o.isConcept {
		in.named = o.text != ""
		r.concept(o.coding)
	}
	isCoding := a.of.role == saysCoding
	switch {
	case o.code != "" && (o.hasSystem || !o.isQuantity && a.of.kind != memberCoded):
		r.coding(o.system, o.code, o.display != "" || a.named && isCoding || o.isQuantity && o.unit != "")
	case isCoding:
	default:
		r.reference(at, a, &o)
	}
	isAttachment := o.contentType != "" || a.of.kind == memberAttachment
	for i, end := r.inside(at); i < end; i = r.all[i].end {
		if r.isResource(at, i) {
			continue
		}
		n := &r.all[i]
		s, of := n.text, n.of
		r.path = append(r.path, of.name)
		switch {
		case n.kind != textNode:
			in.of = of
			r.value(i, in)
		case of.role == saysData && !o.isSampled || of.role == saysBytes:
			if s != "" { // what is in it is not looked at
				r.unclassified(kindAttachment, "bytes in "+r.where(), "members.csv")
			}
		case of.role == saysURL && isAttachment:
			r.text(s)
			r.unclassified(kindAttachment, "a file is named in "+r.where(), "members.csv")
		case of.role == saysText:
			r.text(s)
			r.textMember(at, a.of, in, o.isConcept, s)
		case of.role == saysDisplay, of.role == saysReference:
			r.text(s)
		default:
			in.of = of
			r.text(s)
			r.prose(s, in)
		}
		r.path = r.path[:len(r.path)-1]
	}
}

// inner looks at an object that is a resource: the part's own, or one within it.
func (r *reader) inner(at int32, a around, typ string) {
	switch {
	case len(r.path) == 0:
		r.coded(at, typ)
	case a.of.name == "contained":
		r.coded(at, typ)
		if c := r.categoryOf(at); c != payload.Other && c != r.category {
			r.unclassified("contained "+typ, typ+" in "+r.where(), "types.csv")
		}
	default:
		r.unclassified("contained "+typ, typ+" in "+r.where(), "types.csv")
	}
}

// textMember notes what the member text of an object is: a name, what stands beside
// codes, a concept without one, or prose.
func (r *reader) textMember(at int32, of *memberOf, in around, isConcept bool, s string) {
	switch {
	case isConcept || isBlank(s) || of.kind == memberName || in.names:
	case of.kind == memberNote:
		r.unclassified(kindFreeText, "text in "+r.where(), "members.csv")
	default:
		for i, end := r.inside(at); i < end; i = r.all[i].end {
			if r.isResource(at, i) {
				continue
			}
			if name := r.all[i].of.name; name != "text" && name != "id" && name != "extension" && !strings.HasPrefix(name, "_") {
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
func (r *reader) concept(coding int32) {
	for c, end := r.list(coding); c < end; c = r.all[c].end {
		if r.str(c, "code") != "" {
			return
		}
	}
	r.unclassified(kindNoCode, "a coding without a code in "+r.where(), "")
}

// coded notes that a resource of this type lacks the member that says what it is about.
func (r *reader) coded(at int32, typ string) {
	names := r.types[typ].coded
	if len(names) == 0 {
		return
	}
	for _, name := range names {
		if i := r.get(at, name); (r.is(i, objectNode) || r.is(i, listNode)) && r.all[i].end > i+1 {
			return
		}
	}
	r.unclassified(kindNoCode, typ+" without "+strings.Join(names, " or "), "types.csv")
}

// coding looks a code up.
func (r *reader) coding(address, code string, named bool) {
	sys := r.systems[address]
	if sys == nil {
		address = strings.Clone(address)
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
		this.code = strings.Clone(code)
		r.plain[this] = true
	}
}

// extension notes one that is not understood, and returns whether it is and whether its
// strings are names.
func (r *reader) extension(at int32, a around) (known, names bool) {
	address := r.str(at, "url")
	if a.of.name == "modifierExtension" {
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
