#!/usr/bin/env python3
"""Writes payload.json beside it: the wallet's payloads of crypto/FORMAT.md, version 2.

A second writer, made from that page alone. Every payload is there with what carekey
writes today, with every key that has its place for later, and as small and as large
as the room that is reserved for it allows.
"""

import json, os

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


VOUCHED = {"statement": "{\"v\":1}", "signature": fill(30, 64)}
WHOLE = dict(VOUCHED, salt=fill(31, 32), detail="{}", salts=fill(32, 32))

metadata = {"v": 2, "ledger": fill(1, 32), "author": AUTHOR, "version": 2, "title": "Blood <test> & \"more\" \u2028", "category": "labs", "date": "2026-11-21", "added": 498000,
            "file": "αίμα.pdf", "size": 10, "sha256": fill(4, 32), "content": fill(5, 32), "contentSize": 4096, "ageSize": 300, "head": fill(6, 32)}
book = dict(metadata, title="", category="other", date="", file="", hidden="book")
parts = {"split": 1, "count": 230, "slots": 256, "root": fill(7, 32), "start": 4096, "end": 69632}

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
        t = insert(t, "purpose", scope={"role": "general practitioner", "categories": ["immunizations"] * 9, "sensitive": ["reproductive"] * 6, "since": "2024-03-01", "until": "2025-12-31"})
        t = insert(t, "records", letter={"kind": "ask", "body": "b" * (4096 - len(text({"kind": "ask", "body": ""})))}, request=fill(11, 32), credential="c" * 2048)
    return t


envelope = {"v": 2, "ledger": fill(1, 32), "author": AUTHOR, "records": [{"record": fill(7, 32), "version": 2, "fileKey": fill(11, 16), "content": fill(12, 32), "contentSize": 4096,
            "ageSize": 300, "head": fill(13, 32), "file": "../../.ssh/authorized_keys", "size": 5, "sha256": fill(14, 32)}]}
vouched = dict(envelope, records=[dict(envelope["records"][0], vouched=WHOLE)])
partial = dict(envelope, records=[], parts=[{"record": fill(7, 32), "version": 2, "content": fill(12, 32), "contentSize": 69632, "head": fill(13, 32), "start": 4096, "end": 69632, "root": fill(15, 32),
               "frameKey": fill(16, 32), "items": [{"leaf": fill(17, 32), "at": 0, "length": 1024, "key": fill(18, 16)}], "vouched": VOUCHED}])
delivery = dict(envelope, records=[], delivery={"title": "Blood test", "file": "a.json", "size": 2, "sha256": fill(19, 32), "body": "e30=", "vouched": WHOLE})

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


out = {"payloads": [], "rooms": []}
for name, kind, written, value in (
    ("metadata", "metadata", True, metadata), ("book", "metadata", True, book),
    ("metadata with parts", "metadata", False, dict(metadata, parts=dict(parts, salts=fill(20, 32)), vouched=WHOLE)),
    ("terms", "terms", True, terms), ("terms with an exact end", "terms", True, insert(terms, "notAfter", until=499994)),
    ("terms with all that is to come", "terms", False, largest_terms(1, 1)),
    ("terms of parts", "terms", False, dict(insert(terms, "purpose", scope={"categories": ["vitals"], "sensitive": []}), records=[dict(terms["records"][0], title="", category="part", root=fill(15, 32))])),
    ("a letter alone", "terms", False, insert(dict(terms, records=[]), "records", letter={"kind": "deny", "body": "no"})),
    ("envelope", "envelope", True, envelope), ("envelope of vouched records", "envelope", False, vouched), ("envelope of parts", "envelope", False, partial), ("envelope of a delivery", "envelope", False, delivery),
    ("access", "access", True, access), ("access by link", "access", False, largest_access(1)),
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
