"""A second reader of a carekey ledger, written from ledgerclient/contract/SPEC.md and crypto/FORMAT.md alone.

`python3 reader.py FOLDER` reads FOLDER/genesis, FOLDER/leaves and FOLDER/checkpoint; recomputes the ledger id, every entry's id,
signature and thread, every state root, the log's root and the checkpoint's signature; prints `ok size N root HEX` (status 0) or
`bad: where: what` (status 1). It does not judge the rules on hours and knows no configuration but the genesis document's."""
import base64, hashlib, sys

P = 2**256 - 2**32 - 977  # field, order and base point of secp256k1
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
     0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8, 1)
Q, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493  # field and order of Ed25519, d of its equation
D = -121665 * pow(121666, -1, Q) % Q

def need(ok, what):
    if not ok:
        raise ValueError(what)
def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()
def tagged(purpose, *parts):
    return sha(b"carekey/v1/" + purpose + b"\0", *parts)

def add(p, q):  # on secp256k1: (X, Y, Z) stands for x = X/Z², y = Y/Z³; Z = 0 is the neutral element
    if p[2] == 0 or q[2] == 0:
        return q if p[2] == 0 else p
    (x1, y1, z1), (x2, y2, z2) = p, q
    u, v = x1 * z2 * z2 % P, y1 * z2**3 % P
    h, r = (x2 * z1 * z1 - u) % P, (y2 * z1**3 - v) % P
    if h == 0:  # the same point, doubled along its tangent, or its opposite
        s, m = 4 * x1 * y1 * y1 % P, 3 * x1 * x1 % P
        x = (m * m - 2 * s) % P
        return (x, (m * (s - x) - 8 * y1**4) % P, 2 * y1 * z1 % P) if r == 0 else (0, 1, 0)
    x = (r * r - h**3 - 2 * u * h * h) % P
    return x, (r * (u * h * h - x) - v * h**3) % P, h * z1 * z2 % P

def ecdsa(key, digest, sig):
    x, r, s, e = (int.from_bytes(b, "big") for b in (key[1:], sig[:32], sig[32:], digest))
    y = pow(x**3 + 7, (P + 1) // 4, P)
    if key[0] not in (2, 3) or x >= P or y * y % P != (x**3 + 7) % P or not (0 < r < N and 0 < s <= N // 2):
        return False
    key = (x, y if y % 2 == key[0] % 2 else P - y, 1)
    a, b, both, t = e * pow(s, -1, N) % N, r * pow(s, -1, N) % N, add(G, key), (0, 1, 0)
    for bit in range(255, -1, -1):
        pick, t = (a >> bit & 1) + 2 * (b >> bit & 1), add(t, t)
        t = add(t, (None, G, key, both)[pick]) if pick else t
    return t[2] != 0 and t[0] * pow(t[2], -2, P) % P % N == r

def ed_add(p, q):  # on Ed25519, extended coordinates of RFC 8032, section 5.1.4
    a, b, c, d = (p[1] - p[0]) * (q[1] - q[0]), (p[1] + p[0]) * (q[1] + q[0]), 2 * p[3] * q[3] * D, 2 * p[2] * q[2]
    return (b - a) * (d - c) % Q, (d + c) * (b + a) % Q, (d - c) * (d + c) % Q, (b - a) * (b + a) % Q

def ed_times(k, p):
    t = (0, 1, 1, 0)
    for bit in range(255, -1, -1):
        t = ed_add(ed_add(t, t), p) if k >> bit & 1 else ed_add(t, t)
    return t

def ed_point(b):
    y, sign = int.from_bytes(b, "little") & (1 << 255) - 1, b[31] >> 7
    xx = (y * y - 1) * pow(D * y * y + 1, -1, Q) % Q
    x = pow(xx, (Q + 3) // 8, Q)
    x = x if x * x % Q == xx else x * pow(2, (Q - 1) // 4, Q) % Q
    need(y < Q and x * x % Q == xx and (x or not sign), "not a point of Ed25519")
    x = x if x % 2 == sign else Q - x
    return x, y, 1, x * y % Q

def ed25519(key, text, sig):
    s, k = int.from_bytes(sig[32:], "little"), int.from_bytes(hashlib.sha512(sig[:32] + key + text).digest(), "little") % L
    p, q = ed_times(s, ed_point(b"\x58" + b"\x66" * 31)), ed_add(ed_point(sig[:32]), ed_times(k, ed_point(key)))
    return s < L and (p[0] * q[2] - q[0] * p[2]) % Q == 0 and (p[1] * q[2] - q[1] * p[2]) % Q == 0

class Tree:  # RFC 6962, section 2.1; rows[k] holds the heads of the full subtrees of 2^k leaves
    def __init__(self):
        self.rows = [[]]

    def put(self, i, data):
        h, k = sha(b"\0", data), 0
        self.rows[0][i:i + 1] = [h]
        while i | 1 < len(self.rows[k]):
            h, i, k = sha(b"\1", self.rows[k][i & ~1], self.rows[k][i | 1]), i >> 1, k + 1
            self.rows += [[]] if k == len(self.rows) else []
            self.rows[k][i:i + 1] = [h]

    def head(self):
        h = None
        for row in self.rows:
            if len(row) % 2:
                h = row[-1] if h is None else sha(b"\1", row[-1], h)
        return sha() if h is None else h

def read_checkpoint(note, origin, nodes):
    text, _, signatures = note.rpartition(b"\n\n")
    lines, good = text.decode().split("\n"), 0
    need(len(lines) == 3 and lines[0] == origin and lines[1] == str(abs(int(lines[1]))), "not a checkpoint of this ledger")
    need(signatures.endswith(b"\n") and base64.b64encode(base64.b64decode(lines[2])).decode() == lines[2], "malformed")
    known = {sha(origin.encode(), b"\n\1", n)[:4]: n for n in nodes}
    for line in signatures.decode()[:-1].split("\n"):
        dash, name, sig = line.split(" ")
        raw = base64.b64decode(sig)
        need(dash == "\u2014" and base64.b64encode(raw).decode() == sig, "malformed signature line")
        if name == origin and raw[:4] in known:
            need(len(raw) == 68 and ed25519(known[raw[:4]], text + b"\n", raw[4:]), "bad signature")
            good += 1
    need(good, "no signature by a node")
    return int(lines[1]), base64.b64decode(lines[2])

def read_leaf(i, leaf, ledger, config, threads, slots):
    e, author, counterparty, subject, commitment = leaf[4:226], leaf[8:41], leaf[41:74], leaf[74:106], leaf[130:162]
    kind, flags, name = e[1], e[2], tagged(b"entry", ledger, e[:158])
    opens = kind == 3 or kind in (1, 2) and not any(subject)
    need(e[0] == 1 and 1 <= kind <= 5 and (flags == 0 or flags == 1 and kind == 2 and not opens) and e[3] == 0, "first bytes")
    need(any(commitment) and (kind == 3) == any(counterparty) and opens != any(subject), "fields of its kind")
    need(ecdsa(author, name, e[158:]), "signature")
    need(name not in threads, "came before")
    if opens:  # threads: by id, where it was opened, kind, status, last access, count, chain, keys; None for a follow-up
        need((i == 0) == (kind == 1) and (i or (author, commitment) == config), "does not open this ledger")
        t = threads[name] = [i, kind, 1, bytes(4), 0, bytes(32), author, counterparty]
    else:
        t, threads[name] = threads.get(subject), None
        need(t and t[1] == min(kind, 3) and t[2] == 1, "no thread for it, or an ended one")
        need(kind == 1 or author == t[7 if kind == 5 else 6], "author")
        t[2], t[3], t[4] = 2 if kind == 4 or flags else 1, leaf[:4] if kind == 5 else t[3], t[4] + 1
        t[5] = tagged(b"chain", t[5], i.to_bytes(8, "big"), leaf[:4], name)
        slots.put(i, b"")
    slots.put(t[0], bytes(t[1:3]) + t[3] + t[4].to_bytes(4, "big") + t[5])
    need(slots.head() == leaf[226:], "state root")

def check(genesis, leaves, checkpoint):
    where, log, slots, threads, hour = "genesis", Tree(), Tree(), {}, bytes(4)
    try:
        ledger = tagged(b"ledger", genesis)
        nodes = [line.split()[1:] for line in genesis.decode().split("\n") if line.startswith("node ")]
        config = (bytes.fromhex(nodes[0][1]), tagged(b"config", genesis))
        where = "checkpoint"
        size, root = read_checkpoint(checkpoint, "carekey/v1/" + ledger.hex(), [bytes.fromhex(n[0]) for n in nodes])
        for i in range(size):
            where, leaf = "leaf %d" % i, leaves[258 * i:258 * i + 258]
            need(len(leaf) == 258 and leaf[:4] >= hour, "missing, or its hour goes back")
            read_leaf(i, leaf, ledger, config, threads, slots)
            log.put(i, leaf)
            hour = leaf[:4]
        where = "checkpoint"
        need(log.head() == root, "root of the log")
    except (ValueError, IndexError) as err:
        return "bad: %s: %s" % (where, err)
    return "ok size %d root %s" % (size, root.hex())

if __name__ == "__main__":
    verdict = check(*(open("%s/%s" % (sys.argv[1], name), "rb").read() for name in ("genesis", "leaves", "checkpoint")))
    sys.exit(print(verdict) or not verdict.startswith("ok"))
