package health

import (
	"cmp"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/carekey/carekey/wallet/payload"
)

// result reads an Observation.
func (v reading) result() {
	it := v.item
	it.section = inResults
	v.of(v.concept("code"))
	begin, end, said := v.entered.span("effective")
	it.When = cmp.Or(begin, end)
	if issued := v.date("issued"); it.When == "" && issued != "" {
		v.detail("issued " + shownTime(issued))
	}
	if said != "" {
		v.detail(said)
	}
	v.status("entered-in-error", "cancelled")
	for _, c := range v.concepts("category") {
		if s := cmp.Or(c.code(), c.name); s != "" {
			it.Category = append(it.Category, s)
		}
	}
	slices.Sort(it.Category)
	focus := ""
	if of := v.objs("focus"); len(of) > 0 {
		v.detail("about something or somebody else, says the source")
		focus = "\x00focus " + cmp.Or(of[0].str("reference"), of[0].str("display"))
	}
	v.value(v.tree, it)
	var parts, compared []string
	for _, c := range v.objs("component") {
		part := viewItem{}
		v.value(c, &part)
		name := c.concept("code")
		says := strings.TrimSpace(name.name + " " + cmp.Or(part.Value, noValue(c)))
		if more := listed([]string{part.Flag, prefixed("range ", part.Range)}); len(more) > 0 {
			says += " (" + strings.Join(more, ", ") + ")"
		}
		parts = append(parts, says)
		code := name.name
		if len(name.codes) > 0 {
			code = name.codes[0].System + "|" + name.codes[0].Code
		}
		compared = append(compared, code+"="+part.value)
	}
	if len(parts) > 0 {
		if it.Value != "" {
			parts = append([]string{it.Value}, parts...)
		}
		it.Value, it.key = strings.Join(parts, ", "), ""
		slices.Sort(compared)
		it.value += strings.Join(compared, "\x00")
	}
	if it.Value == "" {
		it.Value = noValue(v.tree)
		if n := len(v.objs("hasMember")); n > 0 && v.concept("dataAbsentReason").name == "" {
			it.Value = payload.Counted(n, "value", "values") + " of its own"
		}
	}
	it.Group = groupOf(it.Name, it.Codes) + it.place + focus // no series of two
	it.value += focus
	if len(it.may) > 0 {
		it.key = ""
		it.Group += "\x00" + otherMeaning(it.may)
	}
	if it.key != "" {
		it.key = it.Group + "\x00" + it.key
	}
	v.by("performer")
}

// noValue says why there is none.
func noValue(from tree) string {
	if why := from.concept("dataAbsentReason").name; why != "" {
		return "no value: " + why
	}
	return "value not here"
}

// value reads value[x] with its range and its interpretation.
func (v reading) value(from tree, it *viewItem) {
	switch q := from.obj("valueQuantity"); {
	case q != nil:
		it.Value, it.Original = quantityText(q), q.num("value")
		it.Unit = unitText(q)
		n, ok := number(it.Original)
		of := cmp.Or(q.str("code"), q.str("unit"))
		if torn(q) {
			of, ok = it.Unit, false
		}
		it.value = "q|" + cmp.Or(it.Original, q.str("value")) + "|" + of + q.str("comparator")
		if ok {
			it.value = "q|" + strconv.FormatFloat(n, 'g', -1, 64) + "|" + of + q.str("comparator")
		}
		if ok && q.str("comparator") == "" && q.str("system") == sysUCUM && q.str("code") != "" {
			it.number, it.key = n, q.str("code")
		}
		v.ranges(from, it, q, n, ok && q.str("comparator") == "")
	case from.obj("valueCodeableConcept") != nil:
		c := from.concept("valueCodeableConcept")
		it.Value, it.value = c.name, "c|"+groupOf(c.name, c.codes)
	case from.obj("valueRange") != nil:
		r := from.obj("valueRange")
		it.Value = strings.TrimSpace(quantityText(r.obj("low")) + " to " + quantityText(r.obj("high")))
		it.value = "r|" + it.Value
	case from.obj("valueRatio") != nil:
		r := from.obj("valueRatio")
		it.Value = quantityText(r.obj("numerator")) + " / " + quantityText(r.obj("denominator"))
		it.value = "r|" + it.Value
	case from.obj("valuePeriod") != nil:
		p := from.obj("valuePeriod")
		it.Value = strings.TrimSpace(p.str("start") + " to " + p.str("end"))
		it.value = "p|" + it.Value
	case from.obj("valueSampledData") != nil:
		it.Value, it.value = "a curve, not shown", "d|"+from.obj("valueSampledData").str("data")
	default:
		s := cmp.Or(from.str("valueString"), from.str("valueDateTime"), from.str("valueTime"), from.num("valueInteger"))
		if b, ok := from["valueBoolean"].(bool); ok {
			s = map[bool]string{true: "yes", false: "no"}[b]
		}
		if it.Value, it.value = s, "s|"+s; s != "" {
			break
		}
		for _, key := range slices.Sorted(maps.Keys(from)) { // such as valueAttachment
			if b, err := json.Marshal(from[key]); err == nil && strings.HasPrefix(key, "value") {
				it.Value, it.value = "a value of a kind that is not shown", it.value+"\x00"+string(b)
			}
		}
	}
	if it.Range == "" {
		v.ranges(from, it, nil, 0, false)
	}
	var says []string
	for _, c := range from.concepts("interpretation") {
		says = append(says, interpretation(c))
	}
	if s := strings.Join(listed(says), ", "); s != "" {
		against := map[string]string{"low": "high", "high": "low"}[it.Flag]
		if against != "" && (s == "normal" || strings.HasSuffix(s, against)) {
			it.Flag = s + ", says the source, and " + it.Flag + " by its range"
		} else {
			it.Flag = s // the source's own words go before ours
		}
	}
}

// flags are the words for codes of interpretation:
// http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation.
var flags = map[string]string{
	"H": "high", "HU": "high", "HH": "critically high", "L": "low", "LU": "low", "LL": "critically low",
	"A": "abnormal", "AA": "critically abnormal", "N": "normal", "POS": "positive", "NEG": "negative", "IND": "indeterminate",
	"<": "below what can be measured", ">": "above what can be measured", "R": "resistant", "S": "susceptible", "I": "intermediate",
	"DET": "detected", "ND": "not detected",
}

func interpretation(c codeable) string {
	for _, x := range c.codes {
		if s := flags[x.Code]; s != "" {
			return s
		}
	}
	return cmp.Or(flags[c.name], c.name)
}

// ranges takes the reference range that is for everybody, or the only one, and where the
// value lies if both are numbers in one unit.
func (v reading) ranges(from tree, it *viewItem, q tree, n float64, numeric bool) {
	var all []tree
	for _, r := range from.objs("referenceRange") {
		if t := r.concept("type"); t.name != "" && !slices.ContainsFunc(t.codes, func(c ViewCode) bool { return c.Code == "normal" }) {
			continue
		}
		all = append(all, r)
	}
	if len(all) == 0 { // there are others, such as what a treatment aims at
		var texts []string
		for _, r := range from.objs("referenceRange") {
			texts = append(texts, strings.TrimSpace(rangeText(r)+" ("+r.concept("type").name+")"))
		}
		it.Range = strings.Join(texts, " or ")
		return
	}
	if len(all) != 1 {
		var texts []string
		for _, r := range all {
			texts = append(texts, rangeText(r))
		}
		it.Range = strings.Join(texts, " or ")
		return
	}
	r := all[0]
	it.Range = rangeText(r)
	if !numeric || len(v.item.may) > 0 || len(r.objs("appliesTo")) > 0 || r.obj("age") != nil {
		return
	}
	same := func(b tree) (float64, bool) {
		if b == nil || b.str("comparator") != "" || torn(b) || b.str("code") != "" && b.str("code") != q.str("code") || b.str("code") == "" && b.str("unit") != unitText(q) {
			return 0, false
		}
		return number(b.num("value"))
	}
	low, haveLow := same(r.obj("low"))
	high, haveHigh := same(r.obj("high"))
	switch {
	case haveLow && n < low:
		it.Flag = "low"
	case haveHigh && n > high:
		it.Flag = "high"
	}
}

func rangeText(r tree) string {
	low, high := r.obj("low"), r.obj("high")
	says := r.str("text")
	if says == "" {
		switch {
		case low != nil && high != nil:
			says = quantityText(low) + " to " + quantityText(high)
			if unit := unitText(low); unit == unitText(high) && unit != "" {
				says = strings.TrimSuffix(quantityText(low), " "+unit) + " to " + quantityText(high)
			}
		case low != nil:
			says = "from " + quantityText(low)
		case high != nil:
			says = "up to " + quantityText(high)
		}
	}
	if who := namesOf(r.concepts("appliesTo")); len(who) > 0 {
		says += " (" + strings.Join(who, ", ") + ")"
	}
	return strings.TrimSpace(says)
}

// quantityText is a Quantity as it is shown; "" if it has no number.
func quantityText(q tree) string { return quantityWith(q, numberText) }

// quantityExact is a Quantity with its number as it is written.
func quantityExact(q tree) string {
	return quantityWith(q, func(s string) string { return s[:min(len(s), 64)] })
}

func quantityWith(q tree, text func(string) string) string {
	n := cmp.Or(q.num("value"), q.str("value")) // which should be no text, and is in some files
	if n == "" {
		return ""
	}
	return strings.TrimSpace(q.str("comparator") + text(n) + " " + unitText(q))
}

// unitText is a Quantity's unit as people write it, and its code where that is another unit.
func unitText(q tree) string {
	if torn(q) {
		return q.str("unit") + " (by its code " + q.str("code") + ")"
	}
	return cmp.Or(q.str("unit"), q.str("code"))
}

// torn reports whether the unit that people read of a Quantity and the code that programs read are
// two units. Most texts are none of these, such as "beats a minute", and say nothing against a code.
func torn(q tree) bool {
	text, code := units()[strings.ToLower(q.str("unit"))], units()[strings.ToLower(q.str("code"))]
	return text != "" && code != "" && text != code
}

// units are those that are usual, in small letters, each with one name for all of its spellings.
var units = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	for _, line := range []string{
		"kg", "g", "mg", "ug µg μg mcg", "ng", "pg", "l", "dl", "ml", "ul µl μl", "fl", "mol", "mmol", "umol µmol μmol", "nmol", "pmol", "meq",
		"mol/l", "mmol/l", "umol/l µmol/l μmol/l", "nmol/l", "pmol/l", "meq/l", "g/l", "g/dl", "mg/l", "mg/dl", "ug/l µg/l μg/l mcg/l", "ug/dl µg/dl μg/dl mcg/dl", "ug/ml µg/ml μg/ml mcg/ml",
		"ng/l", "ng/dl", "ng/ml", "pg/ml", "u/l [u]/l", "iu/l [iu]/l", "mmol/mol", "%", "mg/g", "mg/mmol",
		"m", "cm", "mm", "[in_i] in inch inches", "[ft_i] ft", "[lb_av] lb lbs", "[oz_av] oz", "cel °c", "[degf] °f", "mm[hg] mmhg mm hg", "kpa", "h hr", "min", "s sec", "d",
	} {
		all := strings.Fields(line)
		for _, one := range all {
			out[one] = all[0]
		}
	}
	return out
})

// number reads a number that may be compared: no more than 64 characters, and finite.
func number(s string) (float64, bool) {
	if s == "" || len(s) > 64 {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil && !math.IsInf(n, 0)
}

// cutNumber leaves of a number what can be a number.
func cutNumber(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

// numberText shows a number with at most 4 significant digits behind a whole part that
// stays whole: 98.63157894 is 98.63, 245678.5 is 245679, 7.10 stays 7.10.
func numberText(s string) string {
	n, ok := number(s)
	if !ok {
		return cutNumber(s)
	}
	digits := strings.TrimLeft(strings.TrimLeft(s, "-"), "0.")
	digits, _, _ = strings.Cut(strings.ReplaceAll(digits, ".", ""), "e")
	if _, fraction, has := strings.Cut(s, "."); !has || len(digits) <= 4 || strings.ContainsAny(fraction, "eE") {
		if !strings.ContainsAny(s, "eE") {
			return s
		}
	}
	if math.Abs(n) >= 1000 && math.Abs(n) < 1e15 {
		return strconv.FormatFloat(n, 'f', 0, 64)
	}
	return strconv.FormatFloat(n, 'g', 4, 64)
}

// groupOf is what things of one kind have in common: the code that people compare by, else
// the name.
func groupOf(name string, codes []ViewCode) string {
	best := ""
	for _, c := range codes {
		if c.unspecific() {
			continue
		}
		key := c.System + "|" + c.Code
		if c.System == sysLOINC {
			key = "\x00" + key // before all others
		}
		if best == "" || key < best {
			best = key
		}
	}
	if best == "" {
		return "name|" + strings.ToLower(strings.Join(strings.Fields(name), " "))
	}
	return strings.TrimPrefix(best, "\x00")
}
