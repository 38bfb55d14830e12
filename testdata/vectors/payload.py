#!/usr/bin/env python3
"""Writes payload.json beside it: the wallet's payloads of crypto/FORMAT.md, version 2.

A second writer, made from that page alone. Every payload is there with what carekey
writes today, with every key that has its place for later, and as small and as large
as the room that is reserved for it allows.
"""

import base64, hashlib, json, os

HERE = os.path.dirname(os.path.abspath(__file__))
CRYPTO = {v["name"]: v.get("text") or v.get("hex") for v in json.load(open(os.path.join(HERE, "crypto.json")))["vectors"]}
ADDRESS, AUTHOR, RECIPIENT = CRYPTO["address"], CRYPTO["A"], CRYPTO["P_sig"]


def fill(b, n): return bytes([b] * n).hex()


def text(v):
    """The one encoding: no white space, no escapes but those of RFC 8259 and U+2028, U+2029."""
    s = json.dumps(v, separators=(",", ":"), ensure_ascii=False)
    s = s.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return s


def head(nodes):
    return "carekey/v1/" + fill(1, 32) + "\n" + "9" * 10 + "\n" + "A" * 43 + "=\n\n" + "s" * (365 * nodes)


DETAIL = text({"v": 2, "size": 10, "sha256": fill(4, 32), "title": "Blood <test>", "about": ADDRESS})
STATEMENT = {"v": 2, "issuer": ADDRESS, "root": fill(7, 32), "split": 1, "hour": 498000, "serial": fill(33, 16),
             "detail": hashlib.sha256(b"carekey/v1/attest-detail\0" + bytes([31] * 32) + DETAIL.encode()).hexdigest()}
VOUCHED = {"statement": text(STATEMENT), "signature": fill(30, 64)}
WHOLE = dict(VOUCHED, salt=fill(31, 32), detail=DETAIL)
GIVEN = dict(WHOLE, salts=fill(32, 32))

metadata = {"v": 2, "ledger": fill(1, 32), "author": AUTHOR, "version": 2, "title": "Blood <test> & \"more\" \u2028", "category": "labs", "date": "2026-11-21", "added": 498000,
            "file": "αίμα.pdf", "size": 10, "sha256": fill(4, 32), "content": fill(5, 32), "contentSize": 4096, "ageSize": 300, "head": fill(6, 32)}
book = dict(metadata, title="", category="other", date="", file="", hidden="book")


def padme(n):
    if n <= 4096:
        return 4096
    e = n.bit_length() - 1
    unit = 2 ** (e - e.bit_length())
    return -(-n // unit) * unit


def part_size(body):  # of the ciphertext
    size = 1024
    while size < 36 + body:
        size = size * 3 // 2 if size & size - 1 == 0 else size * 4 // 3
    return size + 16


SLOTS = 256
FRAME = 24 + 32 * SLOTS + 16
# Five granted parts: a small resource, its narrative, one whose resource is not given, a larger and the largest.
ITEMS = ((0, 0, 100), (3, 0, 988), (4, 4, 989), (200, 200, 5000), (255, 255, 16 << 20))
START = padme(-(-(32 + 300000) // (16 << 10)) * (16 << 10))
END = padme(START + FRAME + sum(part_size(size) for _, _, size in ITEMS) + 225 * 1040)


def items(of):
    out, at = b"", FRAME
    for i, (slot, resource, size) in enumerate(of):
        at += 16 * 1040 if i else 0  # parts that are not granted
        out += b"".join(n.to_bytes(4, "big") for n in (slot, resource, at, part_size(size))) + bytes([40 + i] * 16)
        at += part_size(size)
    return base64.b64encode(out).decode().rstrip("=")


split = dict(metadata, contentSize=END, ageSize=300000, parts={"split": 1, "count": 230, "slots": SLOTS, "root": fill(7, 32), "start": START, "end": END})
issued = dict(split, parts=dict(split["parts"], salts=fill(20, 32)))

terms = {"v": 2, "ledger": fill(1, 32), "author": AUTHOR, "recipient": RECIPIENT, "from": ADDRESS, "to": ADDRESS, "notBefore": 0, "notAfter": 500000, "purpose": "TREAT",
         "records": [{"record": fill(7, 32), "version": 2, "title": "t", "category": "labs", "date": ""}], "k": 1, "n": 1,
         "envelope": fill(8, 32), "lock": fill(9, 32), "shares": [fill(10, 32)], "checkpoint": head(0)}


def insert(d, after, **new):
    out = {}
    for k, v in d.items():
        out[k] = v
        if k == after:
            out.update(new)
    return out


def largest_terms(nodes, keepers, letter=True):
    t = insert(terms, "notAfter", until=499999)
    t["purpose"], t["k"], t["n"], t["shares"], t["checkpoint"] = "HRESCH", keepers, keepers, [fill(10, 32)] * keepers, head(nodes)
    t["notBefore"] = 499998
    t["records"] = [{"record": fill(7, 32), "version": 99999, "title": "\"" * 80, "category": "immunizations", "date": "2026-11-21"}] * 20
    if letter:
        t = insert(t, "from", name="n" * 256)
        t = insert(t, "purpose", scope={"role": "general practitioner", "beyond": True, "categories": [f"immunization{i}" for i in "abcdefghijkl"], "sensitive": [f"substance-us{i}" for i in "abcdefghij"],
                                  "since": "2024-03-01", "until": "2025-12-31"})
        t = insert(t, "records", letter={"kind": "ask", "body": "b" * (4096 - len(text({"kind": "ask", "body": ""})))}, request=fill(11, 32), credential="c" * 2048)
    return t


envelope = {"v": 2, "ledger": fill(1, 32), "author": AUTHOR, "records": [{"record": fill(7, 32), "version": 2, "fileKey": fill(11, 16), "content": fill(12, 32), "contentSize": 4096,
            "ageSize": 300, "head": fill(13, 32), "file": "../../.ssh/authorized_keys", "size": 5, "sha256": fill(14, 32)}]}
vouched = dict(envelope, records=[dict(envelope["records"][0], vouched=WHOLE)])
part = {"record": fill(7, 32), "author": AUTHOR, "version": 2, "split": 2, "content": fill(12, 32), "contentSize": END, "head": fill(13, 32), "start": START, "end": END, "slots": SLOTS, "root": fill(15, 32),
        "frameKey": fill(16, 32), "items": items(ITEMS)}
partial = dict(envelope, records=[], parts=[part])
mixed = dict(envelope, parts=[part, dict(part, record=fill(21, 32), items=items(ITEMS[:1]))])
scope = {"categories": ["vitals"], "sensitive": []}
of_parts = dict(insert(terms, "purpose", scope=scope), records=[dict(terms["records"][0], title="", category="part", root=fill(15, 32))])
roles = dict(insert(of_parts, "purpose", scope={"role": "nurse", "beyond": True, "categories": ["demographics", "medications", "vitals"], "sensitive": ["mental-health", "unclassified"],
             "since": "2024-03-01", "until": "2025-12-31"}), records=[terms["records"][0]] + of_parts["records"])
BODY = b"{}"
delivery = dict(envelope, records=[], delivery={"title": "Blood test", "file": "a.json", "size": 2, "sha256": hashlib.sha256(BODY).hexdigest(), "body": base64.b64encode(BODY).decode(), "vouched": GIVEN})


def delivered(**more):
    return dict(delivery, delivery=dict(delivery["delivery"], **more))


notice = {"title": "Blood \"test\"", "size": 2, "reason": ""}
correction = {"title": "Blood test", "size": 2, "corrects": fill(11, 32), "reason": "Units <mg> \u2028"}


def scope_of(categories, **more):
    return {"categories": categories, "sensitive": [], **more}


ask = {"scope": dict({"role": "nurse"}, **scope_of(["allergies", "demographics", "medications"], since="2024-03-01")), "for": "30d", "reason": "Πριν το \"χειρουργείο\""}
ask_until = {"scope": scope_of(["labs"]), "until": 499994, "reason": ""}


def letter(kind, body, **more):
    return insert(dict(terms, records=[]), "records", letter={"kind": kind, "body": text(body)}, **more)


access = {"v": 2, "ledger": fill(1, 32), "grant": fill(15, 32), "author": RECIPIENT, "from": ADDRESS, "reason": "έλεγχος", "checkpoint": head(0)}


def largest_access(nodes, later=True):
    a = dict(access, reason="\"" * 1000, checkpoint=head(nodes))
    if later:
        a = insert(insert(a, "from", by="\"" * 200, link=True), "reason", credential="c" * 2048)
    return a


def room(kind, nodes, keepers):
    bytes_ = {"access": 5440 + 365 * nodes, "terms": 14592 + 365 * nodes + 67 * keepers}.get(kind, 0)
    size = 4096
    while size < bytes_ + 4:
        size *= 4
    return size


S = base64.b32decode((ADDRESS[len("carekey1"):].upper() + "=" * (-len(ADDRESS[len("carekey1"):]) % 8)))[1:34]
out = {"payloads": [], "rooms": [], "attest": hashlib.sha256(b"carekey/v1/attest\0" + S + VOUCHED["statement"].encode()).hexdigest()}
for name, kind, written, value in (
    ("metadata", "metadata", True, metadata), ("book", "metadata", True, book),
    ("metadata of FHIR that was not split", "metadata", True, dict(metadata, whole="fhir")), ("metadata of no FHIR", "metadata", True, dict(metadata, whole="file")),
    ("metadata with parts", "metadata", True, split), ("metadata with an issuer's salts", "metadata", True, issued), ("metadata with an issuer's statement", "metadata", True, dict(issued, vouched=WHOLE)),
    ("metadata of what was delivered", "metadata", True, dict(issued, vouched=WHOLE, source={"delivery": fill(11, 32), "from": ADDRESS, "sent": 497990})),
    ("terms", "terms", True, terms), ("terms with an exact end", "terms", True, insert(terms, "notAfter", until=499994)),
    ("terms with a name", "terms", True, insert(terms, "from", name="Μαρία <\"Maria\"> \u2028")),
    ("terms with all that is to come", "terms", False, largest_terms(1, 1)),
    ("terms of parts", "terms", True, of_parts), ("terms of a role, and of a whole record", "terms", True, roles),
    ("terms of a request", "terms", True, letter("ask", ask)), ("terms of a request until a day", "terms", True, letter("ask", ask_until)),
    ("terms of a denial", "terms", True, letter("deny", {"reason": "See <Dr \"Smith\">\u2028"}, request=fill(11, 32))),
    ("terms of a delivery", "terms", True, letter("deliver", notice)), ("terms of a correction", "terms", True, letter("deliver", correction)),
    ("terms of a withdrawal", "terms", True, letter("withdraw", {"reason": "Wrong patient"}, request=fill(11, 32))),
    ("terms of an answer", "terms", True, insert(of_parts, "records", request=fill(11, 32))),
    ("terms with a letter of a kind to come", "terms", True, insert(terms, "records", letter={"kind": "recall", "body": "b"})),
    ("terms with a credential", "terms", False, insert(terms, "records", credential="c")),
    ("a request", "ask", True, ask), ("a request until a day", "ask", True, ask_until), ("a request beyond", "ask", None, dict(ask, scope=dict(ask["scope"], role="nurse", beyond=True))),
    ("a request with a credential", "ask", False, dict(ask, credential="c")), ("a request for nothing", "ask", None, dict(ask, scope=scope_of([]))),
    ("a request for how long and until when", "ask", None, insert(ask, "for", until=500000)), ("a request without an end", "ask", None, {k: v for k, v in ask.items() if k != "for"}),
    ("a request for 030d", "ask", None, dict(ask, **{"for": "030d"})), ("a denial", "deny", True, {"reason": ""}),
    ("envelope", "envelope", True, envelope), ("envelope of vouched records", "envelope", True, vouched), ("envelope of parts", "envelope", True, partial),
    ("envelope of parts and a whole record", "envelope", True, mixed), ("envelope of vouched parts", "envelope", True, dict(partial, parts=[dict(part, root=fill(7, 32), vouched=VOUCHED)])), 
    ("envelope of a delivery", "envelope", True, delivery), ("envelope of a delivery that nobody signed", "envelope", True, dict(delivery, delivery={k: v for k, v in delivery["delivery"].items() if k != "vouched"})),
    ("envelope of a delivery without salts", "envelope", True, delivered(vouched=WHOLE)), ("envelope of a delivery with another size", "envelope", None, delivered(size=3)),
    ("envelope of a delivery with other bytes", "envelope", None, delivered(body="e31=")), ("envelope of a delivery with other bits behind its body", "envelope", None, delivered(body="e31")),
    ("envelope of a delivery without a title", "envelope", None, delivered(title="")), ("envelope of a delivery vouched as parts are", "envelope", None, delivered(vouched=VOUCHED)),
    ("envelope of a delivery and a record", "envelope", None, dict(delivery, records=envelope["records"])),
    ("a delivery", "deliver", True, notice), ("a correction", "deliver", True, correction), ("a delivery of a date to come", "deliver", False, dict(notice, date="2026-11-21")),
    ("a delivery without a title", "deliver", None, dict(notice, title="")), ("a delivery beyond its size", "deliver", None, dict(notice, size=(48 << 20) - (64 << 10) + 1)), ("a withdrawal", "withdraw", True, {"reason": ""}),

    ("attestation", "attestation", True, {"v": 2, "vouched": GIVEN}),
    ("attestation of no FHIR", "attestation", True, {"v": 2, "vouched": dict(WHOLE, statement=text({k: v for k, v in STATEMENT.items() if k not in ("root", "split")}))}),
    ("attestation of parts", "attestation", True, {"v": 2, "vouched": VOUCHED, "proof": {"leaves": base64.b64encode(b"".join(bytes([40 + i] * 32) for i in range(16))).decode().rstrip("="),
     "parts": [{"salt": fill(34, 32), "before": "{\"resource\":", "after": "}"}, {"salt": fill(35, 32), "before": "", "after": "", "text": fill(36, 32)}, {"text": fill(37, 32), "of": fill(38, 32)}]}}),
    ("access", "access", True, access), ("access with who looked", "access", True, insert(access, "from", by="Nurse \"Ada\" <\u2028>")), ("access by a link", "access", True, insert(access, "from", by="Dr Smith", link=True)), ("access with all that is to come", "access", False, largest_access(1)),
):
    out["payloads"].append({"name": name, "kind": kind, "written": written, "text": text(value)})
for n, m in ((1, 1), (3, 3), (4, 4), (5, 5), (7, 7), (16, 16)):
    r = {"nodes": n, "keepers": m}
    for kind, least, most in (("terms", terms, largest_terms(n, m)), ("access", dict(access, reason=""), largest_access(n))):
        proof = 64 if kind == "terms" else 0  # the signature before the JSON
        assert proof + 4 + len(text(most).encode()) <= room(kind, n, m), (kind, n, m, len(text(most).encode()), room(kind, n, m))
        r[kind] = {"padded": room(kind, n, m), "least": len(text(least).encode()), "most": len(text(most).encode())}
    out["rooms"].append(r)

with open(os.path.join(HERE, "payload.json"), "w") as f:
    json.dump(out, f, indent=1, ensure_ascii=False)
    f.write("\n")
