#!/usr/bin/env python3
"""Writes tests/golden/answers/harmony.json: answers of gpt-oss as OpenAI's own parser (openai-harmony) reads them.

[[text, [[channel, recipient | null, body] …]] …]: random messages, headers in the forms that models write.

Run: TIKTOKEN_ENCODINGS_BASE=DIR python tools/goldens/harmony.py   (needs openai-harmony; DIR holds o200k_base.tiktoken)
"""

import json
import random
from pathlib import Path

from openai_harmony import HarmonyEncodingName, Role, load_harmony_encoding

OUT = Path(__file__).resolve().parents[2] / "tests/golden/answers/harmony.json"
TEXTS = ["Hm.", "I should look that up.\n\nYes.", "日本語 👍🏽 < | > <|", "to=functions.f", " spaced ", "a\nb\n", "{\"a\": 1}", "assistant", ""]
ARGUMENTS = ['{"city": "Oslo"}', "{}", '{"a": [1, {"b": "}"}], "c": "é\\n"}', '{\n  "x": null\n}', '{"t": "<tag> | to=x"}', "x = 1\nprint(x)", ""]
FUNCTIONS = ["functions.get_weather", "functions.f", "functions.a-b_2", "python", "browser.search"]


def message(rng):
    """(header, body, its end)"""
    if rng.random() < 0.4:
        to, body = "to=" + rng.choice(FUNCTIONS), rng.choice(ARGUMENTS)
        kind = rng.choice(["", " json", " <|constrain|>json", " code", "<|constrain|>json"])
        channel = rng.choice(["commentary", "commentary", "analysis"])
        header = rng.choice([f"<|channel|>{channel} {to}{kind}", f" {to}<|channel|>{channel}{kind}"])
        return header, body, "<|call|>"
    channel = rng.choice(["analysis", "analysis", "commentary", "final"])
    return f"<|channel|>{channel}", rng.choice(TEXTS), "<|return|>" if channel == "final" else "<|end|>"


def main():
    encoding = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
    rng = random.Random(1)
    out = []
    while len(out) < 80:
        text, end = "", ""
        for number in range(rng.randint(1, 5)):
            header, body, end = message(rng)
            text += ("<|start|>assistant" if number else "") + header + "<|message|>" + body + end
        if rng.random() < 0.2:
            text = text[:len(text) - len(end)]
        ids = encoding.encode(text, allowed_special="all")
        read = encoding.parse_messages_from_completion_tokens(ids, Role.ASSISTANT)
        out.append([text, [[m.channel, m.recipient, m.content[0].text] for m in read]])
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text("[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in out) + "\n]\n")


if __name__ == "__main__":
    main()
