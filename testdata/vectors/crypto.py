#!/usr/bin/env python3
"""Writes crypto.json beside it: one value for every step of crypto/FORMAT.md.

A second implementation, made from FORMAT.md and the standards it names. It is
slow and not safe for real keys. Needs the package cryptography, for AES and
ChaCha20-Poly1305 only. What is random in real life is derived from a counter.
"""

import base64, hashlib, hmac, json, os, struct
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

HERE = os.path.dirname(os.path.abspath(__file__))
VECTORS = []


def emit(name, value, how):
    VECTORS.append({"name": name, "how": how, "text" if isinstance(value, str) else "hex": value if isinstance(value, str) else value.hex()})
    return value


# ---- hashes and derivations

def sha256(b): return hashlib.sha256(b).digest()
def mac(k, b): return hmac.new(k, b, hashlib.sha256).digest()
def info(tag, *parts): return b"carekey/v1/" + tag.encode() + b"\0" + b"".join(parts)
def H(tag, *parts): return sha256(info(tag, *parts))
def extract(salt, ikm): return mac(salt or bytes(32), ikm)


def expand(prk, info, size):
    out, block, i = b"", b"", 1
    while len(out) < size:
        block = mac(prk, block + info + bytes([i]))
        out, i = out + block, i + 1
    return out[:size]


def derive(secret, tag, *parts): return expand(extract(b"", secret), info(tag, *parts), 32)


def scalar(secret, tag, *parts):
    for counter in range(256):
        x = int.from_bytes(derive(secret, tag, *parts, bytes([counter])), "big")
        if 1 <= x < N:
            return x


# ---- secp256k1

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
     0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8)


def add(a, b):
    if a is None: return b
    if b is None: return a
    if a[0] == b[0] and (a[1] + b[1]) % P == 0: return None
    if a == b: m = 3 * a[0] * a[0] * pow(2 * a[1], -1, P) % P
    else: m = (b[1] - a[1]) * pow(b[0] - a[0], -1, P) % P
    x = (m * m - a[0] - b[0]) % P
    return x, (m * (a[0] - x) - a[1]) % P


def mul(k, q=G):
    r = None
    while k:
        if k & 1: r = add(r, q)
        q, k = add(q, q), k >> 1
    return r


def b32(x): return x.to_bytes(32, "big")
def pub(q): return bytes([2 + (q[1] & 1)]) + b32(q[0])
def pub65(q): return b"\x04" + b32(q[0]) + b32(q[1])


def sign(d, digest):
    e = int.from_bytes(digest, "big") % N
    v, k = b"\1" * 32, bytes(32)
    for sep in (b"\0", b"\1"):  # RFC 6979 section 3.2
        k = mac(k, v + sep + b32(d) + b32(e))
        v = mac(k, v)
    while True:
        v = mac(k, v)
        nonce = int.from_bytes(v, "big")
        if 1 <= nonce < N:
            r = mul(nonce)[0] % N
            s = pow(nonce, -1, N) * (e + r * d) % N
            if r and s:
                return b32(r) + b32(min(s, N - s))
        k = mac(k, v + b"\0")
        v = mac(k, v)


# ---- randomness that is not

RANDOM = 0


def rand(size):
    global RANDOM
    RANDOM += 1
    return hashlib.shake_256(b"carekey vectors" + bytes([RANDOM])).digest(size)


# ---- HPKE

def labeled_extract(suite, salt, label, ikm): return extract(salt, b"HPKE-v1" + suite + label + ikm)
def labeled_expand(suite, prk, label, info, size): return expand(prk, struct.pack(">H", size) + b"HPKE-v1" + suite + label + info, size)


def hpke_seal(to, info, plaintext):
    e = int.from_bytes(rand(32), "big") % N
    enc, dh = pub65(mul(e)), b32(mul(e, to)[0])
    kem, suite = b"KEM\x00\x16", b"HPKE\x00\x16\x00\x01\x00\x03"
    secret = labeled_expand(kem, labeled_extract(kem, b"", b"eae_prk", dh), b"shared_secret", enc + pub65(to), 32)
    context = b"\0" + labeled_extract(suite, b"", b"psk_id_hash", b"") + labeled_extract(suite, b"", b"info_hash", info)
    prk = labeled_extract(suite, secret, b"secret", b"")
    key, nonce = labeled_expand(suite, prk, b"key", context, 32), labeled_expand(suite, prk, b"base_nonce", context, 12)
    return enc, ChaCha20Poly1305(key).encrypt(nonce, plaintext, b"")


# ---- age

def raw64(b): return base64.b64encode(b).rstrip(b"=")


def age(file_key, plaintext, *to):  # to: (point, info)
    header = b"age-encryption.org/v1\n"
    for q, i in to:
        enc, body = hpke_seal(q, i, file_key)
        header += b"-> carekey-k256 " + raw64(enc) + b"\n" + raw64(body) + b"\n"
    header += b"---"
    tag = mac(expand(extract(b"", file_key), b"header", 32), header)
    nonce = rand(16)
    key = expand(extract(nonce, file_key), b"payload", 32)
    out = header + b" " + raw64(tag) + b"\n" + nonce
    chunks = [plaintext[i:i + 65536] for i in range(0, len(plaintext), 65536)] or [b""]
    for i, c in enumerate(chunks):
        out += ChaCha20Poly1305(key).encrypt(i.to_bytes(11, "big") + bytes([i == len(chunks) - 1]), c, b"")
    return out


def pad(body):
    size = 4096
    while size < len(body) + 4:
        size *= 4
    return (struct.pack(">I", len(body)) + body).ljust(size, b"\0")


# ---- GF(256)

def gf(a, b):
    p = 0
    for i in range(8):
        if b >> i & 1: p ^= a << i
    for i in range(14, 7, -1):
        if p >> i & 1: p ^= 0x11B << i - 8
    return p


WORDS = open(os.path.join(HERE, "..", "..", "crypto", "english.txt")).read().split()


def words(bits, count):  # the first count groups of 11 bits
    x = int.from_bytes(bits, "big") >> len(bits) * 8 - 11 * count
    return " ".join(WORDS[x >> 11 * (count - 1 - i) & 2047] for i in range(count))


def base32(b): return base64.b32encode(b).decode().rstrip("=")


def person(entropy, who):
    root = emit(who + "root", derive(entropy, "root"), "derive(entropy, root)")
    s, v = scalar(root, "sign-key"), scalar(root, "view-key")
    emit(who + "s", b32(s), "scalar(root, sign-key)")
    emit(who + "v", b32(v), "scalar(root, view-key)")
    S = emit(who + "S", pub(mul(s)), "s·G")
    V = emit(who + "V", pub(mul(v)), "v·G")
    self_key = scalar(root, "self-key")
    emit(who + "self key", b32(self_key), "scalar(root, self-key)")
    head = b"\1" + S + V
    sig = emit(who + "address signature", sign(s, H("address", head)), "by s over H(address, 1 ‖ S ‖ V)")
    body = head + sig
    body += H("address-checksum", body)[:4]
    emit(who + "address bytes", body, "1 ‖ S ‖ V ‖ signature ‖ checksum")
    emit(who + "address", "carekey1" + base32(body).lower(), "carekey1 ‖ base32")
    emit(who + "address words", words(H("address-words", head), 8), "88 bits of H(address-words, 1 ‖ S ‖ V)")
    return root, s, v, self_key


# ---- the vectors

entropy = emit("entropy", bytes(range(32)), "given")
emit("words", words(entropy + sha256(entropy)[:1], 24), "BIP-39")
emit("entropy text", base64.urlsafe_b64encode(entropy).decode().rstrip("="), "base64url")
root, s, v, self_key = person(entropy, "")
other_entropy = emit("clinician entropy", bytes(range(64, 96)), "given: another person, who receives")
other_root, other_s, other_v, _ = person(other_entropy, "clinician ")
S, V = mul(other_s), mul(other_v)

ledger = emit("ledger", sha256(b"a ledger for vectors"), "given")
nonce = emit("nonce", bytes(range(0xA0, 0xAC)), "given")
tag_key = emit("self-tag key", derive(root, "self-tag", ledger), "derive(root, self-tag, ledger)")
aes = Cipher(algorithms.AES(tag_key), modes.ECB()).encryptor()
emit("self-tag", aes.update(nonce + bytes(4)), "AES-256(self-tag key, nonce ‖ 0⁴)")
seed = emit("seed", derive(root, "seed", ledger, nonce), "derive(root, seed, ledger ‖ nonce)")
a = scalar(seed, "thread-key")
emit("a", b32(a), "scalar(seed, thread-key)")
A = emit("A", pub(mul(a)), "a·G")
entry = emit("entry id", sha256(b"an entry for vectors"), "given")
emit("own locator of part 3", derive(seed, "own-locator", entry, b"\3"), "derive(seed, own-locator, entry id ‖ 03)")
emit("content locator", derive(seed, "content-locator"), "derive(seed, content-locator)")
digest = H("entry", ledger, A)
emit("signature by a", sign(a, digest), "over H(entry, ledger ‖ A)")

z = emit("z", b32(mul(a, V)[0]), "x of a·V, V the clinician's")
context = ledger + A + pub(V) + pub(S)
h_sig, h_seal = scalar(z, "stealth-sign", context), scalar(z, "stealth-seal", context)
emit("h_sig", b32(h_sig), "scalar(z, stealth-sign, ledger ‖ A ‖ V ‖ S)")
emit("h_seal", b32(h_seal), "scalar(z, stealth-seal, ledger ‖ A ‖ V ‖ S)")
h_loc = emit("h_loc", derive(z, "stealth-locator", context), "derive(z, stealth-locator, ledger ‖ A ‖ V ‖ S)")
P_sig, P_seal = add(S, mul(h_sig)), add(S, mul(h_seal))
emit("P_sig", pub(P_sig), "S + h_sig·G")
emit("P_seal", pub(P_seal), "S + h_seal·G")
emit("p_sig", b32((other_s + h_sig) % N), "s + h_sig")
emit("p_seal", b32((other_s + h_seal) % N), "s + h_seal")
emit("their locator of part 3", derive(h_loc, "their-locator", entry, b"\3"), "derive(h_loc, their-locator, entry id ‖ 03)")
emit("signature by p_sig", sign((other_s + h_sig) % N, digest), "over H(entry, ledger ‖ A)")

K = emit("K", derive(seed, "lock-key"), "derive(seed, lock-key)")
emit("H(K)", H("lock-hash", ledger, A, K), "H(lock-hash, ledger ‖ A ‖ K)")
envelope = emit("envelope", b"an envelope", "given; really a sealed payload")
emit("locked envelope", ChaCha20Poly1305(derive(K, "lock")).encrypt(bytes(12), envelope, ledger + A), "ChaCha20-Poly1305, key derive(K, lock), nonce 0, data ledger ‖ A")
shares = []
for x in (1, 2, 3):
    y, power = bytearray(K), x
    for i in (1,):  # k = 2: one coefficient
        c = derive(seed, "split", bytes([2, 3, i]))
        y = bytes(m ^ gf(n, power) for m, n in zip(y, c))
        power = gf(power, x)
    shares.append(bytes([x]) + y)
    emit(f"share {x} of 3", shares[-1], "2-of-3: index ‖ K + c₁·index, c₁ = derive(seed, split, 02 03 01)")
    emit(f"hash of share {x}", H("share", ledger, A, shares[-1]), "H(share, ledger ‖ A ‖ share)")
y = bytearray(K)
for i in range(1, 5):
    c, power = derive(seed, "split", bytes([5, 9, i])), 1
    for _ in range(i):
        power = gf(power, 9)
    y = bytes(m ^ gf(n, power) for m, n in zip(y, c))
emit("share 9 of 9", bytes([9]) + y, "5-of-9")

keeper = emit("keeper", pub(mul(int.from_bytes(rand(32), "big") % N)), "given")
access = emit("access id", sha256(b"an access for vectors"), "given")
response = int.from_bytes(rand(32), "big") % N
emit("response key", b32(response), "given")
enc, ct = hpke_seal(mul(response), info("sealed-share", ledger, entry, keeper, access), shares[1])
emit("sealed share", enc + ct, "share 2 of 3 to the response key; grant = entry id")

payload = emit("payload", "a payload: plain text here, JSON in real life", "given")
def payload_info(q): return info("payload", ledger, b"\3", A, pub(q))
emit("payload sealed to P_seal and A", age(rand(16), pad(payload.encode()), (P_seal, payload_info(P_seal)), (mul(a), payload_info(mul(a)))), "an age file; part 3, author A")
emit("payload sealed to the self key", age(rand(16), pad(payload.encode()), (mul(self_key), payload_info(mul(self_key)))), "an age file; part 3, author A")
blob = emit("blob", rand(32) + b"body", "salt ‖ body")
emit("blob hash", H("blob", blob), "H(blob, the blob)")
file_key = emit("record file key", rand(16), "given")
record = emit("record plaintext", "a record", "given")
emit("record content", age(file_key, record.encode(), (mul(self_key), info("record"))), "an age file for the self key")

def fetch_code(place):
    body = b"\1" + ledger + entry + struct.pack(">Q", 12345) + sha256(b"a root for vectors") + struct.pack(">H", len(place)) + place
    return body + H("fetch-code-checksum", body)[:4]


url = b"https://ledger.example.org:8443"
place = emit("place", b"\1" + ledger + sha256(b"a checkpoint key for vectors") + b"\x0bCity ledger" + b"\1" + bytes([len(url)]) + url + b"\1" + sha256(b"a certificate for vectors") + b"\0",
             "a node's invitation with one URL and a fingerprint, and without token and checksum")
for name, code in ("", fetch_code(b"")), (" with place", fetch_code(place)):
    emit("fetch code bytes" + name, code, "1 ‖ ledger ‖ entry id ‖ size 12345 ‖ root ‖ length of the place ‖ place ‖ checksum")
    emit("fetch code" + name, "carekey-fetch1" + base32(code).lower(), "carekey-fetch1 ‖ base32")


def card(name, place):
    body = b"\1" + bytes([len(name)]) + name + address + (b"\1" + struct.pack(">H", len(place)) + place if place else b"\0")
    body += sign(s, H("card", body))
    return body + H("card-checksum", body)[:4]


head = b"\1" + pub(mul(s)) + pub(mul(v))
address = head + sign(s, H("address", head))
address += H("address-checksum", address)[:4]
tokened = emit("place with token", place[:-1] + b"\x11abcdefgh-12345678", "the place, and a token of 17 characters")
for name, made in ("", card("Müller, 診療所".encode(), b"")), (" with place", card(b"Dr Smith", place)), (" with token", card(b"Dr Smith", tokened)):
    emit("card bytes" + name, made, "1 ‖ length of the name ‖ name ‖ address with checksum ‖ 0 or 1 ‖ length of the place ‖ place ‖ signature by s over H(card, all before) ‖ checksum")
    emit("card" + name, "carekey-card1" + base32(made).lower(), "carekey-card1 ‖ base32")


def hchacha20(key, nonce):  # draft-irtf-cfrg-xchacha section 2.2
    def rot(x, n): return (x << n | x >> 32 - n) & 0xFFFFFFFF
    w = list(struct.unpack("<4I", b"expand 32-byte k") + struct.unpack("<8I", key) + struct.unpack("<4I", nonce))
    def quarter(a, b, c, d):
        for x, y, z, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            w[x] = (w[x] + w[y]) & 0xFFFFFFFF
            w[z] = rot(w[z] ^ w[x], n)
    for _ in range(10):
        for i in range(4): quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4): quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<8I", *w[:4], *w[12:])


local_nonce = rand(24)
subkey = hchacha20(derive(root, "local-key"), local_nonce[:16])
emit("local state", local_nonce + ChaCha20Poly1305(subkey).encrypt(bytes(4) + local_nonce[16:], b"some state", b"journal"), "'some state' under the name 'journal'")


def xchacha20poly1305(key, nonce, plaintext, data):
    return ChaCha20Poly1305(hchacha20(key, nonce[:16])).encrypt(bytes(4) + nonce[16:], plaintext, data)


def tree(leaves):  # MTH, RFC 6962 section 2.1
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0])
    half = len(leaves) // 2  # of a power of two
    return sha256(b"\1" + tree(leaves[:half]) + tree(leaves[half:]))


def half_octave(size):
    """The least of 1024, 1536, 2048, 3072, 4096 … that holds size bytes."""
    return next(c for k in range(10, 64) for c in (2**k, 3 * 2 ** (k - 1)) if c >= size)


def number4(n): return n.to_bytes(4, "big")


def some_parts(name, parts_seed, salt_seed, bodies):
    leaves, salted, first_salt = [], {}, derive(salt_seed, "part-salt", number4(0), sha256(bodies[0]))
    for i, body in enumerate(bodies):
        salt = derive(salt_seed, "part-salt", number4(i), sha256(body))
        leaves.append(H("part", salt, body))
        salted[leaves[-1]] = salt, body
    first = leaves[0]
    slots = next(16 * 4**m for m in range(10) if 16 * 4**m >= len(leaves))
    emit(f"{name}: first leaf", leaves[0], "H(part, salt ‖ body), salt = derive(salt seed, part-salt, 00000000 ‖ SHA-256(body))")
    emit(f"{name}: what a narrative of the first begins with", b"\0" + H("part-of", first_salt, leaves[0]), "00 ‖ H(part-of, its salt ‖ its leaf)")
    if slots > len(leaves):
        emit(f"{name}: first leaf of none", derive(salt_seed, "part-none", number4(0)), "derive(salt seed, part-none, 00000000)")
    leaves = sorted(leaves + [derive(salt_seed, "part-none", number4(j)) for j in range(slots - len(leaves))])
    emit(f"{name}: hash of the leaves", sha256(b"".join(leaves)), f"SHA-256 of the {slots} leaves in their order")
    root = emit(f"{name}: root", tree(leaves), "RFC 6962 head over them")
    frame_key = emit(f"{name}: frame key", derive(parts_seed, "parts-frame"), "derive(parts seed, parts-frame)")
    nonce = rand(24)
    frame = nonce + xchacha20poly1305(frame_key, nonce, b"".join(leaves), ledger + A + root)
    if slots <= 16:
        emit(f"{name}: frame", frame, "nonce ‖ XChaCha20-Poly1305(frame key, nonce, leaves), data ledger ‖ A ‖ root")
    region = b""
    for slot, leaf in enumerate(leaves):
        if leaf not in salted:
            continue
        salt, body = salted[leaf]
        key = derive(parts_seed, "part-key", leaf)[:16]
        plaintext = (number4(len(body)) + salt + body).ljust(half_octave(36 + len(body)), b"\0")
        sealed = ChaCha20Poly1305(derive(key, "part-cipher", ledger, A, leaf)).encrypt(bytes(12), plaintext, ledger + A + leaf)
        region += sealed
        if leaf == first:
            emit(f"{name}: first part's slot", number4(slot), "place of its leaf, 4 bytes")
            emit(f"{name}: first part's key", key, "first 16 bytes of derive(parts seed, part-key, leaf)")
            emit(f"{name}: first part", sealed, "ChaCha20-Poly1305, key derive(part key, part-cipher, ledger ‖ A ‖ leaf), nonce 0, data ledger ‖ A ‖ leaf")
    emit(f"{name}: sizes and hash of the parts", struct.pack(">Q", len(region)) + sha256(region), "size8 of all parts' ciphertexts in their order ‖ SHA-256 of these")


parts_seed = emit("parts seed", derive(seed, "parts-seed"), "derive(seed, parts-seed)")
own_salts = emit("seed of the parts' salts", derive(parts_seed, "parts-salts"), "derive(parts seed, parts-salts)")
some_parts("three parts", parts_seed, own_salts, [b'{"resourceType":"Basic","id":"one"}', b"", b"x" * 989])
some_parts("parts under an issuer's salts", parts_seed, emit("an issuer's salts", rand(32), "given"), [b'{"resourceType":"Basic","id":"one"}'] * 16)
# Bodies 0 … 299: the number in decimal, a hyphen, and as many x as 37 times the number.
some_parts("300 parts", parts_seed, own_salts, [b"%d-" % i + b"x" * (37 * i) for i in range(300)])

link_id = emit("link id", derive(seed, "link-id"), "derive(seed, link-id)")
emit("link id text", base64.urlsafe_b64encode(link_id).rstrip(b"=").decode(), "base64url of the link id, without padding")
link_key = emit("link key", derive(seed, "link-key"), "derive(seed, link-key)")
link_root = emit("link root", derive(link_id, "link-root"), "derive(link id, link-root)")
emit("link S", pub(mul(scalar(link_root, "sign-key"))), "scalar(link root, sign-key)·G")
emit("link V", pub(mul(scalar(link_root, "view-key"))), "scalar(link root, view-key)·G")
emit("link t", b32(scalar(link_key, "link-seal")), "scalar(link key, link-seal)")
content = emit("link content", b"what a link shows", "given; really raw DEFLATE of a Bundle")
iv = emit("link iv", derive(seed, "link-iv", sha256(content))[:12], "first 12 bytes of derive(seed, link-iv, SHA-256(content))")
emit("link ciphertext", AESGCM(link_key).encrypt(iv, content, None), "AES-256-GCM(link key, link iv, content), no data; in a JWE its header is the data")
nonce = rand(24)
emit("link file", nonce + xchacha20poly1305(derive(K, "link-file"), nonce, b"a JWE", ledger + entry), "nonce ‖ XChaCha20-Poly1305(derive(K, link-file), nonce, 'a JWE'), data ledger ‖ entry id")
emit("link name", H("link-name", ledger, link_id), "H(link-name, ledger ‖ link id)")

about = ("One value for every step of crypto/FORMAT.md, in its order, made by crypto.py beside this file. "
         "'hex' is bytes, 'text' is text. The keys are public: never use them.")
with open(os.path.join(HERE, "crypto.json"), "w") as f:
    json.dump({"about": about, "vectors": VECTORS}, f, indent=1, ensure_ascii=False)
    f.write("\n")
