# SPDX-License-Identifier: Apache-2.0
"""Holds a list of differences against the two contents, byte by byte.

    differences.py FROM TO <LIST    each line of the list: OFFSET LENGTH KIND

FROM and TO are raw files. Wrong is what differs and is not in the list, what is listed
beyond the end or out of order, "zeroes" that are none; and, as it would be no use, a
list of which all is the same. Prints "LISTED-BYTES DIFFERING-BYTES".
"""
import sys

BLOCK = 512


def main(old, new, lines):
    with open(old, "rb") as file:
        old = file.read()
    with open(new, "rb") as file:
        new = file.read()
    old = old[: len(new)].ljust(len(new), b"\0")
    listed, at, differing = bytearray(len(new) // BLOCK), 0, 0
    for line in lines:
        offset, length, kind = line.split()
        offset, length = int(offset), int(length)
        assert offset >= at and length > 0, f"out of order at {offset}"
        at = offset + length
        assert at <= len(new), f"{offset} {length} beyond the end"
        assert kind in ("data", "zeroes", "backing"), kind
        if kind == "zeroes":
            assert not any(new[offset:at]), f"no zeroes at {offset}"
        for block in range(offset // BLOCK, (at + BLOCK - 1) // BLOCK):
            listed[block] = 1
    for block, is_listed in enumerate(listed):
        place = slice(block * BLOCK, (block + 1) * BLOCK)
        if old[place] != new[place]:
            differing += BLOCK
            assert is_listed, f"{block * BLOCK} differs and is not listed"
    print(sum(listed) * BLOCK, differing)


main(sys.argv[1], sys.argv[2], sys.stdin)
