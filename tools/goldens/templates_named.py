#!/usr/bin/env python3
"""Writes tests/golden/templates/named.json: which of a model's templates transformers' apply_chat_template takes.

[{files: {name: content}, without: text | null, with_tools: text | null}]: null where transformers raises. Every template
says its own name and the message.

Run: python tools/goldens/templates_named.py   (needs transformers, tokenizers)
"""

import json
import tempfile
from pathlib import Path

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

OUT = Path(__file__).resolve().parents[2] / "tests/golden/templates/named.json"
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
DIRECTORY = "additional_chat_templates"


def says(name):
    return name + ": {{ messages[0].content }}"


def named(*names):
    return [{"name": name, "template": says(name)} for name in names]


def config(value):
    return {"tokenizer_config.json": json.dumps({"chat_template": value})}


CASES = [
    config(says("only")),
    config(named("default", "tool_use")),
    config(named("tool_use", "rag", "default")),
    config(named("default", "rag")),
    config(named("rag", "tool_use")),
    config(named("rag")),
    config(named("default", "default2") + [{"name": "default", "template": says("again")}]),
    config({"default": says("of an object"), "tool_use": says("tools of an object")}),
    config(named("default", "tool_use")) | {"chat_template.jinja": says("file")},
    config(named("default", "tool_use")) | {"chat_template.jinja": says("file"), DIRECTORY + "/rag.jinja": says("rag")},
    {"chat_template.jinja": says("file"), DIRECTORY + "/tool_use.jinja": says("tools")},
    {"chat_template.jinja": says("file"), DIRECTORY + "/default.jinja": says("default of the directory")},
    config(says("only")) | {DIRECTORY + "/tool_use.jinja": says("tools")},
    {DIRECTORY + "/rag.jinja": says("rag")},
]


def rendered(directory, tools):
    tokenizer = PreTrainedTokenizerFast.from_pretrained(directory)
    try:
        return tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tools=tools, tokenize=False)
    except ValueError:
        return None


def main():
    out = []
    for files in CASES:
        with tempfile.TemporaryDirectory() as directory:
            Tokenizer(models.BPE({"a": 0}, [])).save(directory + "/tokenizer.json")
            for name, content in files.items():
                path = Path(directory, name)
                path.parent.mkdir(exist_ok=True)
                path.write_text(content)
            out.append({"files": files, "without": rendered(directory, None), "with_tools": rendered(directory, TOOLS)})
    OUT.write_text("[\n" + ",\n".join(json.dumps(one) for one in out) + "\n]\n")


if __name__ == "__main__":
    main()
