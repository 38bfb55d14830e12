// What one FHIR file says, in the words and the order of package health of the wallet, which
// a test holds it to. It decides nothing, and touches nothing but its arguments.
const health = (() => {

// JSON (RFC 8259), and stricter, so that no two programs read two things of what is taken:
// no key stands twice in an object. Numbers are kept as they are written.

class Num { constructor(text) { this.text = text; } }

const maxDepth = 64, maxMembers = 256, maxFile = 32 << 20, maxEntry = 16 << 20, maxParts = 65000;

// parse returns the value, how many arrays and objects are in each other at most, and where
// the whole and the entries of a Bundle stand.
function parse(text) {
  let at = 0, depth = 0, deepest = 0;
  const places = new Map();
  const fail = (why) => { throw new Error(why); };
  const space = () => { while (at < text.length && " \n\r\t".includes(text[at])) at++; };
  const string = () => {
    const from = at++;
    for (;;) {
      const c = text.charCodeAt(at);
      if (c === 34) break;
      if (!(c >= 32)) fail("a string does not end, or has a control character in it");
      at += c === 92 ? 2 : 1;
    }
    let s;
    try { s = JSON.parse(text.slice(from, ++at)); } catch { fail("what follows a backslash is no character"); }
    if (!wellFormed(s)) fail("what follows a backslash is no character");
    return s;
  };
  const enter = () => {
    deepest = Math.max(deepest, ++depth);
    if (depth > maxDepth) fail("too many arrays and objects are in each other");
    at++;
    space();
  };
  const value = () => {
    const c = text[at];
    if (c === "{") {
      const out = Object.create(null), names = new Set(), from = at;
      enter();
      while (text[at] !== "}") {
        if (names.size > 0) {
          if (text[at] !== ",") fail("a comma or '}' is missing");
          at++;
          space();
        }
        if (text[at] !== '"') fail("a name is missing");
        const name = string();
        if (!/^[ -~]*$/.test(name)) fail("a name has a character that names in FHIR never have");
        const folded = name.toLowerCase();
        if (names.has(folded)) fail("the name " + JSON.stringify(name) + " stands twice in one object");
        if (names.size === maxMembers) fail("an object has more than 256 members");
        names.add(folded);
        space();
        if (text[at] !== ":") fail("a colon is missing");
        at++;
        space();
        out[name] = value();
        space();
      }
      at++;
      if (depth === 1 || depth === 3) places.set(out, [from, at]);
      depth--;
      return out;
    }
    if (c === "[") {
      const out = [];
      enter();
      while (text[at] !== "]") {
        if (out.length > 0) {
          if (text[at] !== ",") fail("a comma or ']' is missing");
          at++;
          space();
        }
        out.push(value());
        space();
      }
      at++;
      depth--;
      return out;
    }
    if (c === '"') return string();
    for (const [word, v] of [["true", true], ["false", false], ["null", null]]) {
      if (text.startsWith(word, at)) { at += word.length; return v; }
    }
    const number = /-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
    number.lastIndex = at;
    const m = number.exec(text);
    if (!m) fail("a value is missing");
    at += m[0].length;
    return new Num(m[0]);
  };
  space();
  const v = value();
  space();
  if (at < text.length) fail("more follows where it should end");
  return { whole: v, deepest, places };
}

function wellFormed(s) { return !/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(s); }

// Members of an object, found by their exact names. One that is of another kind than it
// should be is not there. Other versions of FHIR have one where R4 has a list: one is a list
// of one.

const isObject = (v) => v !== null && typeof v === "object" && !Array.isArray(v) && !(v instanceof Num);
const blank = "[\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
const ends = new RegExp("^" + blank + "+|" + blank + "+$", "g");
const trim = (s) => s.replace(ends, "");
const fields = (s) => s.split(new RegExp(blank + "+")).filter((w) => w !== "");
const str = (t, k) => t && typeof t[k] === "string" ? trim(t[k]) : "";
const obj = (t, k) => t && isObject(t[k]) ? t[k] : null;
const list = (t, k) => !t || t[k] === undefined || t[k] === null ? [] : Array.isArray(t[k]) ? t[k] : [t[k]];
const objs = (t, k) => list(t, k).filter(isObject);
const strs = (t, k) => list(t, k).filter((s) => typeof s === "string");
const num = (t, k) => t && t[k] instanceof Num ? t[k].text : "";
const is = (t, k) => !!t && t[k] === true;

// Texts.

function cmp(a, b) { // by characters, not by halves of them
  if (a === b) return 0;
  for (let i = 0; i < a.length && i < b.length; i++) {
    let x = a.charCodeAt(i), y = b.charCodeAt(i);
    if (x === y) continue;
    if (x >= 0xd800 && y >= 0xd800) { x = (x + 0x2000) & 0xffff; y = (y + 0x2000) & 0xffff; }
    return x < y ? -1 : 1;
  }
  return a.length - b.length;
}
const sorted = (l) => [...l].sort(cmp);
const uniq = (l) => sorted(new Set(l));
const listed = (l) => [...new Set(l)].filter((s) => s !== "");
const thousands = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ",");
const counted = (n, one, many) => n === 1 ? "1 " + one : thousands(n) + " " + many;
const few = (l, sep) => l.length > 20 ? l.slice(0, 20).join(sep) + sep + "and " + (l.length - 20) + " more" : l.join(sep);
const prefixed = (p, s) => s === "" ? "" : p + s;
const sameFold = (a, b) => a.toLowerCase() === b.toLowerCase();
const byteLength = (s) => new TextEncoder().encode(s).length;
const many = (n) => n === 2 ? "twice" : counted(n, "time", "times");

// Codes.

const SNOMED = "http://snomed.info/sct", LOINC = "http://loinc.org", UCUM = "http://unitsofmeasure.org";
const ABSENT = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips";
const nullSystems = new Set(["http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "http://hl7.org/fhir/v3/NullFlavor", "urn:oid:2.16.840.1.113883.5.1008",
  "http://terminology.hl7.org/CodeSystem/data-absent-reason", "http://hl7.org/fhir/data-absent-reason"]);
const vague = new Set(["106190000", "419199007", "420134006", "418038007", "419511003", "418471000",
  "416098002", "414285001", "426232007", "782197009", "235719002", "59037007"]);
const things = new Set([SNOMED, "http://www.nlm.nih.gov/research/umls/rxnorm", "http://fdasis.nlm.nih.gov", "http://hl7.org/fhir/ndfrt", "http://hl7.org/fhir/sid/ndc",
  "http://www.whocc.no/atc", "http://hl7.org/fhir/sid/icd-10", "http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-9-cm", "http://hl7.org/fhir/sid/cvx"]);
const unspecific = (c) => nullSystems.has(c.system) || c.system === SNOMED && vague.has(c.code);
const isThing = (c) => things.has(c.system) && !unspecific(c);

function conceptOf(t) {
  t = obj(t, "concept") || t; // of a CodeableReference of R5
  const c = { codes: [], name: str(t, "text") };
  let display = "", code = "";
  for (const x of objs(t, "coding").slice(0, 100)) {
    const got = { system: str(x, "system"), code: str(x, "code"), display: str(x, "display") };
    if (display === "" || is(x, "userSelected") && got.display !== "") display = got.display;
    code = code || got.code;
    if (got.system !== "" && got.code !== "") c.codes.push(got);
  }
  c.name = c.name || display || code;
  return c;
}
const concepts = (t, k) => list(t, k).filter((x) => isObject(x) || typeof x === "string").map((x) => typeof x === "string" ? { codes: [], name: trim(x) } : conceptOf(x));
function concept(t, k) { // of several all that they say
  const all = concepts(t, k).slice(0, 100);
  return { codes: all.flatMap((c) => c.codes), name: listed(namesOf(all)).join(" / "), several: all.length > 1 };
}
const firstCode = (c) => c.codes.length ? c.codes[0].code : "";
const namesOf = (cs) => cs.map((c) => c.name).filter((n) => n !== "");

function word(t, key, ...wanted) {
  for (const x of objs(obj(t, key), "coding")) if (wanted.includes(str(x, "code"))) return str(x, "code");
  const c = concept(t, key), name = str(t, key) || c.name, plain = name.toLowerCase().replaceAll(" ", "-");
  if (wanted.includes(plain)) return plain;
  return name !== "" && /^\d+$/.test(firstCode(c)) ? name.toLowerCase() : firstCode(c) || name;
}

function groupOf(name, codes) {
  let best = "";
  for (const c of codes) {
    if (unspecific(c)) continue;
    const key = (c.system === LOINC ? "\0" : "") + c.system + "|" + c.code;
    if (best === "" || cmp(key, best) < 0) best = key;
  }
  if (best === "") return "name|" + fields(name).join(" ").toLowerCase();
  return best.replace(/^\0/, "");
}

// Dates and numbers.

const fhirDate = /^\d{4}(-\d\d(-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?)?)?$/;
const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const daysIn = (y, m) => m === 2 ? (y % 4 === 0 && (y % 100 !== 0 || y % 400 === 0) ? 29 : 28) : [4, 6, 9, 11].includes(m) ? 30 : 31;

const isMonth = (m) => +m >= 1 && +m <= 12, isDay = (y, m, d) => isMonth(m) && +d >= 1 && +d <= daysIn(+y, +m);

// date is a member that should hold one; "" if it does not, or if the calendar has no such day.
function date(t, k) {
  const s = str(t, k);
  if (!fhirDate.test(s)) return "";
  const [y, m, d] = s.slice(0, 10).split("-");
  return m === undefined || (d === undefined ? isMonth(m) : isDay(y, m, d)) ? s : "";
}

function shownTime(s) { // as far as it stands there: a day, a month
  let m = /^(\d{4})-(\d\d)-(\d\d)/.exec(s);
  if (byteLength(s) >= 10) return m && isDay(m[1], m[2], m[3]) ? +m[3] + " " + months[m[2] - 1] + " " + m[1] : s;
  m = /^(\d{4})-(\d\d)/.exec(s);
  return m && isMonth(m[2]) ? months[m[2] - 1] + " " + m[1] : s;
}

// notDates are the texts in members of an object that should be dates and are none.
const dates = new Set(("effectiveDateTime effectivePeriod effectiveInstant performedDateTime performedPeriod occurrenceDateTime occurrencePeriod " +
  "onsetDateTime onsetPeriod whenHandedOver whenPrepared started servicedDate servicedPeriod billablePeriod period authoredOn recordedDate assertedDate " +
  "dateAsserted issued createdDateTime date created recorded authored sent").split(" "));
function notDates(t) {
  const out = [];
  for (const key of sorted(Object.keys(t || {}))) {
    if (key !== "start" && key !== "end") {
      if (key.endsWith("Period")) { out.push(...notDates(obj(t, key))); continue; }
      if (!dates.has(key) && !key.endsWith("DateTime")) continue;
    }
    const s = str(t, key) || num(t, key);
    if (s !== "" && date(t, key) === "") out.push(s);
  }
  return out;
}

// pointOf is a date with a time as one point, in a form that sorts; "" for anything coarser.
function pointOf(s) {
  const m = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:Z|([+-])(\d\d):(\d\d))$/.exec(s);
  if (!m || +m[2] < 1 || +m[2] > 12 || +m[3] < 1 || +m[3] > daysIn(+m[1], +m[2]) || +m[4] > 23 || +m[5] > 59 || +m[6] > 59 || +(m[9] || 0) > 24 || +(m[10] || 0) > 59) return "";
  const t = new Date(0);
  t.setUTCFullYear(+m[1], m[2] - 1, +m[3]);
  t.setUTCHours(+m[4], +m[5], +m[6]);
  const offset = m[8] ? (m[8] === "-" ? -1 : 1) * (+m[9] * 60 + +m[10]) * 60000 : 0;
  return new Date(t.getTime() - offset).toISOString().slice(0, 19) + "." + (m[7] || "").padEnd(9, "0").slice(0, 9) + "Z";
}
const sortTime = (s) => pointOf(s) || s;

function span(t, key) {
  const p = obj(t, key + "Period"), age = obj(t, key + "Age");
  return {
    begin: date(t, key + "DateTime") || date(t, key + "Instant") || date(t, key + "Date") || date(p, "start"), end: date(p, "end"),
    said: str(t, key + "String") || (age ? trim("at age " + num(age, "value") + " " + (str(age, "unit") || str(age, "code"))) : prefixed("at age ", amountText(obj(t, key + "Range")))),
  };
}

function number(s) { // null: none that may be compared
  if (!/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(s) || s.length > 64) return null;
  const n = Number(s);
  return Number.isFinite(n) ? n : null;
}

// rounded has so many significant digits, halves to even; e is the power of ten of the first.
function rounded(n, digits) {
  const [mantissa, e] = Math.abs(n).toExponential(99).split("e"), d = mantissa.replace(".", "");
  let head = BigInt(d.slice(0, digits)), power = +e;
  const rest = d.slice(digits), half = "5".padEnd(rest.length, "0");
  if (rest > half || rest === half && head % 2n === 1n) head++;
  let text = head.toString();
  if (text.length > digits) { text = text.slice(0, digits); power++; }
  return { text, power };
}

function numberText(s) {
  const n = number(s);
  if (n === null) return s.length > 64 ? s.slice(0, 64) + "…" : s;
  const e = /[eE]/.test(s), digits = s.replace(/^-+/, "").replace(/^[0.]+/, "").replaceAll(".", "").split("e")[0];
  if (!e && (!s.includes(".") || digits.length <= 4)) return s;
  const size = Math.abs(n), sign = n < 0 || Object.is(n, -0) ? "-" : "";
  if (size >= 1000 && size < 1e15) {
    const whole = Math.floor(size), half = size - whole;
    return sign + (half > 0.5 || half === 0.5 && whole % 2 === 1 ? whole + 1 : whole);
  }
  if (size === 0) return sign + "0";
  const r = rounded(n, 4), kept = r.text.replace(/0+$/, ""), precision = 4 > kept.length && kept.length > r.power ? kept.length : 4;
  if (r.power < -4 || r.power >= precision) {
    return sign + kept[0] + (kept.length > 1 ? "." + kept.slice(1) : "") + "e" + (r.power < 0 ? "-" : "+") + String(Math.abs(r.power)).padStart(2, "0");
  }
  if (r.power < 0) return sign + "0." + "0".repeat(-r.power - 1) + kept;
  const all = kept.padEnd(r.power + 1, "0");
  return sign + all.slice(0, r.power + 1) + (all.length > r.power + 1 ? "." + all.slice(r.power + 1) : "");
}

// Units that are usual, in small letters, each with one name for all of its spellings.
const units = new Map();
for (const line of [
  "kg", "g", "mg", "ug µg μg mcg", "ng", "pg", "l", "dl", "ml", "ul µl μl", "fl", "mol", "mmol", "umol µmol μmol", "nmol", "pmol", "meq",
  "mol/l", "mmol/l", "umol/l µmol/l μmol/l", "nmol/l", "pmol/l", "meq/l", "g/l", "g/dl", "mg/l", "mg/dl", "ug/l µg/l μg/l mcg/l", "ug/dl µg/dl μg/dl mcg/dl", "ug/ml µg/ml μg/ml mcg/ml",
  "ng/l", "ng/dl", "ng/ml", "pg/ml", "u/l [u]/l", "iu/l [iu]/l", "mmol/mol", "%", "mg/g", "mg/mmol",
  "m", "cm", "mm", "[in_i] in inch inches", "[ft_i] ft", "[lb_av] lb lbs", "[oz_av] oz", "cel °c", "[degf] °f", "mm[hg] mmhg mm hg", "kpa", "h hr", "min", "s sec", "d",
]) {
  const all = line.split(" ");
  for (const one of all) units.set(one, all[0]);
}
function torn(q) {
  const text = units.get(str(q, "unit").toLowerCase()), code = units.get(str(q, "code").toLowerCase());
  return text !== undefined && code !== undefined && text !== code;
}
const unitText = (q) => torn(q) ? str(q, "unit") + " (by its code " + str(q, "code") + ")" : str(q, "unit") || str(q, "code");
function quantityWith(q, text) {
  const n = num(q, "value") || str(q, "value");
  return n === "" ? "" : trim(str(q, "comparator") + text(n) + " " + unitText(q));
}
const quantityText = (q) => quantityWith(q, numberText);
const quantityExact = (q) => quantityWith(q, (s) => s.slice(0, 64));

function humanName(names) {
  const order = ["official", "usual", "", "temp", "nickname", "anonymous", "old", "maiden"];
  let best = "", rank = 99;
  for (const n of names) {
    const s = str(n, "text") || [...strs(n, "given"), ...strs(n, "family")].filter((w) => w !== "").join(" ");
    let at = order.indexOf(str(n, "use"));
    if (at < 0) at = 98;
    if (s !== "" && at < rank) { best = s; rank = at; }
  }
  return best;
}

const runs = (p) => prefixed(" from ", shownTime(str(p, "start"))) + prefixed(" until ", shownTime(str(p, "end"))); // a period in words

const otherMeaning = (why) => "may mean something else: " + few(why, ", ");
const cutShort = (meta) => [...objs(meta, "security"), ...objs(meta, "tag")].some((c) => str(c, "code") === "SUBSETTED");

// What a code says of a whole section: International Patient Summary 2.0.0, and single codes
// of SNOMED CT with our own words for what they are about.
const absences = new Map();
for (const [system, code, section, what, scope] of [
  [ABSENT, "no-known-allergies", "allergies", "none", ""], [ABSENT, "no-known-medication-allergies", "allergies", "none", "medication"],
  [ABSENT, "no-known-food-allergies", "allergies", "none", "food"], [ABSENT, "no-known-environmental-allergies", "allergies", "none", "environment"],
  [ABSENT, "no-allergy-info", "allergies", "noInfo", ""], [ABSENT, "no-known-medications", "medicines", "none", ""], [ABSENT, "no-medication-info", "medicines", "noInfo", ""],
  [ABSENT, "no-known-problems", "problems", "none", ""], [ABSENT, "no-problem-info", "problems", "noInfo", ""],
  [ABSENT, "no-known-immunizations", "immunizations", "none", ""], [ABSENT, "no-immunization-info", "immunizations", "noInfo", ""],
  [ABSENT, "no-known-procedures", "procedures", "none", ""], [ABSENT, "no-procedure-info", "procedures", "noInfo", ""],
  [ABSENT, "no-known-devices", "devices", "none", ""], [ABSENT, "no-device-info", "devices", "noInfo", ""],
  [SNOMED, "716186003", "allergies", "none", ""], [SNOMED, "409137002", "allergies", "none", "medication"], [SNOMED, "429625007", "allergies", "none", "food"],
  [SNOMED, "428607008", "allergies", "none", "environment"], [SNOMED, "716184000", "allergies", "none", "latex"],
  [SNOMED, "428197003", "allergies", "none", "insect"], [SNOMED, "1003774007", "allergies", "none", "latex"],
  [SNOMED, "787481004", "medicines", "none", ""], [SNOMED, "160245001", "problems", "none", ""],
]) absences.set(system + "|" + code, { section, what, scope });
const absence = (c) => absences.get(c.system + "|" + c.code);

// noKnown is of what an allergy's words say that none is known; null if they say more.
function noKnown(c) {
  const plain = (s) => s.replaceAll("’", "'").toLowerCase().split(/[^\p{L}\p{Nd}']+/u).filter((w) => w !== "").join(" ");
  if (c.codes.some((x) => x.display === "" && isThing(x))) return null;
  for (const s of [c.name, ...c.codes.map((x) => x.display).filter((d) => d !== "")].map(plain)) {
    if (!/^no ([^ ]+ )?known( |$)/.test(s) || !/ (allerg|intoleranc)/.test(s) || / (but|except|other|apart|besides)( |$)/.test(s)) return null;
  }
  let of = "";
  for (const w of plain(c.name).split(" ")) {
    if (/^(drug|medication|medicine)s?$/.test(w)) of = "medication";
    else if (of === "" && !/^(no|known|current|allerg(y|ies|ic)|intolerances?|reactions?|to|any|finding|situation|or|and)$/.test(w)) of = w;
  }
  return of;
}

// What a Composition calls sections (LOINC, International Patient Summary).
const sections = new Map(Object.entries({
  "48765-2": ["allergies", ""], "10160-0": ["medicines", ""], "11450-4": ["problems", ""], "11348-0": ["problems", "past illness"],
  "11369-6": ["immunizations", ""], "30954-2": ["results", ""], "8716-3": ["results", "vital signs"], "47519-4": ["procedures", ""],
  "46264-8": ["devices", ""],
}));

// Words for codes of interpretation: http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation.
const flags = new Map(Object.entries({
  H: "high", HU: "high", HH: "critically high", L: "low", LU: "low", LL: "critically low",
  A: "abnormal", AA: "critically abnormal", N: "normal", POS: "positive", NEG: "negative", IND: "indeterminate",
  "<": "below what can be measured", ">": "above what can be measured", R: "resistant", S: "susceptible", I: "intermediate",
  DET: "detected", ND: "not detected",
}));
function interpretation(c) {
  for (const x of c.codes) if (flags.has(x.code)) return flags.get(x.code);
  return flags.get(c.name) || c.name;
}

// The file: its entries, and what references in it name.

class File {
  constructor(text) {
    const { whole, deepest, places } = parse(text);
    if (!isObject(whole)) throw new Error("it is no object");
    this.all = [];
    this.parts = 0;
    this.byURL = new Map();
    this.byName = new Map();
    this.said = [];
    this.items = [];
    this.others = [];
    this.whos = [];
    this.ofKey = new Map();
    this.part = cutShort(obj(whole, "meta"));
    this.made = str(whole, "resourceType") === "Bundle" ? date(whole, "timestamp") : "";
    this.rules = typeof whole.implicitRules === "string" ? whole.implicitRules : "";
    const bundle = str(whole, "resourceType") === "Bundle";
    const entries = bundle ? whole.entry : [{ resource: whole }];
    if (!Array.isArray(entries) || entries.length === 0) throw new Error("a Bundle without an entry");
    if (!bundle && deepest > maxDepth - 3) throw new Error("too many arrays and objects are in each other"); // so that it can stand in a Bundle
    entries.forEach((e, i) => {
      const [from, to] = places.get(bundle ? e : whole) || [0, 0];
      if (to - from > maxEntry / 3 && byteLength(text.slice(from, to)) > maxEntry) throw new Error("entry " + (i + 1) + ": it is larger than 16 MiB");
      this.entry(e, i + 1);
    });
    for (const same of this.byName.values()) {
      for (const a of same) {
        const at = pointOf(str(obj(a.tree, "meta"), "lastUpdated"));
        a.older = at !== "" && a.url !== "" && same.slice(0, 100).some((b) => {
          const then = pointOf(str(obj(b.tree, "meta"), "lastUpdated"));
          return then !== "" && a.url === b.url && at < then;
        });
      }
    }
    this.patients = this.all.filter((r) => r.type === "Patient").map((r) => this.patient("entry " + r.entry, r));
    for (const r of this.all) {
      this.resource(r);
      for (const c of objs(r.tree, "contained")) { const inner = contained(r, c); if (readerOf(inner)) this.resource(inner); }
    }
  }

  entry(e, n) {
    if (!isObject(e) || !isObject(e.resource)) throw new Error("entry " + n + ": it has no resource");
    const tree = e.resource, type = tree.resourceType;
    if (typeof type !== "string" || !/^[A-Za-z0-9]{1,64}$/.test(type)) throw new Error("entry " + n + ": a resource has no resourceType");
    this.parts += tree.text === undefined ? 1 : 2;
    if (this.parts > maxParts) throw new Error("it has more than 65000 parts");
    delete tree.text; // its own narrative is never read
    const outer = Object.assign(Object.create(null), e);
    delete outer.resource;
    const url = typeof e.fullUrl === "string" ? e.fullUrl : "", name = type + "/" + str(tree, "id");
    const r = { tree, entry: n, url, type, base: url.endsWith("/" + name) ? url.slice(0, url.length - name.length) : "", may: this.otherwise(outer, tree), older: false, within: null, inside: null };
    this.all.push(r);
    if (this.byURL.has(url)) this.byURL.set(url, null); // it names neither
    else if (url !== "") this.byURL.set(url, r);
    if (str(tree, "id") !== "") this.byName.set(name, [...(this.byName.get(name) || []), r]);
  }

  // otherwise is why an entry may mean something else than it says.
  otherwise(outer, tree) {
    const why = new Set();
    const walk = (v) => {
      if (isObject(v)) {
        for (const x of objs(v, "modifierExtension")) why.add("it has " + (str(x, "url") || "a modifier without a name") + ", which is not understood here");
        for (const k in v) walk(v[k]);
      } else if (Array.isArray(v)) v.forEach(walk);
    };
    walk(outer);
    walk(tree);
    for (const rules of [this.rules, str(tree, "implicitRules")]) if (rules !== "") why.add("it follows the rules " + rules + ", which are not known here");
    return sorted(why);
  }

  find(from, reference) {
    reference = reference.split("/_history/")[0];
    if (reference.startsWith("#")) {
      const c = containing(from).get(reference.slice(1));
      return c && reference !== "#" ? contained(from, c) : null;
    }
    const named = this.byName.get(reference) || [];
    return this.byURL.get(reference) || from.base !== "" && this.byURL.get(from.base + reference) ||
      named.length === 1 && (from.base === "" || named[0].base === "" || from.base === named[0].base) && named[0] || null;
  }

  refName(from, ref, further = true) {
    if (str(ref, "display") !== "") return str(ref, "display");
    const found = this.find(from, str(ref, "reference"));
    if (!found) return str(obj(ref, "identifier"), "value");
    switch (found.type) {
      case "Organization": case "Location": return str(found.tree, "name");
      case "Device": return deviceName(found.tree) || concept(found.tree, "type").name;
      case "PractitionerRole":
        if (!further) return "";
        return this.refName(found, obj(found.tree, "practitioner"), false) || this.refName(found, obj(found.tree, "organization"), false);
    }
    return humanName(objs(found.tree, "name"));
  }

  // Persons. Nobody is guessed where there are several.

  addWho(key) {
    const who = { ids: [], names: [], born: [], gender: [], urls: [], local: "", known: false, only: null, other: false, nobody: false, entries: 0, seq: this.whos.length, may: [], called: [], contacts: [] };
    this.ofKey.set(key, who);
    this.whos.push(who);
    return who;
  }

  patient(key, r) {
    if (this.ofKey.has(key)) return this.ofKey.get(key);
    const who = this.addWho(key), t = r.tree;
    who.known = true;
    who.may = r.may;
    who.ids = identifiersOf(objs(t, "identifier").slice(0, 100));
    who.names = objs(t, "name").slice(0, 100).map((n) => humanName([n])).filter((s) => s !== "");
    const best = humanName(objs(t, "name"));
    if (best !== "") who.names = [best, ...who.names.filter((s) => s !== best)];
    who.called = objs(t, "name").slice(0, 5).map(spellingOf);
    if (str(t, "birthDate") !== "") who.born = [str(t, "birthDate")]; // one that is no date is as good to tell two apart
    if (str(t, "gender") !== "") who.gender = [str(t, "gender")];
    if (r.url !== "") who.urls = [r.url];
    if (!r.within && str(t, "id") !== "") who.local = "Patient/" + str(t, "id");
    for (const c of objs(t, "contact").slice(0, 100)) this.contact(who, r, c);
    return who;
  }

  // contact adds one of a Patient's contacts, or a RelatedPerson, which has the same members.
  contact(who, r, c) {
    const says = [concept(c, "relationship").name];
    for (const t of objs(c, "telecom").slice(0, 100)) {
      const value = str(t, "value"), how = str(t, "system"), use = str(t, "use");
      if (value !== "") says.push((how !== "" && how !== "other" ? how + " " : "") + value + (use !== "" ? " (" + use + ")" : "") + runs(obj(t, "period")));
    }
    for (const a of objs(c, "address").slice(0, 100)) {
      says.push(str(a, "text") || [...strs(a, "line"), trim(str(a, "postalCode") + " " + str(a, "city")), str(a, "state"), str(a, "country")].filter((s) => s !== "").join(", "));
    }
    if (c.active === false) says.push("no longer in use, says its source");
    says.push(runs(obj(c, "period")).replace(/^ /, ""));
    if (r.may.length > 0 && r.type !== "Patient") says.push(otherMeaning(r.may));
    const name = humanName(objs(c, "name")) || this.refName(r, obj(c, "organization"), true), text = says.filter((s) => s !== "").join(", ");
    if (name !== "" || text !== "") who.contacts.push({ name, text });
  }

  nobody(type) {
    const key = "not a person " + type, who = this.ofKey.get(key) || this.addWho(key);
    who.other = true;
    return who;
  }

  named(reference, display, ids) {
    const key = reference !== "" ? "named " + reference : "named \0" + display;
    if (this.ofKey.has(key)) return this.ofKey.get(key);
    const who = this.addWho(key);
    who.ids = ids;
    if (this.patients && this.patients.length === 1) who.only = this.patients[0];
    if (display !== "") { who.names = [display]; who.called = [{ given: [], all: nameWords(display) }]; }
    else if (reference !== "") who.names = [reference];
    else who.nobody = true;
    if (reference !== "") who.urls = [reference];
    if (reference.startsWith("Patient/") && byteLength(reference) <= 200) who.local = reference.split("/_history/")[0];
    return who;
  }

  whoOf(r, subject) {
    const who = this.findWho(r, subject);
    who.entries++;
    return who;
  }

  findWho(r, subject) {
    if (!subject) return this.patients.length === 1 ? this.patients[0] : this.named("", "", []);
    const reference = str(subject, "reference"), display = str(subject, "display"), type = str(subject, "type");
    const ids = identifiersOf([obj(subject, "identifier")]);
    if (reference !== "") {
      const found = this.find(r, reference);
      if (found && found.type === "Patient" && reference.startsWith("#")) return this.patient("entry " + r.entry + reference, found);
      if (found && found.type === "Patient") return this.ofKey.get("entry " + found.entry);
      if (found) return this.nobody(found.type);
      const cut = reference.indexOf("/"), typ = cut < 0 ? reference : reference.slice(0, cut);
      if (cut >= 0 && typ !== "Patient" && /^\p{Lu}\p{L}*$/u.test(typ) || type !== "" && type !== "Patient") return this.nobody(typ);
      return this.named(reference, display, ids);
    }
    if (ids.length > 0) return this.named(ids[0].system + "|" + ids[0].value, display, ids);
    return this.named("", display, []);
  }

  resource(r) {
    if (r.type === "Patient") return;
    const t = r.tree;
    const it = { type: r.type, name: "", also: [], group: "", codes: [], status: [], verification: [], criticality: [], category: [], when: "", end: "", recorded: "",
      value: "", original: "", unit: "", range: "", flag: "", dose: [], details: [], notes: [], current: false, copies: [{ entry: r.entry, status: "", by: "" }],
      number: 0, key: "", past: false, odd: false, compared: "", gone: false, holds: false, may: r.may, place: "", at: "", ids: [], keys: [], section: "", who: null };
    const subject = subjectOf(r);
    const read = readerOf(r);
    if (!read && !subject) { this.others.push({ who: null, type: r.type }); return; }
    it.who = this.whoOf(r, subject);
    if (r.type === "RelatedPerson" && !it.who.other) { this.contact(it.who, r, t); return; }
    if (!read || it.who.other) { this.others.push({ who: it.who, type: r.type }); return; }
    for (const id of identifiersOf(objs(t, "identifier").slice(0, 100))) it.ids.push(id.system + "|" + id.value);
    for (const key of ["note", "notes", "comment", "comments"]) it.notes.push(...strs(t, key), ...objs(t, key).map((n) => str(n, "text")));
    it.notes = it.notes.filter((s) => s !== "");
    const places = concepts(t, "bodySite").filter((c) => c.name !== "");
    for (const c of places) it.place += "\0" + groupOf(c.name, c.codes);
    it.at = namesOf(places).join(", ");
    const v = new Reading(this, r, it);
    read(v);
    if (it.section === "") return;
    v.detail(prefixed("at ", it.at));
    if (r.within) v.detail("within another entry");
    for (const s of [...notDates(t), ...notDates(obj(t, "dispenseRequest"))]) {
      it.odd = true;
      v.detail("dated \"" + s + "\", which is not understood");
    }
    if (it.may.length > 0) it.details.unshift(otherMeaning(it.may));
    if (r.older) v.detail("an older version of another entry");
    if (cutShort(obj(t, "meta"))) v.detail("cut short, says its source: not all of it is here");
    it.keys = uniq(it.codes.filter((c) => !unspecific(c)).map((c) => c.system + "|" + c.code));
    it.ids = uniq(it.ids);
    it.copies[0].status = [...it.status, ...it.verification].join(", ");
    this.items.push(it);
  }
}

// What a resource has in it, by id; of one that is contained, what is beside it.
function containing(r) {
  if (!r.inside) {
    r.inside = new Map();
    for (const c of objs(r.tree, "contained")) if (!r.inside.has(str(c, "id"))) r.inside.set(str(c, "id"), c);
  }
  return r.inside;
}
const contained = (r, c) => ({ tree: c, entry: r.entry, url: "", type: str(c, "resourceType"), base: r.base, may: r.may, older: false, within: r, inside: containing(r) });

// subjectOf is whom a resource says that it is about; null if it does not say, and empty if
// what stands there cannot be read. What is contained is about whom the other is about,
// unless it says.
function subjectOf(r) {
  for (const key of ["subject", "patient", "individual", "beneficiary"]) {
    const said = r.tree[key];
    if (said === undefined) continue;
    if (isObject(said)) return said;
    if (typeof said === "string") return { reference: said }; // no FHIR, but clear
    return Array.isArray(said) && said.length === 1 && isObject(said[0]) ? said[0] : {};
  }
  if (!r.within) return null;
  return r.within.type === "FamilyMemberHistory" ? {} : subjectOf(r.within); // about somebody of the family
}

function identifiersOf(l) {
  const out = [];
  for (const id of l) if (str(id, "system") !== "" && str(id, "value") !== "") out.push({ system: str(id, "system"), value: str(id, "value") });
  return out;
}

// One resource that is made an item.

class Reading {
  constructor(file, r, item) { this.file = file; this.r = r; this.t = r.tree; this.item = item; }

  detail(s) { if (s !== "") this.item.details.push(s); }
  of(c) { this.item.name = c.name; this.item.codes = c.codes; }
  find(reference) { return this.file.find(this.r, reference); }

  by(...keys) {
    for (const key of keys) {
      let ref = objs(this.t, key)[0] || null;
      ref = obj(ref, "actor") || ref;
      const s = this.file.refName(this.r, ref);
      if (s !== "") { this.item.copies[0].by = s; return; }
    }
  }

  span(key) {
    const s = span(this.t, key);
    this.item.when = s.begin;
    this.item.end = s.end;
    this.detail(s.said);
  }

  status(...gone) {
    const it = this.item, s = str(this.t, "status");
    if (s !== "") { it.status = [s]; it.gone = gone.includes(s); }
    for (const key of ["notGiven", "wasNotGiven", "notDone", "notPerformed", "wasNotTaken"]) {
      if (is(this.t, key)) { it.gone = true; this.detail("not done, says the source"); }
    }
    if (str(this.t, "taken") === "n") { it.gone = true; this.detail("not taken, says the source"); }
    if (it.gone) this.detail(concept(this.t, "statusReason").name);
  }

  // because says what a medicine or a device is for, where it is here.
  because() {
    const t = this.t, reasons = [...namesOf(concepts(t, "reasonCode")), ...namesOf(concepts(t, "reason"))];
    for (const r of [...objs(t, "reasonReference"), ...objs(t, "reason").map((r5) => obj(r5, "reference"))]) {
      const found = this.find(str(r, "reference")), name = found && concept(found.tree, "code").name || str(r, "display");
      if (name !== "") reasons.push(name);
    }
    if (reasons.length > 0) this.detail("because of " + reasons.join(", "));
  }

  statement(section, what, says, scope, who, when) {
    const st = { section, what, who: this.item.who, text: { says, scope, who, when, entry: this.r.entry, verification: "" } };
    this.file.said.push(st);
    return st.text;
  }

  absent(c, section, when, ...whose) {
    let what = "", scope = "", thing = false;
    for (const code of c.codes) {
      const a = absence(code);
      if (a && a.section === section) { what = a.what; scope = a.scope; } else thing = thing || isThing(code);
    }
    const of = section === "allergies" ? noKnown(c) : null;
    if (what === "" && of !== null) { what = "none"; scope = of; thing = false; }
    if (what !== "" && (thing || c.several)) { // what is there is never less than what is not
      for (const code of c.codes) if (absence(code)) this.detail("its code says too: " + (code.display || code.code));
      return false;
    }
    if (scope === "") scope = uniq(strs(this.t, "category")).join(", ");
    let name = c.name;
    const at = { allergies: "code", problems: "code", immunizations: "vaccineCode", medicines: "medicationCodeableConcept" }[section];
    if (what === "" && c.codes.length === 0 && name === "" && at) {
      for (const x of objs(obj(this.t, at), "extension")) {
        if (str(x, "url") === "http://hl7.org/fhir/StructureDefinition/data-absent-reason") { what = "noInfo"; name = str(x, "valueCode") || "unknown"; }
      }
    }
    if (what === "" || this.item.gone || this.withdrawn() || this.item.may.length > 0) return false;
    this.by(...whose);
    if (!name.includes(" ")) name = name.replaceAll("-", " ");
    const st = this.statement(section, what, name, scope, this.item.copies[0].by, when), sure = word(this.t, "verificationStatus");
    if (sure !== "confirmed") st.verification = sure;
    return true;
  }

  saysNothing() { return this.item.codes.some((c) => absence(c)); }

  withdrawn() {
    return word(this.t, "status", "entered-in-error") === "entered-in-error" ||
      ["entered-in-error", "refuted"].includes(this.verified()) ||
      ["inactive", "resolved"].includes(word(this.t, "clinicalStatus")) ||
      this.r.type.startsWith("Medication") && ["not-taken", "stopped", "cancelled", "declined"].includes(str(this.t, "status"));
  }

  // What is known to be absent is refuted.
  verified() {
    if (concept(this.t, "verificationStatus").codes.some((c) => c.system === SNOMED && c.code === "410516002")) return "refuted";
    return word(this.t, "verificationStatus", "entered-in-error", "refuted");
  }

  clinical() {
    const it = this.item;
    it.recorded = date(this.t, "recordedDate") || date(this.t, "assertedDate");
    let s = word(this.t, "clinicalStatus");
    if (s !== "") it.status = [s];
    s = this.verified();
    if (s !== "") { it.verification = [s]; it.gone = s === "entered-in-error" || s === "refuted"; }
    if (this.saysNothing() && this.withdrawn()) it.gone = true;
    this.by("recorder", "asserter", "participant");
  }

  value(from, it) {
    const q = obj(from, "valueQuantity");
    let r;
    if (q) {
      it.value = quantityText(q);
      it.original = num(q, "value");
      it.unit = unitText(q);
      const n = number(it.original), exact = str(q, "comparator") === "", sure = n !== null && !torn(q);
      const of = torn(q) ? it.unit : str(q, "code") || str(q, "unit");
      it.compared = "q|" + (sure ? String(n) : it.original || str(q, "value")) + "|" + of + str(q, "comparator");
      if (sure && exact && str(q, "system") === UCUM && str(q, "code") !== "") { it.number = n; it.key = str(q, "code"); }
      this.ranges(from, it, q, n, sure && exact);
    } else if (obj(from, "valueCodeableConcept")) {
      const c = concept(from, "valueCodeableConcept");
      it.value = c.name;
      it.compared = "c|" + groupOf(c.name, c.codes);
    } else if ((r = obj(from, "valueRange"))) {
      it.value = trim(quantityText(obj(r, "low")) + " to " + quantityText(obj(r, "high")));
      it.compared = "r|" + it.value;
    } else if ((r = obj(from, "valueRatio"))) {
      it.value = quantityText(obj(r, "numerator")) + " / " + quantityText(obj(r, "denominator"));
      it.compared = "r|" + it.value;
    } else if ((r = obj(from, "valuePeriod"))) {
      it.value = trim(str(r, "start") + " to " + str(r, "end"));
      it.compared = "p|" + it.value;
    } else if ((r = obj(from, "valueSampledData"))) {
      it.value = "a curve, not shown";
      it.compared = "d|" + str(r, "data");
    } else {
      let s = str(from, "valueString") || str(from, "valueDateTime") || str(from, "valueTime") || num(from, "valueInteger");
      if (typeof from.valueBoolean === "boolean") s = from.valueBoolean ? "yes" : "no";
      it.value = s;
      it.compared = "s|" + s;
      if (s === "") {
        for (const key of sorted(Object.keys(from))) {
          if (key.startsWith("value")) { it.value = "a value of a kind that is not shown"; it.compared += "\0" + JSON.stringify(from[key]); }
        }
      }
    }
    if (it.range === "") this.ranges(from, it, null, null, false);
    const s = listed(concepts(from, "interpretation").map(interpretation)).join(", ");
    if (s !== "") {
      const against = { low: "high", high: "low" }[it.flag];
      it.flag = against && (s === "normal" || s.endsWith(against)) ? s + ", says the source, and " + it.flag + " by its range" : s;
    }
  }

  ranges(from, it, q, n, numeric) {
    const given = objs(from, "referenceRange");
    const all = given.filter((r) => { const t = concept(r, "type"); return t.name === "" || t.codes.some((c) => c.code === "normal"); });
    if (all.length === 0) {
      it.range = given.map((r) => trim(rangeText(r) + " (" + concept(r, "type").name + ")")).join(" or ");
      return;
    }
    it.range = all.map(rangeText).join(" or ");
    const r = all[0];
    if (all.length !== 1 || !numeric || this.item.may.length > 0 || objs(r, "appliesTo").length > 0 || obj(r, "age")) return;
    const same = (b) => {
      if (!b || str(b, "comparator") !== "" || torn(b) || str(b, "code") !== "" && str(b, "code") !== str(q, "code") || str(b, "code") === "" && str(b, "unit") !== unitText(q)) return null;
      return number(num(b, "value"));
    };
    const low = same(obj(r, "low")), high = same(obj(r, "high"));
    if (low !== null && n < low) it.flag = "low";
    else if (high !== null && n > high) it.flag = "high";
  }
}

function rangeText(r) {
  const low = obj(r, "low"), high = obj(r, "high"), who = namesOf(concepts(r, "appliesTo"));
  let says = str(r, "text");
  if (says === "") {
    if (low && high) {
      const unit = unitText(low);
      let first = quantityText(low);
      if (unit === unitText(high) && unit !== "" && first.endsWith(" " + unit)) first = first.slice(0, first.length - unit.length - 1);
      says = first + " to " + quantityText(high);
    } else if (low) says = "from " + quantityText(low);
    else if (high) says = "up to " + quantityText(high);
  }
  if (who.length > 0) says += " (" + who.join(", ") + ")";
  return trim(says);
}

const noValue = (from) => prefixed("no value: ", concept(from, "dataAbsentReason").name) || "value not here";

// Doses.

const plainWords = (s) => " " + s.toLowerCase().split(new RegExp("(?:" + blank + "|[,;:()])+")).filter((w) => w !== "").join(" ") + " ";
const saysAlready = (text, words) => plainWords(text).includes(plainWords(words));

function amountText(q) {
  const low = quantityExact(obj(q, "low")), high = quantityExact(obj(q, "high"));
  const of = quantityExact(obj(q, "denominator")) || unitText(obj(q, "denominator"));
  if (of !== "") return quantityExact(obj(q, "numerator")) + " / " + of;
  if (obj(q, "numerator")) return quantityExact(obj(q, "numerator"));
  if (low !== "" && high !== "") return low + " to " + high;
  if (low !== "") return "from " + low;
  if (high !== "") return "up to " + high;
  return quantityExact(q);
}

function repeatText(r) {
  const says = [], upTo = (name) => { const most = num(r, name + "Max"); return most !== "" ? (num(r, name) || "0") + " to " + most : num(r, name); };
  const often = upTo("frequency"), period = upTo("period"), bounds = obj(r, "boundsPeriod");
  if (period !== "") says.push((often || "1") + " in " + period + " " + str(r, "periodUnit"));
  else if (often !== "") says.push(often + " times");
  for (const name of ["dayOfWeek", "timeOfDay", "when"]) says.push(...strs(r, name));
  for (const [before, what, behind] of [
    ["", num(r, "offset"), " min from that"], ["for ", upTo("duration"), " " + str(r, "durationUnit") + " each"], ["", upTo("count"), " times in all"],
    ["for ", amountText(obj(r, "boundsDuration")), ""], ["for ", amountText(obj(r, "boundsRange")), ""],
    ["from ", shownTime(str(bounds, "start")), ""], ["until ", shownTime(str(bounds, "end")), ""],
  ]) if (what !== "") says.push(before + what + behind);
  return says.join(", ");
}

function doseText(d) {
  let says = str(d, "text");
  const add = (s) => { if (s !== "" && !saysAlready(says, s)) says += (says !== "" ? ", " : "") + s; };
  for (const x of [...objs(d, "doseAndRate"), d]) {
    for (const name of ["doseQuantity", "dose", "quantityQuantity", "doseRange", "quantityRange", "rateQuantity", "rateRange", "rateRatio"]) add(amountText(obj(x, name)));
  }
  const timing = obj(d, "timing");
  add(repeatText(obj(timing, "repeat")));
  add(strs(timing, "event").join(", "));
  for (const c of [concept(timing, "code"), concept(d, "site"), concept(d, "route"), concept(d, "method")]) add(c.name);
  for (const key of ["asNeeded", "asNeededBoolean"]) if (is(d, key)) add("as needed");
  for (const c of [...concepts(d, "asNeededFor"), concept(d, "asNeededCodeableConcept")]) add(prefixed("as needed for ", c.name));
  for (const c of concepts(d, "additionalInstruction")) add(c.name);
  add(str(d, "patientInstruction"));
  for (const most of [...objs(d, "maxDosePerPeriod"), obj(d, "maxDosePerAdministration"), obj(d, "maxDosePerLifetime")]) add(prefixed("at most ", amountText(most)));
  return says;
}

// The types that are shown. The others are counted.

function allergy(v) {
  const t = v.t, it = v.item;
  let code = concept(t, "code");
  if (code.name === "") code = concept(t, "substance"); // before R4, as are the words below
  if (v.absent(code, "allergies", date(t, "recordedDate") || date(t, "onsetDateTime"), "recorder", "asserter")) return;
  it.section = "allergies";
  v.of(code);
  v.span("onset");
  v.clinical();
  it.category = sorted(strs(t, "category"));
  const critical = str(t, "criticality");
  if (critical !== "") it.criticality = [new Map([["CRITH", "high"], ["CRITL", "low"], ["CRITU", "unable-to-assess"]]).get(critical) || critical];
  if (it.status.length === 0 && it.verification.length === 0) v.status("entered-in-error", "refuted");
  if (word(t, "type") === "intolerance") v.detail("an intolerance");
  for (const x of objs(t, "reaction")) {
    const s = concept(x, "substance");
    if (s.name !== "" && it.name === "") v.of(s);
    const says = trim((namesOf(concepts(x, "manifestation")).join(", ") || str(x, "description")) + (str(x, "severity") !== "" ? " (" + str(x, "severity") + ")" : "") +
      (s.name !== "" && s.name !== it.name ? " to " + s.name : ""));
    v.detail(prefixed("reaction: ", says));
  }
}

function problem(v) {
  const t = v.t, code = concept(t, "code");
  if (v.absent(code, "problems", date(t, "recordedDate"), "recorder", "asserter")) return;
  v.item.section = "problems";
  v.of(code);
  v.span("onset");
  v.clinical();
  const over = span(t, "abatement");
  v.item.end = over.end || over.begin;
  v.detail(prefixed("ended: ", over.said));
  if (is(t, "abatementBoolean")) { // before R4
    if (v.item.status.length === 0) v.item.status = ["resolved"];
    v.detail("ended, says the source, and not when");
  }
  v.detail(prefixed("severity: ", concept(t, "severity").name));
}

// remedy is which medicine it is, and what is not known of it.
function remedy(v) {
  const t = v.t, it = v.item, r5 = obj(t, "medication");
  let code = r5 ? conceptOf(r5) : concept(t, "medicationCodeableConcept"), state = "";
  const ref = r5 ? obj(r5, "reference") : obj(t, "medicationReference");
  if (ref) {
    const found = v.find(str(ref, "reference"));
    if (found) {
      it.may = uniq([...it.may, ...found.may]);
      code = concept(found.tree, "code");
      if (str(found.tree, "status") === "entered-in-error") { it.gone = true; v.detail("the medicine itself was entered in error, says the source"); }
      const contains = objs(found.tree, "ingredient").map((x) => {
        const r5 = obj(x, "item"), item = r5 ? obj(r5, "reference") : obj(x, "itemReference"), of = v.file.find(found, str(item, "reference"));
        return { name: (of ? concept(of.tree, "code") : r5 ? conceptOf(r5) : concept(x, "itemCodeableConcept")).name || str(item, "display") || "something without a name" };
      });
      const parts = namesOf(contains).join(" / ");
      if (code.name === "") code.name = parts || str(ref, "display");
      else v.detail(prefixed("contains ", parts));
    } else if (str(ref, "display") !== "") {
      code.name = str(ref, "display");
      state = "name only: the medicine itself is not here";
    } else state = "refers to a medicine that is not here";
  }
  return { code, state };
}

// taken is from when to when it is taken, ordered or handed out.
function taken(v) {
  const t = v.t, type = v.item.type;
  let when = span(t, "effective");
  if (when.begin === "" && when.end === "" && when.said === "") when = span(t, "occurence"); // R5 spells it so
  if (type === "MedicationRequest" || type === "MedicationOrder") {
    when.begin = date(t, "authoredOn") || date(t, "dateWritten");
    when.end = date(obj(obj(t, "dispenseRequest"), "validityPeriod"), "end");
  } else if (type === "MedicationDispense") when.begin = date(t, "whenHandedOver") || date(t, "whenPrepared");
  return when;
}

function medicine(v) {
  const t = v.t, it = v.item, status = str(t, "status"), { code, state } = remedy(v), { begin, end, said } = taken(v);
  if (end === "" && v.absent(code, "medicines", begin || date(t, "dateAsserted"), "informationSource", "requester")) return;
  it.section = "medicines";
  v.of(code);
  v.detail(state);
  it.when = begin;
  it.end = end;
  v.detail(said);
  it.recorded = date(t, "dateAsserted");
  const bad = it.gone;
  v.status("entered-in-error", "not-taken", "not-done", "cancelled", "declined");
  it.gone ||= bad;
  if (is(t, "doNotPerform")) { it.gone = true; v.detail("must not be given, says the source"); }
  const intent = str(t, "intent");
  if (intent !== "" && !intent.endsWith("order")) v.detail("its intent is " + intent + ": not an order");
  if (str(t, "taken") === "unk") v.detail("whether it is taken is not known, says the source"); // STU3
  it.current = !["completed", "stopped", "cancelled", "ended"].includes(status);
  if (it.type === "MedicationDispense" && status === "completed") {
    it.current = true;
    v.detail("handed out, and whether it is still taken is not said");
  }
  it.holds = status === "active";
  const adherence = word(obj(t, "adherence"), "code"); // R5: the status says that it was recorded
  if (adherence !== "") {
    it.status = [adherence];
    it.gone = it.gone || adherence === "not-taking";
    it.current = it.current && !adherence.startsWith("stopped");
  }
  if (str(t, "renderedDosageInstruction") !== "") it.dose.push(str(t, "renderedDosageInstruction"));
  for (const d of [...objs(t, "dosage"), ...objs(t, "dosageInstruction")]) {
    const s = doseText(d);
    if (s !== "") it.dose.push(s);
  }
  v.because();
  v.by("informationSource", "requester", "performer");
}

function immunization(v) {
  const t = v.t, code = concept(t, "vaccineCode");
  if (v.absent(code, "immunizations", date(t, "recorded"), "performer")) return;
  v.item.section = "immunizations";
  v.of(code);
  v.span("occurrence");
  v.item.when = v.item.when || date(t, "date"); // before R4
  v.item.recorded = date(t, "recorded");
  v.status("entered-in-error", "not-done");
  if (is(t, "isSubpotent")) v.detail("not at full strength, says the source");
  const reactions = objs(t, "reaction").length;
  if (reactions > 0) v.detail(counted(reactions, "reaction", "reactions") + " to it reported");
  for (const p of objs(t, "protocolApplied")) v.detail(prefixed("dose ", num(p, "doseNumberPositiveInt") || str(p, "doseNumberString")));
  v.by("performer");
}

function procedure(v) {
  const code = concept(v.t, "code");
  if (v.absent(code, "procedures", "", "recorder", "asserter", "performer")) return;
  v.item.section = "procedures";
  v.of(code);
  v.span("performed");
  if (v.item.when === "" && v.item.end === "") v.span("occurrence"); // R5
  v.status("entered-in-error", "not-done");
  v.detail(prefixed("outcome: ", concept(v.t, "outcome").name));
  v.detail(prefixed("complication: ", concept(v.t, "complication").name));
  v.by("performer", "recorder", "asserter");
}

function result(v) {
  const t = v.t, it = v.item, when = span(t, "effective");
  it.section = "results";
  v.of(concept(t, "code"));
  it.when = when.begin || when.end;
  if (it.when === "") v.detail(prefixed("issued ", shownTime(date(t, "issued"))));
  v.detail(when.said);
  v.status("entered-in-error", "cancelled");
  it.category = sorted(concepts(t, "category").map((c) => firstCode(c) || c.name).filter((s) => s !== ""));
  let focus = "";
  const of = objs(t, "focus");
  if (of.length > 0) {
    v.detail("about something or somebody else, says the source");
    focus = "\0focus " + (str(of[0], "reference") || str(of[0], "display"));
  }
  v.value(t, it);
  const parts = [], compared = [];
  for (const c of objs(t, "component")) {
    const part = { value: "", original: "", unit: "", range: "", flag: "", number: 0, key: "", compared: "" };
    v.value(c, part);
    const name = concept(c, "code"), more = listed([part.flag, prefixed("range ", part.range)]);
    parts.push(trim(name.name + " " + (part.value || noValue(c))) + (more.length > 0 ? " (" + more.join(", ") + ")" : ""));
    compared.push((name.codes.length > 0 ? name.codes[0].system + "|" + name.codes[0].code : name.name) + "=" + part.compared);
  }
  if (parts.length > 0) {
    it.value = (it.value !== "" ? [it.value, ...parts] : parts).join(", ");
    it.key = "";
    it.compared += sorted(compared).join("\0");
  }
  if (it.value === "") {
    it.value = noValue(t);
    const n = objs(t, "hasMember").length;
    if (n > 0 && concept(t, "dataAbsentReason").name === "") it.value = counted(n, "value", "values") + " of its own";
  }
  it.group = groupOf(it.name, it.codes) + it.place + focus;
  it.compared += focus;
  if (it.may.length > 0) { it.key = ""; it.group += "\0" + otherMeaning(it.may); }
  if (it.key !== "") it.key = it.group + "\0" + it.key;
  v.by("performer");
}

function device(v) {
  const t = v.t, it = v.item, kind = concept(t, "type"), called = deviceName(t);
  if (v.absent(kind, "devices", "")) return;
  it.section = "devices";
  v.of(kind);
  it.name = it.name || called;
  v.status("entered-in-error");
  if (called !== it.name) v.detail(called);
  v.detail(prefixed("made by ", str(t, "manufacturer")));
  v.detail(prefixed("model ", str(t, "modelNumber") || str(t, "model")));
  v.by("owner");
}

function deviceUse(v) {
  const t = v.t, it = v.item, ref = obj(t, "device"), found = v.find(str(ref, "reference"));
  if (!found) it.name = v.file.refName(v.r, ref) || "a device that is not here";
  else {
    const kind = concept(found.tree, "type");
    if (owned(found) && kind.codes.some(absence)) return; // the device says so itself
    if (v.absent(kind, "devices", "", "source")) return;
    v.of(kind);
    it.name = it.name || v.file.refName(v.r, ref);
  }
  it.section = "devices";
  v.span("timing");
  it.recorded = date(t, "recordedOn");
  v.status("entered-in-error");
  v.because();
  v.by("source");
}

function report(v) {
  const t = v.t, it = v.item;
  it.section = "reports";
  v.of(concept(t, "code"));
  v.span("effective");
  it.when = it.when || date(t, "issued");
  v.status("entered-in-error", "cancelled");
  const all = objs(t, "result"), here = all.filter((ref) => v.find(str(ref, "reference"))).length, away = all.length - here;
  if (away > 0 && here === 0) v.detail(counted(away, "value", "values") + ", not here");
  else if (away > 0) v.detail(counted(here, "value", "values") + " here, " + away + " not here");
  else if (here > 0) v.detail(counted(here, "value", "values") + " here");
  for (const s of [str(t, "conclusion"), ...namesOf([...concepts(t, "conclusionCode"), ...concepts(t, "codedDiagnosis")])]) v.detail(prefixed("conclusion: ", s));
  const n = objs(t, "presentedForm").length;
  if (n > 0) v.detail(counted(n, "document", "documents") + " attached, not shown");
  v.by("performer", "resultsInterpreter");
}

// titled reads what a document has that stands in a file and one that the file is.
function titled(v, title) {
  const t = v.t, it = v.item;
  it.section = "documents";
  v.of(concept(t, "type"));
  it.name = str(t, title) || it.name;
  it.when = date(t, "date");
  v.status("entered-in-error");
  v.by("author", "custodian");
}

function documents(v) {
  const t = v.t, it = v.item;
  titled(v, "description");
  it.gone = it.gone || str(t, "docStatus") === "entered-in-error";
  for (const c of objs(t, "content")) {
    const a = obj(c, "attachment");
    v.detail([str(a, "title"), str(a, "contentType"), "not shown"].filter((s) => s !== "").join(", "));
  }
}

function composition(v) {
  const t = v.t, it = v.item;
  titled(v, "title");
  if (it.gone || it.may.length > 0) return;
  const who = it.copies[0].by;
  const walk = (all, depth) => {
    for (const s of all) {
      if (depth < 8) walk(objs(s, "section"), depth + 1);
      const code = concept(s, "code").codes.find((c) => c.system === LOINC && sections.has(c.code));
      if (!code) continue;
      const [section, scope] = sections.get(code.code), reason = concept(s, "emptyReason");
      if (reason.name !== "") v.statement(section, firstCode(reason) === "nilknown" ? "none" : "noInfo", reason.name, scope, who, it.when);
      else if (objs(s, "entry").length === 0 && objs(s, "section").length === 0 && str(obj(s, "text"), "div") !== "") v.statement(section, "textOnly", str(s, "title") || "text", scope, who, it.when);
    }
  };
  walk(objs(t, "section"), 0);
}

const readers = new Map(Object.entries({
  AllergyIntolerance: allergy, Condition: problem, MedicationStatement: medicine, MedicationRequest: medicine, MedicationOrder: medicine, MedicationDispense: medicine, MedicationAdministration: medicine,
  Immunization: immunization, Observation: result, Procedure: procedure, DiagnosticReport: report, DocumentReference: documents, Composition: composition,
  Device: device, DeviceUseStatement: deviceUse,
}));

// A device that is nobody's is what measured or wrote something, and none that the person has.
const owned = (r) => isObject(r.tree.patient) || isObject(r.tree.subject);
const readerOf = (r) => r.type === "Device" && !owned(r) ? undefined : readers.get(r.type);
const deviceName = (t) => { const n = objs(t, "deviceName"); return n.length ? str(n[0], "name") : ""; };

// Which persons are one: those who share an identifier, with nothing that speaks against it.

const maxAlike = 300;

// Names are compared by words, without accents and with what is written for them where a
// keyboard has none, and only where both are written in one script.
const scripts = ["Latin", "Cyrillic", "Greek", "Arabic", "Hebrew", "Han", "Hangul", "Hiragana", "Katakana", "Devanagari", "Bengali", "Tamil", "Thai", "Armenian", "Georgian"].map((name) => new RegExp("^\\p{Script=" + name + "}", "u"));
const instead = new Map([["ä", "ae"], ["ö", "oe"], ["ü", "ue"], ["ø", "oe"], ["å", "aa"]]);
const unbroken = new Map([["ß", "ss"], ["ø", "o"], ["ł", "l"], ["đ", "d"], ["ð", "d"], ["þ", "th"], ["æ", "ae"], ["œ", "oe"], ["ı", "i"]]);
const folded = (s) => s.toLowerCase().normalize("NFKD").replace(/[\u0300-\u036f]/g, "").replace(/[ßøłđðþæœı]/g, (c) => unbroken.get(c));
const foldedLong = (s) => folded(s.normalize("NFC").toLowerCase().replace(/[äöüøå]/g, (c) => instead.get(c)));
const wordsOf = (s) => s.split(/[^\p{L}\p{M}]+/u).filter((w) => w !== "");
const sortedWords = (s) => sorted(folded(s).split(new RegExp("(?:" + blank + "|,)+")).filter((w) => w !== "")).join(" ");

function nameWords(...names) {
  const out = [];
  for (const name of names) {
    const plain = wordsOf(folded(name)), long = wordsOf(foldedLong(name));
    for (let i = 0; i < plain.length && i < long.length; i++) {
      if (out.length === 10 || out.some((o) => o.plain === plain[i])) continue;
      out.push({ plain: plain[i], long: long[i], script: scripts.findIndex((s) => s.test(plain[i])) });
    }
  }
  return out;
}
const spellingOf = (n) => ({ given: nameWords(...strs(n, "given")), all: nameWords(...strs(n, "given"), ...strs(n, "family"), str(n, "text")) });

// In Latin, Cyrillic and Greek one letter stands for a name that begins with it.
function sameName(w, o) {
  if (w.plain === o.plain || w.plain === o.long || w.long === o.plain || w.long === o.long) return true;
  if (w.script < 0 || w.script > 2) return false;
  return [...w.plain].length === 1 && o.plain.startsWith(w.plain) || [...o.plain].length === 1 && w.plain.startsWith(o.plain);
}
const holdsAll = (these, words) => words.every((w) => these.some((t) => sameName(t, w)));

// otherNames: of their names that can be compared no two fit.
function otherNames(a, b) {
  let any = false;
  for (const s of a) {
    for (const o of b) {
      const given = s.given.length > 0 && o.given.length > 0, x = given ? s.given : s.all, y = given ? o.given : o.all;
      let compared = false, fits = true;
      for (let script = 0; script < scripts.length; script++) {
        const in1 = x.filter((w) => w.script === script), in2 = y.filter((w) => w.script === script);
        if (in1.length === 0 || in2.length === 0) continue;
        compared = true;
        fits = fits && (holdsAll(in1, in2) || holdsAll(in2, in1));
      }
      if (compared && fits) return false;
      any = any || compared;
    }
  }
  return any;
}

function contradiction(a, b) {
  for (const x of a.born) for (const y of b.born) { const n = Math.min(x.length, y.length, 10); if (x.slice(0, n) !== y.slice(0, n)) return "different birth dates"; }
  for (const x of a.gender) for (const y of b.gender) if (x !== y && /^(fe)?male$/.test(x) && /^(fe)?male$/.test(y)) return "different genders";
  return otherNames(a.called, b.called) ? "different names" : "";
}

function contradictions(ws) {
  if (ws.length > maxAlike) return "of too many persons to be one's own";
  let against = "";
  ws.forEach((a, i) => {
    for (const b of ws.slice(0, i)) {
      const why = contradiction(a, b);
      if (why !== "" && (against === "" || why < against)) against = why;
    }
  });
  return against;
}

function joinPersons(file) {
  const all = file.whos.filter((w) => !w.other && (w.known || w.entries > 0)), byID = new Map(), apart = [];
  all.forEach((w, i) => { for (const id of w.ids) { const k = id.system + "\0" + id.value; byID.set(k, [...(byID.get(k) || []), i]); } });
  const up = all.map((_, i) => i), root = (i) => { while (up[i] !== i) i = up[i]; return i; };
  for (const same of byID.values()) {
    const ws = same.map((i) => all[i]), against = contradictions(ws);
    if (against !== "") { apart.push({ ws, against }); continue; }
    for (const i of same.slice(1)) up[root(i)] = root(same[0]);
  }
  const parts = new Map();
  all.forEach((w, i) => parts.set(root(i), [...(parts.get(root(i)) || []), w]));
  let groups = [];
  const group = (whos) => groups.push({ whos, items: [], said: [], others: [] });
  for (const ws of parts.values()) {
    const against = contradictions(ws);
    if (against === "") { group(ws); continue; }
    for (const w of ws) group([w]);
    apart.push({ ws, against });
  }
  const of = new Map();
  for (const g of groups) for (const w of g.whos) of.set(w, g);
  for (const it of file.items) of.get(it.who).items.push(it);
  for (const s of file.said) if (of.has(s.who)) of.get(s.who).said.push(s);
  for (const o of file.others) if (of.has(o.who)) of.get(o.who).others.push(o);
  const order = (g) => {
    const names = sorted(g.whos.flatMap((w) => w.names)), born = g.whos.flatMap((w) => w.born);
    const where = sorted(g.whos.flatMap((w) => [...w.ids.map((id) => id.system + "|" + id.value), file.sum + " " + String(w.seq).padStart(6, "0")]));
    return [g.whos[0].nobody ? "2" : g.whos.some((w) => w.known) ? "0" : "1", names.join("\0"), born.join("\0"), ...where];
  };
  for (const g of groups) g.order = order(g);
  groups.sort((a, b) => compareLists(a.order, b.order, cmp));
  groups.forEach((g, i) => { g.number = i + 1; });
  let perhaps = [];
  for (const x of apart) {
    const persons = [...new Set(x.ws.map((w) => of.get(w).number))].sort((a, b) => a - b);
    if (persons.length > 1) perhaps.push({ persons, why: "An identifier in common, but " + x.against });
  }
  if (groups.length > maxAlike) return { groups, perhaps: [...perhaps, { persons: [], why: "With so many persons it was not looked which of them may be one" }] };
  groups.forEach((a, i) => {
    groups.slice(0, i).forEach((b, j) => { const why = mayBeOne(a, b); if (why !== "") perhaps.push({ persons: [j + 1, i + 1], why }); });
  });
  perhaps.push(...calledAlike(groups));
  perhaps.sort((a, b) => compareLists(a.persons, b.persons, (x, y) => x - y) || cmp(a.why, b.why));
  perhaps = perhaps.filter((x, i) => i === 0 || x.why !== perhaps[i - 1].why || String(x.persons) !== String(perhaps[i - 1].persons));
  return { groups, perhaps };
}

// calledAlike are those who are called the same, Patient/id, of whom one at least is only named.
function calledAlike(groups) {
  const called = new Map(), out = [];
  groups.forEach((g, i) => {
    for (const w of g.whos) {
      if (w.local === "") continue;
      const c = called.get(w.local) || { persons: new Set(), unknown: false };
      c.persons.add(i + 1);
      c.unknown = c.unknown || !w.known;
      called.set(w.local, c);
    }
  });
  for (const [local, c] of called) {
    if (c.unknown && c.persons.size > 1) out.push({ persons: [...c.persons], why: "Their sources say " + local + ", which is one person if they come from one server" });
  }
  return out;
}

function compareLists(a, b, by) {
  for (let i = 0; i < a.length && i < b.length; i++) { const c = by(a[i], b[i]); if (c !== 0) return c; }
  return a.length - b.length;
}

function mayBeOne(g, o) {
  for (const a of g.whos) {
    for (const b of o.whos) {
      if (a.known && b.known && contradiction(a, b) === "" && a.born.some((s) => s.length === 10 && b.born.includes(s)) &&
        a.names.some((s) => b.names.some((t) => sortedWords(s) === sortedWords(t)))) return "The same name and birth date, but no identifier in common";
      if (a.only === b || b.only === a) return "A source that has only one of them refers to the other as well";
      if (a.known !== b.known && a.urls.some((s) => s.includes(":") && b.urls.includes(s))) return "One source refers to somebody by the address under which another has this person";
    }
  }
  return "";
}

// A person's sections.

const lasting = new Set(["Condition", "AllergyIntolerance", "MedicationStatement"]);
const daily = new Set(["Observation", "MedicationAdministration", "Procedure"]);
const shares = (a, b) => a.some((s) => b.includes(s));

function sameDate(a, b) {
  if (daily.has(a.type)) { const s = pointOf(a.when), t = pointOf(b.when); if (s !== "" && t !== "") return s === t; }
  const n = Math.min(a.when.length, b.when.length, 10);
  return a.when.slice(0, n) === b.when.slice(0, n);
}

// sameThing: within one file only what shares an identifier, and all that may tell it apart.
function sameThing(a, b) {
  if (a.type !== b.type || !shares(a.ids, b.ids) || !shares(a.keys, b.keys) || String(a.may) !== String(b.may) || a.place !== b.place || a.type === "Observation" && a.compared !== b.compared) return false;
  return a.when === "" || b.when === "" || lasting.has(a.type) || sameDate(a, b);
}

function merge(items) {
  const out = [], index = new Map();
  for (const it of items) {
    let into = null;
    for (const id of it.ids) {
      into = into || (index.get(it.type + "\0" + id) || []).slice(0, 100).find((m) => m.of.every((x) => sameThing(x, it))) || null;
    }
    if (!into) { into = { of: [] }; out.push(into); }
    into.of.push(it);
    for (const id of it.ids) {
      const k = it.type + "\0" + id, at = index.get(k) || [];
      if (at[at.length - 1] !== into) at.push(into);
      index.set(k, at);
    }
  }
  return out;
}

const worst = new Map();
for (const words of [
  ["active", "recurrence", "relapse", "in-progress", "on-hold", "intended", "draft", "unknown", "preliminary", "registered", "remission", "inactive", "resolved", "completed", "stopped", "final"],
  ["confirmed", "presumed", "provisional", "differential", "unconfirmed", "refuted", "entered-in-error"],
  ["high", "unable-to-assess", "low"],
  ["critically high", "critically low", "critically abnormal", "abnormal"],
]) words.forEach((w, i) => worst.set(w, i - words.length));
const rankOf = (w) => worst.get(w) || 0;
const worstFirst = (l) => uniq(l).sort((a, b) => rankOf(a) - rankOf(b));
const isGone = (m) => m.of.every((x) => x.gone);
const both = (l) => l.join(" / ");

function itemOf(m) {
  const out = { ...m.of[0], current: false, past: true }, gone = isGone(m);
  const names = [], dose = [], details = [], notes = [], status = [], verification = [];
  out.codes = [];
  out.copies = [];
  for (const x of m.of) {
    names.push(x.name);
    out.codes.push(...x.codes);
    dose.push(...x.dose);
    details.push(...x.details);
    notes.push(...x.notes);
    if (x.gone && !gone) details.push("withdrawn by source 1: " + (x.copies[0].status || "no reason given"));
    else { status.push(...x.status); verification.push(...x.verification); }
    out.name = out.name || x.name;
    if (x.when.length > out.when.length || x.when.length === out.when.length && x.when < out.when) out.when = x.when;
    if (x.end > out.end) out.end = x.end;
    if (out.recorded === "" || x.recorded !== "" && x.recorded < out.recorded) out.recorded = x.recorded;
    out.current = out.current || x.current && !x.gone;
    out.past = out.past && x.past;
    out.odd = out.odd || x.odd;
    out.copies.push(x.copies[0]);
  }
  const first = out.name;
  out.also = uniq(names).filter((s) => s !== "" && !sameFold(s, first));
  out.dose = listed(dose);
  out.details = listed(details);
  out.notes = listed(notes);
  out.range = listed(m.of.map((x) => x.range)).join(" or ");
  out.flag = both(worstFirst(listed(m.of.map((x) => x.flag))));
  out.category = uniq(listed(m.of.flatMap((x) => x.category)));
  out.status = worstFirst(listed(status));
  out.verification = worstFirst(listed(verification));
  out.criticality = worstFirst(listed(m.of.flatMap((x) => x.criticality)));
  return out;
}

const sectionNames = ["allergies", "medicines", "problems", "immunizations", "results", "procedures", "devices", "reports", "documents"];

function person(g, file, today) {
  const p = { number: g.number, known: g.whos.some((w) => w.known), names: [], born: [], gender: [], details: [], withdrawn: [], part: file.part };
  for (const w of g.whos) {
    if (w.known || !p.known) p.names.push(...w.names);
    p.born.push(...w.born);
    p.gender.push(...w.gender);
    if (w.may.length > 0) p.details.push(otherMeaning(w.may));
  }
  const first = p.names.length > 0 ? p.names[0] : "";
  p.details = uniq(p.details);
  p.names = uniq(p.names);
  p.born = uniq(p.born);
  p.gender = uniq(p.gender);
  if (p.names.indexOf(first) > 0) p.names = [first, ...p.names.filter((n) => n !== first)];
  g.items.sort((a, b) => a.copies[0].entry - b.copies[0].entry);
  for (const it of g.items) {
    if (it.section !== "medicines") continue;
    it.group = groupOf(it.name, it.codes);
    const n = Math.min(it.end.length, today.length);
    if (it.end !== "" && it.end.slice(0, n) < today.slice(0, n)) { it.current = it.current && it.holds; it.past = true; }
  }
  for (const name of sectionNames) p[name] = { items: [], none: [], noInfo: [], textOnly: [] };
  const merged = merge(g.items);
  for (const m of merged) (isGone(m) ? p.withdrawn : p[m.of[0].section].items).push(itemOf(m));
  for (const s of g.said) p[s.section][s.what].push(s.text);
  for (const name of sectionNames) {
    for (const key of ["none", "noInfo", "textOnly"]) {
      const l = p[name][key].sort((a, b) => a.entry - b.entry || cmp(a.scope, b.scope) || cmp(a.says, b.says));
      p[name][key] = l.filter((s, i) => i === 0 || JSON.stringify(s) !== JSON.stringify(l[i - 1]));
    }
  }
  p.contacts = [...new Map(g.whos.flatMap((w) => w.contacts).map((c) => [c.name + "\0" + c.text, c])).values()].sort((a, b) => cmp(a.name, b.name) || cmp(a.text, b.text));
  sortItems(p);
  p.others = countsOf(g.others);
  p.conflicts = conflictsOf(p, merged);
  return p;
}

function countsOf(others) {
  const n = new Map();
  for (const o of others) n.set(o.type, (n.get(o.type) || 0) + 1);
  return sorted(n.keys()).map((type) => n.get(type) + " " + type);
}

// What holds now comes first, what is worse, what is newer.
function sortItems(p) {
  const low = (s) => s.toLowerCase(), first = (l) => l.length > 0 ? l[0] : "unknown";
  const last = (a, b) => cmp(low(a.name), low(b.name)) || cmp(a.value, b.value) || a.copies[0].entry - b.copies[0].entry;
  const newest = (a, b) => cmp(sortTime(b.when), sortTime(a.when));
  const holds = (a, b) => rankOf(first(a.status)) - rankOf(first(b.status));
  p.allergies.items.sort((a, b) => holds(a, b) || rankOf(first(a.criticality)) - rankOf(first(b.criticality)) || last(a, b));
  p.problems.items.sort((a, b) => holds(a, b) || newest(a, b) || last(a, b));
  for (const s of [p.immunizations, p.procedures, p.devices, p.reports, p.documents]) s.items.sort((a, b) => newest(a, b) || last(a, b));
  p.withdrawn.sort((a, b) => cmp(a.type, b.type) || newest(a, b) || last(a, b));
  const rank = new Map(), name = new Map();
  for (const it of p.medicines.items) {
    const r = it.current ? 0 : 1, n = low(it.name);
    if (!rank.has(it.group) || r < rank.get(it.group)) rank.set(it.group, r);
    if (!name.get(it.group) || cmp(n, name.get(it.group)) < 0) name.set(it.group, n);
  }
  p.medicines.items.sort((a, b) => rank.get(a.group) - rank.get(b.group) || cmp(name.get(a.group), name.get(b.group)) || cmp(a.group, b.group) ||
    a.current !== b.current && (a.current ? -1 : 1) || newest(a, b) || last(a, b));
  const kind = new Map(), named = new Map();
  for (const it of p.results.items) {
    const n = low(it.name), r = it.category.includes("laboratory") ? 2 : it.category.includes("vital-signs") ? 1 : 0;
    kind.set(it.group, Math.max(kind.get(it.group) || 0, r));
    if (!named.get(it.group) || cmp(n, named.get(it.group)) < 0) named.set(it.group, n);
  }
  p.results.items.sort((a, b) => kind.get(b.group) - kind.get(a.group) || cmp(named.get(a.group), named.get(b.group)) || cmp(a.group, b.group) || newest(a, b) || last(a, b));
}

// Where the file says different things of the same. Nothing is decided.

const conflictKinds = ["absence", "withdrawn", "criticality", "status", "verification", "dose", "end", "value", "duplicate"];

function conflictsOf(p, merged) {
  const out = [], seen = new Set();
  const add = (kind, section, says) => out.push({ kind, section, says });
  const label = (m) => m.of[0].name || "something without a name";
  for (const section of ["allergies", "medicines", "problems", "immunizations", "procedures", "results"]) {
    const names = new Map();
    for (const st of p[section].none) {
      if (names.has(st.scope)) continue;
      names.set(st.scope, listed(merged.filter((m) => m.of[0].section === section && !isGone(m) && within(m, st.scope)).map(label)));
    }
    for (const st of p[section].none) {
      if (names.get(st.scope).length === 0) continue;
      const says = st.says + (st.scope !== "" && !st.says.toLowerCase().includes(st.scope) ? " (" + st.scope + ")" : "");
      add("absence", section, "a source says \"" + says + "\", and there is: " + few(names.get(st.scope), ", "));
    }
  }
  for (const m of merged) {
    if (m.of.length < 2) continue;
    const section = m.of[0].section;
    const apart = (kind, of) => {
      const words = worstFirst(m.of.map(of).filter((w) => w !== ""));
      if (words.length > 1) add(kind, section, label(m) + ": " + words.map((w) => w + " (source 1)").join(", "));
    };
    if (!isGone(m) && m.of.some((x) => x.gone)) apart("withdrawn", (x) => x.gone ? "withdrawn" : "listed");
    const one = (l) => l.length > 0 ? l[0] : "";
    apart("criticality", (x) => one(x.criticality));
    if (!["results", "reports", "documents"].includes(section)) apart("status", (x) => one(x.status));
    apart("verification", (x) => one(x.verification));
    apart("dose", (x) => fields(x.dose.join(", then ")).join(" ").toLowerCase());
    apart("value", (x) => x.flag);
    apart("end", (x) => prefixed("to ", shownTime(x.end)));
  }
  const twice = new Map();
  for (const m of merged) {
    if (isGone(m) || !lasting.has(m.of[0].type)) continue;
    for (const code of uniq(m.of.flatMap((x) => x.keys))) {
      const k = m.of[0].section + "\0" + code;
      twice.set(k, [...(twice.get(k) || []), m]);
    }
  }
  for (const of of twice.values()) {
    if (of.length < 2) continue;
    const words = sorted(of.map((m) => { const when = itemOf(m).when; return (when !== "" ? shownTime(when) : "no date") + prefixed(", at ", m.of[0].at) + " (source 1)"; }));
    const text = label(of[0]) + " stands " + many(of.length) + ": " + few(words, "; ") + ". One or several is not said";
    if (!seen.has(text)) { seen.add(text); add("duplicate", of[0].of[0].section, text); }
  }
  return out.sort((a, b) => conflictKinds.indexOf(a.kind) - conflictKinds.indexOf(b.kind) || cmp(a.section, b.section) || cmp(a.says, b.says));
}

function within(m, scope) {
  return m.of.some((x) => {
    const over = !["immunizations", "procedures", "results"].includes(x.section) && x.status.length > 0 && ["inactive", "resolved", "completed", "stopped", "remission"].includes(x.status[0]);
    return !x.gone && !over && (scope === "" || scope.split(", ").some((kind) => x.category.includes(kind) || x.name.toLowerCase().includes(kind)));
  });
}

// The view in words: what stands in each line. Pages only lay them out.

const noAdvice = "This is what the sources say, put side by side. It gives no advice, and what nobody wrote down in them is not here.";

function stateText(s) {
  if (s.items.length > 0) return counted(s.items.length, "entry", "entries") + " listed";
  if (s.none.length > 0) return counted(s.none.length, "source states none", "sources state none");
  if (s.noInfo.length > 0) return counted(s.noInfo.length, "source", "sources") + " had no information";
  return "no information in what was shared";
}

function statementText(st) {
  let says = "\"" + st.says + "\"";
  for (const [name, value] of [["", st.verification], ["scope ", st.scope], ["by ", st.who], ["", shownTime(st.when)]]) if (value !== "") says += ", " + name + value;
  return says;
}

const noDate = (it) => it.odd ? "" : "no date given"; // one is given, and not understood
const itemName = (it) => it.name || "(without a name)";

function itemText(it) {
  const says = [], add = (s) => { if (s !== "") says.push(s); };
  const isMedicine = it.type.startsWith("Medication"), when = shownTime(it.when), end = shownTime(it.end);
  let happens = false;
  if (it.type === "AllergyIntolerance" || it.type === "Condition") add(both(it.status) || "active or not: not said");
  else if (["MedicationStatement", "MedicationRequest", "MedicationOrder", "MedicationDispense", "MedicationAdministration"].includes(it.type)) add(both(it.status) || "status not said");
  else {
    happens = true;
    for (const s of it.status) if (!["completed", "final", "current"].includes(s)) add(s);
  }
  if (both(it.verification) !== "confirmed") add(both(it.verification));
  if (it.criticality.length > 0) add(both(it.criticality) + " criticality");
  if (it.type === "AllergyIntolerance") add(both(it.category));
  add(it.value);
  add(it.flag);
  if (happens && it.when === "" && it.end !== "") add("until " + end);
  else if (happens && it.end !== "" && end !== when) add(when + " to " + end);
  else if (happens) add(when || noDate(it));
  else if (it.when !== "" && it.end !== "") add(when + " to " + end + (it.past ? ", which is past" : ""));
  else if (it.when !== "" && isMedicine) {
    add((it.current ? "since " : "from ") + when);
    if (!it.odd) add("no end given");
  }
  else if (it.when !== "") add("since " + when);
  else if (it.end !== "") add("until " + end);
  else {
    add(noDate(it));
    if (it.recorded !== "") add("recorded " + shownTime(it.recorded));
  }
  add(it.dose.join(" / "));
  it.details.forEach(add);
  if (it.also.length > 0) add("also called " + it.also.join(", "));
  for (const n of it.notes) add("note: " + n);
  return says.join(", ");
}

function groupsOf(items) {
  const out = [];
  items.forEach((it, i) => { if (i > 0 && items[i - 1].group === it.group) out[out.length - 1].push(it); else out.push([it]); });
  return out;
}

function atOnce(a, b) { const s = pointOf(a.when); return a.when === b.when || s !== "" && s === pointOf(b.when); }

// view makes the lines of a file: its text, the day that it is, YYYY-MM-DD, the file's
// SHA-256 in hexadecimal digits. A line is { kind, name, text, trend }; its kind is person,
// section, item, more (of the item before it), note, or about: a section of no person.
function view(text, today, sum) {
  const out = [], line = (kind, name, text, trend = []) => out.push({ kind, name, text, trend }), note = (text) => line("note", "", text);
  let file = null, why = "";
  try {
    if (byteLength(text) > maxFile) throw new Error("it is larger than 32 MiB");
    file = new File(text.replace(/^\ufeff/, ""));
  } catch (e) { why = e.message; }
  note(noAdvice);
  if (!file) {
    note("As of " + shownTime(today) + ", from 0 sources; 1 file not read.");
    note("Nobody is spoken of in what was read.");
    line("about", "Sources", "1 file");
    line("item", "what was shared", "not read: " + why + ", SHA-256 " + sum.slice(0, 16));
    return out;
  }
  file.sum = sum;
  const made = shownTime(file.made);
  const { groups, perhaps } = joinPersons(file), persons = groups.map((g) => person(g, file, today));
  const nobodys = file.others.filter((o) => !o.who || o.who.other), closed = nobodys.filter((o) => o.type === "Bundle" || o.type === "Parameters").length;
  const bundles = counted(closed, "Bundle", "Bundles");
  note((made ? "As it was on " + made + ", looked at on " : "As of ") + shownTime(today) + ", from 1 source" + (file.part ? ", which is PART of a record: other entries may exist" : "") +
    (closed > 0 ? "; " + bundles + " within them not looked into" : "") + (persons.length > 1 ? ". " + persons.length + " persons: each has a heading of their own" : "") + ".");
  for (const x of perhaps) note(x.persons.length === 0 ? x.why + "." : "Perhaps one person, and not put together: persons " + few(x.persons, " and ") + ". " + x.why + ".");
  for (const p of persons) personLines(p, persons.length, line, note);
  if (persons.length === 0) note("Nobody is spoken of in what was read.");
  line("about", "Sources", "1 file");
  const about = countsOf(nobodys);
  line("item", "what was shared", [...(made ? ["as it was on " + made] : []), ...(file.part ? ["PART of a record"] : []), counted(file.all.length, "entry", "entries"), ...(about.length > 0 ? ["not shown: " + about.join(", ")] : []), ...(closed > 0 ? [bundles + " within it not looked into"] : []),
    "SHA-256 " + sum.slice(0, 16)].join(", "));
  return out;
}

function personLines(p, of, line, note) {
  const says = [];
  let name = "Somebody whom no source names";
  if (p.names.length > 0 && p.known) name = p.names[0];
  else if (p.names.length > 0) says.push("referred to as " + p.names[0]);
  if (p.born.length > 0) says.push("born " + p.born.map(shownTime).join(" or "));
  says.push(...p.gender);
  if (of > 1) says.push("person " + p.number);
  line("person", name, says.join(", "));
  if (p.names.length > 1) note("Also written " + p.names.slice(1).join(", ") + ".");
  for (const d of p.details) note("What a source says of who this is " + d + ".");
  if (p.part && of > 1) note("PART of a record: other entries may exist.");
  const contacts = () => {
    if (p.contacts.length > 0) line("section", "Contacts", "whom sources name to be asked or told");
    for (const c of p.contacts) line("item", c.name || "(without a name)", c.text);
  };
  const others = () => { if (p.others.length > 0) line("section", "Not shown", p.others.join(", ")); };
  if (p.withdrawn.length === 0 && sectionNames.every((n) => p[n].items.length + p[n].none.length + p[n].noInfo.length + p[n].textOnly.length === 0)) {
    line("section", "Allergies, medicines and everything else", "no information in what was shared");
    contacts();
    others();
    return;
  }
  const plain = (items) => { for (const it of items) line("item", itemName(it), itemText(it)); };
  const section = (name, s, items) => {
    line("section", name, stateText(s));
    items(s.items);
    for (const st of s.none) line("more", "", "states none: " + statementText(st));
    for (const st of s.noInfo) line("more", "", "had no information: " + statementText(st));
    for (const st of s.textOnly) line("more", "", "has only a text on it, not shown: " + statementText(st));
  };
  section("Allergies", p.allergies, plain);
  section("Medicines", p.medicines, (items) => {
    for (const g of groupsOf(items)) {
      if (g.length === 1) { plain(g); continue; }
      line("item", itemName(g[0]), counted(g.length, "entry", "entries"));
      for (const it of g) line("more", "", itemName(it) + ": " + itemText(it));
    }
  });
  line("section", "Interactions", "not looked for by this page");
  section("Problems", p.problems, plain);
  section("Immunizations", p.immunizations, plain);
  section("Results", p.results, (items) => { for (const g of groupsOf(items)) resultLines(g, line); });
  section("Procedures", p.procedures, plain);
  section("Devices", p.devices, plain);
  section("Reports", p.reports, plain);
  section("Documents", p.documents, plain);
  contacts();
  if (p.withdrawn.length > 0) {
    line("section", "Withdrawn", counted(p.withdrawn.length, "entry", "entries") + " that their sources withdrew, refuted, or say was not done");
    plain(p.withdrawn);
  }
  if (p.conflicts.length > 0) {
    const twice = p.conflicts.filter((c) => c.kind === "duplicate").length, n = p.conflicts.length - twice, counts = [];
    if (n > 0) counts.push(counted(n, "contradiction", "contradictions"));
    if (twice > 0) counts.push(counted(twice, "thing", "things") + " that may stand twice");
    line("section", "Where sources differ", counts.join(", "));
    for (const c of p.conflicts) line("item", c.section, c.says);
  }
  others();
}

function resultLines(g, line) {
  const newest = g[0], says = [newest.value], shown = g.slice(0, 5);
  if (newest.flag !== "") says.push(newest.flag);
  if (newest.original !== "") says.push(prefixed("range ", newest.range) || "no range given");
  else if (newest.range !== "") says.push("range " + newest.range);
  for (const s of newest.status) if (s !== "final") says.push(s);
  const when = shownTime(newest.when) || noDate(newest);
  if (when !== "") says.push(when);
  says.push(...newest.details);
  for (const n of newest.notes) says.push("note: " + n);
  let trend = [];
  if (newest.key !== "") {
    trend = g.filter((it) => it.key === newest.key && it.when !== "").slice(0, 5).map((it) => it.number).reverse();
    if (trend.length < 2 || newest.when === "" || shown.some((it, i) => i > 0 && atOnce(shown[i - 1], it))) trend = [];
  }
  line("item", itemName(newest), says.join(", "), trend);
  if (g.length < 2) return;
  const before = shown.slice(1).map((it) => {
    let value = it.value;
    if (it.unit === newest.unit && it.unit !== "" && value.endsWith(" " + it.unit)) value = value.slice(0, value.length - it.unit.length - 1);
    return value + (it.flag !== "" ? " " + it.flag : "") + " (" + (shownTime(it.when) || noDate(it) || "a date that is not understood") + ")";
  });
  line("more", "", (atOnce(newest, g[1]) ? "at the same time, and before: " : "before: ") + before.join(", ") + (g.length > 5 ? ", and " + (g.length - 5) + " older" : ""));
}

return { view, maxFile };
})();
