#!/usr/bin/env python3
"""Writes tests/golden/tokenizers: small tokenizers of every kind, and what Hugging Face tokenizers and SentencePiece
make of many strings with them.

Needs tokenizers and sentencepiece, tiktoken and transformers. usage: tools/goldens/text_tokenizers.py [output directory
[chatglm]]
"""
import io
import json
import os
import random
import sys

sys.path.pop(0)  # this file has the library's name

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "../../tests/golden/tokenizers")

PROSE = """The quick brown fox jumps over the lazy dog. It's 1234 o'clock; they'll say we've done it, I'm sure!
Pack my box with five dozen liquor jugs, and DON'T forget the 50% discount (code: SAVE50).
def main(args):\n    for i in range(100):\n\tprint(f"{i:03d}")\n    return {"a": [1, 2.5, None]}\n
Der Zwölf-Boxkämpfer jagt Viktor quer über den großen Sylter Deich. L'été à Orléans, où naît l'œuvre.
Съешь же ещё этих мягких французских булок, да выпей чаю. ελληνικά γράμματα και Ωμέγα
今天天气很好，我们去公园散步吧。智能手机操作：打开应用，点击按钮。日本語のひらがなとカタカナ、漢字。한국어 문장을 씁니다.
<html><body class="x">&amp;</body></html> https://example.com/a?b=c&d=e 3.14159 1,000,000 0xFF
"""
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
WORD = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?")
O200K = WORD + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
DEEPSEEK = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
            r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def strings():
    rng = random.Random(7)
    out = ["", " ", "  ", "\n", "\t\n  x", "Hello world", " Hello  world ", "a" * 70, " " * 33 + "x" + " " * 5, "\r\n\r\n a\r\n",
           "<s>Hello</s> <|user|> hi<|user|>\n", "  <mask>  b<mask>c", "xwordy word wordy word", "<unk> <0x41>", "▁a ▁ b▁",
           "I'LL DON'T it'ſ 'S they'RE", "👨‍👩‍👧‍👦 👍🏽 🇩🇪 ❤️ e\u0301 \u1e9b\u0323 ﬁ ½ Ⅷ ㋿ İ ǅ Σς", "\x00\x01\x07\x7f\x85\u200b\ufeff\u3000\xa0x",
           "1234567 12 3.5 १२३ ٤٥", "漢字かな混じり文。，！？", "한국어조선말", "हिन्दी क्षत्रिय ไทยภาษา עברית العربية", "\U00010348𝔘𝟘\U0010ffff\ufffd",
           "foo.bar(baz) != qux::quux<T>*\n\n\n    return;", "camelCaseHTTPServerID_snake-kebab/path\\back"] + PROSE.split("\n")
    pools = ["abcxyzABCXYZ", "0123456789", " \t\n\r", "'\"!@#$%^&*()_+-=[]{}|;:,.<>/?`~\\", "éèüßñçøæÅſK", "漢字，。「」", "ひらカナ", "한국",
             "русЯзык", "العر", "हिन्दी", "😀👍🏽👨‍👩🇩🇪❤️", "\u200b\u200d\ufeff\xa0\u2003\u3000", "e\u0301a\u0308\u0344", "½²ⅧⅣ①", "ǅﬁΩΣςİ"]
    words = PROSE.split()
    for _ in range(40):
        text = ""
        for _ in range(rng.randint(2, 14)):
            text += rng.choice(words) if rng.random() < .4 else "".join(rng.choice(rng.choice(pools)) for _ in range(rng.randint(1, 5)))
            text += rng.choice(["", "", " ", "  ", "\n"])
        out.append(text)
    return out


STRINGS = strings()


def write(name, value):
    with open(os.path.join(OUT, name), "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")


def answers(tok, texts):
    rows = []
    for text in texts:
        plain = tok.encode(text, add_special_tokens=False).ids
        special = tok.encode(text).ids
        rows.append([plain, special if special != plain else None, tok.decode(special, skip_special_tokens=False),
                     tok.decode(special, skip_special_tokens=True)])
        for i in (2, 3):
            if rows[-1][i] == text:
                rows[-1][i] = None
    return rows


def save(name, tok):
    write(name + ".json", json.loads(tok.to_str()))
    write(name + ".expected.json", answers(tok, STRINGS))


def train(tok, size, kind=trainers.BpeTrainer, **options):
    tok.train_from_iterator([PROSE] * 3, kind(vocab_size=size, show_progress=False, **options))


def byte_level(name, pre, normalizer=None, post=None, specials=(), ignore_merges=False):
    tok = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tok.pre_tokenizer = pre
    if normalizer:
        tok.normalizer = normalizer
    tok.decoder = decoders.ByteLevel()
    train(tok, 420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tok.add_special_tokens(list(specials))
    tok.add_tokens([AddedToken("word", single_word=True), AddedToken("<mask>", lstrip=True, rstrip=True, normalized=False)])
    if post:
        tok.post_processor = post(tok)
    save(name, tok)


def split(*patterns):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(p), "isolated") for p in patterns] +
                                   [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def bos_template(tok):
    return processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", tok.token_to_id("<s>"))])])


def metaspace_decoder():
    return decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])


BYTES = ["<0x%02X>" % b for b in range(256)]


def char_level(name, normalizer, pre, decoder, byte_fallback):
    specials = ["<unk>", "<s>", "</s>"] + (BYTES if byte_fallback else [])
    tok = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    tok.normalizer, tok.pre_tokenizer = normalizer, pre_tokenizers.Metaspace()
    train(tok, 560 if byte_fallback else 300, special_tokens=specials, limit_alphabet=90)
    spec = json.loads(tok.to_str())
    spec["model"]["byte_fallback"] = byte_fallback
    spec["added_tokens"] = spec["added_tokens"][:3]
    tok = Tokenizer.from_str(json.dumps(spec))
    tok.pre_tokenizer, tok.decoder = pre, decoder
    tok.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    save(name, tok)


def sentencepiece_models():
    rules = os.path.join(OUT, "rules.tmp.tsv")
    with open(rules, "w", encoding="utf-8") as f:
        for a, b in (("ﬁ", "fi"), ("½", "1/2"), ("ａ", "a"), ("İ", "i"), ("e\u0301", "é"), ("\u3000", " "), ("\t", " "), ("\n", " "), ("　　", " ")):
            f.write(" ".join("%X" % ord(c) for c in a) + "\t" + " ".join("%X" % ord(c) for c in b) + "\n")
    for name, kind, options in (("sp_bpe", "bpe", dict(byte_fallback=True, remove_extra_whitespaces=False, normalization_rule_name="identity", vocab_size=520)),
                                ("sp_unigram", "unigram", dict(normalization_rule_tsv=rules, vocab_size=300)),
                                ("sp_unigram_bytes", "unigram", dict(byte_fallback=True, add_dummy_prefix=False, normalization_rule_name="identity", vocab_size=520))):
        blob = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(PROSE.split("\n") * 3), model_writer=blob, model_type=kind, character_coverage=0.98,
            user_defined_symbols=["<|user|>", "xyz"], hard_vocab_limit=False, minloglevel=2, num_threads=1, **options)
        with open(os.path.join(OUT, name + ".model"), "wb") as f:
            f.write(blob.getvalue())
        sp = sentencepiece.SentencePieceProcessor(model_proto=blob.getvalue())
        # Control pieces written out are text to SentencePiece, and end a string at a NUL in its normalizer's trie.
        texts = [t for t in STRINGS if "<s>" not in t and "<unk>" not in t and "\0" not in t]
        write(name + ".expected.json", [[t, sp.encode(t)] for t in texts])
    os.remove(rules)


def variants():
    """One small character BPE under many normalizers, pre-tokenizers, decoders and post-processors."""
    base = Tokenizer(models.BPE(unk_token="<unk>"))
    base.pre_tokenizer = pre_tokenizers.Whitespace()
    train(base, 330, special_tokens=["<unk>", "<s>", "</s>"], limit_alphabet=120)
    base_spec = json.loads(base.to_str())
    write("base_chars.json", base_spec)
    patches = []
    for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
        for invert in (False, True):
            patches.append(("pre_tokenizer", pre_tokenizers.Split(Regex(r"[aeiou]|\d+|\s"), behavior, invert)))
        patches.append(("pre_tokenizer", pre_tokenizers.Punctuation(behavior)))
    P, N, D = pre_tokenizers, normalizers, decoders
    for scheme in ("always", "first", "never"):
        for cut in (True, False):
            patches.append(("pre_tokenizer", P.Metaspace("▁", scheme, cut)))
            patches.append(("pre_tokenizer", P.Sequence([P.WhitespaceSplit(), P.Metaspace("▁", scheme, cut)])))
        patches.append(("decoder", D.Metaspace("▁", scheme)))
    for pre in (P.Whitespace(), P.WhitespaceSplit(), P.BertPreTokenizer(), P.Digits(True), P.Digits(False), P.CharDelimiterSplit("e"),
                P.ByteLevel(True), P.ByteLevel(False, use_regex=False), P.Split("o", "merged_with_next"), P.FixedLength(3), P.UnicodeScripts(),
                P.Sequence([P.UnicodeScripts(), P.Split("o", "isolated")]),
                P.Sequence([P.Punctuation(), P.Digits(True), P.WhitespaceSplit()])):
        patches.append(("pre_tokenizer", pre))
    for norm in (N.NFC(), N.NFD(), N.NFKC(), N.NFKD(), N.Lowercase(), N.StripAccents(), N.Sequence([N.NFD(), N.StripAccents()]), N.Nmt(),
                 N.BertNormalizer(), N.BertNormalizer(True, False, False, False), N.BertNormalizer(False, True, True, False), N.Strip(), N.Strip(True, False),
                 N.Strip(False, True), N.Prepend("▁"), N.Replace("o", "0"), N.Replace(Regex(r"\s{2,}|\d"), "_"), N.Replace(Regex("[aeiou]+"), ""), N.ByteLevel(),
                 N.Sequence([N.Prepend("x"), N.Replace(" ", "▁"), N.Lowercase()])):
        patches.append(("normalizer", norm))
    for dec in (D.ByteLevel(), D.Fuse(), D.WordPiece("##", True), D.WordPiece("e", False), D.BPEDecoder("e"), D.Strip("a", 1, 0), D.CTC(), D.CTC("o", "e", False), D.CTC("<unk>", "a", True), D.CTC("", "", True),
                D.Sequence([D.CTC("t", "o", True), D.Fuse()]), D.Replace(Regex("[aeiou]"), "*"),
                D.Sequence([D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)]), D.Sequence([D.Replace("e", " "), D.Fuse(), D.Strip("t", 2, 0)])):
        patches.append(("decoder", dec))
    for post in (processors.BertProcessing(("</s>", 2), ("<s>", 1)), processors.RobertaProcessing(("</s>", 2), ("<s>", 1)),
                 processors.TemplateProcessing(single="<s> <s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])):
        patches.append(("post_processor", post))
    added = [[dict(id=3, content="Th", single_word=False, lstrip=False, rstrip=False, normalized=True, special=False)]]
    for flags in ("single_word", "lstrip", "rstrip", "normalized", "special"):
        for content in ("jump", "o ", "Ö"):
            token = dict(id=330, content=content, single_word=False, lstrip=False, rstrip=False, normalized=False, special=False)
            token[flags] = True
            added.append(base_spec["added_tokens"] + [token, dict(token, content=content + "s", id=331)])
    out = []
    texts = STRINGS[:32] + STRINGS[32::9]
    for key, part in patches:
        holder = Tokenizer(models.BPE())
        setattr(holder, key, part)
        patch = {key: json.loads(holder.to_str())[key]}
        if key != "pre_tokenizer":
            patch["pre_tokenizer"] = None
        tok = Tokenizer.from_str(json.dumps({**base_spec, **patch}))
        ids = [tok.encode(t).ids for t in texts[:40:2]]
        out.append([patch, "texts", [[i, tok.decode(i)] for i in ids] if key == "decoder" else ids])
    added_texts = texts[:40:4] + ["the jump o over  jumps  o  Öo ", "jumpjump xjump Th The thö Ös"]
    for tokens in added:
        for norm in (None, {"type": "Lowercase"}):
            patch = {"added_tokens": tokens, "normalizer": norm, "pre_tokenizer": None}
            tok = Tokenizer.from_str(json.dumps({**base_spec, **patch}))
            out.append([patch, "added_texts", [tok.encode(t).ids for t in added_texts]])
    write("variants.json", {"texts": texts[:40:2], "added_texts": added_texts, "cases": out})


def nested_post_processors():
    """Post-processors after one another, over base_chars.json as it is: with and without special tokens."""
    with open(os.path.join(OUT, "base_chars.json"), encoding="utf-8") as f:
        base_spec = json.load(f)
    bert, roberta = processors.BertProcessing(("</s>", 2), ("<s>", 1)), processors.RobertaProcessing(("</s>", 2), ("<s>", 1))
    begin, both, empty, twice = (
        processors.TemplateProcessing(single=single, pair=pair, special_tokens=[("<s>", 1), ("</s>", 2)]) for single, pair in (
            ("<s> $A", "$B </s> $A"), ("<s> $A </s>", "$A $B"), ([], "$A $B"), ("$A $A", "<s> $B $A $A")))
    out = []
    for nested in ([begin, bert], [both, bert], [both, roberta], [bert, both], [bert, bert], [roberta, bert], [empty], [empty, bert],
                   [bert, empty], [begin, begin], [begin, begin, bert], [begin, both], [begin, twice], [twice, bert], [bert, twice],
                   [processors.Sequence([bert]), begin], [both, processors.ByteLevel(), roberta], []):
        tok = Tokenizer.from_str(json.dumps(base_spec))
        tok.post_processor = processors.Sequence(nested)
        out.append([json.loads(tok.to_str())["post_processor"], tok.encode("the fox").ids, tok.encode("the fox", add_special_tokens=False).ids])
    write("post_processors.json", out)


def regexes():
    patterns = [LLAMA3, QWEN2, O200K, DEEPSEEK, r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
                r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
                r"\s+$", r"^\s+", r"[一-龥ࠀ-一가-퟿]+", r"\p{Han}+|[\p{L}&&[^\p{Han}]]+", r"(?=(\d{3})+(?!\d))", r"\d{1,3}(?=(?:\d{3})*\b)", r"(?<=[a-z])(?=[A-Z])", r"(?<!\w)[a-z]+",
                r"a+?b|x{2,3}?", r"(?>a+)b|\w", r"[[:alpha:]]+|[[:digit:]]", r"\bw\w+\b", r"(?i)the|DON", r"[^\S\n]+", r"\p{^L}+", r"\P{L}", r"[\w'-]+", r"(ab|a)(c|bcd)*", r"\x{4e00}-?|\u0061",
                r" ?[^(\s|[.,!?…。，、।۔،])]+", r"(?:a|b)*c|.", r"\p{Lu}\p{Ll}*|\p{Cyrillic}+"]
    texts = STRINGS + ["aaab abcd xxxx xx aab", "fooBarBaz the THE Don", "1234567 1234567x 12", "ab" * 20 + "c"]
    rows = []
    for p in patterns:
        cut = pre_tokenizers.Split(Regex(p), "isolated")
        known = len(rows) < 6
        rows.append([p, [[len(s.encode()) for s, _ in cut.pre_tokenize_str(t)] for t in (texts if known else texts[:25] + texts[-4:])]])
    write("regex.json", {"texts": texts, "short": len(texts[:25]), "rows": rows})


# What tokenizer.ggml.pre names in GGUF files: the splits of the tokenizer.json it stands for, as llama.cpp lists them
# (src/llama-vocab.cpp: the original where it notes one).
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
KANA = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
GGUF_PRE = {
    "gpt-2": [GPT2],
    "llama-bpe": [LLAMA3],
    "glm4": [LLAMA3],
    "qwen2": [QWEN2],
    "qwen35": [CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"],
    "gpt-4o": [O200K],
    "granite-embed-multi-97m": [O200K],
    "tekken": [O200K.replace(CONTRACTIONS + "?", "").replace("{1,3}", "")],
    "starcoder": [r"\p{N}", GPT2],
    "deepseek-v3": [r"\p{N}{1,3}", KANA, DEEPSEEK],
    "seed-coder": [CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"],
    "tiny_aya": [r"\d{1,3}(?=(?:\d{3})*\b)", O200K],
    "minicpm5": [r"\p{N}{1,3}", LLAMA3.replace("{1,3}", "+")],
    "spark2_5": [r"\p{N}{1,3}", KANA, DEEPSEEK.replace(r"[\r\n]*|\s*[\r\n]+|", r"|[\r\n]|"), r"\p{N}"],
    "youtu": ["[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|" + KANA, O200K.replace("{1,3}", "")],
    "chameleon": ["<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", r"([\t\n]|    |  )", r"\p{N}", r"[\p{P}!-/:-@\[-`{-~]", GPT2],
    "exaone-moe": [CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"],
    "ufakzeka": [QWEN2.replace(CONTRACTIONS + "|", "")],
    "afmoe": [r"\p{N}{1,3}(?=(?:\p{N}{3})*(?:\P{N}|\z))",
              "[一-鿿㐀-䶿\uf900-\ufaff぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-\ud7afᄀ-ᇿ]+", DEEPSEEK],
    "laguna": [r"[^\n]+|[\n]+", QWEN2],
    "gemma4": [r"[^\n]+|[\n]+"],
    "sarvam-moe": [r"[^\n]+|[\n]+"],
}


def gguf_names():
    texts = STRINGS + ["1 12 123 1234 12345 123456 1234567 ١٢٣٤٥", "<sentinel:12> IMGIMGABCDZ IMGIMGZ a    b  c\td\n\ne",
                       "Türkiye'nin Ankara'dan it's IT'S", "ㄅㄆㄇ ㄱㄴ 가나、。〿！…“a”：；，﹏︰ ｶﾅ ⼀ ไทย ລາວ ខ្មែរ မြန်မာ ᄀᄁ", "a b c d\u0301 e f/\n// \n/"]
    rows = []
    for name, patterns in GGUF_PRE.items():
        pre = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(p), "isolated") for p in patterns])
        rows.append([name, [[len(s.encode()) for s, _ in pre.pre_tokenize_str(t)] for t in texts]])
    write("gguf_pre.json", {"texts": texts, "rows": rows})


CHATGLM_TOKENS = ["<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>",
                  "<|assistant|>", "<|observation|>"]


def chatglm():
    """GLM-4's first tokenizer: a tiktoken file, its special tokens in tokenizer_config.json, and code of its own,
    whose part that matters is written again here over transformers and tiktoken."""
    import base64

    import tiktoken
    from transformers import AddedToken as Token
    from transformers import PreTrainedTokenizer

    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = split(LLAMA3)
    train(trained, 520, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    byte_of = {c: b for b, c in zip(list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256)),
                                    map(chr, list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))))}
    byte_of |= {chr(256 + i): b for i, b in enumerate([*range(33), *range(127, 161), 173])}
    tokens = sorted(trained.get_vocab(), key=lambda t: (len(t) > 1, trained.token_to_id(t)))
    ranks = {bytes(byte_of[c] for c in token): rank for rank, token in enumerate(tokens)}
    folder = os.path.join(OUT, "chatglm")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "tokenizer.model"), "w") as f:
        f.writelines(f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in ranks.items())
    flags = dict(lstrip=False, rstrip=False, single_word=False, normalized=False, special=True)
    added = {str(len(ranks) + i): dict(content=content, **flags) for i, content in enumerate(CHATGLM_TOKENS)}
    write("chatglm/tokenizer_config.json",
          {"added_tokens_decoder": added, "additional_special_tokens": CHATGLM_TOKENS, "do_lower_case": False,
           "auto_map": {"AutoTokenizer": ["tokenization_chatglm.ChatGLM4Tokenizer", None]}, "eos_token": "<|endoftext|>",
           "clean_up_tokenization_spaces": False, "pad_token": "<|endoftext|>", "remove_space": False,
           "model_max_length": 1000000, "padding_side": "left", "tokenizer_class": "ChatGLM4Tokenizer"})
    encoding = tiktoken.Encoding("chatglm", pat_str=LLAMA3, mergeable_ranks=ranks, special_tokens={})

    class ChatGLM4(PreTrainedTokenizer):
        vocab_size = len(ranks)

        def get_vocab(self):
            return {str(i): i for i in range(len(ranks))} | self._added_tokens_encoder

        def _tokenize(self, text, **_):
            return [str(i) for i in encoding.encode_ordinary(text)]

        def _convert_token_to_id(self, token):
            return int(token)

        def _convert_id_to_token(self, index):
            return str(index)

    tok = ChatGLM4(added_tokens_decoder={int(i): Token(**t) for i, t in added.items()}, eos_token="<|endoftext|>")
    frame = [len(ranks) + 2, len(ranks) + 4]
    texts = STRINGS + ["[gMASK]<sop><|user|>\nhi <|assistant|>\n", "a[MASK]b <|endoftext|>  x"]
    write("chatglm/expected.json", {"frame": frame, "rows": [[t, tok.encode(t, add_special_tokens=False)] for t in texts]})


def main():
    os.makedirs(OUT, exist_ok=True)
    if sys.argv[2:] == ["chatglm"]:
        return chatglm()
    write("strings.json", STRINGS)
    byte_level("gpt2", pre_tokenizers.ByteLevel(add_prefix_space=False), specials=["<s>", "<|user|>"])
    byte_level("llama3", split(LLAMA3), post=bos_template, specials=["<s>", "</s>", "<|user|>"], ignore_merges=True)
    byte_level("qwen2", split(QWEN2), normalizer=normalizers.NFC(), specials=["<|user|>"])
    byte_level("o200k", split(O200K), specials=["<s>"])
    byte_level("deepseek", split(r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK), specials=["<s>"])
    legacy = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    char_level("llama2", legacy, None, metaspace_decoder(), True)
    char_level("metaspace_first", None, pre_tokenizers.Metaspace("▁", "first", False), decoders.Metaspace("▁", "first"), False)
    char_level("gemma", normalizers.Replace(" ", "▁"), pre_tokenizers.Split(" ", "merged_with_previous"),
               decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]), True)
    tok = Tokenizer(models.Unigram())
    tok.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tok.pre_tokenizer, tok.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    train(tok, 350, trainers.UnigramTrainer, special_tokens=["<unk>", "</s>"], unk_token="<unk>")
    tok.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    save("unigram", tok)
    tok = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tok.normalizer, tok.pre_tokenizer, tok.decoder = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    train(tok, 380, trainers.WordPieceTrainer, special_tokens=["[UNK]", "[CLS]", "[SEP]"])
    tok.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    save("bert", tok)
    tok = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tok.pre_tokenizer = pre_tokenizers.Whitespace()
    train(tok, 120, trainers.WordLevelTrainer, special_tokens=["<unk>"])
    save("word_level", tok)
    tok = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tok.normalizer, tok.pre_tokenizer, tok.decoder = normalizers.Lowercase(), pre_tokenizers.Whitespace(), decoders.BPEDecoder("</w>")
    train(tok, 330, special_tokens=["<unk>"], end_of_word_suffix="</w>", limit_alphabet=100)
    save("suffix", tok)
    tok = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="##"))
    tok.pre_tokenizer, tok.decoder = pre_tokenizers.Whitespace(), decoders.WordPiece("##", True)
    train(tok, 330, special_tokens=["<unk>"], continuing_subword_prefix="##", limit_alphabet=70)
    save("prefix", tok)
    variants()
    nested_post_processors()
    regexes()
    gguf_names()
    sentencepiece_models()
    chatglm()


if __name__ == "__main__":
    main()
