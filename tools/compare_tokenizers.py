#!/usr/bin/env python3
"""Compares `sluice tokenize` with Hugging Face tokenizers (tokenizer.json) and SentencePiece (tokenizer.model) on
strings of many scripts: the first rows of the table in docs/text.md.

Needs tokenizers and sentencepiece. usage: tools/compare_tokenizers.py SLUICE SHARED_DATA [--random N] [FILE ...]
--random takes N random strings instead, of all code points.
"""
import glob
import json
import random
import subprocess
import sys

import sentencepiece
from tokenizers import Tokenizer

FILES = ["tokenizers/" + f for f in (
    "scalellm/tokenizer.json", "gpt2-phi3-whisper/phi3-v/tokenizer.json", "gpt2-phi3-whisper/whisper/tokenizer.json",
    "gpt2-phi3-whisper/hf-internal-testing/tiny-random-gpt2-fp32/tokenizer.json", "gpt-neox-20b/20B_tokenizer.json",
    "llama2-sp/tokenizer.model", "scalellm/tokenizer.model", "sentencepiece-tests/python/test/test_model.model",
    "sentencepiece-tests/python/test/test_ja_model.model")] + ["weights/stories260K/hf/tokenizer.json"]
POOLS = ["abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789", " \t\n\r  ", "'\"!@#$%^&*()_+-=[]{}|;:,.<>/?`~\\",
         "éèüßñçøæÅſK", "漢字仮名交じり文。，！？「」", "ひらがなカタカナ", "한국어조선말", "русскийЯзык", "العربيةفارسی", "עברית", "हिन्दीक्षत्रिय", "ไทยภาษา",
         "😀👍🏽👨‍👩‍👧‍👦🇩🇪❤️", "\u200b\u200c\u200d\ufeff\u00ad\u00a0\u2028\u2003\u3000", "\x00\x01\x07\x0b\x0c\x1b\x7f\x85",
         "e\u0301a\u0308\u0344\u1e9b\u0323", "½¼²³ⅧⅣ①㋿", "ǅǈﬁﬂΩΣςİı", "𝔘𝔫𝔦𝕔𝟘𝟙", "'s't're've'm'll'd'S'LL'ſ", "𐍈𒀀\U0010ffff\ufffd"]
ADDED = ["<s>", "</s>", "<|endoftext|>", "<|user|>", "<unk>", "<0x0A>", "[MASK]", "[CLS]", "  <s>  ", "<|end|>", "▁"]


def strings(shared):
    rng = random.Random(0)
    out = []
    for path in sorted(glob.glob(shared + "/tokenizers/llama.cpp-vocab/*.inp")):
        out += open(path, encoding="utf8", newline="").read().split("\n__ggml_vocab_test__\n")
    prose = open(shared + "/tokenizers/sentencepiece-tests/data/botchan.txt", encoding="utf8", errors="replace").read()
    out += [prose[i:i + 700] for i in range(0, 20000, 700)]
    words = prose.split()[:3000]
    for _ in range(1500):
        text = ""
        for _ in range(rng.randint(1, 40)):
            if rng.random() < .35:
                text += rng.choice(words) + rng.choice([" ", " ", "  ", "\n", "", ",", ". "])
            else:
                pool = rng.choice(POOLS)
                text += "".join(rng.choice(pool) for _ in range(rng.randint(1, 6)))
            text += " " if rng.random() < .2 else ""
            text += rng.choice(ADDED) if rng.random() < .02 else ""
        out.append(text)
    out += ["a" + chr(c) + " " + chr(c) * 2 + "b" for c in range(0x20, 0x3000, 37)]
    out += ["a" + chr(c) + " " + chr(c) * 2 + "1" for c in range(0x3000, 0x110000, 977) if not 0xD800 <= c <= 0xDFFF]
    return out


def random_strings(count):
    rng = random.Random(count)
    ranges = [(0, 0x7F), (0x80, 0x24F), (0x250, 0x1FFF), (0x2000, 0x2FFF), (0x3000, 0x9FFF), (0xA000, 0xD7FF), (0xE000, 0xFFFF),
              (0x10000, 0x1FFFF), (0x20000, 0x10FFFF)]

    def character():
        return chr(rng.randint(*rng.choice(ranges))) if rng.random() < .6 else rng.choice(rng.choice(POOLS))
    return ["".join(rng.choice(ADDED) if rng.random() < .01 else character() * rng.choice([1, 1, 1, 2, 3])
                    for _ in range(rng.randint(0, 60))) for _ in range(count)]


def ours(sluice, path, values, *options):
    done = subprocess.run([sluice, "tokenize", path, *options], input=json.dumps(values), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{path}: {done.stderr}")
    return json.loads(done.stdout)


def main():
    sluice, shared = sys.argv[1:3]
    files, failed = sys.argv[3:], 0
    texts = random_strings(int(files[1])) if files[:1] == ["--random"] else strings(shared)
    files = files[2:] if files[:1] == ["--random"] else files
    for name in files or FILES:
        path, rows = name if name.startswith("/") else shared + "/" + name, []
        if path.endswith(".model"):
            # Control pieces written out are text to SentencePiece alone, and a NUL ends a string there.
            model, plain = sentencepiece.SentencePieceProcessor(model_file=path), [t for t in texts if "<" not in t and "\0" not in t]
            rows.append(("plain", ours(sluice, path, plain), [model.encode(t) for t in plain]))
        else:
            model = Tokenizer.from_file(path)
            for options in ([], ["--special"]):
                model.encode_special_tokens = not options  # plain: special tokens written out are text
                ids = [e.ids for e in model.encode_batch(texts, add_special_tokens=bool(options))]
                rows.append(("".join(options) or "plain", ours(sluice, path, texts, *options), ids))
        for what, mine, theirs in rows:
            equal = sum(a == b for a, b in zip(mine, theirs))
            failed += len(theirs) - equal
            print(f"{name} {what}: {equal} of {len(theirs)} equal", flush=True)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
