"""The tokenizer of the demo model: byte-level BPE with the GLM-4 pre-tokenizer.

The pieces are trained so that a label has the same tokens wherever it stands (at the start of a
line, inside a sentence, inside quotes), because the model's main skill is finding in the screen
what the task names:
  - Chinese characters are tokens of their own and are never merged with each other;
  - the space or quote before a word is a token of its own, except before the fixed words of
    the thoughts and actions;
  - every whole number from 0 to 999 is one token, so a coordinate is copied in one step.
"""

import json
from collections import Counter

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

GLM4_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
              r"|\s*[\r\n]+|\s+(?!\S)|\s+")
SPECIAL = ["<|endoftext|>", "[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"]
VISIBLE = ["<think>", "</think>", "<answer>", "</answer>"]

# Words of the fixed phrases that keep the character before them, to make answers shorter.
JOINED = {"Ġ": """the a an to for is it It of in and not here at Tap tap Look Scroll down Launch my this me page app now
          Done Done message open open what see with on off you I input focused element start end text duration sent
          screen small next read answer as give line per one phone task tasks such tapping typing scrolling opening apps
          can only help another any time was will please The am model""".split(),
          "(": ["action", "message"], "_": ["app"]}
BYTES = pre_tokenizers.ByteLevel.alphabet()
SEPARATOR = "\u0000"


def bytelevel_pre_tokenizer():
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(GLM4_SPLIT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def is_chinese(char):
    return "\u3400" <= char <= "\u9fff"


def training_pieces(text, splitter):
    """The pieces of text as BPE training should see them: bare words and single Chinese characters."""
    for piece, _ in splitter.pre_tokenize_str(text):
        if any(c.isdigit() for c in piece):
            continue
        if any(c.isalpha() for c in piece):
            if not piece[0].isalpha():
                yield piece[0]
                piece = piece[1:]
            if any(is_chinese(c) for c in piece):
                yield from piece
                continue
        yield piece


def number_merges():
    """Merges that make each number without leading zero one token, whichever of its pairs merges first."""
    two = [f"{n}" for n in range(10, 100)]
    rank = {t: i for i, t in enumerate(two)}
    merges = [(t[0], t[1]) for t in two]
    for n in range(100, 1000):
        t = str(n)
        left, right = rank[t[:2]], rank.get(t[1:], len(rank))
        merges.append((t[:2], t[2]) if left <= right else (t[0], t[1:]))
    return merges


def learn_merges(texts, size):
    """Ordinary BPE merges of the training pieces."""
    splitter = pre_tokenizers.Split(Regex(GLM4_SPLIT), "isolated")
    counts = Counter(p for text in texts for p in training_pieces(text, splitter))
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(SEPARATOR, "removed"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=3, initial_alphabet=sorted(BYTES), show_progress=False)
    learner.train_from_iterator((SEPARATOR.join([p] * n) for p, n in sorted(counts.items())), trainer)
    return [tuple(m) for m in json.loads(learner.to_str())["model"]["merges"]]


def build(texts, learned_size):
    """Trains the tokenizer on an iterable of texts."""
    merges, vocab = [], {}

    def add(token):
        vocab.setdefault(token, len(vocab))

    for b in sorted(BYTES):
        add(b)
    for pair in number_merges() + learn_merges(texts, learned_size):
        if pair[0] in vocab and pair[1] in vocab:
            merges.append(pair)
            add(pair[0] + pair[1])
    for before, words in JOINED.items():
        for word in dict.fromkeys(words):
            if word in vocab:
                merges.append((before, word))
                add(before + word)
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = bytelevel_pre_tokenizer()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in VISIBLE])
    return tokenizer
