#!/usr/bin/env python3
"""Writes token.json beside it: a submit token in each of its forms, a list of withdrawn ones,
the site of the institution that gave it, and what its node asks another for a payload.

A second implementation, made from ledgerclient/node/PROTOCOL.md. Hashes and the curve are
those of crypto.py. The keys are public: never use them.
"""

import base64, hashlib, hmac, json, os

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "crypto.py")) as f:  # without what it needs for AES
    exec("#" + f.read().partition("# ---- hashes")[2].partition("# ---- randomness")[0])


def key(name):
    d = int.from_bytes(sha256(b"carekey token vector " + name), "big")
    return d, pub(mul(d))


def text(b): return base64.urlsafe_b64encode(b).rstrip(b"=").decode()


ledger, node = bytes([1] * 32), bytes([2] * 32)
(giver_secret, giver), (token_secret, token_key) = key(b"giver"), key(b"token")
until, hourly = 500_000, 1000

begin = b"\1" + giver + until.to_bytes(4, "big") + hourly.to_bytes(4, "big")
signature = sign(giver_secret, H("token", ledger, begin, token_key))
token = begin + token_key + signature
proof = sign(token_secret, H("token-shown", ledger, node, token_key))

keys = sorted([token_key, key(b"another")[1], key(b"a third")[1]])
body = b"\1" + giver + (1_795_000_000).to_bytes(8, "big") + len(keys).to_bytes(4, "big") + b"".join(keys)
withdrawn = body + sign(giver_secret, H("tokens-withdrawn", ledger, body))

keeper_secret, keeper = key(b"keeper")
name, url, fingerprint, number = b"City hospital", b"https://city.example:8443", bytes([3] * 32), 1_795_000_000
body = b"\1" + bytes([len(name)]) + name + node + giver + keeper + b"\1" + bytes([len(url)]) + url + b"\1" + fingerprint + number.to_bytes(8, "big")
digest = H("site", ledger, body)
site = body + sign(giver_secret, digest) + sign(keeper_secret, digest)

entry, time = bytes([4] * 32), 1_795_000_000
body = ledger + node + giver + time.to_bytes(8, "big") + entry + b"\2"
request = body + sign(giver_secret, H("copy-request", body))

vector = {
    "about": "PROTOCOL.md of a node, \"Tokens\", \"Sites\" and \"Copies\"; made by token.py beside this file. The keys are public: never use them.",
    "ledger": ledger.hex(), "node": node.hex(), "until": until, "hourly": hourly,
    "giver_secret": b32(giver_secret).hex(), "giver": giver.hex(), "token_secret": b32(token_secret).hex(),
    "invitation": text(begin + b32(token_secret) + signature), "shown": text(token + proof),
    "keys": [k.hex() for k in keys], "withdrawn": withdrawn.hex(),
    "keeper_secret": b32(keeper_secret).hex(), "name": name.decode(), "url": url.decode(), "fingerprint": fingerprint.hex(), "number": number, "site": site.hex(),
    "entry": entry.hex(), "time": time, "request": request.hex(),
}
with open(os.path.join(HERE, "token.json"), "w") as f:
    json.dump(vector, f, indent=1, ensure_ascii=False)
    f.write("\n")
