package health

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/carekey/carekey/wallet/payload"
)

// reading is a resource that is made an item.
type reading struct {
	*entered
	in   *within
	item *viewItem
	file *viewRead
}

// by says who says it.
func (v reading) by(keys ...string) {
	for _, key := range keys {
		var ref tree
		if list := v.objs(key); len(list) > 0 {
			ref = list[0]
		}
		if actor := ref.obj("actor"); actor != nil {
			ref = actor
		}
		if s := v.in.refName(v.entered, ref); s != "" {
			v.item.Copies[0].By = s
			return
		}
	}
}

// of names the item after a CodeableConcept.
func (v reading) of(c codeable) {
	v.item.Name, v.item.Codes = c.name, c.codes
}

func (v reading) detail(s string) {
	if s != "" {
		v.item.Details = append(v.item.Details, s)
	}
}

// places are where in or on the body it is.
func (v reading) places() (out []codeable) {
	for _, c := range v.concepts("bodySite") {
		if c.name != "" {
			out = append(out, c)
		}
	}
	return out
}

// status sets the status of a resource that has a plain one.
func (v reading) status(gone ...string) {
	if s := v.str("status"); s != "" {
		v.item.Status = []string{s}
		v.item.gone = slices.Contains(gone, s)
	}
	for _, key := range []string{"notGiven", "wasNotGiven", "notDone", "notPerformed", "wasNotTaken"} { // before R4
		if no, _ := v.tree[key].(bool); no {
			v.item.gone = true
			v.detail("not done, says the source")
		}
	}
	if v.str("taken") == "n" {
		v.item.gone = true
		v.detail("not taken, says the source")
	}
	if v.item.gone {
		v.detail(v.concept("statusReason").name)
	}
}

// statement says something of a whole section.
func (v reading) statement(section, what, says, scope, who, when string, entry int) {
	v.file.said = append(v.file.said, &viewSaid{
		ViewStatement{Says: says, Scope: scope, Who: who, When: when, Entry: entry}, v.file, v.item.who, section, what,
	})
}

// absent reports whether a CodeableConcept is no thing but says that there is none, or that nobody
// knows, and enters that for the section.
func (v reading) absent(c codeable, section string, when string, whose ...string) bool {
	what, scope, thing := "", "", false
	for _, code := range c.codes {
		if a, ok := absences[code.System+"|"+code.Code]; ok && a.section == section {
			what, scope = a.what, a.scope
		} else {
			thing = thing || code.thing()
		}
	}
	if says, of := noKnown(c, section); what == "" && says { // in words: no code of a thing is beside them, or it is one of these words
		what, scope, thing = StateNone, of, false
	}
	if what != "" && (thing || c.several) { // what is there is never less than what is not
		for _, code := range c.codes {
			if absences[code.System+"|"+code.Code].what != "" {
				v.detail("its code says too: " + cmp.Or(code.Display, code.Code))
			}
		}
		return false
	}
	if kinds := uniq(v.strs("category")); scope == "" {
		scope = strings.Join(kinds, ", ")
	}
	if what == "" && len(c.codes) == 0 && c.name == "" {
		for _, x := range v.obj(map[string]string{inAllergies: "code", inProblems: "code", inImmunizations: "vaccineCode", inMedicines: "medicationCodeableConcept"}[section]).objs("extension") {
			if x.str("url") == extAbsent {
				what, c.name = StateNoInfo, cmp.Or(x.str("valueCode"), "unknown")
			}
		}
	}
	if what == "" || v.item.gone || v.withdrawn() || len(v.item.may) > 0 {
		return false
	}
	v.by(whose...)
	if !strings.Contains(c.name, " ") { // a bare code
		c.name = strings.ReplaceAll(c.name, "-", " ")
	}
	v.statement(section, what, c.name, scope, v.item.Copies[0].By, when, v.entry)
	if sure := v.word("verificationStatus"); sure != "confirmed" {
		v.file.said[len(v.file.said)-1].Verification = sure
	}
	return true
}

// noKnown reports whether the words of an allergy say that none is known, and of what; "" is
// of all. Words that say more than that are a thing, and so is a code without words of its
// own: what it means is not looked up.
func noKnown(c codeable, section string) (says bool, of string) {
	if section != inAllergies {
		return false, ""
	}
	names := []string{c.name}
	for _, code := range c.codes {
		if code.Display != "" {
			names = append(names, code.Display)
		} else if code.thing() {
			return false, ""
		}
	}
	for _, name := range names { // all say so, or it is something
		words := nameWords(name)
		if i := slices.Index(words, "known"); len(words) < 3 || words[0] != "no" || i < 0 || i > 2 ||
			!slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, "allerg") || strings.HasPrefix(w, "intoleranc") }) ||
			slices.ContainsFunc(words, func(w string) bool { return slices.Contains([]string{"but", "except", "other", "apart", "besides"}, w) }) {
			return false, ""
		}
	}
	for _, w := range nameWords(c.name) {
		switch {
		case slices.Contains([]string{"drug", "drugs", "medication", "medications", "medicine", "medicines"}, w):
			of = scopeMedicine
		case !slices.Contains(strings.Fields("no known current allergy allergies allergic intolerance intolerances reaction reactions to any finding situation or and"), w) && of == "":
			of = w
		}
	}
	return true, of
}

// isAbsence reports whether codes are a statement that there is nothing.
func isAbsence(codes []ViewCode) bool {
	return slices.ContainsFunc(codes, func(c ViewCode) bool { return absences[c.System+"|"+c.Code].what != "" })
}

// withdrawn reports whether a source says that its resource is not so, or no longer.
func (v reading) withdrawn() bool {
	return v.word("status", "entered-in-error") == "entered-in-error" ||
		slices.Contains([]string{"entered-in-error", "refuted"}, v.verified()) ||
		slices.Contains([]string{"inactive", "resolved"}, v.word("clinicalStatus")) ||
		strings.HasPrefix(v.typ, "Medication") && slices.Contains([]string{"not-taken", "stopped", "cancelled", "declined"}, v.str("status"))
}

// verified is how sure a source is of a problem or an allergy. What it knows to be absent by
// a code of SNOMED CT, it refutes.
func (v reading) verified() string {
	if slices.ContainsFunc(v.concept("verificationStatus").codes, func(c ViewCode) bool { return c.System == sysSNOMED && c.Code == "410516002" }) {
		return "refuted"
	}
	return v.word("verificationStatus", "entered-in-error", "refuted")
}

// absence is a code that says something of a whole section.
type absence struct{ section, what, scope string }

// Scopes of an absence: what it is about. "" is everything.
const (
	scopeFood        = "food"
	scopeMedicine    = "medication"
	scopeEnvironment = "environment"
	scopeLatex       = "latex"
	scopeInsect      = "insect"
)

// absences are the codes of International Patient Summary 2.0.0
// (http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips) and single codes of SNOMED CT
// with our own words for what they are about.
var absences = map[string]absence{
	sysAbsent + "|no-known-allergies":               {inAllergies, StateNone, ""},
	sysAbsent + "|no-known-medication-allergies":    {inAllergies, StateNone, scopeMedicine},
	sysAbsent + "|no-known-food-allergies":          {inAllergies, StateNone, scopeFood},
	sysAbsent + "|no-known-environmental-allergies": {inAllergies, StateNone, scopeEnvironment},
	sysAbsent + "|no-allergy-info":                  {inAllergies, StateNoInfo, ""},
	sysAbsent + "|no-known-medications":             {inMedicines, StateNone, ""},
	sysAbsent + "|no-medication-info":               {inMedicines, StateNoInfo, ""},
	sysAbsent + "|no-known-problems":                {inProblems, StateNone, ""},
	sysAbsent + "|no-problem-info":                  {inProblems, StateNoInfo, ""},
	sysAbsent + "|no-known-immunizations":           {inImmunizations, StateNone, ""},
	sysAbsent + "|no-immunization-info":             {inImmunizations, StateNoInfo, ""},
	sysAbsent + "|no-known-procedures":              {inProcedures, StateNone, ""},
	sysAbsent + "|no-procedure-info":                {inProcedures, StateNoInfo, ""},
	sysAbsent + "|no-known-devices":                 {inDevices, StateNone, ""},
	sysAbsent + "|no-device-info":                   {inDevices, StateNoInfo, ""},

	sysSNOMED + "|716186003":  {inAllergies, StateNone, ""},
	sysSNOMED + "|428197003":  {inAllergies, StateNone, scopeInsect},
	sysSNOMED + "|1003774007": {inAllergies, StateNone, scopeLatex},
	sysSNOMED + "|409137002":  {inAllergies, StateNone, scopeMedicine},
	sysSNOMED + "|429625007":  {inAllergies, StateNone, scopeFood},
	sysSNOMED + "|428607008":  {inAllergies, StateNone, scopeEnvironment},
	sysSNOMED + "|716184000":  {inAllergies, StateNone, scopeLatex},
	sysSNOMED + "|787481004":  {inMedicines, StateNone, ""},
	sysSNOMED + "|160245001":  {inProblems, StateNone, ""},
}

// readers are the types that are shown. The others are counted.
var readers = map[string]func(reading){
	"AllergyIntolerance":       reading.allergy,
	"Condition":                reading.problem,
	"MedicationStatement":      reading.medicine,
	"MedicationRequest":        reading.medicine,
	"MedicationOrder":          reading.medicine, // DSTU2
	"MedicationDispense":       reading.medicine,
	"MedicationAdministration": reading.medicine,
	"Immunization":             reading.immunization,
	"Observation":              reading.result,
	"Procedure":                reading.procedure,
	"Device":                   reading.device,
	"DeviceUseStatement":       reading.deviceUse,
	"DiagnosticReport":         reading.report,
	"DocumentReference":        reading.document,
	"Composition":              reading.composition,
}

// reader makes an item of a resource; nil if it is counted only. A device that is nobody's is
// what measured or wrote something, and none that the person has.
func (e *entered) reader() func(reading) {
	if e.typ == "Device" && !e.owned() {
		return nil
	}
	return readers[e.typ]
}

// owned reports whether a device says itself who has it.
func (e *entered) owned() bool { return e.obj("patient") != nil || e.obj("subject") != nil }

// clinical sets the two statuses of a problem or an allergy.
func (v reading) clinical() {
	v.item.Recorded = cmp.Or(v.date("recordedDate"), v.date("assertedDate"))
	if s := v.word("clinicalStatus"); s != "" {
		v.item.Status = []string{s}
	}
	if s := v.verified(); s != "" {
		v.item.Verification = []string{s}
		v.item.gone = s == "entered-in-error" || s == "refuted"
	}
	if isAbsence(v.item.Codes) && v.withdrawn() {
		v.item.gone = true
	}
	v.by("recorder", "asserter", "participant")
}

func (v reading) allergy() {
	code := v.concept("code")
	if code.name == "" {
		code = v.concept("substance") // before R4, as are the words below
	}
	if v.absent(code, inAllergies, cmp.Or(v.date("recordedDate"), v.date("onsetDateTime")), "recorder", "asserter") {
		return
	}
	it := v.item
	it.section = inAllergies
	v.of(code)
	v.span("onset")
	v.clinical()
	it.Category = v.strs("category")
	slices.Sort(it.Category)
	if c := v.str("criticality"); c != "" {
		it.Criticality = []string{cmp.Or(map[string]string{"CRITH": "high", "CRITL": "low", "CRITU": "unable-to-assess"}[c], c)}
	}
	if len(it.Status) == 0 && len(it.Verification) == 0 {
		v.status("entered-in-error", "refuted")
	}
	if v.word("type") == "intolerance" {
		v.detail("an intolerance")
	}
	for _, x := range v.objs("reaction") {
		to := x.concept("substance")
		if to.name != "" && it.Name == "" {
			v.of(to)
		}
		it.to = append(it.to, to)
		says := strings.Join(namesOf(x.concepts("manifestation")), ", ")
		says = cmp.Or(says, x.str("description"))
		if s := x.str("severity"); s != "" {
			says += " (" + s + ")"
		}
		if to.name != "" && to.name != it.Name {
			says += " to " + to.name
		}
		if says = strings.TrimSpace(says); says != "" {
			v.detail("reaction: " + says)
		}
	}
}

func (v reading) problem() {
	code := v.concept("code")
	if v.absent(code, inProblems, v.date("recordedDate"), "recorder", "asserter") {
		return
	}
	v.item.section = inProblems
	v.of(code)
	v.span("onset")
	v.clinical()
	at, end, said := v.entered.span("abatement")
	v.item.End = cmp.Or(end, at)
	if said != "" {
		v.detail("ended: " + said)
	}
	if over, _ := v.tree["abatementBoolean"].(bool); over { // before R4
		if len(v.item.Status) == 0 {
			v.item.Status = []string{"resolved"}
		}
		v.detail("ended, says the source, and not when")
	}
	if c := v.concept("severity"); c.name != "" {
		v.detail("severity: " + c.name)
	}
}

func (v reading) immunization() {
	code := v.concept("vaccineCode")
	if v.absent(code, inImmunizations, v.date("recorded"), "performer") {
		return
	}
	v.item.section = inImmunizations
	v.of(code)
	v.span("occurrence")
	v.item.When = cmp.Or(v.item.When, v.date("date")) // before R4
	v.item.Recorded = v.date("recorded")
	v.status("entered-in-error", "not-done")
	if weak, _ := v.tree["isSubpotent"].(bool); weak {
		v.detail("not at full strength, says the source")
	}
	if n := len(v.objs("reaction")); n > 0 {
		v.detail(payload.Counted(n, "reaction", "reactions") + " to it reported")
	}
	for _, p := range v.objs("protocolApplied") {
		if n := cmp.Or(p.num("doseNumberPositiveInt"), p.str("doseNumberString")); n != "" {
			v.detail("dose " + n)
		}
	}
	v.by("performer")
}

func (v reading) procedure() {
	code := v.concept("code")
	if v.absent(code, inProcedures, "", "recorder", "asserter", "performer") {
		return
	}
	v.item.section = inProcedures
	v.of(code)
	v.span("performed")
	if v.item.When == "" && v.item.End == "" { // R5
		v.span("occurrence")
	}
	v.status("entered-in-error", "not-done")
	v.detail(prefixed("outcome: ", v.concept("outcome").name))
	v.detail(prefixed("complication: ", v.concept("complication").name))
	v.by("performer", "recorder", "asserter")
}

// device reads what a person has, such as an implant.
func (v reading) device() {
	kind := v.concept("type")
	if v.absent(kind, inDevices, "") {
		return
	}
	v.item.section = inDevices
	v.of(kind)
	called := v.deviceName()
	v.item.Name = cmp.Or(v.item.Name, called)
	v.status("entered-in-error")
	if called != v.item.Name {
		v.detail(called)
	}
	v.detail(prefixed("made by ", v.str("manufacturer")))
	v.detail(prefixed("model ", cmp.Or(v.str("modelNumber"), v.str("model"))))
	v.by("owner")
}

// deviceName is what its maker or whoever has it calls a device.
func (t tree) deviceName() string {
	for _, n := range t.objs("deviceName") {
		return n.str("name")
	}
	return ""
}

// deviceUse reads that a person uses, or used, a device.
func (v reading) deviceUse() {
	ref := v.obj("device")
	found := v.in.find(v.entered, ref.str("reference"))
	if found == nil {
		v.item.Name = cmp.Or(v.in.refName(v.entered, ref), "a device that is not here")
	} else {
		kind := found.concept("type")
		if found.owned() && isAbsence(kind.codes) {
			return // the device says so itself
		}
		if v.absent(kind, inDevices, "", "source") {
			return
		}
		v.of(kind)
		v.item.Name = cmp.Or(v.item.Name, v.in.refName(v.entered, ref))
	}
	v.item.section = inDevices
	v.span("timing")
	v.item.Recorded = v.date("recordedOn")
	v.status("entered-in-error")
	v.because()
	v.by("source")
}

func (v reading) report() {
	v.item.section = inReports
	v.of(v.concept("code"))
	v.span("effective")
	v.item.When = cmp.Or(v.item.When, v.date("issued"))
	v.status("entered-in-error", "cancelled")
	here, away := 0, 0
	for _, ref := range v.objs("result") {
		if v.in.find(v.entered, ref.str("reference")) != nil {
			here++
		} else {
			away++
		}
	}
	switch {
	case away > 0 && here == 0:
		v.detail(payload.Counted(away, "value", "values") + ", not here")
	case away > 0:
		v.detail(payload.Counted(here, "value", "values") + " here, " + strconv.Itoa(away) + " not here")
	case here > 0:
		v.detail(payload.Counted(here, "value", "values") + " here")
	}
	for _, s := range append([]string{v.str("conclusion")}, namesOf(slices.Concat(v.concepts("conclusionCode"), v.concepts("codedDiagnosis")))...) {
		v.detail(prefixed("conclusion: ", s))
	}
	if n := len(v.objs("presentedForm")); n > 0 {
		v.detail(payload.Counted(n, "document", "documents") + " attached, not shown")
	}
	v.by("performer", "resultsInterpreter")
}

func (v reading) document() {
	v.titled("description")
	v.item.gone = v.item.gone || v.str("docStatus") == "entered-in-error"
	for _, c := range v.objs("content") {
		a := c.obj("attachment")
		v.detail(strings.Join(slices.DeleteFunc([]string{a.str("title"), a.str("contentType"), "not shown"}, func(s string) bool { return s == "" }), ", "))
	}
}

// titled reads what a document has that stands in a file and one that the file is.
func (v reading) titled(title string) {
	v.item.section = inDocuments
	v.of(v.concept("type"))
	v.item.Name = cmp.Or(v.str(title), v.item.Name)
	v.item.When = v.date("date")
	v.status("entered-in-error")
	v.by("author", "custodian")
}

// sections are what a Composition calls them (LOINC, International Patient Summary).
var sections = map[string]struct{ section, scope string }{
	"48765-2": {inAllergies, ""},
	"10160-0": {inMedicines, ""},
	"11450-4": {inProblems, ""},
	"11348-0": {inProblems, "past illness"},
	"11369-6": {inImmunizations, ""},
	"30954-2": {inResults, ""},
	"8716-3":  {inResults, "vital signs"},
	"47519-4": {inProcedures, ""},
	"46264-8": {inDevices, ""},
}

// composition reads a document's table of contents: which of its sections is empty, and why.
func (v reading) composition() {
	v.titled("title")
	if v.item.gone || len(v.item.may) > 0 {
		return // and so is what it says of its sections
	}
	who := v.item.Copies[0].By
	var walk func(list []tree, depth int)
	walk = func(list []tree, depth int) {
		for _, s := range list {
			if depth < 8 {
				walk(s.objs("section"), depth+1)
			}
			var at struct{ section, scope string }
			for _, c := range s.concept("code").codes {
				if c.System == sysLOINC && at.section == "" {
					at = sections[c.Code]
				}
			}
			if at.section == "" {
				continue
			}
			if reason := s.concept("emptyReason"); reason.name != "" {
				what := StateNoInfo
				if reason.code() == "nilknown" {
					what = StateNone
				}
				v.statement(at.section, what, reason.name, at.scope, who, v.item.When, v.entry)
			} else if len(s.objs("entry")) == 0 && len(s.objs("section")) == 0 && s.obj("text").str("div") != "" {
				v.statement(at.section, textOnly, cmp.Or(s.str("title"), "text"), at.scope, who, v.item.When, v.entry)
			}
		}
	}
	walk(v.objs("section"), 0)
}
