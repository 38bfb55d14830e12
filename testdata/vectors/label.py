#!/usr/bin/env python3
"""Writes label.json beside it: FHIR files, and what each of their parts is labelled with.

A second implementation of wallet/health/LABELS.md, made from that page and the files in
wallet/health/tables alone. Files are cut by cut.py. Of the files of this project only the
paths are written, some are written here by hand, and the others are of a generator that draws
from a counter. `label.py FILE...` labels those files instead, and `label.py --drawn FROM TO`
draws those of these numbers; both write to the standard output.
"""

import csv, functools, hashlib, io, json, os, re, sys

import cut

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
TABLES = os.path.join(TOP, "wallet", "health", "tables")
SPACE = " \t\n\r"


def table(name):
    with open(os.path.join(TABLES, name + ".csv"), encoding="utf-8", newline="") as f:
        return rows_of(f)


def rows_of(lines):
    rows = list(csv.reader(line for line in lines if not line.startswith("#")))
    return [dict(zip((c.strip() for c in rows[0]), (c.strip() for c in row))) for row in rows[1:]]


def small(s): return re.sub(r"[A-Z]+", lambda m: m[0].lower(), s)
def capitals(s): return re.sub(r"[a-z]+", lambda m: m[0].upper(), s)
def elements(v): return v if isinstance(v, list) else []
def number(v): return isinstance(v, (int, float)) and not isinstance(v, bool)
def said(v): return isinstance(v, str) and v != ""


def flat(v):
    """The values "in a member": itself, or the elements of its arrays."""
    if isinstance(v, list):
        for e in v:
            yield from flat(e)
    else:
        yield v


# ---- 2. words

def form(s):
    s = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])", " ", s)
    s = small(re.sub(r"[^A-Za-z0-9]+", " ", s))
    return (s if s.startswith(" ") else " " + s) + ("" if s.endswith(" ") else " ")


def word_form(s):
    w = form(s.strip("*"))
    return w[1 if s.startswith("*") else 0:len(w) - (1 if s.endswith("*") else 0)]


ROWS = [r for name in ("hl7", "icd", "loinc", "rxnorm", "snomed", "words") for r in table(name)]
form = functools.lru_cache(100000)(form)


# ---- 3. codes

def address(s):
    s = small(s.split("|")[0].strip(SPACE))
    return re.sub(r"\Ahttps?://", "", s).rstrip("/")


class System:
    def __init__(self, row): self.name, self.codes, self.named = row["name"], row["codes"], row["named"] == "yes"


SYSTEMS, STARS = {}, []
for row in table("systems"):
    a = address(row["system"])
    if a.endswith("*"):
        STARS.append((a[:-1], System(row)))
    else:
        SYSTEMS.setdefault(a, System(row))
for row in table("systems"):
    if row["name"]:
        SYSTEMS.setdefault(row["name"], System(row))
STARS.sort(key=lambda s: -len(s[0]))


def system_of(a):
    s = SYSTEMS.get(a) or next((s for begin, s in STARS if a.startswith(begin)), None)
    return s if s and s.name else None


def code_form(s): return capitals(re.sub(r"[. \t\r\n]", "", s))


class Rows:
    """The rows of the program's own tables, and those of an imported one (section 11)."""

    def __init__(self, imported=()):
        self.word_rows, self.codes, self.begins, self.remembered = [], {}, {}, {}
        for r in list(ROWS) + list(imported):
            if r["system"] == "words":
                self.word_rows.append((word_form(r["code"]), r["says"], r["what"]))
                continue
            a, c = address(r["system"]), code_form(r["code"])
            name = system_of(a).name if system_of(a) else a
            if c.endswith("*"):
                self.begins.setdefault(name, []).append((c[:-1], r["says"], r["what"]))
            else:
                self.codes.setdefault((name, c), []).append((r["says"], r["what"]))
        self.any_word = re.compile("|".join(re.escape(w) for w, _, _ in self.word_rows))

    def words(self, s):
        if s not in self.remembered:
            f = form(s)
            self.remembered[s] = [(says, what) for w, says, what in self.word_rows if w in f] if self.any_word.search(f) else []
        return self.remembered[s]

    def look_up(self, name, code):
        if code == "":
            return []
        return self.codes.get((name, code), []) + [(says, what) for begin, says, what in self.begins.get(name, []) if code.startswith(begin)]


OWN = Rows()

# ---- 4, 5, 8: members, extensions, types

MEMBERS = {r["member"]: r["kind"] for r in table("members")}
EXTENSIONS = [(address(r["extension"]), r["strings"] == "names") for r in table("extensions")]
TYPES = {r["type"]: r for r in table("types")}
CATEGORIES = ("http://terminology.hl7.org/CodeSystem/observation-category", "http://hl7.org/fhir/observation-category")
DATES = """effectiveDateTime effectivePeriod effectiveInstant performedDateTime performedPeriod occurrenceDateTime
occurrencePeriod onsetDateTime onsetPeriod whenHandedOver whenPrepared started servicedDate servicedPeriod billablePeriod
period authoredOn recordedDate assertedDate dateAsserted issued createdDateTime date created recorded authored sent""".split()


def ruled(v):
    rules = v.get("implicitRules")
    return rules is not None and not (isinstance(rules, str) and not rules.strip(SPACE))


def is_resource(v): return isinstance(v, dict) and said(v.get("resourceType"))
def is_concept(v): return isinstance(v, dict) and "coding" in v


def is_coding(v, member):
    if not isinstance(v, dict) or not said(v.get("code")):
        return False
    without = v.get("system") is None
    return not (without and (number(v.get("value")) or MEMBERS.get(member) == "coded"))


def extension_of(url):
    """Whether a line of the table fits, and whether strings are names."""
    a = address(url)
    fits = [names for e, names in EXTENSIONS if (a.startswith(e[:-1]) if e.endswith("*") else a == e)]
    return bool(fits), any(fits)


def category(resource):
    kind = resource["resourceType"]
    if kind == "Observation":
        found = set()
        for c in elements(resource.get("category")):
            for coding in elements(c.get("coding")) if isinstance(c, dict) else []:
                if isinstance(coding, dict) and isinstance(coding.get("system"), str) and address(coding["system"]) in map(address, CATEGORIES):
                    found |= {coding.get("code")} & {"laboratory", "vital-signs"} if isinstance(coding.get("code"), str) else set()
        return {("laboratory",): "labs", ("vital-signs",): "vitals"}.get(tuple(found), "other")
    return TYPES[kind]["category"] if kind in TYPES else "other"


def date(resource):
    if resource["resourceType"] == "Patient":
        return ""
    v = next((resource[n] for n in DATES if n in resource), None)
    if isinstance(v, dict):
        v = v.get("start")
    if not isinstance(v, str):
        return ""
    day = v.split("T")[0]
    m = re.fullmatch(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?", day)
    if not m:
        return ""
    year, month, d = int(m[1]), int(m[2] or 1), int(m[3] or 1)
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= month <= 12 or not 1 <= d <= [31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]:
        return ""
    return day


# ---- 6. names and what points to them

def pieces(s):
    s = s.split("#")[0].split("?")[0].split("/_history/")[0]
    return "/".join(s.split("/")[-2:]) if "/" in s else None


def identifier(v):
    """As a name of an identifier, or None."""
    if not isinstance(v, dict) or not said(v.get("value")):
        return None
    return ("identifier", small((v["system"] if isinstance(v.get("system"), str) else "") + "|" + v["value"]))


def called(entry, resource):
    names = set()
    if said(entry.get("fullUrl")):
        names |= {("address", small(n)) for n in (entry["fullUrl"], pieces(entry["fullUrl"])) if n is not None}
    if said(resource.get("id")):
        names |= {("address", small(resource["resourceType"] + "/" + resource["id"])), ("id", small(resource["id"]))}
    return names | {identifier(i) for i in flat(resource.get("identifier"))} - {None}


def decoded(s):
    b = re.sub(rb"%([0-9A-Fa-f]{2})", lambda m: bytes([int(m[1], 16)]), s.encode())
    return b.decode("utf-8", "surrogateescape")


def means(s):
    s = small(s)
    names = {("address", n) for n in (s, s.split("#")[0], pieces(s)) if n is not None}
    for scheme in ("urn:uuid:", "urn:oid:"):
        if s.startswith(scheme):
            names.add(("id", s[len(scheme):]))
    if "?" in s:
        names |= {("identifier", small(decoded(p[len("identifier="):]))) for p in s.split("?", 1)[1].split("&") if p.startswith("identifier=")}
    return names


def is_address(s): return len(s.encode()) <= 1024 and ("/" in s or small(s).startswith("urn:"))


# ---- a body

class Facts:
    """What one body says of itself."""

    def __init__(self, body, form, rows):
        self.rows = rows
        self.own, self.kinds, self.points, self.missing = set(), set(), [], []
        self.entry = body if form == "bundle" else {}
        self.resource = body["resource"] if form == "bundle" else body
        self.category = category(self.resource)
        top = self.resource.get("contained")
        self.within = {r["id"] for r in flat(top) if is_resource(r) and said(r.get("id"))}
        self.walk(body, None, (), (None, False), None, 0)

    def found(self, rows):
        for says, what in rows:
            if says == "unclassified":
                self.kinds.add(what)
            elif says != "plain":
                self.own.add(says)

    def walk(self, v, member, above, ext, around, depth):
        """v is in a member; above are the objects around it with the members they are in, the
        innermost first; ext is what the extension around it is: understood or not or None for
        no extension, and whether strings are names."""
        if member == "modifierExtension":
            self.kinds.add("modifier extension")
            ext = (ext[0], False)
        elif member == "extension":
            url = v.get("url") if isinstance(v.get("url"), str) else ""
            if not (ext[0] and ":" not in url and "/" not in url):
                ext = extension_of(url)
                if not ext[0]:
                    self.kinds.add("extension " + url)
        if is_resource(v):
            around = v
            if v is not self.resource:
                if member == "contained":
                    if category(v) not in ("other", self.category):
                        self.kinds.add("contained " + v["resourceType"])
                else:
                    self.kinds.add("contained " + v["resourceType"])
            if v is self.resource or member == "contained":
                needs = TYPES.get(v["resourceType"], {"coded": ""})["coded"].split()
                if needs and not any(isinstance(v.get(n), (dict, list)) and v[n] for n in needs):
                    self.kinds.add("no code")
        if is_coding(v, member):
            self.coding(v, member, above)
        if is_concept(v) and not any(isinstance(c, dict) and said(c.get("code")) for c in elements(v["coding"])):
            self.kinds.add("no code")
        if not is_coding(v, member) and member != "coding":
            self.pointer(v, member)
        if ruled(v):
            self.kinds.add("implicit rules")
        for name, value in v.items():
            for x in flat(value):
                if isinstance(x, dict):
                    self.walk(x, name, ((v, member),) + above, ext, around, depth + 1)
                elif isinstance(x, str):
                    self.string(x, name, x is value, v, member, ext[1], around)

    def coding(self, v, member, above):
        system = v.get("system")
        named = said(v.get("display")) or member == "coding" and above and said(above[0][0].get("text")) or number(v.get("value")) and said(v.get("unit"))
        if not said(system):
            self.kinds.add("code without a system")
            return
        s = system_of(address(system))
        name = s.name if s else address(system)
        code = code_form(v["code"])
        rows = self.rows.look_up(name, code)
        if s and s.codes and not re.fullmatch(s.codes, code):
            self.kinds.add("not a code of " + s.name)
            for run in re.findall(r"[A-Z0-9-]+", code):
                rows += self.rows.look_up(name, run)
        self.found(rows)
        if not rows:
            if s is None:
                self.kinds.add("code system " + system)
            elif s.named and not named:
                self.kinds.add(s.name + " code without a name")

    def pointer(self, v, member):
        reference, names = v.get("reference") if said(v.get("reference")) else None, set()
        here = reference is not None and reference[0] == "#" and reference[1:] in self.within
        if reference is not None:
            if is_address(reference):
                names = means(reference)
            elif "/" not in reference and not small(reference).startswith("urn:") and reference[0] != "#":
                names = {("id", small(reference))}
        self.points.append(set() if here else names)
        i = None if is_resource(v) else identifier(v.get("identifier"))
        if i is not None:
            self.points.append({i})
            if reference is None:
                names = {i}
        if here:
            return
        if member == "medicationReference":
            self.missing.append((names, "no code"))
        elif said(v.get("display")) and MEMBERS.get(member) != "who":
            kinds = {pieces(reference).split("/")[0] if reference and pieces(reference) else None, v["type"] if isinstance(v.get("type"), str) else None}
            if not any(TYPES[k]["pointed"] for k in kinds if k in TYPES):
                self.missing.append((names, "free text"))

    def string(self, s, name, itself, v, member, names, around):
        if itself and (name == "data" and "dimensions" not in v or name.endswith("Base64Binary")):
            if s:
                self.kinds.add("attachment")
            return
        self.found(self.rows.words(s))
        if is_address(s):
            self.points.append(means(s))
        kind, blank = MEMBERS.get(name), not s.strip(SPACE)
        if itself and name == "url" and (said(v.get("contentType")) or MEMBERS.get(member) == "attachment"):
            self.kinds.add("attachment")
        elif itself and name == "text":
            if blank or is_concept(v) or MEMBERS.get(member) == "name" or names:
                return
            if MEMBERS.get(member) == "note" or any(n not in ("text", "id", "extension") and not n.startswith("_") for n in v):
                self.kinds.add("free text")
            elif not around or TYPES.get(around["resourceType"], {"texts": ""})["texts"] != "names":
                self.kinds.add("no code")
        elif itself and name in ("display", "reference"):
            return
        elif kind in ("name", "who") or blank or names:
            return
        elif kind != "plain" or any(c in SPACE for c in s):
            self.kinds.add("free text")


def short(kinds):
    kinds = sorted({k if len(k.encode()) <= 200 else k.encode()[:200].decode(errors="ignore") + "…" for k in kinds}, key=str.encode)
    return kinds if len(kinds) <= 20 else kinds[:20] + ["and others"]


def texts(v):
    for x in flat(v):
        if isinstance(x, str):
            yield x
        elif isinstance(x, dict):
            for y in x.values():
                yield from texts(y)


# ---- the parts of a file together

def load(b): return json.loads(b, parse_int=float)


def label(file, fixes, imported=""):
    """fixes: what the owner says, by the SHA-256 of a part in hexadecimal. imported: a table."""
    rows = Rows(rows_of(io.StringIO(imported.removeprefix("\ufeff"), newline=""))) if imported else OWN
    how, parts = cut.cut(file)
    fix = [fixes.get(hashlib.sha256(b).hexdigest(), {}) for _, _, b in parts]
    add = [set(f.get("add", [])) for f in fix]
    drop = [set(f.get("drop", [])) for f in fix]
    facts, of, names = [None] * len(parts), {}, {}
    all_ruled = how == "bundle" and ruled(load(file))
    for i, (entry, narrative, b) in enumerate(parts):
        if narrative:
            continue
        f = facts[i] = Facts(load(b), how, rows)
        if all_ruled:
            f.kinds.add("Bundle's implicit rules")
        f.category = fix[i].get("category") or f.category
        of[entry] = i
        f.own = (f.own | add[i] - {"unclassified"}) - drop[i]
        for n in called(f.entry, f.resource):
            names.setdefault(n, []).append(i)

    def targets(of): return {i for n in of for i in names.get(n, [])}

    # Section 9 comes first, then section 6, and what section 8 says of documents last.
    def kinds(i, found):
        return set() if "unclassified" in drop[i] else found | ({"yours"} if "unclassified" in add[i] else set())

    own_kinds, all_kinds = {}, {}
    for i in of.values():
        own_kinds[i] = kinds(i, facts[i].kinds | {kind for to, kind in facts[i].missing if not targets(to)})
    for i in of.values():
        taken = set()
        for to, kind in facts[i].missing:
            for n in to if kind == "no code" else ():
                taken |= set(sorted(set().union(*(own_kinds[t] for t in names.get(n, []))), key=str.encode)[:20])
        all_kinds[i] = kinds(i, own_kinds[i] | taken)

    has = {i: set(facts[i].own) for i in of.values()}
    points = {i: set().union(*map(targets, facts[i].points)) for i in of.values()}
    changed = True
    while changed:
        changed = False
        for i in of.values():
            for t in points[i]:
                how_much = TYPES.get(facts[t].resource["resourceType"], {"pointed": ""})["pointed"]
                new = {"": has[t], "own": facts[t].own, "none": set()}[how_much] - drop[i] - has[i]
                if new:
                    has[i] |= new
                    changed = True
    out = []
    for i, (entry, narrative, b) in enumerate(parts):
        if narrative:
            r = of[entry]
            own, unread = set(), set()
            for s in texts(load(b"{" + b.strip(SPACE.encode() + b",") + b"}")):
                for says, what in rows.words(s):
                    if says == "unclassified":
                        unread.add(what)
                    else:
                        own.add(says)
            one = [fix[i].get("category") or "documents", (own | has[r] | add[i] - {"unclassified"}) - drop[i], kinds(i, all_kinds[r] | unread), date(facts[r].resource)]
        else:
            one = [facts[i].category, has[i], all_kinds[i], date(facts[i].resource)]
        if one[0] == "documents":
            one[2] = one[2] - {"free text", "attachment"}
        out.append({"category": one[0], "sensitive": sorted(one[1]), "unclassified": short(one[2]), "date": one[3]})
    return out


# ---- files of a generator: everything that the page speaks of, more often than it is in records

class Drawer:
    def __init__(self, number): self.number, self.counter = number, 0

    def draw(self, n):
        self.counter += 1
        return int.from_bytes(hashlib.sha256(b"label %d %d" % (self.number, self.counter)).digest()[:8], "big") % n

    def one(self, of): return of[self.draw(len(of))]
    def chance(self, n): return self.draw(n) == 0

    def bent(self, s):
        """s, or s in other letters or with more around it."""
        k = self.draw(9)
        return [s, s, s, s.upper(), s.title(), s + " 2", "x" + s, s + "es", s.replace(" ", "-")][k]

    def some_word(self):
        w = self.one(ROWS_OF["words"])["code"]
        return self.bent(w.replace("*", self.one(["", "", "xy"])))

    def some_system(self):
        s = self.one(table_systems)["system"].replace("*", self.one(["", "", "/x", "7"]))
        s = self.one([s, s, s, s, s.upper(), s.replace("http://", "https://"), s + "/", s + "|2.0", " " + s + "\n", s + "#x", s.replace("urn:oid:", "")])
        return s

    def address(self):
        kind, id = self.one(KINDS), self.one(IDS)
        return self.one([f"{kind}/{id}", f"http://x.example/fhir/{kind}/{id}", f"urn:uuid:{id}", f"URN:OID:{id}", f"http://x.example/fhir/{kind}/{id}/_history/3", f"{kind}/{id}#frag",
                         f"{kind}?identifier={self.one(NUMBERS)[0]}|{self.one(NUMBERS)[1]}", f"{kind}?a=b&identifier=http%3A%2F%2Fx%7C{self.one(NUMBERS)[1]}", f"{kind.lower()}/{id.upper()}", f"x/{id}/", "http://x.example/fhir/" + kind + "/" + id + "?x=/y",
                         f" http://x.example/fhir/{kind}/{id}", f" {kind}/{id}", f" {id}/", f"{kind}?subject:identifier={self.one(NUMBERS)[1]}", f"?identifier=%7C{self.one(NUMBERS)[1]}#x", f"{kind}?IDENTIFIER=http://x|1", "urn:"])

    def text(self):
        k = self.draw(16)
        if k < 3:
            return self.some_word()
        if k < 5:
            return self.address()
        if k < 7:
            return self.one(IDS)
        return self.one(["final", "x y", "", " ", "\t\n", "2024-02-30", "2024-01-01T10:00:00Z", "Zürich", "a\u00a0b", "http://x.example/a b", self.some_system(), "one/two", "/a" + "x" * 1023, "hiv" + "/a" * 510, self.one(KINDS)])

    def when(self):
        return self.one(["2024", "2024-02", "2024-02-29", "2023-02-29", "2024-13-01", "2024-01-01T23:59:59+14:00", "24-01-01", "2024-1-1", "", "T", "0000-01-01", "2024-01-01 10:00", "2024-00", " 2024", "2024-01-31Z", "20240101", "1900-02-29",
                         {"start": "2024-05-06T00:00:00Z", "end": "2024-05-07"}, {"end": "2024"}, {"start": ["2024"]}, ["2024"], 2024, None])

    def coding(self):
        c, row = {}, self.one(self.one(list(ROWS_OF.values())))
        if not self.chance(8):
            c["system"] = self.one([row["system"], self.some_system(), "", None, 7, "http://other.example/codes", " ", "|1", "http://"]) if self.chance(3) else self.one(ADDRESSES.get(row["system"], ["http://other.example/codes"]))
        code = row["code"].replace("*", self.one(["", "1", "12"]))
        c["code"] = self.one([code, code, code, code, code.lower(), code[:2] + "." + code[2:], " " + code, code + "-x", "a," + code, "laboratory", "", ".", 7, code + "*", "84100007", "1234-5", "E11.9", "308056"])
        if not self.chance(3):
            c["display"] = self.one(["a name", self.text(), "", " ", 1])
        if self.chance(12):
            c["value"] = self.one([1, "1"])
        if self.chance(12):
            c["unit"] = self.one(["mg", ""])
        return c

    def concept(self, depth):
        c = {}
        if not self.chance(5):
            c["coding"] = self.one([[self.coding() for _ in range(self.draw(3))], self.coding(), [[self.coding()]], None, [self.text()]]) if self.chance(6) else [self.coding() for _ in range(1 + self.draw(2))]
        if self.chance(2):
            c["text"] = self.text()
        if self.chance(9):
            c[self.one(["extension", "_text", "id", "note"])] = self.one([[self.extension(depth - 1)], "x", {"id": "q"}])
        return c

    def extension(self, depth):
        e = {}
        if not self.chance(12):
            u = self.one(EXTENSIONS_AS_THEY_ARE).replace("*", self.one(["", "x", "own/prefix"]))
            e["url"] = self.one([u, u, u, u + "/", u.replace("http:", "https:"), u.upper(), u + "|1", "inner", "ombCategory", "http://x.example/ext", "", 5, "urn:x"])
        if depth > 0 and self.chance(2):
            e["extension"] = [self.extension(depth - 1) for _ in range(1 + self.draw(2))]
        if self.chance(8):
            e["modifierExtension"] = [self.extension(0)]
        if self.chance(2):
            e[self.one(["valueString", "valueCode", "valueMarkdown", "value"])] = self.text()
        else:
            e[self.one(["valueCoding", "valueCodeableConcept", "valueReference", "valueQuantity"])] = self.anything(depth - 1)
        return e

    def reference(self):
        r = {}
        if not self.chance(6):
            r["reference"] = self.one([self.address(), self.address(), self.address(), self.one(IDS), "#" + self.one(IDS), "#", "", 5, "urn:nothing", "#a/b", "urn:", " a", " A/b"])
        if self.chance(3):
            r["display"] = self.one(["Dr. A", self.text(), ""])
        if self.chance(3):
            s, v = self.one(NUMBERS)
            r["identifier"] = self.one([{"system": s, "value": v}, {"value": v}, {"system": None, "value": v}, [{"system": s, "value": v}], {"system": s.upper(), "value": v}, {"value": ""}])
        if self.chance(4):
            r["type"] = self.one(KINDS + ["patient", "http://x.example/Patient"])
        return r

    def anything(self, depth):
        k = self.draw(15 if depth > 0 else 6)
        if k < 4:
            return self.text()
        if k < 6:
            return self.one([True, None, 3, -0.5e2, [], {}])
        if k < 8:
            return self.coding()
        if k < 10:
            return self.concept(depth - 1)
        if k < 12:
            return self.reference()
        if k == 12:
            return [self.anything(depth - 1) for _ in range(self.draw(3))]
        return self.thing(depth - 1)

    def thing(self, depth):
        return {self.one(NAMES) if self.chance(2) else self.one(KNOWN): self.anything(depth) for _ in range(self.draw(5))}

    def resource(self, depth=3):
        kind = self.one(KINDS)
        r = {"resourceType": kind}
        if not self.chance(8):
            r["id"] = self.one(IDS + ["", "A/b", "a/", "urn:uuid:a"]) if self.chance(6) else self.one(IDS)
        if not self.chance(3):
            for n in TYPES.get(kind, {"coded": "code"})["coded"].split():
                if n.endswith("Reference"):
                    continue
                r[n] = self.one([self.concept(2), self.concept(2), self.concept(2), {}, [], "x", [self.concept(1)], None]) if self.chance(4) else self.concept(2)
        if kind.startswith("Medication") and not self.chance(3):
            r["medicationReference"] = self.one([self.reference(), self.reference(), [self.reference()], {}, "x"])
        if kind == "Observation":
            s = self.one(list(CATEGORIES) + ["https://terminology.hl7.org/codesystem/Observation-Category/", "http://x.example"])
            c = [{"coding": [{"system": s, "code": self.one(["laboratory", "vital-signs", "social-history", "Laboratory"]), "display": "x"} for _ in range(1 + self.draw(2))]} for _ in range(1 + self.draw(2))]
            r["category"] = self.one([c, c, c, c[0], [c], None, "laboratory"])
        for _ in range(self.draw(4)):
            r[self.one(["subject", "encounter", "basedOn", "focus", "result", "reasonReference", "performer", "medicationReference", "context", "target"])] = self.one([self.reference(), [self.reference(), self.reference()]])
        for _ in range(self.draw(3)):
            r[self.one(DATES)] = self.when()
        if self.chance(3):
            r["identifier"] = self.one([[{"system": s, "value": v}] for s, v in NUMBERS] + [{"system": s, "value": v} for s, v in NUMBERS] + [[{"value": "1"}], "x", {"value": 1}])
        if self.chance(3):
            r["extension"] = self.one([[self.extension(2)], self.extension(1), [[self.extension(1)]]])
        if self.chance(12):
            r["modifierExtension"] = [self.extension(1)]
        if self.chance(6):
            r[self.one(["content", "attachment", "photo", "item"])] = {self.one(["contentType", "x"]): self.one(["image/png", ""]), self.one(["data", "url", "valueBase64Binary", "uri"]): self.text(), self.one(["dimensions", "title", "text"]): self.one([1, "y"])}
        if self.chance(3):
            r.update(self.thing(depth))
            r["resourceType"] = kind
        if depth > 1 and self.chance(3):
            inner = [self.resource(1) for _ in range(1 + self.draw(2))]
            r["contained"] = self.one([inner, inner, inner, inner[0], [inner]])
        if depth > 1 and self.chance(15):
            r[self.one(["parameter", "outcome", "item"])] = self.one([{"resource": self.resource(1)}, [self.resource(1)], self.resource(0)])
        if depth == 3 and self.chance(3):
            r["text"] = self.one([{"status": "generated", "div": self.text()}, {"div": [self.text()], "data": self.some_word()}, self.text()])
        return r

    def entry(self):
        resource = self.resource()
        e = {"resource": resource}
        if not self.chance(3):
            e["fullUrl"] = self.one(["urn:uuid:" + self.one(IDS), "http://x.example/fhir/" + resource["resourceType"] + "/" + self.one(IDS), self.address(), "", self.text()])
        if self.chance(8):
            e[self.one(["response", "request", "search", "link"])] = self.one([{"outcome": self.resource(1)}, {"method": "PUT", "url": self.address()}, {"mode": "match"}, self.anything(2), {"contained": [self.resource(0)]}])
        return e

    def file(self):
        """A file, what its owner says of it, and a table that she imported."""
        how = self.draw(8)
        if how == 0:
            r = self.resource()
            text = json.dumps(r if r["resourceType"] != "Bundle" else dict(r, resourceType="Basic"))
        elif how == 1:
            text = "\n".join(json.dumps(self.resource(), ensure_ascii=False) for _ in range(2 + self.draw(5)))
        else:
            b = {"resourceType": "Bundle", "type": "collection", "entry": [self.entry() for _ in range(1 + self.draw(9))]}
            if self.chance(12):
                b["implicitRules"] = self.one(["http://x.example/rules", "x y", " ", None, 7])
            text = json.dumps(b, ensure_ascii=self.chance(2))
        fixes = {}
        try:
            parts = cut.cut(text.encode())[1]
        except cut.NotSplit:
            parts = []
        for _, _, b in parts:
            if self.chance(6):
                f = {"category": self.one(["", "labs", "documents", "other"]), "add": [self.one(SENSITIVE) for _ in range(self.draw(3))], "drop": [self.one(SENSITIVE) for _ in range(self.draw(3))]}
                fixes[hashlib.sha256(b).hexdigest()] = {k: v for k, v in f.items() if v}
        return text, fixes, self.table() if self.chance(3) else ""

    def table(self):
        out = io.StringIO(newline="")
        out.write(self.one(["", "# a table\n", "\ufeff"]))
        w = csv.writer(out, lineterminator=self.one(["\n", "\r\n"]))
        w.writerow(["system", " code", "says ", "what", "source", "date"])
        for _ in range(1 + self.draw(12)):
            if self.chance(3):
                row = ["words", self.one(["final", "zürich", "*etwee*", "dr a", "a name*", "*erated", "lamivudin*", "Encounter", "x example", "fhirPatient", "*001"]), self.one(SENSITIVE)]
            else:
                system = self.one(["http://other.example/codes", "HTTPS://other.example/codes/|3", "http://x.example/y", self.one(table_systems)["system"], self.one(table_systems)["name"] or "urn:x", "http://hl7.org/fhir/sid/x"]).replace("*", "")
                code = self.one(["E11.9", "84100007", "308056", "laboratory", "*", "*", "J4*", "1234*", "a", "x -*", "B", "ivdrg", "84*"])
                row = [system, code, "plain" if code == "*" else self.one(SENSITIVE + ["plain"])]
            w.writerow(row + [self.one(["a \"thing\", so", "what", "x" * 300]), "a source", " 2026-01-31"])
        return out.getvalue()


ROWS_OF = {}
for r in ROWS:
    ROWS_OF.setdefault(r["system"], []).append(r)
table_systems = table("systems")
ADDRESSES = {}
for r in table_systems:
    ADDRESSES.setdefault(r["name"], []).append(r["system"].replace("*", ""))
EXTENSIONS_AS_THEY_ARE = [r["extension"] for r in table("extensions")]
SENSITIVE = ["mental-health", "substance-use", "reproductive", "hiv", "sexual-health", "violence", "genetic", "sickle-cell", "unclassified"]
KINDS = ["Patient", "Encounter", "Condition", "Observation", "Medication", "MedicationRequest", "Practitioner", "DocumentReference", "Procedure", "Location", "Basic", "DiagnosticReport", "Immunization", "CareTeam", "RelatedPerson", "Binary"]
IDS = ["a", "b", "C", "d1", "e-2", "hiv"]
NUMBERS = [("http://x", "1"), ("http://x", "A2"), ("urn:oid:1.2.3", "1"), ("", "1"), ("x", "b"), ("Condition/a", "1")]
KNOWN = sorted(MEMBERS)
NAMES = ["text", "display", "url", "data", "valueBase64Binary", "xBase64Binary", "contentType", "dimensions", "code", "system", "unit", "value", "type", "reference", "identifier", "note", "valueString", "title", "description", "coding",
         "extension2", "Div", "_text", "display2", "medicationReference", "attachment", "contained2", "valueCodeableConcept", "actor", "issue", "relatesTo", "name", "dosage", "address", "category", "item", "reasonCode"]


# ---- files by hand

def bundle(*resources): return json.dumps({"resourceType": "Bundle", "entry": [r if "resource" in r else {"resource": r} for r in resources]}, ensure_ascii=False)


def case(name, text, fixes={}, imported="", path=None):
    c = {"name": name, **({"path": path} if path else {"file": text.decode() if isinstance(text, bytes) else text})}
    if fixes:
        c["fixes"] = fixes
    if imported:
        c["table"] = imported
    b = text if isinstance(text, bytes) else text.encode()
    try:
        c["parts"] = label(b, fixes, imported)
    except cut.NotSplit:
        pass
    return c


def by_hand():
    icd, loinc, rxnorm = "http://hl7.org/fhir/sid/icd-10-cm", "http://loinc.org", "http://www.nlm.nih.gov/research/umls/rxnorm"
    cases = []

    def one(name, *resources, fixes={}, table=""): cases.append(case(name, bundle(*resources), fixes, table))
    def code(system, c, **more): return {"coding": [{"system": system, "code": c, **more}]}
    def resource(kind, id=None, **more): return {"resourceType": kind, **({"id": id} if id else {}), **more}
    def about(**more): return resource("Basic", code=code(icd, "J45"), **more)
    def fix(r, **said): return {hashlib.sha256(json.dumps({"resource": r}, ensure_ascii=False).encode()).hexdigest(): said}

    hiv = resource("Condition", "a", code=code(icd, "B20"))
    # words
    for text in ("HIV-1", "hivClinic", "x/hiv/7", "archives", "HIV2", "2hiv", "hiv\u00e9", "\u00e9hiv", "ahiv", "Psychiatrists", "unpsychiatric", "Levonorgestrel 0.1", "hI V", "CD4 count", "cd4Count", "CD-4-counts", "\u212aiv hiv", "\u0130hiv"):
        one(f"words {text}", about(id=text))
    for member in ("data", "valueBase64Binary", "Base64Binary", "valuebase64binary", "hash"):
        one(f"a word in {member}", about(x={member: "hiv"}), about(x={member: ["hiv"]}), about(x={member: "hiv", "dimensions": 1}))
    one("a word as a key", about(hiv=1))
    one("a word in a narrative", resource("Basic", text={"div": "x", "data": "hiv", "x": ["cannabis"]}, id="b"))
    # systems and codes
    for system in (icd, "HTTPS://HL7.org/fhir/sid/ICD-10-CM//", icd + "|2024|x", "\t" + icd + " ", "hl7.org/fhir/sid/icd-10-cm", "http://https://hl7.org/fhir/sid/icd-10-cm", "icd-10", "http://hl7.org/fhir/sid/other", "http://hl7.org/fhir", "http://hl7.org/fhir/", "http://hl7.org/fhirx",
                   "http://snomed.info/sct/11000146104", "http://terminology.hl7.org/CodeSystem/v3-ActCode", "http://terminology.hl7.org/CodeSystem/x", "", None, 1, " ", "|1", "http://", "urn:oid:2.16.840.1.113883.5.4", "urn:oid:2.16.840.1.113883.5.4.1"):
        one(f"a code of {system}", resource("Condition", code=code(system, "B20")), resource("Condition", code=code(system, "B20", display="x")), resource("Condition", code=code(system, "ETH")))
    for c in ("b20", "B2.0", " B 20\n", "B20*", "B200000", "B2000000", "B20, F10.1", "x-B20-", "", ".", 20, "\u01320", "B20\u2020", "J45"):
        one(f"a code {c!r}", resource("Condition", code=code(icd, c)))
    one("codes without names", *(resource("Condition", code=v) for v in (code(loinc, "718-7"), code(loinc, "718-7", display=""), code(loinc, "718-7", display=" "), {**code(loinc, "718-7"), "text": "x"}, {**code(loinc, "718-7"), "text": ""}, {"coding": {"system": loinc, "code": "718-7"}, "text": "x"}, code(rxnorm, "x"),
        {"coding": [[{"system": loinc, "code": "718-7", "display": "x"}]]}, {"coding": None}, {"coding": []}, {"coding": [{"display": "x"}, {"code": ""}]}, {"coding": [{"code": ""}, {"code": "x"}]}, {"text": "x"}, {"text": " "}, {}, [], "x", None, [{}], {"text": "x", "_text": {}, "id": "i", "extension": []}, {"text": "x", "note": 1})))
    one("quantities", *(about(valueQuantity=q) for q in ({"value": 1, "code": "x"}, {"value": "1", "code": "x"}, {"value": 1, "code": "x", "system": None}, {"value": 1, "code": "x", "system": ""}, {"value": 1, "code": "x", "system": loinc}, {"value": 1, "code": "1-8", "system": loinc, "unit": "x"}, {"value": True, "code": "x"})))
    carrier = {"deviceIdentifier": "09504000059118", "issuer": "http://hl7.org/fhir/NamingSystem/gs1-di", "jurisdiction": "http://hl7.org/fhir/NamingSystem/fda-udi",
               "carrierAIDC": "MDEwOTUwNDAwMDA1OTExOA==", "carrierHRF": "(01)09504000059118(17)141120(10)7654321D(21)10987654d321", "entryType": "barcode"}
    one("an implant", resource("Device", "d", udiCarrier=[carrier], serialNumber="10987654d321", deviceName=[{"name": "Coated femoral stem prosthesis, modular", "type": "manufacturer-name"}], patient={"reference": "Patient/p"}),
        resource("DeviceUseStatement", status="active", subject={"reference": "Patient/p"}, device={"reference": "Device/d"}, timingPeriod={"start": "2018-01-04"}),
        resource("Device", udiCarrier=[{**carrier, "carrierHRF": "an hiv test"}, {**carrier, "jurisdiction": "not an address", "entryType": "by hand"}]))
    one("FHIR's own codes", resource("Bundle", issue=[{"code": "x"}, {"code": "x", "system": None}, {"code": "x", "system": ""}, {"code": "x", "system": loinc}]), about(relatesTo=[[{"code": "x"}]]), about(other=[{"code": "x"}]), resource("SearchParameter", code="x"))
    # strings
    for member in ("status", "name", "subject", "note", "dosage", "photo", "description", "issue", "text2", "_text", "div", "display", "reference"):
        for value in ("x", "x y", "x\u00a0y", "", " ", ["x", "x y"], [["x y"]], {"text": "x"}, {"text": ["x"]}, {"display": "x"}, {"display": ["x"]}, {"url": "x", "contentType": "y"}, {"url": "x"}, {"url": ["x y"], "contentType": "y"}, {"data": ""}, {"text": "x", "more": 1}):
            one(f"{member} {json.dumps(value)}", about(x={member: value}))
    one("a text alone where it is a name", resource("Organization", type=[{"text": "x"}]), resource("Basic", contained=[resource("Organization", type=[{"text": "x"}])], item=[{"text": "x"}]), {"resource": resource("Organization"), "search": {"x": {"text": "x"}}})
    one("many kinds", about(x=[{"code": "c", "system": f"urn:{i}"} for i in range(20)]), about(x=[{"code": "c", "system": f"urn:{i}"} for i in range(21)]), about(x=[{"code": "c", "system": "urn:" + "x" * 183 + "\u00e9" * n} for n in range(3)]), about(x=[{"code": "c", "system": "urn:" + "x" * n} for n in (184, 185, 190)]))
    # rules
    for rules in ("http://x.example/rules", "\u0020x", "", " \n", None, False, [], ["x"]):
        one(f"rules {json.dumps(rules)}", about(implicitRules=rules), about(x={"implicitRules": rules}, text={"div": "x"}), resource("DocumentReference", implicitRules=rules), {"resource": about(), "search": {"implicitRules": rules}})
        cases.append(case(f"rules of all, {json.dumps(rules)}", json.dumps({"entry": [{"resource": about(text={"div": "x"})}, {"resource": resource("Bundle", entry=[])}], "implicitRules": rules, "resourceType": "Bundle"})))
    # extensions and resources within
    race = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race"
    for e in ({"url": race, "valueString": "a b"}, {"url": race + "|1", "extension": [{"url": "x", "valueString": "a b"}, {"url": "urn:x", "valueString": "a b"}, {"url": "http://hl7.org/fhir/x", "valueString": "a b"}]}, {"url": "http://hl7.org/fhir/x", "extension": [{"url": "x", "valueString": "a b"}]}, {"url": "x"}, {}, {"url": 1}, {"url": ""},
              {"url": race, "modifierExtension": [{"url": "x", "valueString": "a b", "extension": [{"url": "y"}]}]}, {"url": race, "valueReference": {"display": "x"}}, {"url": race, "x": {"text": "a b", "y": 1}}, {"url": "urn:x", "extension": [{"url": "y"}]}):
        one(f"an extension {json.dumps(e)}", about(extension=[e]), about(extension=e), about(modifierExtension=[e]), about(x={"_y": {"extension": [[e]]}}))
    inner = [resource("Condition", "i", code=code(icd, "B20")), resource("Observation", "i", category=[code("http://hl7.org/fhir/observation-category/", "laboratory")]), resource("Organization", "i"), resource("Unheard", "i")]
    for r in inner:
        one(f"{r['resourceType']} within", about(contained=[r]), about(contained=r), about(contained=[[r]]), about(x=r), resource("Condition", code=code(icd, "J45"), contained=[r]), resource("DiagnosticReport", code=code(icd, "J45"), contained=[{**r, "contained": [r]}]), {"resource": about(), "response": {"outcome": r}}, {"resource": about(), "contained": [r]})
    # references
    full = {"fullUrl": "http://x.example/fhir/Condition/q", "resource": {**hiv, "identifier": [{"system": "http://n", "value": "N 1"}, {"value": "alone"}]}}
    for r in ("Condition/a", "condition/A", "Condition/q", "http://y.example/Condition/q", "http://x.example/fhir/Condition/q/_history/1", "Condition/q#x", "Condition/q#x/y", "Condition/q?x", "a", "A", "q", "#a", "urn:uuid:a", "URN:OID:A", "urn:a", "Condition?identifier=http://n|N%201", "Condition?x&identifier=%7Calone", "Condition?identifier=alone", "?identifier=|alone",
              "?x:identifier=|alone", " http://y.example/Condition/q", " a", "Condition/a/", "/a", "", "x/" * 511 + "Condition/q", "x/" * 507 + "Condition/q"):
        one(f"a reference {r[-60:]}", full, about(focus={"reference": r, "display": "x"}), about(focus={"x": r}), about(focus=[{"reference": r, "identifier": {"value": "alone"}}]), resource("MedicationRequest", medicationReference={"reference": r}))
    for i in ({"system": "HTTP://N", "value": "n 1"}, {"value": "alone"}, {"system": None, "value": "alone"}, [{"value": "alone"}], {"value": ""}, {"system": "x", "value": "alone"}):
        one(f"an identifier {json.dumps(i)}", full, about(focus={"identifier": i, "display": "x"}), about(identifier=i), about(x={"coding": [{"identifier": i}]}), about(x={"code": "c", "identifier": i}), resource("MedicationRequest", medicationReference={"identifier": i}))
    one("names of what is not here", *(about(**{m: {"display": "x", **more}}) for m in ("focus", "subject", "performer", "coding") for more in ({}, {"type": "Practitioner"}, {"type": "practitioner"}, {"reference": "Practitioner/p"}, {"reference": "Condition/p"}, {"reference": "#p"})))
    one("names within", about(contained=[resource("Condition", "p", code={})], focus=[{"reference": "#p", "display": "x"}, {"reference": "#P", "display": "x"}]))
    for r in ("#p", "#P", "#q"):
        one(f"a name within, {r}", about(contained=[resource("Location", "p")], focus={"reference": r, "display": "x"}))
    one("an address and a place in it", {"fullUrl": "urn:w", "resource": hiv}, about(x="urn:w#f"), about(x="urn:w?f"))
    one("a chain and a circle", resource("Basic", "1", x={"reference": "Basic/2"}), resource("Basic", "2", x={"reference": "Basic/3"}), resource("Basic", "3", x=[{"reference": "Basic/1"}, {"reference": "Condition/a"}], text={"div": "x"}), hiv)
    for kind in ("Encounter", "Patient", "RelatedPerson", "Basic", "Unheard"):
        one(f"through {kind}", hiv, resource(kind, "1", x={"reference": "Condition/a"}), about(x={"reference": kind + "/1"}), resource(kind, "2", x="cannabis"), about(x={"reference": kind + "/2"}))
    medicine = resource("Medication", "m", code={"text": "x"}, x="free text", ingredient=[{"itemReference": {"reference": "Medication/n"}}])
    one("a medicine", medicine, resource("Medication", "n", code=code("urn:x", "1"), medicationReference={"reference": "Medication/m"}), resource("MedicationRequest", medicationReference={"reference": "Medication/n"}, text={"div": "x"}), resource("MedicationRequest", medicationReference=[{"reference": "Medication/m"}, {"reference": "Medication/z"}], text="x"),
        resource("List", medicationReference={"reference": "Medication/m"}))
    many = [resource("Medication", i, identifier={"value": "v"}, code=code(icd, "J45"), x=[{"code": "c", "system": f"urn:{i}:{n}"} for n in range(19)]) for i in ("m", "n")]
    one("medicines of many kinds", *many, *(resource("MedicationRequest", medicationReference=r) for r in ({"reference": "m"}, {"identifier": {"value": "v"}}, [{"reference": "m"}, {"reference": "n"}])), resource("MedicationRequest", x="a b", medicationReference={"reference": "?identifier=|v"}))
    # category and date
    for system in CATEGORIES + ("https://hl7.org/fhir/Observation-Category/|4", "http://hl7.org/fhir", None):
        for codes in (["laboratory"], ["vital-signs"], ["laboratory", "vital-signs"], ["Laboratory"], [" laboratory"], ["x"], []):
            c = [{"coding": [{"system": system, "code": x}]} for x in codes]
            one(f"{codes} of {system}", resource("Observation", code=code(icd, "J45"), category=c), resource("Observation", code=code(icd, "J45"), category=c and c[0]), resource("Observation", code=code(icd, "J45"), category=[{"coding": x["coding"][0]} for x in c]))
    for d in ("2024", "2024-02", "2024-02-29", "2023-02-29", "1900-02-29", "2000-02-29", "0000", "2024-00", "2024-13", "2024-1", "2024-04-31", "2024-04-30T99", "T", "", " 2024", "2024 ", "20240101", "2024-01-01t10", "\u0662024", None, 2024, ["2024"], {"start": "2024-01-01T00:00:00Z"}, {"end": "2024"}, {"start": {"start": "2024"}}):
        one(f"a date {json.dumps(d)}", about(effectiveDateTime=d, issued="2020"), resource("Patient", birthDate="2020", date=d), about(date=d, text="x"))
    # what the owner says
    other, doc = about(x={"reference": "Condition/a"}, y="a b"), resource("DocumentReference", description="a b", content=[{"attachment": {"url": "x"}}])
    for f in ({"category": "documents"}, {"drop": ["hiv"]}, {"drop": ["unclassified"]}, {"add": ["hiv", "genetic"], "drop": ["hiv"]}, {"add": ["unclassified"]}, {"add": ["unclassified"], "drop": ["unclassified"]}, {"category": "labs", "add": ["violence"]}):
        for r in (hiv, other, doc):
            one(f"{json.dumps(f)} of {r['resourceType']}", hiv, other, doc, about(x={"reference": "Basic/z"}), resource("MedicationRequest", medicationReference={"reference": "Condition/a"}), fixes=fix(r, **f))
    for kind in ("Binary", "Condition"):
        told = resource(kind, code=code(icd, "J45"), x="a b", data="x", y="cannabis")
        text = ', "text": {"div": "hiv"}'
        for f in ({}, {"category": "other"}, {"drop": ["hiv", "substance-use"]}, {"drop": ["unclassified"]}, {"add": ["unclassified", "genetic"]}):
            one(f"{json.dumps(f)} of a narrative of {kind}", {"resource": {**told, "text": {"div": "hiv"}}}, fixes={hashlib.sha256(text.encode()).hexdigest(): f} if f else {})
    def csv_of(*rows): return "system,code,says,what,source,date\n" + "".join(",".join(r) + ",what,source,2026-01-31\n" for r in rows)
    there = [resource("Condition", code=code(system, c)) for system in ("http://x.example/s", "http://hl7.org/fhir/sid/z", icd, "urn:oid:2.16.840.1.113883.6.3", loinc, "") for c in ("J45", "B20", "X", ".")]
    for rows in ([("http://x.example/s", "*", "plain")], [("HTTPS://X.example/S/|1", "j4*", "hiv"), ("http://x.example/s", "X", "plain")], [("http://hl7.org/fhir/sid/z", "*", "plain"), ("http://hl7.org/fhir/sid/z", "J45", "unclassified")], [("icd-10", "J45", "genetic"), (icd, "B20", "plain")],
                 [(loinc, "*", "plain"), (loinc, "J4*", "violence")], [("words", "example*", "violence"), ("words", "unheard*", "unclassified")]):
        one(f"a table of {rows}", *there, about(text={"div": "unheard of"}, id="t"), table=csv_of(*rows))
    return cases


def write(cases, out):
    about = "FHIR files, and what their parts are labelled with by wallet/health/LABELS.md and the tables beside it. fixes is what the owner says of a part, by its SHA-256. Without parts a file is not split. Made by label.py beside this file."
    out.write('{"about": ' + json.dumps(about) + ',\n"cases": [\n' + ",\n".join(map(json.dumps, cases)) + "\n]}\n")


def main(args):
    if args[:1] == ["--drawn"]:
        write([case(f"drawn {i}", *Drawer(i).file()) for i in range(int(args[1]), int(args[2]))], sys.stdout)
        return
    if args:
        write([case(path, open(path, "rb").read(), path=path) for path in args], sys.stdout)
        return
    cases = []
    for folder, _, files in sorted(os.walk(os.path.join(TOP, "testdata", "fhir"))):
        for f in sorted(files):
            if f.endswith((".json", ".ndjson")):
                path = os.path.join(folder, f)
                cases.append(case(f, open(path, "rb").read(), path=os.path.relpath(path, TOP)))
    cases += by_hand() + [case(f"drawn {i}", *Drawer(i).file()) for i in range(25)]
    with open(os.path.join(HERE, "label.json"), "w") as f:
        write(cases, f)


if __name__ == "__main__":
    main(sys.argv[1:])
