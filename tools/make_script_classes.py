#!/usr/bin/env python3
"""Writes src/text/unicode_scripts.cc: which code points Hugging Face's pre-tokenizer UnicodeScripts treats alike, read
out of the library itself (its tables are of an older Unicode than ours, and it counts kana as Han).

Needs tokenizers. usage: tools/make_script_classes.py > src/text/unicode_scripts.cc
"""
from tokenizers import pre_tokenizers

PRE = pre_tokenizers.UnicodeScripts()


def cut(left, right):
    return len(PRE.pre_tokenize_str(left + right)) == 2


def classes():
    """Yields (code point, class) where the class changes; class 0 goes with every other."""
    members = ["a", "\u044f"]  # members[k - 1] is of class k
    last = -1
    for c in range(0x110000):
        if 0xD800 <= c <= 0xDFFF:
            continue
        char = chr(c)
        if not cut("a", char) and not cut("\u044f", char):
            found = 0
        elif last > 0 and not cut(members[last - 1], char):
            found = last
        else:
            found = next((k for k, m in enumerate(members, 1) if not cut(m, char)), None)
            if found is None:
                members.append(char)
                found = len(members)
        if found != last:
            yield c, found
        last = found


def main():
    starts = [f"0x{c << 8 | k:X}" for c, k in classes()]
    assert max(int(s, 16) & 255 for s in starts) < 255
    print("// Written by tools/make_script_classes.py from the pre-tokenizer UnicodeScripts of Hugging Face tokenizers.\n")
    print('#include "text/unicode_scripts.h"\n\n#include <algorithm>\n#include <iterator>\n\nnamespace sluice::text {\nnamespace {\n')
    print("// First code point << 8 | class, sorted; a class goes on up to the next entry.\nconstexpr uint32_t kStarts[] = {")
    line = "   "
    for s in starts:
        if len(line) + len(s) + 2 > 118:
            print(line)
            line = "   "
        line += " " + s + ","
    print(line + "\n};\n\n}  // namespace\n")
    print("uint8_t script_class(char32_t c) {\n  const auto* after = std::upper_bound(std::begin(kStarts), std::end(kStarts), "
          "static_cast<uint32_t>(c) << 8 | 255);\n  return static_cast<uint8_t>(*(after - 1) & 255);\n}\n\n}  // namespace sluice::text")


if __name__ == "__main__":
    main()
