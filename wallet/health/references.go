package health

import (
	"hash/maphash"
	"strings"
)

// isAddress reports whether a string can be the address of a resource.
func isAddress(s string) bool {
	return len(s) <= 1024 && !isAlone(s)
}

// isAlone reports whether a reference can be no address, but an id alone.
func isAlone(s string) bool {
	return strings.IndexByte(s, '/') < 0 && (len(s) < 4 || !strings.EqualFold(s[:4], "urn:"))
}

// reference notes where an object that is no coding points to, and a name in it that
// nothing else is known of.
func (r *reader) reference(at int32, a around, o *special) {
	ref, s := int32(-1), o.reference
	here := s != "" && r.ids[s]
	if s != "" && !here {
		if ref = r.lookAt(s).ref; ref < 0 && isAlone(s) && !strings.HasPrefix(s, "#") {
			ref = r.number(idAlone + s) // which only a reference can be
		}
		r.point(ref)
	}
	if o.hasID && o.typ == "" {
		if value := r.str(o.id, "value"); value != "" {
			n := r.number(asANumber + r.str(o.id, "system") + "|" + value)
			r.point(n)
			if s == "" {
				ref = n
			}
		}
	}
	medicine := a.of.name == "medicationReference"
	switch {
	case here:
	case medicine:
		r.hopes = append(r.hopes, hope{ref, kindNoCode, "a medicine that is not here in " + r.where(), true})
	case o.display == "" || a.of.kind == memberWho:
	case r.types[typeOf(s)].pointed != pointedAll || r.types[r.str(at, "type")].pointed != pointedAll:
	default:
		r.hopes = append(r.hopes, hope{ref, kindFreeText, "a name of something that is not here in " + r.where(), false})
	}
}

// typeOf returns the type in an address Type/id; "" if there is none.
func typeOf(address string) string {
	head, _, ok := strings.Cut(lastTwo(address), "/")
	if !ok {
		return ""
	}
	return head
}

// lastTwo is the end of an address that names a resource on its server: Type/id.
func lastTwo(address string) string {
	address, _, _ = strings.Cut(address, "#")
	address, _, _ = strings.Cut(address, "?")
	if i := strings.Index(address, "/_history/"); i >= 0 {
		address = address[:i]
	}
	i := strings.LastIndexByte(address, '/')
	if i < 0 {
		return ""
	}
	return address[strings.LastIndexByte(address[:i], '/')+1:]
}

// addressHash is of what a reference or a resource is called, as it is compared: A to Z are
// small. A file has many, and of none is more needed than whether two are the same. The seed
// keeps it from whoever writes the file which have one hash.
type addressHash uint64

var addressSeed = maphash.MakeSeed()

// addressOf is the address that these make together.
func addressOf(pieces ...string) addressHash {
	b := make([]byte, 0, 256) // no garbage
	for _, s := range pieces {
		for i := range len(s) {
			b = append(b, lower(s[i]))
		}
	}
	return addressHash(maphash.Bytes(addressSeed, b))
}

// refs are references, by their numbers.
type refs struct {
	all  []addressHash // by which each is compared with what resources are called
	ends []int32       // of those of each reference
}

// add gives a reference a number.
func (r *refs) add(ref string) int32 {
	ref = lowered(ref)
	if r.all = append(r.all, addressOf(ref)); !strings.HasPrefix(ref, idAlone) && !strings.HasPrefix(ref, asANumber) {
		for _, scheme := range []string{"urn:uuid:", "urn:oid:"} {
			if id, ok := strings.CutPrefix(ref, scheme); ok {
				r.all = append(r.all, addressOf(idAlone, id))
			}
		}
		if base, _, ok := strings.Cut(ref, "#"); ok {
			r.all = append(r.all, addressOf(base))
		}
		if _, query, ok := strings.Cut(ref, "?"); ok {
			for pair := range strings.SplitSeq(query, "&") {
				if id, ok := strings.CutPrefix(pair, "identifier="); ok {
					r.all = append(r.all, addressOf(asANumber, unescaped(id)))
				}
			}
		}
		if two := lastTwo(ref); two != "" {
			r.all = append(r.all, addressOf(two))
		}
	}
	r.ends = append(r.ends, int32(len(r.all)))
	return int32(len(r.ends) - 1)
}

// addresses are those of one reference.
func (r *refs) addresses(ref int) []addressHash {
	if ref == 0 {
		return r.all[:r.ends[0]]
	}
	return r.all[r.ends[ref-1]:r.ends[ref]]
}

// unescaped decodes the %XX of an address (RFC 3986, section 2.1).
func unescaped(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' && i+2 < len(s) {
			if high, low := hexDigit(s[i+1]), hexDigit(s[i+2]); high >= 0 && low >= 0 {
				c = byte(high<<4 | low)
				i += 2
			}
		}
		out = append(out, c)
	}
	return string(out)
}

// name notes the addresses of a part's resource: by each of them another part can point to it.
func (w *web) name(part int, ns *nodes, resource int32) {
	is := func(a addressHash) { w.names = append(w.names, name{a, int32(part)}) }
	if s := ns.str(0, "fullUrl"); s != "" && resource > 0 {
		is(addressOf(s))
		if two := lastTwo(s); two != "" {
			is(addressOf(two))
		}
	}
	if id := ns.str(resource, "id"); id != "" {
		is(addressOf(ns.str(resource, "resourceType"), "/", id))
		is(addressOf(idAlone, id))
	}
	ns.objects(ns.get(resource, "identifier"), func(id int32) {
		if value := ns.str(id, "value"); value != "" {
			is(addressOf(asANumber, ns.str(id, "system"), "|", value))
		}
	})
}
