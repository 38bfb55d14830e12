#!/usr/bin/env python3
"""Writes order.json beside it: envelopes of a network of two institutions, and what three blocks of them come to.

A second implementation, made from the comments of ledgerclient/cometbft/chain. Hashes and the curve of the
document's keys are those of crypto.py, Ed25519 is that of reader.py. The keys are public: never use them.
"""

import hashlib, hmac, json, os

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "crypto.py")) as f:  # without what it needs for AES
    exec("#" + f.read().partition("# ---- hashes")[2].partition("# ---- randomness")[0])
reader = {"__name__": "reader"}
with open(os.path.join(HERE, "..", "reader.py")) as f:
    exec(f.read(), reader)
ed_times, ed_point, ORDER, FIELD = reader["ed_times"], reader["ed_point"], reader["L"], reader["Q"]
BASE = ed_point(b"\x58" + b"\x66" * 31)


def octets(point):
    z = pow(point[2], -2 + FIELD, FIELD)
    x, y = point[0] * z % FIELD, point[1] * z % FIELD
    return (y | (x & 1) << 255).to_bytes(32, "little")


def half(seed):  # RFC 8032, section 5.1.5
    h = hashlib.sha512(seed).digest()
    return int.from_bytes(h[:32], "little") & ((1 << 254) - 8) | 1 << 254, h[32:]


def public(seed): return octets(ed_times(half(seed)[0], BASE))


def ed_sign(seed, text):
    s, prefix = half(seed)
    r = int.from_bytes(hashlib.sha512(prefix + text).digest(), "little") % ORDER
    R = octets(ed_times(r, BASE))
    k = int.from_bytes(hashlib.sha512(R + public(seed) + text).digest(), "little") % ORDER
    return R + ((r + k * s) % ORDER).to_bytes(32, "little")


def n(number, size): return number.to_bytes(size, "big")


seeds = [sha256(b"carekey order vector node %d" % i) for i in range(2)]
keys = [pub(mul(int.from_bytes(sha256(b"carekey order vector key %d" % i), "big"))) for i in range(3)]
genesis = "carekey ledger 1\nname Vector\ncontract 1\n"
for seed, key in zip(seeds, keys):
    genesis += "node %s %s\n" % (public(seed).hex(), key.hex())
genesis += "threshold 2\nkeeper %s\nrelease 1\nrandom %s\n" % (keys[2].hex(), "01" * 16)
ledger = H("ledger", genesis.encode())


def entry(name, kind, document=None):  # any bytes: each is of a thread of its own
    b = b"".join(sha256(b"carekey order vector entry %d " % i + name) for i in range(7))[:222]
    b = b[:1] + n(kind, 1) + b[2:]
    return b if document is None else b[:126] + H("config", document) + b[158:], document


def envelope(node, number, *items):
    b = b"\1" + ledger + public(seeds[node]) + n(number, 8) + n(len(items), 2)
    for e, document in items:
        b += e if document is None else e + n(len(document), 2) + document
    return b + ed_sign(seeds[node], b"carekey/v1/order-envelope\0" + b)


def root(leaves):  # RFC 6962, section 2.1
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"")
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return sha256(b"\1" + root(leaves[:k]) + root(leaves[k:]))


def edge(leaves):
    out = []
    while leaves:
        k = 1 << len(leaves).bit_length() - 1
        out, leaves = out + [root(leaves[:k])], leaves[k:]
    return out


leaves, items = [], []


def decide(hour, order):
    for e, document in order:
        leaves.append(sha256(b"\0" + n(hour, 4) + e + sha256(document or b"")))
        items.append({"hour": hour, "entry": e.hex(), "document": (document or b"").decode()})


def state(height, hour, accounts):
    hashes = edge(leaves)
    common = n(hour, 4) + n(len(leaves), 8) + n(len(accounts), 1)
    for number, grants, entries in accounts:
        common += n(number, 8) + n(grants, 4) + n(entries, 4)
    common += n(len(hashes), 1) + b"".join(hashes)
    return {"state": (b"\1" + n(height, 8) + common).hex(), "hash": H("order-state", root(leaves), common).hex()}


def ident(item): return H("entry", ledger, item[0][:158])


first = [entry(b"record", 2), entry(b"config", 1, b"any document\n"), entry(b"grant", 3)]
second, third = [entry(b"other", 2), entry(b"another", 5)], [entry(b"more", 4)]
one, two, three = envelope(0, 1, *first), envelope(1, 7, *second), envelope(0, 2, first[0], *third)
blocks = []
decide(490_000, first)  # one envelope keeps its order
blocks.append({"time": 490_000 * 3600 + 7, "envelopes": [one.hex()]} | state(1, 490_000, [(1, 1, 3), (0, 0, 0)]))
blocks.append({"time": 490_003 * 3600, "envelopes": []} | state(2, 490_000, [(1, 1, 3), (0, 0, 0)]))
decide(490_001, sorted(second + third, key=ident))  # several are mixed; what is there already is not charged
blocks.append({"time": 490_001 * 3600 + 3599, "envelopes": [two.hex(), three.hex()]} | state(3, 490_001, [(2, 0, 1), (7, 0, 2)]))

vector = {
    "about": "package ledgerclient/cometbft/chain; made by order.py beside this file. The keys are public: never use them.",
    "genesis": genesis, "seeds": [s.hex() for s in seeds], "blocks": blocks, "items": items,
}
with open(os.path.join(HERE, "order.json"), "w") as f:
    json.dump(vector, f, indent=1, ensure_ascii=False)
    f.write("\n")
