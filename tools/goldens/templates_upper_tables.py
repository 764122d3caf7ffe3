#!/usr/bin/env python3
"""Writes src/text/jinja/upper_tables.cc: upper, title and folded case of every character, as this Python has them.

Run: python tools/goldens/templates_upper_tables.py
"""

from pathlib import Path

OUT = Path(__file__).resolve().parents[2] / "src/text/jinja/upper_tables.cc"
HEAD = """// Written by tools/goldens/templates_upper_tables.py. Unicode {version}.

#include "text/jinja/upper_tables.h"

namespace sluice::text::jinja {{
"""


def characters():
    return (c for c in range(0x110000) if not 0xD800 <= c < 0xE000)


def literal(text):
    return '"' + "".join(f"\\x{b:02x}" for b in text.encode()) + '"'


def ranges(shift):
    """[first, last, shift, step]: characters moved by the same distance, every one or every second."""
    used, found = set(), []
    for first in sorted(shift):
        if first in used:
            continue
        candidates = []
        for step in (1, 2):
            last = first
            while shift.get(last + step) == shift[first] and last + step not in used:
                last += step
            candidates.append((last, step))
        last, step = max(candidates, key=lambda c: (c[0] - first) // c[1])
        used.update(range(first, last + 1, step))
        found.append((first, last, shift[first], step))
    return found


def rows(items, per_line):
    return "\n".join("    " + " ".join(items[i:i + per_line]) for i in range(0, len(items), per_line))


def main():
    import unicodedata
    shift = {c: ord(chr(c).upper()) - c for c in characters() if len(chr(c).upper()) == 1 and chr(c).upper() != chr(c)}
    upper = [(c, chr(c).upper()) for c in characters() if len(chr(c).upper()) > 1]
    title = [(c, chr(c).title()) for c in characters() if chr(c).title() != chr(c).upper()]
    fold = [(c, chr(c).casefold()) for c in characters() if chr(c).casefold() != chr(c).lower()]
    found = ranges(shift)
    text = HEAD.format(version=unicodedata.unidata_version)
    text += "\nconst UpperRange kUpperRanges[] = {\n"
    text += rows([f"{{0x{a:X}, 0x{b:X}, {d}, {s}}}," for a, b, d, s in found], 4)
    text += f"\n}};\nconst size_t kUpperRangeCount = {len(found)};\n"
    for name, table in (("kUpperTexts", upper), ("kTitleTexts", title), ("kFoldTexts", fold)):
        text += f"\nconst CaseText {name}[] = {{\n"
        text += rows([f"{{0x{c:X}, {literal(t)}}}," for c, t in table], 3)
        text += f"\n}};\nconst size_t {name[:-1]}Count = {len(table)};\n"
    OUT.write_text(text + "\n}  // namespace sluice::text::jinja\n")


if __name__ == "__main__":
    main()
