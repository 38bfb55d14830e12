#!/usr/bin/env python3
"""Writes cut.json beside it: files, and the parts that they are cut into.

A second implementation of "The cut of a FHIR file" and of the head over the parts, made
from crypto/FORMAT.md alone. Half of the files are of a generator, which draws white space,
places of the narrative, escapes and faults from a counter.
"""

import gzip, hashlib, hmac, json, os, re, zlib

HERE = os.path.dirname(os.path.abspath(__file__))


# ---- the head over parts ("Parts of a record")

def sha256(b): return hashlib.sha256(b).digest()
def tagged(tag, *parts): return b"carekey/v1/" + tag.encode() + b"\0" + b"".join(parts)
def derive(secret, tag, *parts):
    prk = hmac.digest(bytes(32), secret, "sha256")
    return hmac.digest(prk, tagged(tag, *parts) + b"\1", "sha256")


def root(salt_seed, parts):
    """Of pairs: whether it is the narrative of the one before it, and its bytes."""
    leaves = []
    for i, (narrative, body) in enumerate(parts):
        if narrative:
            body = b"\0" + sha256(tagged("part-of", salt, leaves[-1])) + body
        salt = derive(salt_seed, "part-salt", i.to_bytes(4, "big"), sha256(body))
        leaves.append(sha256(tagged("part", salt, body)))
    n = 16
    while n < len(leaves):
        n *= 4
    leaves += [derive(salt_seed, "part-none", j.to_bytes(4, "big")) for j in range(n - len(leaves))]
    level = [sha256(b"\0" + leaf) for leaf in sorted(leaves)]
    while len(level) > 1:
        level = [sha256(b"\1" + level[i] + level[i + 1]) for i in range(0, len(level), 2)]
    return level[0]


# ---- the cut

class NotSplit(Exception):
    pass


SPACE = b" \t\r\n"
NUMBER = re.compile(rb"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
LETTERS = re.compile(rb'[^"\\\x00-\x1f]+')
TYPE = re.compile(r"[A-Za-z0-9]{1,64}\Z")


class Value:
    """A value's place, and of an object its members: name, quote, comma before it or None, value."""

    def __init__(self, start): self.start, self.end, self.members, self.elements, self.text = start, None, None, None, None
    def member(self, name): return next((m for m in self.members or [] if m[0] == name), None)


class Reader:
    def __init__(self, b, at, end, depth): self.b, self.at, self.end, self.left = b, at, end, depth

    def peek(self): return self.b[self.at:min(self.at + 1, self.end)]

    def space(self):
        while self.peek() and self.peek() in SPACE:
            self.at += 1

    def take(self, c):
        if self.peek() != c:
            raise NotSplit(f"no {c} at {self.at}")
        self.at += 1

    def whole(self):
        self.space()
        v = self.value()
        self.space()
        if self.at != self.end:
            raise NotSplit("more behind it")
        return v

    def value(self):
        v, c = Value(self.at), self.peek()
        if c == b"{":
            self.open()
            v.members, seen, comma = [], set(), None
            while self.peek() != b"}" or comma is not None:
                quote = self.at
                name = self.string()
                folded = "".join(chr(ord(x) + 32) if "A" <= x <= "Z" else x for x in name)
                if any(not " " <= x <= "~" for x in name) or folded in seen or len(seen) == 256:
                    raise NotSplit(f"key {name!r}")
                seen.add(folded)
                self.space()
                self.take(b":")
                self.space()
                v.members.append((name, quote, comma, self.value()))
                self.space()
                if self.peek() != b",":
                    break
                comma = self.at
                self.at += 1
                self.space()
            self.take(b"}")
            self.left += 1
        elif c == b"[":
            self.open()
            v.elements = []
            more = self.peek() != b"]"
            while more:
                v.elements.append(self.value())
                self.space()
                if more := self.peek() == b",":
                    self.at += 1
                    self.space()
            self.take(b"]")
            self.left += 1
        elif c == b'"':
            v.text = self.string()
        else:
            for word in (b"true", b"false", b"null"):
                if self.b[self.at:self.end].startswith(word):
                    self.at += len(word)
                    break
            else:
                m = NUMBER.match(self.b, self.at, self.end)
                if not m:
                    raise NotSplit(f"no value at {self.at}")
                self.at = m.end()
        v.end = self.at
        return v

    def open(self):
        self.left -= 1
        if self.left < 0:
            raise NotSplit("too deep")
        self.at += 1
        self.space()

    def unit(self):  # \uXXXX
        m = re.compile(rb"\\u([0-9A-Fa-f]{4})").match(self.b, self.at, self.end)
        if not m:
            raise NotSplit("escape")
        self.at = m.end()
        return int(m[1], 16)

    def string(self):
        self.take(b'"')
        out = b""
        while self.peek() != b'"':
            c = self.peek()
            if m := LETTERS.match(self.b, self.at, self.end):
                out += m[0]
                self.at = m.end()
            elif c != b"\\":
                raise NotSplit("string")
            elif self.b[self.at + 1:self.at + 2] in [bytes([x]) for x in b'"\\/bfnrt']:
                out += dict(zip(b'"\\/bfnrt', [b'"', b"\\", b"/", b"\b", b"\f", b"\n", b"\r", b"\t"]))[self.b[self.at + 1]]
                self.at += 2
            else:
                u = self.unit()
                if 0xD800 <= u < 0xDC00:
                    low = self.unit()
                    if not 0xDC00 <= low < 0xE000:
                        raise NotSplit("half a pair")
                    u = 0x10000 + (u - 0xD800 << 10) + low - 0xDC00
                elif 0xDC00 <= u < 0xE000:
                    raise NotSplit("half a pair")
                out += chr(u).encode()
        self.at += 1
        return out.decode()


def check_resource(v):
    kind = v.member("resourceType")
    if kind is None or kind[3].text is None or not TYPE.match(kind[3].text):
        raise NotSplit("no resource")


def narrative(v):
    for i, (name, quote, comma, value) in enumerate(v.members):
        if name == "text":
            if i + 1 < len(v.members):
                return quote, v.members[i + 1][1]
            return (comma, value.end) if comma is not None else None
    return None


def cut(b):
    """The form and the parts: number of the entry, whether it is a narrative, bytes."""
    if len(b) > 32 << 20 or b.startswith(b"\xef\xbb\xbf"):
        raise NotSplit("file")
    try:
        b.decode()
    except UnicodeDecodeError:
        raise NotSplit("UTF-8")
    lines = [(m.start(), m.end()) for m in re.finditer(rb"[^\n]+", b) if m[0].strip(SPACE)]
    entries = []  # the entry, its resource
    if len(lines) > 1 and b[slice(*lines[0])].rstrip(SPACE).endswith(b"}") and b[slice(*lines[1])].lstrip(SPACE).startswith(b"{"):
        form = "lines"
        for start, end in lines:
            v = Reader(b, start, end, 61).whole()
            entries.append((v, v))
    else:
        v = Reader(b, 0, len(b), 64).whole()
        check_resource(v)
        if v.member("resourceType")[3].text == "Bundle":
            form, of = "bundle", v.member("entry")
            if of is None or not of[3].elements:
                raise NotSplit("no entry")
            for e in of[3].elements:
                if e.member("resource") is None or e.member("resourceType") is not None:
                    raise NotSplit("no entry")
                entries.append((e, e.member("resource")[3]))
        else:
            form = "resource"
            v = Reader(b, 0, len(b), 61).whole()
            entries.append((v, v))
    parts = []
    for i, (e, resource) in enumerate(entries):
        check_resource(resource)
        if e.end - e.start > 16 << 20:
            raise NotSplit("entry")
        text = narrative(resource)
        if text is None:
            parts.append((i, False, b[e.start:e.end]))
        else:
            parts.append((i, False, b[e.start:text[0]] + b[text[1]:e.end]))
            parts.append((i, True, b[text[0]:text[1]]))
    if len(parts) > 65000:
        raise NotSplit("parts")
    return form, parts


def is_fhir(name, b, within=False):
    if b.startswith(b"\x1f\x8b") and not within:
        if re.search(r"\.(nd)?json\Z", re.sub(r"\.gz\Z", "", name.lower())):
            return True
        try:
            return is_fhir("", zlib.decompressobj(31).decompress(b[:1 << 16], 1 << 20), True)
        except zlib.error:
            return False
    rest = b.lstrip(bytes(range(0x21)) + b"\xef\xbb\xbf\xfe\xff")
    if rest[:1] not in (b"{", b"["):
        b = b[:4 << 20]

    def behind(marks, words):
        at = re.search(marks, b)
        if not at:
            return False
        rest = b[at.end():].replace(b"\0", b"")
        rest = re.sub(rb"\\u([0-9A-Fa-f]{4})", lambda m: chr(int(m[1], 16)).encode("utf-8", "surrogatepass"), rest)
        rest = rest.replace("\u017f".encode(), b"s").lower()
        return any(w in rest for w in words)

    return behind(rb"[{\[]", [b"resourcetype"]) or behind(b"<", [b"http://hl7.org/fhir", b"urn:hl7-org:v3"])


# ---- files

CASES = []


def case(name, file, called="file.json"):
    b = file if isinstance(file, bytes) else file.encode()
    c = {"name": name, "called": called}
    try:
        c["file"] = b.decode()
    except UnicodeDecodeError:
        c["hex"] = b.hex()
    c["fhir"] = is_fhir(called, b)
    try:
        form, parts = cut(b)
        c["form"] = form
        c["parts"] = [{"entry": e, **({"narrative": True} if t else {}), "bytes": p.decode()} for e, t, p in parts]
        c["root"] = root(SALTS, [(t, p) for _, t, p in parts]).hex()
    except NotSplit:
        pass
    CASES.append(c)
    return c


SALTS = bytes(range(0x40, 0x60))
P = '{"resourceType":"Patient","id":"p"}'
N = '{"resourceType":"Patient","text":{"status":"generated","div":"<div>Ann</div>"},"id":"p"}'

case("a resource", P)
case("a resource with a narrative", N)
case("a narrative in front", '{ "text" : {"div":"x"} , "resourceType":"Patient" }')
case("a narrative at the end", '{"resourceType":"Patient" , "text":{"div":"x"} \n}')
case("a narrative in escapes", '{"resourceType":"Patient","\\u0074e\\u0078t":{"div":"x"},"id":"p"}')
case("a narrative that is none of a resource", '{"resourceType":"Patient","text":null,"id":"p"}')
case("text elsewhere", '{"resourceType":"Condition","code":{"text":"x"},"contained":[' + N + '],"note":[{"text":"y"}]}')
case("a type in escapes", '{"resource\\u0054ype":"Patien\\u0074","id":"p"}')
case("white space around", " \r\n\t" + N + "\n\n ")
case("a resource of the larger numbers", '{"resourceType":"Observation","valueQuantity":{"value":-0.10e+05},"x":[1E9,0,-1,true,false,null,[],{}]}')
for what, n in (("", "0"), ("", "-0.5"), ("", "1e5"), ("no ", "01"), ("no ", "-"), ("no ", "1."), ("no ", ".5"), ("no ", "1e"), ("no ", "+1"), ("no ", "0x1"), ("no ", "NaN"), ("no ", "1 2")):
    case(f"{what}number {n}", '{"resourceType":"Basic","x":' + n + '}')
case("a bundle", '{"resourceType":"Bundle","id":"b","type":"collection","total":2,"entry":[{"fullUrl":"urn:uuid:1","resource":' + P + '},{"resource":' + N + '}],"signature":{"data":"x"}}')
case("a bundle whose type is behind", '{"entry":[{"resource":' + N + ',"fullUrl":"u"}],"text":{"div":"of the bundle"},"resourceType":"Bundle"}')
case("a bundle with all of white space", '{\n  "resourceType" : "Bundle",\n  "entry" : [\n    {\n      "resource" : {\n        "resourceType" : "Patient",\n        "text" : {\n          "div" : "x"\n        },\n        "id" : "p"\n      },\n'
     '      "request" : { "method" : "PUT" }\n    } ,\n    { "resource" : { "resourceType" : "Basic" } }\n  ]\n}\n')
case("a bundle in a bundle", '{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Bundle","text":{"div":"x"},"entry":[{"resource":' + N + '}]}}]}')
case("text of an entry", '{"resourceType":"Bundle","entry":[{"text":{"div":"x"},"resource":' + N + '}]}')
case("one entry twice", '{"resourceType":"Bundle","entry":[{"resource":' + P + '},{"resource":' + P + '}]}')
case("seventeen entries", '{"resourceType":"Bundle","entry":[' + ",".join('{"resource":{"resourceType":"Basic","id":"%d"}}' % i for i in range(17)) + "]}")
for what, entry in (("no entry", ""), ("an entry that is no array", '"entry":{}'), ("no entries", '"entry":[ ]'), ("an entry without a resource", '"entry":[{"fullUrl":"u"}]'), ("an entry that is a number", '"entry":[1]'),
                    ("an entry that is a resource", '"entry":[' + P + "]"), ("an entry with both", '"entry":[{"resourceType":"Basic","resource":' + P + "}]"), ("a resource that is null", '"entry":[{"resource":null}]'),
                    ("a resource without a type", '"entry":[{"resource":{"id":"p"}}]'), ("one bad entry of two", '"entry":[{"resource":' + P + '},{"resource":[]}]'), ("a comma too much", '"entry":[{"resource":' + P + "},]"),
                    ("entries twice", '"entry":[{"resource":' + P + '}],"entry":[{"resource":' + P + "}]"), ("entries twice, in escapes", '"entry":[{"resource":' + P + '}],"\\u0065ntry":[{"resource":' + P + "}]"),
                    ("entries twice, but for case", '"entry":[{"resource":' + P + '}],"Entry":[]')):
    case(f"a bundle with {what}", '{"resourceType":"Bundle"' + ("," + entry if entry else "") + "}")
case("lines", P + "\n" + N + "\n")
case("lines of another system", P + "\r\n\r\n  \t\r\n " + N + " \r\n")
case("lines without an end", P + "\n" + N)
case("a bundle among lines", P + "\n" + '{"resourceType":"Bundle","entry":[{"resource":' + N + "}]}\n")
case("one line", N + "\n")
case("lines with a bad one", P + "\n{\n" + N)
case("lines with a line of two", P + "\n" + P + P + "\n")
case("lines with a list", P + "\n" + P + "\n[]\n")
case("lines with a line without a type", P + '\n{"id":"x"}\n')
case("lines with a line that is open", P + "\n" + N[:-1] + "\n}")
case("a list of resources", "[" + P + "," + P + "]")
case("two resources without an end of line", P + P)
case("a resource and more", P + " x")
case("a resource with a zero byte behind", P + "\0")
case("half a resource", N[:-1])
case("half a string", N[:-20])
case("single quotes", P.replace('"', "'"))
case("a comment", "{/* */" + P[1:])
case("a comma too much", P[:-1] + ",}")
case("a comma in front", "{," + P[1:])
case("a comma missing", P.replace(",", " "))
case("a colon missing", P.replace(":", " ", 1))
for what, kind in (("empty", '""'), ("a number", "1"), ("null", "null"), ("with a space", '"Pat ient"'), ("with a line's end", '"Patient\\n"'), ("of other letters", '"Pätient"'), ("of 64 letters", '"' + "A" * 64 + '"'), ("of 65 letters", '"' + "A" * 65 + '"')):
    case(f"a type that is {what}", '{"resourceType":' + kind + ',"id":"p"}')
case("a type in another case only", '{"ResourceType":"Patient","id":"p"}')
case("a type twice", '{"resourceType":"Patient","resourceType":"Basic"}')
case("a type twice, in escapes", '{"resourceType":"Patient","\\u0072esourceType":"Basic"}')
case("a key twice, deep", '{"resourceType":"Basic","a":[{"b":{"c":1,"d":2,"c":3}}]}')
case("a key twice, but for case, deep", '{"resourceType":"Basic","a":[{"code":1,"CODE":2}]}')
case("a key twice, but for case, in escapes", '{"resourceType":"Basic","a":{"code":1,"\\u0043ode":2}}')
case("one key in two objects", '{"resourceType":"Basic","a":{"a":1},"b":{"a":1}}')
case("keys that differ by a mark", '{"resourceType":"Basic","_a":1,"a":1,"a_":1,"@":1,"`":1,"[":1,"{":1}')
case("an empty key", '{"resourceType":"Basic","":1}')
case("an empty key twice", '{"resourceType":"Basic","":1,"":2}')
case("a key of other letters", '{"resourceType":"Basic","ſ":1}')
case("a key with a line's end", '{"resourceType":"Basic","a\\n":1}')
case("a key with a tilde", '{"resourceType":"Basic","a ~":1}')
case("a key with a delete", '{"resourceType":"Basic","a\x7f":1}')
case("256 members", '{"resourceType":"Basic",' + ",".join(f'"k{i}":{i}' for i in range(255)) + "}")
case("257 members", '{"resourceType":"Basic",' + ",".join(f'"k{i}":{i}' for i in range(256)) + "}")
for n in (60, 61):
    case(f"a resource with {n + 1} open", '{"resourceType":"Basic","x":' + "[" * n + "]" * n + "}")
    case(f"lines with {n + 1} open", P + '\n{"resourceType":"Basic","x":' + '{"a":' * (n - 1) + "[]" + "}" * (n - 1) + "}")
    case(f"a bundle with {n + 4} open", '{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Basic","x":' + "[" * n + "]" * n + "}}]}")
case("a bundle with 65 open elsewhere", '{"resourceType":"Bundle","x":' + "[" * 64 + "]" * 64 + ',"entry":[{"resource":' + P + "}]}")
case("letters of all planes", '{"resourceType":"Basic","x":"é€😀\\u00e9\\uD83d\\ude00\\/\\b\\f\\n\\r\\t\\"\\\\","text":{"div":"😀"}}')
for what, x in (("a high half", "\\ud83d"), ("a low half", "\\ude00"), ("halves turned", "\\ude00\\ud83d"), ("a half and a letter", "\\ud83dx"), ("two high halves", "\\ud83d\\ud83d"), ("a short escape", "\\u12"), ("no hexadecimal", "\\u12g4"),
                ("an escape that is none", "\\x41"), ("a control character", "\x1f"), ("a line's end", "\n"), ("a backslash at the end", "\\")):
    case(f"a string with {what}", '{"resourceType":"Basic","x":"' + x + '"}')
    if x in ("\\ud83d", "\\ude00"):
        case(f"a key with {what}", '{"resourceType":"Basic","x":{"' + x + '":1}}')
case("a byte order mark", b"\xef\xbb\xbf" + P.encode())
case("a byte order mark inside", P[:-2] + '\ufeff"}')
case("half a letter", P.encode()[:-2] + b'\xc3"}')
case("an overlong letter", P.encode()[:-2] + b'\xc0\xaf"}')
case("a surrogate in bytes", P.encode()[:-2] + b'\xed\xa0\x80"}')
case("two bytes a letter", P.encode("utf-16"))
case("two bytes a letter, the other way", b"\xfe\xff" + P.encode("utf-16-be"))
case("four bytes a letter", P.encode("utf-32-le"))
case("nothing", "")
case("white space only", " \n")
case("JSON that is no FHIR", '{"a":1}')
case("a document", "%PDF-1.7 resourceType", "scan.pdf")
case("XML", '<Patient xmlns="http://hl7.org/fhir"/>', "p.xml")
case("a compressed file that is called FHIR", b"\x1f\x8b\x08\0", "export.ndjson.GZ")
case("a compressed file that is called otherwise", b"\x1f\x8b\x08\0", "export.tar.gz")
case("FHIR that is compressed, whatever its name", gzip.compress(P.encode(), mtime=0), "export.bin")
case("something else that is compressed", gzip.compress(b"steps,4000", mtime=0), "steps.csv.gz")
case("a bad first line", "oops\n" + P + "\n" + P)
case("a comment in front", "// from the clinic\n" + P)
case("XML that is no FHIR", '<Patient xmlns="http://example.org/"/>', "p.xml")
case("CDA", '<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3"/>', "ccda.json")
case("XML in two bytes a letter", '<Patient xmlns="http://hl7.org/fhir"/>'.encode("utf-16"), "p.xml")
case("the namespace in front of all tags", 'see http://hl7.org/fhir <b>', "letter.txt")
case("a long s in the type's key", '{"re\u017fourceType":"Patient"}')
case("a long s in escapes", '{"re\\u017fourceType":"Patient"}')
case("the word in a value only", '{"a":"resourceType"}')
case("the word in front only", 'resourceType {"a":1}')

# The generator: files with at most one fault.
COUNTER = 0


def draw(n):
    global COUNTER
    COUNTER += 1
    return int.from_bytes(sha256(b"cut %d" % COUNTER), "big") % n


def space(): return ["", "", "", " ", "\n", "\t ", "\r\n  "][draw(7)]


def escaped(name):
    return "".join(f"\\u{ord(c):04x}" if draw(12) == 0 else c for c in name)


def anything(depth):
    k = draw(9 if depth else 6)
    if k < 6:
        return ["true", "null", "-12.50", '"a\\"b"', '"🩺 \\u00df"', '""'][k]
    if k == 6:
        return "[" + space() + ("," + space()).join(anything(depth - 1) + space() for _ in range(draw(3))) + "]"
    return thing([(n, anything(depth - 1)) for n in ("status", "text", "code")[:draw(4)]])


def thing(members):
    return "{" + space() + ("," + space()).join(f'"{escaped(n)}"{space()}:{space()}{v}{space()}' for n, v in members) + "}"


def resource():
    members = [("resourceType", '"' + ["Condition", "Observation", "Bundle", "Basic"][draw(4)] + '"')] + [(n, anything(3)) for n in ("id", "code", "note", "entry", "Text2")[:draw(6)]]
    if draw(3):
        members.append(("text", thing([("status", '"generated"'), ("div", '"<div>x</div>"')])))
    for i in range(len(members) - 1, 0, -1):
        j = draw(i + 1)
        members[i], members[j] = members[j], members[i]
    return thing(members)


for i in range(80):
    kind = draw(3)
    if kind == 0:
        file = resource().replace('"Bundle"', '"Basic"')
    elif kind == 1:
        file = "\n".join(space() + re.sub(r"[\r\n]", " ", resource()) for _ in range(2 + draw(4)))
    else:
        entries = [thing([("fullUrl", '"urn:uuid:%d"' % j)] * draw(2) + [("resource", resource())] + [("search", '{"mode":"match"}')] * draw(2)) for j in range(1 + draw(5))]
        file = thing([("resourceType", '"Bundle"'), ("type", '"batch"'), ("entry", "[" + space() + ",".join(e + space() for e in entries) + "]"), ("link", "[]")][:4])
    if draw(4) == 0:  # a byte more, less or other
        at, what = draw(len(file)), draw(3)
        file = file[:at] + ["", '"', ",", "}", "x", "\\"][draw(6)] + file[at + (what > 0):]
    case(f"drawn {i}", space() + file + space())

split = sum("parts" in c for c in CASES)
assert 100 < split < len(CASES) - 60 and all(c["fhir"] for c in CASES if "parts" in c), (split, len(CASES))
if __name__ == "__main__":
    with open(os.path.join(HERE, "cut.json"), "w") as f:
        json.dump({"about": "Files, and the parts that they are cut into; without parts, a file is not split. root is under the salts, given. Made by cut.py beside this file.", "salts": SALTS.hex(), "cases": CASES}, f, indent=1, ensure_ascii=True)
        f.write("\n")
