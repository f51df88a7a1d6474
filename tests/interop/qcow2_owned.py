# SPDX-License-Identifier: Apache-2.0
"""What each snapshot of a qcow2 image holds alone, counted the slow way: every cluster
that a map names, and who else names it. Knows the format from its specification only.

    qcow2_owned.py IMAGE    "NAME OWNED-BYTES SHARED-BYTES" of each, in their order

Bytes are whole clusters of the file; of compressed ones, too.
"""
import struct
import sys
from collections import Counter

OFFSET = 0x00FFFFFFFFFFFE00


def be(image, form, at):
    return struct.unpack_from(">" + form, image, at)


def named(image, bits, words, l1_at, l1_entries):
    """The clusters that a map names, each as often as it does; with its L1 table."""
    size, found = 1 << bits, Counter()
    found.update(range(l1_at >> bits, (l1_at + 8 * l1_entries + size - 1) >> bits))
    for (entry,) in struct.iter_unpack(">Q", image[l1_at : l1_at + 8 * l1_entries]):
        table = entry & OFFSET
        if not table:
            continue
        found[table >> bits] += 1
        for i in range(size // (8 * words)):
            (word,) = be(image, "Q", table + 8 * words * i)
            if word >> 62 & 1:
                shift = 62 - (bits - 8)
                at = word & ((1 << shift) - 1)
                sectors = (word >> shift & ((1 << (bits - 8)) - 1)) + 1
                end = (at & ~511) + 512 * sectors
                found.update(range(at >> bits, (end - 1 >> bits) + 1))
            elif word & OFFSET:
                found[(word & OFFSET) >> bits] += 1
    return found


def main(path):
    with open(path, "rb") as file:
        image = file.read()
    (version,), (bits,) = be(image, "I", 4), be(image, "I", 20)
    (l1_entries, l1_at), (count, at) = be(image, "IQ", 36), be(image, "IQ", 60)
    incompatible = be(image, "Q", 72)[0] if version > 2 else 0
    words = 2 if incompatible & 16 else 1
    image += b"\0" * (1 << bits)
    maps = [("", named(image, bits, words, l1_at, l1_entries))]
    for _ in range(count):
        l1, entries, id_bytes, name_bytes = be(image, "QIHH", at)
        (extra,) = be(image, "I", at + 36)
        text = at + 40 + extra
        name = image[text + id_bytes : text + id_bytes + name_bytes].decode()
        maps.append((name, named(image, bits, words, l1, entries)))
        at = (text + id_bytes + name_bytes + 7) & ~7
    total = Counter()
    for _, found in maps:
        total.update(found)
    for name, found in maps[1:]:
        own = sum(1 for cluster, n in found.items() if total[cluster] == n)
        print(name, own << bits, len(found) - own << bits)


main(sys.argv[1])
