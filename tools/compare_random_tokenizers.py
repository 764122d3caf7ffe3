#!/usr/bin/env python3
"""Compares `sluice tokenize` with Hugging Face tokenizers on random tokenizers: every model, normalizer, pre-tokenizer,
decoder, post-processor and flag of added tokens that a tokenizer.json can hold, each trained on a little text and met by
random strings. What the library refuses to load, Sluice may read or refuse.

Needs tokenizers and sentencepiece. usage: tools/compare_random_tokenizers.py SLUICE [--count N] [--seed S] [--keep DIR]
"""
import argparse
import contextlib
import io
import json
import os
import random
import subprocess
import sys
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from compare_tokenizers import POOLS

PROSE = """The quick brown fox jumps over the lazy dog. It's 1234 o'clock; they'll say we've done it, I'm sure!
def main(args):\n    for i in range(100):\n\tprint(f"{i:03d}")\n    return {"a": [1, 2.5, None]}\n
Der Zwölf-Boxkämpfer jagt Viktor quer über den großen Sylter Deich. L'été à Orléans, où naît l'œuvre.
Съешь же ещё этих мягких французских булок, да выпей чаю. ελληνικά γράμματα και Ωμέγα
今天天气很好，我们去公园散步吧。日本語のひらがなとカタカナ、漢字。한국어 문장을 씁니다. हिन्दी עברית العربية 😀👍🏽
<html><body class="x">&amp;</body></html> https://example.com/a?b=c&d=e 3.14159 1,000,000 0xFF
"""
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
PATTERNS = [GPT2, LLAMA3, r"\s+", r"[aeiou]|\d+|\s", r"\p{Han}+", r"(?i)the", r"\d{1,3}(?=(?:\d{3})*\b)", r"[^\w\s]+", r"(?<=[a-z])(?=[A-Z])",
            r"\w+|[^\w\s]+", ".", r"\p{Lu}?\p{Ll}+", r"[一-龥]+", " ", "\\n"]
BEHAVIORS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
BYTES = ["<0x%02X>" % b for b in range(256)]
ADDED = ["<s>", "</s>", "<unk>", "<pad>", "[CLS]", "[SEP]", "<|user|>", "the", "Zw", "ö", " a", "a ", "▁", "\n", "  ", "<mask>", "é", "É", "e\u0301", "1", "漢字",
         "ing", "İ", "ﬁ", "THE", "The", "o", "<|user|>x", "user", ".", "Ġ"]


def charsmap():
    blob = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(PROSE.split("\n") * 3), model_writer=blob, vocab_size=200,
                                             hard_vocab_limit=False, minloglevel=2, num_threads=1)
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(blob.getvalue())
    return model.normalizer_spec.precompiled_charsmap


def state(part):
    return json.loads(part.__getstate__())


class Maker:
    def __init__(self, rng, precompiled):
        self.rng = rng
        self.precompiled = precompiled

    def maybe(self, share=0.5):
        return self.rng.random() < share

    def pattern(self):
        return Regex(self.rng.choice(PATTERNS)) if self.maybe(0.7) else self.rng.choice(["o", " ", "th", "▁", "\n", "é", "."])

    def normalizer(self, depth=0):
        N, rng = normalizers, self.rng
        kind = rng.randint(0, 15 if depth < 2 else 13)
        if kind < 4:
            return [N.NFC, N.NFD, N.NFKC, N.NFKD][kind]()
        if kind == 4:
            return N.Lowercase()
        if kind == 5:
            return N.StripAccents()
        if kind == 6:
            return N.Replace(self.pattern(), rng.choice(["", "_", "▁", " ", "ab", "é"]))
        if kind == 7:
            return N.Prepend(rng.choice(["▁", "x", " ", "ab"]))
        if kind == 8:
            return N.Precompiled(self.precompiled)
        if kind == 9:
            return N.BertNormalizer(self.maybe(), self.maybe(), rng.choice([None, True, False]), self.maybe())
        if kind == 10:
            return N.Nmt()
        if kind == 11:
            return N.Strip(self.maybe(), self.maybe())
        if kind == 12:
            return N.ByteLevel()
        if kind == 13:
            return N.Replace(" ", "▁")
        return N.Sequence([self.normalizer(depth + 1) for _ in range(rng.randint(0, 4))])

    def pre_tokenizer(self, depth=0):
        P, rng = pre_tokenizers, self.rng
        kind = rng.randint(0, 14 if depth < 2 else 11)
        if kind == 0:
            return P.ByteLevel(self.maybe(), use_regex=self.maybe())
        if kind in (1, 2):
            return P.Split(self.pattern(), rng.choice(BEHAVIORS), self.maybe(0.3))
        if kind == 3:
            return P.Digits(self.maybe())
        if kind == 4:
            return P.Punctuation(rng.choice(BEHAVIORS))
        if kind in (5, 6):
            return P.Metaspace(rng.choice(["▁", "▁", "_"]), rng.choice(["always", "first", "never"]), self.maybe())
        if kind == 7:
            return P.Whitespace()
        if kind == 8:
            return P.WhitespaceSplit()
        if kind == 9:
            return P.BertPreTokenizer()
        if kind == 10:
            return P.UnicodeScripts()
        if kind == 11:
            return P.CharDelimiterSplit(rng.choice(["e", " ", ",", "é"]))
        return P.Sequence([self.pre_tokenizer(depth + 1) for _ in range(rng.randint(0, 3))])

    def decoder(self, depth=0):
        D, rng = decoders, self.rng
        kind = rng.randint(0, 11 if depth < 2 else 9)
        if kind == 0:
            return D.ByteLevel()
        if kind == 1:
            return D.Metaspace("▁", rng.choice(["always", "first", "never"]), self.maybe())
        if kind == 2:
            return D.WordPiece(rng.choice(["##", "e"]), self.maybe())
        if kind == 3:
            return D.BPEDecoder(rng.choice(["</w>", "e", ""]))
        if kind == 4:
            return D.ByteFallback()
        if kind == 5:
            return D.Fuse()
        if kind == 6:
            return D.Strip(rng.choice([" ", "a", "▁"]), rng.randint(0, 2), rng.randint(0, 2))
        if kind == 7:
            return D.CTC(rng.choice(["<pad>", "t"]), rng.choice(["|", "e", " "]), self.maybe())
        if kind in (8, 9):
            return D.Replace(self.pattern(), rng.choice(["", " ", "_", "ab"]))
        return D.Sequence([self.decoder(depth + 1) for _ in range(rng.randint(0, 4))])

    def fitting_decoder(self, pre):
        D = decoders
        text = str(pre)
        if "ByteLevel" in text:
            return D.ByteLevel()
        if "Metaspace" in text:
            return self.rng.choice([D.Metaspace(), D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)])])
        return None

    def model(self, pre, norm):
        """A trained model's part of the file."""
        rng = self.rng
        kind = rng.choice(["bpe"] * 5 + ["unigram", "unigram", "wordpiece", "wordlevel"])
        alphabet = pre_tokenizers.ByteLevel.alphabet() if "ByteLevel" in str(pre) + str(norm) else []
        specials = rng.sample(["<unk>", "<s>", "</s>", "<pad>", "[UNK]"], 3)
        options = dict(vocab_size=rng.choice([150, 350, 700]) + len(alphabet), show_progress=False, special_tokens=specials)
        if kind == "bpe":
            prefix, suffix = rng.choice([("", "")] * 4 + [("##", ""), ("", "</w>"), ("@@", "</w>")])
            fallback = self.maybe(0.3)
            if fallback:
                options["special_tokens"] = specials + BYTES
                options["vocab_size"] += 256
            unk = rng.choice([None, specials[0], specials[0], "<missing>" if self.maybe(0.1) else None])
            model = models.BPE(unk_token=unk)
            marks = {"continuing_subword_prefix": prefix} if prefix else {}
            marks |= {"end_of_word_suffix": suffix} if suffix else {}
            trainer = trainers.BpeTrainer(**options, **marks, initial_alphabet=alphabet, limit_alphabet=rng.choice([60, 120, 1000]))
        elif kind == "unigram":
            model = models.Unigram()
            trainer = trainers.UnigramTrainer(**options, initial_alphabet=alphabet, unk_token=specials[0])
        elif kind == "wordpiece":
            model = models.WordPiece(unk_token=specials[0], max_input_chars_per_word=rng.choice([3, 10, 100]))
            trainer = trainers.WordPieceTrainer(**options, initial_alphabet=alphabet, continuing_subword_prefix=rng.choice(["##", "_", ""]) or "##")
        else:
            model = models.WordLevel(unk_token=specials[0])
            trainer = trainers.WordLevelTrainer(**options)
        tokenizer = Tokenizer(model)
        if pre is not None:
            tokenizer.pre_tokenizer = pre
        if norm is not None:
            tokenizer.normalizer = norm
        tokenizer.train_from_iterator(PROSE.split("\n") * 2, trainer)
        made = json.loads(tokenizer.to_str())["model"]
        if kind == "bpe":
            made |= {"byte_fallback": fallback, "fuse_unk": self.maybe(), "ignore_merges": self.maybe(0.3), "dropout": rng.choice([None, 0.0])}
            if self.maybe() and not any(" " in part for pair in made["merges"] for part in pair):
                made["merges"] = [" ".join(pair) for pair in made["merges"]]
        if kind == "unigram" and self.maybe(0.3):
            have = {piece for piece, _ in made["vocab"]}
            made["vocab"] += [[b, 0.0] for b in BYTES if b not in have]
            made["byte_fallback"] = True
        return made

    def post_processor(self, names, depth=0):
        rng = self.rng
        kind = rng.randint(0, 5 if depth < 2 else 4)
        token = lambda: rng.choice(list(names))
        if kind == 0:
            return {"type": "ByteLevel", "add_prefix_space": self.maybe(), "trim_offsets": self.maybe(), "use_regex": self.maybe()}
        if kind in (1, 2):
            a, b = token(), token()
            return {"type": ["BertProcessing", "RobertaProcessing"][kind - 1], "sep": [a, names[a]], "cls": [b, names[b]],
                    **({"trim_offsets": True, "add_prefix_space": self.maybe()} if kind == 2 else {})}
        if kind in (3, 4):
            single = [{"SpecialToken": {"id": token(), "type_id": 0}} for _ in range(rng.randint(0, 2))]
            single += [{"Sequence": {"id": "A", "type_id": 0}}] * rng.choice([1, 1, 1, 1, 2])
            single += [{"SpecialToken": {"id": token(), "type_id": 0}} for _ in range(rng.randint(0, 2))]
            used = {x["SpecialToken"]["id"] for x in single if "SpecialToken" in x}
            return {"type": "TemplateProcessing", "single": single,
                    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                    "special_tokens": {u: {"id": u, "ids": [names[u]] * rng.choice([1, 1, 1, 2]), "tokens": [u] } for u in used}}
        return {"type": "Sequence", "processors": [self.post_processor(names, depth + 1) for _ in range(rng.randint(0, 2))]}

    def file(self):
        rng = self.rng
        pre = self.pre_tokenizer() if self.maybe(0.9) else None
        norm = self.normalizer() if self.maybe(0.7) else None
        model = self.model(pre, norm)
        vocab = model["vocab"]
        ids = {piece: i for i, (piece, _) in enumerate(vocab)} if isinstance(vocab, list) else vocab
        if self.maybe(0.3):  # not the ones it was trained with
            pre = self.pre_tokenizer() if self.maybe(0.9) else None
            norm = self.normalizer() if self.maybe(0.7) else None
        added, seen, next_id = [], set(), len(ids)
        for content in rng.sample(ADDED, rng.randint(0, 8)):
            if content in ids:
                number = ids[content]
            else:
                number, next_id = next_id, next_id + 1
            added.append({"id": number, "content": content, "single_word": self.maybe(0.3), "lstrip": self.maybe(0.3), "rstrip": self.maybe(0.3),
                          "normalized": self.maybe(), "special": self.maybe(0.4)})
            seen.add(content)
        names = {t["content"]: t["id"] for t in added} | dict(list(ids.items())[:3])
        decoder = self.fitting_decoder(pre) if self.maybe(0.6) else self.decoder()
        return {"version": "1.0",
                "truncation": rng.choice([None, None, {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0}]),
                "padding": rng.choice([None, None, {"strategy": {"Fixed": 30}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
                                                    "pad_token": "<pad>"}]),
                "added_tokens": added, "normalizer": None if norm is None else state(norm), "pre_tokenizer": None if pre is None else state(pre),
                "post_processor": self.post_processor(names) if self.maybe(0.7) else None, "decoder": None if decoder is None else state(decoder), "model": model}

    def text(self):
        rng, words, out = self.rng, PROSE.split(), ""
        for _ in range(rng.randint(0, 14)):
            kind = rng.random()
            if kind < 0.4:
                out += rng.choice(words) + rng.choice([" ", "", "  ", "\n", " "])
            elif kind < 0.55:
                out += rng.choice([" ", ""]) + rng.choice(ADDED) + rng.choice([" ", ""])
            elif kind < 0.9:
                out += "".join(rng.choice(rng.choice(POOLS)) for _ in range(rng.randint(1, 5)))
            elif kind < 0.95:
                out += chr(rng.choice([rng.randint(0, 0xD7FF), rng.randint(0xE000, 0x10FFFF), rng.randint(0, 0x2FF)]))
            else:
                out += rng.choice([" ", "a", "\n", "▁", "é", "漢"]) * rng.randint(2, 40)
        return out


def ours(sluice, path, values, *options):
    done = subprocess.run([sluice, "tokenize", path, *options], input=json.dumps(values), capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr.strip()


def quiet(call, *arguments, **named):
    """The value, or None where the library panics."""
    try:
        return call(*arguments, **named)
    except BaseException as problem:  # pyo3's PanicException is no Exception
        if isinstance(problem, KeyboardInterrupt):
            raise
        return None


@contextlib.contextmanager
def no_stderr():
    """Panics and warnings of the library are written there."""
    kept = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(null)
        os.close(kept)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("sluice")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--strings", type=int, default=60)
    parser.add_argument("--keep", default=None, help="a folder for the files that differ")
    parser.add_argument("--only", type=int)
    arguments = parser.parse_args()
    precompiled = charsmap()
    files = refused = compared = equal = 0
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "tokenizer.json")
        for number in range(arguments.count) if arguments.only is None else [arguments.only]:
            maker = Maker(random.Random(f"{arguments.seed}.{number}"), precompiled)
            with no_stderr():
                made = quiet(maker.file)
                tokenizer = quiet(Tokenizer.from_str, json.dumps(made)) if made else None
            if tokenizer is None:
                refused += made is not None
                continue
            files += 1
            tokenizer.no_truncation()  # as transformers does unless asked
            tokenizer.no_padding()
            with open(path, "w", encoding="utf-8") as out:
                json.dump(made, out, ensure_ascii=maker.maybe())
            texts = [maker.text() for _ in range(arguments.strings)]
            id_lists = [[maker.rng.randrange(tokenizer.get_vocab_size()) for _ in range(maker.rng.randint(0, 12))] for _ in range(20)]
            rows = []
            with no_stderr():
                for options, special in ([], False), (["--special"], True):
                    tokenizer.encode_special_tokens = not special
                    encoded = [quiet(tokenizer.encode, t, add_special_tokens=special) for t in texts]
                    rows.append((options, texts, [None if e is None else e.ids for e in encoded]))
                    if special:
                        id_lists += [e.ids for e in encoded if e is not None]
                for options, skip in (["--decode"], False), (["--decode", "--special"], True):
                    rows.append((options, id_lists, [quiet(tokenizer.decode, i, skip_special_tokens=skip) for i in id_lists]))
            bad = 0
            for options, inputs, theirs in rows:
                inputs = [i for i, t in zip(inputs, theirs) if t is not None]
                theirs = [t for t in theirs if t is not None]
                mine = ours(arguments.sluice, path, inputs, *options)
                compared += len(theirs)
                if isinstance(mine, str):
                    print(f"{arguments.seed}.{number} {options}: {mine}", flush=True)
                    bad += len(theirs)
                    break
                wrong = [(i, t, m) for i, t, m in zip(inputs, theirs, mine) if t != m]
                equal += len(theirs) - len(wrong)
                bad += len(wrong)
                if wrong:
                    i, t, m = min(wrong, key=lambda w: len(w[0]))
                    print(f"{arguments.seed}.{number} {options}: {len(wrong)} of {len(theirs)} differ; {i!r}\n  theirs {t!r}\n  ours   {m!r}", flush=True)
            if bad:
                brief = {k: v for k, v in made.items() if k not in ("model", "version")} | {
                    "model": {k: v for k, v in made["model"].items() if k not in ("vocab", "merges")}}
                text = json.dumps(brief, ensure_ascii=False)
                print("  " + (text if len(text) < 3000 else text[:3000] + "…"), flush=True)
                if arguments.keep:
                    os.makedirs(arguments.keep, exist_ok=True)
                    with open(f"{arguments.keep}/{arguments.seed}.{number}.json", "w", encoding="utf-8") as out:
                        json.dump(made, out, ensure_ascii=False)
    print(f"{files} tokenizers ({refused} more refused by the library): {equal} of {compared} equal")
    return equal != compared


if __name__ == "__main__":
    sys.exit(main())
