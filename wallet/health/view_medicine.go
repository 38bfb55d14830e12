package health

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
)

func (v reading) medicine() {
	it := v.item
	code, state := v.remedy()
	begin, end, said := v.taken()
	if end == "" && v.absent(code, inMedicines, cmp.Or(begin, v.date("dateAsserted")), "informationSource", "requester") {
		return // what was so for a time says nothing of another
	}
	it.section = inMedicines
	v.of(code)
	if state != "" {
		v.detail(state)
	}
	it.When, it.End = begin, end
	if said != "" {
		v.detail(said)
	}
	it.Recorded = v.date("dateAsserted")
	wrong := it.gone
	v.status("entered-in-error", "not-taken", "not-done", "cancelled", "declined")
	it.gone = it.gone || wrong
	if no, _ := v.tree["doNotPerform"].(bool); no {
		it.gone = true
		v.detail("must not be given, says the source")
	}
	if s := v.str("intent"); s != "" && !strings.HasSuffix(s, "order") {
		v.detail("its intent is " + s + ": not an order")
	}
	if v.str("taken") == "unk" { // STU3
		v.detail("whether it is taken is not known, says the source")
	}
	it.Current = !slices.Contains([]string{"completed", "stopped", "cancelled", "ended"}, v.str("status"))
	if it.Type == "MedicationDispense" && v.str("status") == "completed" { // what was handed out is not used up by that
		it.Current = true
		v.detail("handed out, and whether it is still taken is not said")
	}
	it.holds = v.str("status") == "active"
	if a := v.obj("adherence").word("code"); a != "" { // R5: the status says that it was recorded
		it.Status, it.gone = []string{a}, it.gone || a == "not-taking"
		it.Current = it.Current && !strings.HasPrefix(a, "stopped")
	}
	if s := v.str("renderedDosageInstruction"); s != "" { // R5
		it.Dose = append(it.Dose, s)
	}
	for _, d := range slices.Concat(v.objs("dosage"), v.objs("dosageInstruction")) {
		if s := doseText(d); s != "" {
			it.Dose = append(it.Dose, s)
		}
	}
	v.because()
	v.by("informationSource", "requester", "performer")
}

// remedy is which medicine it is, and what is not known of it.
func (v reading) remedy() (code codeable, state string) {
	it := v.item
	code, ref := v.concept("medicationCodeableConcept"), v.obj("medicationReference")
	if r5 := v.obj("medication"); r5 != nil {
		code, ref = conceptOf(r5), r5.obj("reference")
	}
	if ref != nil {
		switch found := v.in.find(v.entered, ref.str("reference")); {
		case found != nil:
			it.may = uniq(slices.Concat(it.may, found.may))
			code = found.concept("code")
			if found.str("status") == "entered-in-error" {
				it.gone = true
				v.detail("the medicine itself was entered in error, says the source")
			}
			for _, x := range found.objs("ingredient") {
				c, ref := x.concept("itemCodeableConcept"), x.obj("itemReference")
				if r5 := x.obj("item"); r5 != nil {
					c, ref = conceptOf(r5), r5.obj("reference")
				}
				if of := v.in.find(found, ref.str("reference")); of != nil {
					c = of.concept("code")
				}
				c.name = cmp.Or(c.name, ref.str("display"), "something without a name")
				it.contains = append(it.contains, c)
			}
			parts := strings.Join(namesOf(it.contains), " / ")
			if code.name == "" {
				code.name = cmp.Or(parts, ref.str("display"))
			} else if parts != "" {
				v.detail("contains " + parts)
			}
		case ref.str("display") != "":
			code.name, state = ref.str("display"), "name only: the medicine itself is not here"
		default:
			state = "refers to a medicine that is not here"
		}
	}
	return code, state
}

// taken is from when to when it is taken, ordered or handed out.
func (v reading) taken() (begin, end, said string) {
	begin, end, said = v.entered.span("effective")
	if begin == "" && end == "" && said == "" {
		begin, end, said = v.entered.span("occurence") // R5 spells it so
	}
	if v.item.Type == "MedicationRequest" || v.item.Type == "MedicationOrder" {
		begin, end = cmp.Or(v.date("authoredOn"), v.date("dateWritten")), v.obj("dispenseRequest").obj("validityPeriod").date("end")
	} else if v.item.Type == "MedicationDispense" {
		begin = cmp.Or(v.date("whenHandedOver"), v.date("whenPrepared"))
	}
	return begin, end, said
}

// because says what a medicine or a device is for, where it is here.
func (v reading) because() {
	out := slices.Concat(namesOf(v.concepts("reasonCode")), namesOf(v.concepts("reason")))
	refs := v.objs("reasonReference")
	for _, r5 := range v.objs("reason") {
		refs = append(refs, r5.obj("reference"))
	}
	for _, ref := range refs {
		name := ref.str("display")
		if found := v.in.find(v.entered, ref.str("reference")); found != nil {
			name = cmp.Or(found.concept("code").name, name)
		}
		if name != "" {
			out = append(out, name)
		}
	}
	v.detail(prefixed("because of ", strings.Join(out, ", ")))
}

// doseText is a Dosage: the source's own words, and all that it says beside them of how much, how
// often and when. A text says less than that often enough, and sometimes another thing.
func doseText(d tree) string {
	says := d.str("text")
	add := func(s string) {
		if s != "" && !saysAlready(says, s) {
			says += map[bool]string{true: ", "}[says != ""] + s
		}
	}
	for _, x := range append(d.objs("doseAndRate"), d) {
		for _, name := range []string{"doseQuantity", "dose", "quantityQuantity", "doseRange", "quantityRange", "rateQuantity", "rateRange", "rateRatio"} {
			add(amountText(x.obj(name)))
		}
	}
	timing := d.obj("timing")
	add(repeatText(timing.obj("repeat")))
	add(strings.Join(timing.strs("event"), ", "))
	add(timing.concept("code").name)
	add(d.concept("site").name)
	add(d.concept("route").name)
	add(d.concept("method").name)
	for _, key := range []string{"asNeeded", "asNeededBoolean"} { // R5, and before
		if b, _ := d[key].(bool); b {
			add("as needed")
		}
	}
	for _, c := range append(d.concepts("asNeededFor"), d.concept("asNeededCodeableConcept")) {
		if c.name != "" {
			add("as needed for " + c.name)
		}
	}
	for _, c := range d.concepts("additionalInstruction") {
		add(c.name)
	}
	add(d.str("patientInstruction"))
	for _, most := range append(d.objs("maxDosePerPeriod"), d.obj("maxDosePerAdministration"), d.obj("maxDosePerLifetime")) {
		if s := amountText(most); s != "" {
			add("at most " + s)
		}
	}
	return says
}

// saysAlready reports whether words stand in a text as they are: 5 mg does not stand in 15 mg, nor
// in 2.5 mg.
func saysAlready(text, words string) bool {
	plain := func(s string) string {
		return " " + strings.Join(strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(",;:()", r) }), " ") + " "
	}
	return strings.Contains(plain(text), plain(words))
}

// amountText is a Quantity, a Range or a Ratio with its numbers as they are written; "" if it says
// nothing.
func amountText(q tree) string {
	low, high := quantityExact(q.obj("low")), quantityExact(q.obj("high"))
	switch of := cmp.Or(quantityExact(q.obj("denominator")), unitText(q.obj("denominator"))); {
	case of != "":
		return quantityExact(q.obj("numerator")) + " / " + of
	case q.obj("numerator") != nil:
		return quantityExact(q.obj("numerator"))
	case low != "" && high != "":
		return low + " to " + high
	case low != "":
		return "from " + low
	case high != "":
		return "up to " + high
	}
	return quantityExact(q)
}

// repeatText is how often, as a Timing says it.
func repeatText(r tree) string {
	var says []string
	upTo := func(name string) string { // 1, or 1 to 3
		if most := r.num(name + "Max"); most != "" {
			return cmp.Or(r.num(name), "0") + " to " + most
		}
		return r.num(name)
	}
	often, period := upTo("frequency"), upTo("period")
	switch {
	case period != "": // once, if it does not say how often
		says = append(says, cmp.Or(often, "1")+" in "+period+" "+r.str("periodUnit"))
	case often != "":
		says = append(says, often+" times")
	}
	for _, name := range []string{"dayOfWeek", "timeOfDay", "when"} {
		says = append(says, r.strs(name)...)
	}
	for _, x := range []struct{ before, says, behind string }{
		{"", r.num("offset"), " min from that"}, {"for ", upTo("duration"), " " + r.str("durationUnit") + " each"}, {"", upTo("count"), " times in all"},
		{"for ", amountText(r.obj("boundsDuration")), ""}, {"for ", amountText(r.obj("boundsRange")), ""},
		{"from ", shownTime(r.obj("boundsPeriod").str("start")), ""}, {"until ", shownTime(r.obj("boundsPeriod").str("end")), ""},
	} {
		if x.says != "" {
			says = append(says, x.before+x.says+x.behind)
		}
	}
	return strings.Join(says, ", ")
}
