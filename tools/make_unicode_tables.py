#!/usr/bin/env python3
"""Writes src/text/unicode_tables.cc: the character properties that tokenizers ask for.

Needs Python 3.11 (case folding of Unicode 14), clang-format-19, and `pip install unicodedata2==16.0.0 regex tokenizers`.
General categories are those of Unicode 16, as Oniguruma (the regex engine of Hugging Face tokenizers) has them. Where
the tokenizers library uses an older or own table (normalisation, lower case, punctuation, accents, control characters),
the library itself is measured, code point by code point, because token ids must equal its own. Its normalisation (the
crate unicode-normalization-alignments) is that of Unicode 9.0.0: of marks added later it knows no combining class.

usage: tools/make_unicode_tables.py > src/text/unicode_tables.cc
"""
import subprocess
import sys
import unicodedata
from pathlib import Path

import regex
import unicodedata2 as ucd
from tokenizers import Regex, normalizers, pre_tokenizers

assert ucd.unidata_version == "16.0.0"
assert unicodedata.unidata_version == "14.0.0", "str.casefold() of another Python has other letters"

CATEGORIES = ("Cn Cc Cf Co Cs Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp").split()
SCRIPTS = ("Han Hiragana Katakana Hangul Latin Greek Cyrillic Arabic Hebrew Thai Devanagari Armenian Georgian Bengali "
           "Tamil Telugu Khmer Lao Tibetan Myanmar Ethiopic Mongolian Bopomofo").split()
LIMIT = 0x110000
CODE_POINTS = [c for c in range(LIMIT) if not 0xD800 <= c <= 0xDFFF]
EVERYTHING = "".join(map(chr, CODE_POINTS))


def removed_by(normalizer):
    """The characters that `normalizer` deletes."""
    gone = set()
    for start in range(0, len(EVERYTHING), 4096):
        block = EVERYTHING[start:start + 4096]
        kept = normalizer.normalize_str(block)
        at = 0
        for ch in block:
            if at < len(kept) and kept[at] == ch:
                at += 1
            else:
                gone.add(ord(ch))
    return gone


def onig(pattern):
    return removed_by(normalizers.Replace(Regex(pattern), ""))


def pieces(pre_tokenizer, code_point):
    return [s for s, _ in pre_tokenizer.pre_tokenize_str("a" + chr(code_point) + "a")]


def bert(**on):
    options = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**options, **on})


def reordered(code_point):
    """Whether the library knows the mark's combining class: it stands behind one of a lower class afterwards."""
    overlay, cedilla = "\u0334", "\u0327"
    mark = chr(code_point)
    text = "a" + (mark + overlay if ucd.combining(mark) > 1 else cedilla + mark)
    return normalizers.NFD().normalize_str(text) != text


def properties():
    word = onig(r"\w")
    space = onig(r"\s")
    alphabetic = onig(r"\p{Alphabetic}")
    rust_word = {c for c in CODE_POINTS if len(pieces(pre_tokenizers.Whitespace(), c)) == 1 and c not in space}
    numeric = {c for c in CODE_POINTS if len(pieces(pre_tokenizers.Digits(True), c)) == 3}
    punctuation = {c for c in CODE_POINTS if len(pieces(pre_tokenizers.Punctuation(), c)) == 3}
    mark = removed_by(normalizers.StripAccents())
    # BertNormalizer decomposes first, so a mark counts as an accent when nothing is left of it.
    strip = bert(strip_accents=True)
    accent = {c for c in CODE_POINTS if strip.normalize_str(chr(c)) == ""}
    clean = bert(clean_text=True)
    control = {c for c in CODE_POINTS if clean.normalize_str(chr(c)) == ""}
    grapheme = {}
    for name, value in (("Control", 3), ("Extend", 4), ("ZWJ", 4), ("SpacingMark", 4), ("Prepend", 5)):
        rx = regex.compile(r"\p{GCB=%s}" % name)
        for c in CODE_POINTS:
            if rx.match(chr(c)):
                grapheme[c] = value
    grapheme[0x0D], grapheme[0x0A] = 1, 2
    records = []
    for c in range(LIMIT):
        category = "Cs" if 0xD800 <= c <= 0xDFFF else ucd.category(chr(c))
        value = CATEGORIES.index(category) | grapheme.get(c, 0) << 5
        for bit, members in enumerate((space, word, rust_word, alphabetic, numeric, punctuation, mark, accent, control)):
            value |= (c in members) << (8 + bit)
        records.append(value)
    return records


def numbers(name, ctype, values):
    out = ["", f"const {ctype} {name}[{len(values)}] = {{"]
    line = "   "
    for v in values:
        item = f" {v},"
        if len(line) + len(item) > 118:
            out.append(line)
            line = "   "
        line += item
    out += [line, "};"]
    return "\n".join(out)


def two_stage(records, bits=7):
    kinds = sorted(set(records))
    index = {v: i for i, v in enumerate(kinds)}
    assert len(kinds) <= 256, len(kinds)
    blocks, stage1, stage2 = {}, [], []
    for start in range(0, LIMIT, 1 << bits):
        block = tuple(index[v] for v in records[start:start + (1 << bits)])
        if block not in blocks:
            blocks[block] = len(blocks)
            stage2 += block
        stage1.append(blocks[block])
    assert len(blocks) <= 65535
    return kinds, stage1, stage2


def mapping(name, pairs):
    """Sorted keys, starts into a pool (one more than keys), pool of code points."""
    keys, starts, pool = [], [0], []
    for key, value in sorted(pairs.items()):
        keys.append(key)
        pool += value
        starts.append(len(pool))
    assert len(pool) < 65536
    return "\n".join([numbers(f"{name}Keys", "uint32_t", keys), numbers(f"{name}Starts", "uint16_t", starts),
                      numbers(f"{name}Pool", "uint32_t", pool), f"\nconst size_t {name}Count = {len(keys)};"])


def main():
    out = ["// Generated by tools/make_unicode_tables.py; do not edit.", "",
           '#include "text/unicode_tables.h"', "", "namespace sluice::text {"]
    kinds, stage1, stage2 = two_stage(properties())
    out.append(numbers("kPropertyRecords", "uint32_t", kinds))
    out.append(numbers("kPropertyStage1", "uint16_t", stage1))
    out.append(numbers("kPropertyStage2", "uint8_t", stage2))

    hangul = range(0xAC00, 0xAC00 + 11172)
    nfd, nfkd = normalizers.NFD(), normalizers.NFKD()
    canonical, compatible = {}, {}
    for c in CODE_POINTS:
        if c in hangul:
            continue
        d, k = nfd.normalize_str(chr(c)), nfkd.normalize_str(chr(c))
        if d != chr(c):
            canonical[c] = [ord(x) for x in d]
        if k != d:
            compatible[c] = [ord(x) for x in k]
    out.append(mapping("kCanonical", canonical))
    out.append(mapping("kCompatible", compatible))
    classes = {c: [ucd.combining(chr(c))] for c in CODE_POINTS if ucd.combining(chr(c)) and reordered(c)}
    # The newest marks of Unicode 9.0.0, and the first of 10.0.0.
    assert 0x1DFB in classes and 0x1E944 in classes and 0x0D3B not in classes and 0x1DF6 not in classes
    out.append(numbers("kCombiningKeys", "uint32_t", sorted(classes)))
    out.append(numbers("kCombiningClasses", "uint8_t", [classes[c][0] for c in sorted(classes)]))
    out.append(f"\nconst size_t kCombiningCount = {len(classes)};")
    compose = []
    nfc = normalizers.NFC()
    for c in CODE_POINTS:
        parts = ucd.decomposition(chr(c)).split()
        if len(parts) == 2 and not parts[0].startswith("<") and nfc.normalize_str(chr(c)) == chr(c):
            compose.append((int(parts[0], 16), int(parts[1], 16), c))
    compose.sort()
    out.append(numbers("kCompose", "uint32_t", [v for triple in compose for v in triple]))
    out.append(f"\nconst size_t kComposeCount = {len(compose)};")

    lower = {}
    lowercase = normalizers.Lowercase()
    for c in CODE_POINTS:
        low = lowercase.normalize_str(chr(c))
        if low != chr(c):
            lower[c] = [ord(x) for x in low]
    out.append(mapping("kLower", lower))
    folds = {}
    for c in CODE_POINTS:
        folded = chr(c).casefold() if len(chr(c).casefold()) == 1 else chr(c).lower()
        if len(folded) == 1:
            folds.setdefault(ord(folded), set()).update((c, ord(folded)))
    variants = {}
    for group in folds.values():
        if len(group) > 1:
            for c in group:
                variants[c] = sorted(group - {c})
    out.append(mapping("kCaseVariant", variants))

    ranges, starts = [], [0]
    for script in SCRIPTS:
        rx = regex.compile(r"\p{Script=%s}" % script)
        start = None
        for c in range(LIMIT + 1):
            inside = c < LIMIT and not 0xD800 <= c <= 0xDFFF and ucd.category(chr(c)) != "Cn" and bool(rx.match(chr(c)))
            if inside and start is None:
                start = c
            elif not inside and start is not None:
                ranges += [start, c - 1]
                start = None
        starts.append(len(ranges) // 2)
    out.append(numbers("kScriptRanges", "uint32_t", ranges))
    out.append(numbers("kScriptStarts", "uint16_t", starts))
    names = ", ".join(f'"{s}"' for s in SCRIPTS)
    out.append(f"\nconst char* const kScriptNames[{len(SCRIPTS)}] = {{{names}}};\nconst size_t kScriptCount = {len(SCRIPTS)};")
    out += ["", "}  // namespace sluice::text", ""]
    subprocess.run(["clang-format-19", "--style=file", "--assume-filename=src/text/unicode_tables.cc"], input="\n".join(out),
                   text=True, check=True, cwd=Path(__file__).resolve().parents[1])


if __name__ == "__main__":
    main()
