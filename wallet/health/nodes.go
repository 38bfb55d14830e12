package health

import (
	"encoding/json"
	"strings"
)

// nodes are the values of one text of JSON, one behind the other: an object or a list stands
// before what is in it. Nothing of them is a map, and what they say is piece of one string,
// so that reading another text makes next to no garbage. Whoever keeps what one says for
// longer than the nodes clones it.
type nodes struct {
	all  []node
	text string // the text

	next   *memberOf             // of the value that is read next
	names  map[string]*memberOf  // those that were met
	recent [256]*memberOf        // of them the last ones, by their hashes
	keys   []key                 // for the scanner
	kinds  map[string]memberKind // of members; nil if nobody asks
}

// node is one value.
type node struct {
	of   *memberOf // the member that it is the value of; noMember in a list, and of the first
	text string    // of a string what it says, of a number how it is written
	end  int32     // where begins what is behind it and all that is in it
	kind nodeKind
}

// nodeKind is what a value is.
type nodeKind uint8

const (
	nullNode nodeKind = iota
	trueNode
	falseNode
	numberNode
	textNode
	listNode
	objectNode
)

// memberOf is a member by its name, with what is known of it.
type memberOf struct {
	name string
	role memberRole
	kind memberKind
}

var noMember = &memberOf{}

// memberRole is what a member says of the object that it is in.
type memberRole uint8

const (
	saysNothing memberRole = iota
	saysType
	saysText
	saysCode
	saysDisplay
	saysReference
	saysContentType
	saysUnit
	saysCoding
	saysValue
	saysDimensions
	saysSystem
	saysIdentifier
	saysRules
	saysData
	saysBytes // Base64Binary
	saysURL
)

var memberRoles = map[string]memberRole{"resourceType": saysType, "text": saysText, "code": saysCode, "display": saysDisplay, "reference": saysReference,
	"contentType": saysContentType, "unit": saysUnit, "coding": saysCoding, "value": saysValue, "dimensions": saysDimensions, "system": saysSystem,
	"identifier": saysIdentifier, "implicitRules": saysRules, "data": saysData, "url": saysURL}

// Bounds of what is kept for the next text.
const (
	keptNodes = 16384
	keptNames = 4096
)

// read reads a text of UTF-8 that must be one object, in place of what was read before. Its
// error is [ErrNotSplit].
func (ns *nodes) read(object []byte) error {
	if clear(ns.all); cap(ns.all) > keptNodes {
		ns.all = nil
	}
	if len(ns.names) > keptNames || ns.names == nil {
		ns.names = map[string]*memberOf{}
	}
	ns.all, ns.text, ns.next = ns.all[:0], string(object), noMember
	s := scanner{in: object, notes: ns, keys: ns.keys[:0]}
	defer func() { ns.keys = s.keys }()
	s.space()
	if !s.value() || !s.end() {
		return s.err()
	}
	if ns.all[0].kind != objectNode {
		return ErrNotSplit.With("why", "it is no object")
	}
	return nil
}

// member is that of a name that was just met.
func (ns *nodes) member(k key) *memberOf {
	at := &ns.recent[k.hash%uint64(len(ns.recent))]
	if *at == nil || (*at).name != string(k.name) {
		n := ns.names[string(k.name)]
		if n == nil {
			n = &memberOf{name: string(k.name)}
			if n.role, n.kind = memberRoles[n.name], ns.kinds[n.name]; strings.HasSuffix(n.name, "Base64Binary") {
				n.role = saysBytes
			}
			ns.names[n.name] = n
		}
		*at = n
	}
	return *at
}

// inside is from where to where the members of an object are, or the elements of a list. The
// next is at the end of each.
func (ns *nodes) inside(at int32) (i, end int32) { return at + 1, ns.all[at].end }

// get is the member of this name; -1 if there is none, or no object.
func (ns *nodes) get(at int32, name string) int32 {
	if at >= 0 && ns.all[at].kind == objectNode {
		for i, end := ns.inside(at); i < end; i = ns.all[i].end {
			if ns.all[i].of.name == name {
				return i
			}
		}
	}
	return -1
}

// is reports whether there is a value of that kind.
func (ns *nodes) is(at int32, kind nodeKind) bool { return at >= 0 && ns.all[at].kind == kind }

// str is the member that is a string of this name; "" if it is none.
func (ns *nodes) str(at int32, name string) string {
	if i := ns.get(at, name); ns.is(i, textNode) {
		return ns.all[i].text
	}
	return ""
}

// list is inside of a list; nothing is inside of what is none.
func (ns *nodes) list(at int32) (i, end int32) {
	if !ns.is(at, listNode) {
		return 0, 0
	}
	return ns.inside(at)
}

// objects gives those in a member of this value: itself, or what is in its lists.
func (ns *nodes) objects(at int32, each func(object int32)) {
	if ns.is(at, objectNode) {
		each(at)
	}
	for i, end := ns.list(at); i < end; i = ns.all[i].end {
		ns.objects(i, each)
	}
}

// tree is a value as encoding/json has it, and nothing of the text.
func (ns *nodes) tree(at int32) any {
	switch n := &ns.all[at]; n.kind {
	case trueNode, falseNode:
		return n.kind == trueNode
	case numberNode:
		return json.Number(strings.Clone(n.text))
	case textNode:
		return strings.Clone(n.text)
	case listNode:
		list := []any{}
		for i, end := ns.inside(at); i < end; i = ns.all[i].end {
			list = append(list, ns.tree(i))
		}
		return list
	case objectNode:
		object := map[string]any{}
		for i, end := ns.inside(at); i < end; i = ns.all[i].end {
			object[ns.all[i].of.name] = ns.tree(i)
		}
		return object
	}
	return nil
}
