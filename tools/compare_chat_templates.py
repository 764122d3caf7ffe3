#!/usr/bin/env python3
"""Compares `sluice render` with transformers on published chat templates and random conversations: contents as text,
parts or null, tools and calls, reasoning, documents, flags that some template reads, and fields of wrong types. Where
one raises an error, so must the other.

Needs transformers and jinja2. usage: tools/compare_chat_templates.py SLUICE TEMPLATE|FOLDER … [--count N] [--seed S]
"""
import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from transformers.utils.chat_template_utils import _compile_jinja_template

TEXTS = ["Hello", "What's the weather in Paris?", "", " ", "\n padded \n\n", "Ünïcödé 日本語 👍🏽 <b>&\"'</b>", "line\nline\r\nline\t.", "a" * 300, "{{ 1 }}{% if %}",
         "<think>\nhm\n</think>\n\nYes", "<think></think>No", "</think>tail", "a</think>b</think>c", "<tool_call>\n{}\n</tool_call>", "<tool_response>x</tool_response>", "[/INST]", "/no_think",
         "/think", "[IMG]", "{\"a\": 1, \"b\": [true, null]}", "\\n \\u00e9 \u2028", "<|im_end|>", "7", "'quoted' \"both\"", "[TOOL_CALLS]", "\x00\x1b", "\u00a0x\u3000"]
NAMES = ["get_weather", "f", "search.web", "python", "brave_search", "wolfram_alpha", "code_interpreter", "Ünï", "get_current_weather", ""]
TYPES = ["string", "number", "integer", "boolean", "array", "object", "null", ["string", "null"], ["integer", "number"], None, "enum"]
ROLES = ["user", "assistant", "user", "assistant", "system", "tool", "developer", "ipython", "observation", "function", "model"]


class Maker:
    def __init__(self, rng):
        self.rng = rng

    def maybe(self, share=0.5):
        return self.rng.random() < share

    def value(self, depth=0):
        rng = self.rng
        kind = rng.randint(0, 9 if depth < 2 else 6)
        if kind < 2:
            return rng.choice(TEXTS)
        if kind < 7:
            return [rng.randint(-5, 10**rng.randint(1, 18)), rng.choice([0.5, -2.25, 1e-7, 1e22, 3.0, 0.1]), True, False, None][kind - 2]
        if kind < 8:
            return [self.value(depth + 1) for _ in range(rng.randint(0, 3))]
        return {rng.choice(["a", "city", "items", "keys", "é", "b c", "type", "unit"]): self.value(depth + 1) for _ in range(rng.randint(0, 3))}

    def part(self):
        rng = self.rng
        kind = rng.randint(0, 8)
        if kind < 5:
            return {"type": "text", "text": rng.choice(TEXTS)}
        return rng.choice([{"type": "image"}, {"type": "image", "image": "x.png"}, {"type": "image_url", "image_url": {"url": "http://x/y.png"}}, {"type": "video"}, {"type": "audio"},
                           {"text": "untyped"}, {"type": "input_audio", "input_audio": {}}, {"type": "document", "text": "D"}, {"type": "thinking", "thinking": "mm"}, rng.choice(TEXTS)])

    def content(self, strange):
        rng = self.rng
        if self.maybe(0.75):
            return rng.choice(TEXTS)
        if self.maybe(0.7):
            return [self.part() for _ in range(rng.randint(0, 3))]
        return self.value() if strange else None

    def schema(self, depth=0):
        rng = self.rng
        made = {"type": rng.choice(TYPES[:5] if self.maybe(0.8) else TYPES)}
        if made["type"] is None:
            del made["type"]
        if self.maybe(0.6):
            made["description"] = rng.choice(TEXTS)
        if self.maybe(0.2):
            made["enum"] = [self.value(2) for _ in range(rng.randint(0, 3))]
        if made.get("type") == "array" or self.maybe(0.1):
            made["items"] = self.schema(depth + 1) if depth < 2 else {}
        if made.get("type") == "object" and depth < 2 or depth == 0:
            made["properties"] = {rng.choice(["city", "unit", "n", "items", "é", "format", "type"]): self.schema(depth + 1) for _ in range(rng.randint(0, 3))}
            if self.maybe(0.7):
                made["required"] = [name for name in made["properties"] if self.maybe()]
        for key, value in (("default", self.value(1)), ("nullable", True), ("anyOf", [{"type": "string"}, {"type": "null"}]), ("additionalProperties", False), ("$defs", {}),
                           ("oneOf", [{"type": "integer"}]), ("minimum", 3), ("title", "T"), ("format", "date"), ("examples", ["x"])):
            if self.maybe(0.05):
                made[key] = value
        return made

    def tool(self, strange):
        rng = self.rng
        function = {"name": rng.choice(NAMES), "description": rng.choice(TEXTS), "parameters": {**self.schema(), "type": "object"}}
        if self.maybe(0.1):
            function["return"] = self.schema()
        if self.maybe(0.1):
            function["strict"] = True
        if strange:
            function.pop(rng.choice(list(function)), None)
        return {"type": "function", "function": function} if self.maybe(0.9) or not strange else function

    def call(self, strange):
        rng = self.rng
        arguments = {rng.choice(["city", "unit", "n", "é", "code", "query"]): self.value() for _ in range(rng.randint(0, 3))}
        if self.maybe(0.25):
            arguments = json.dumps(arguments) if self.maybe(0.9) or not strange else "not json"
        call = {"type": "function", "function": {"name": rng.choice(NAMES), "arguments": arguments}}
        if self.maybe(0.7):
            call["id"] = rng.choice(["call_1", "abcdefghi", "functions.f:0", "0", "x" * 9])
        if strange and self.maybe(0.2):
            call = call["function"]
        return call

    def message(self, role, strange):
        rng = self.rng
        made = {"role": role, "content": self.content(strange)}
        if role == "assistant":
            if self.maybe(0.3):
                made["tool_calls"] = [self.call(strange) for _ in range(rng.randint(0 if strange else 1, 3))]
                if self.maybe(0.4):
                    made["content"] = rng.choice([None, ""])
            for key in ("reasoning_content", "reasoning", "thinking"):
                if self.maybe(0.15):
                    made[key] = rng.choice(TEXTS)
            if self.maybe(0.05):
                made["prefix"] = True
        if role in ("tool", "function", "observation", "ipython"):
            if self.maybe(0.7):
                made["name"] = rng.choice(NAMES)
            if self.maybe(0.7):
                made["tool_call_id"] = rng.choice(["call_1", "abcdefghi", "functions.f:0", "0"])
            if strange and self.maybe():
                made["content"] = self.value()
        if strange and self.maybe(0.1):
            made.pop(rng.choice(list(made)))
        if self.maybe(0.05):
            made["weight"] = 0
        return made

    def context(self):
        rng, strange = self.rng, self.maybe(0.15)
        roles = ["system"] if self.maybe(0.4) else []
        if strange:
            roles += [rng.choice(ROLES) for _ in range(rng.randint(0, 6))]
        else:
            for _ in range(rng.randint(1, 4)):
                roles += ["user", "assistant"] + (["tool"] * rng.randint(1, 2) + ["assistant"] if self.maybe(0.3) else [])
            if self.maybe(0.7):
                roles.append("user")
        messages = [self.message(role, strange) for role in roles]
        if not strange:  # tools answer calls
            for at, message in enumerate(messages[:-1]):
                if messages[at + 1]["role"] == "tool" and message["role"] == "assistant" and "tool_calls" not in message:
                    message["tool_calls"] = [self.call(False)]
        made = {"messages": messages, "add_generation_prompt": self.maybe(), "tools": None, "documents": None, "bos_token": "<s>", "eos_token": "</s>"}
        if self.maybe(0.4):
            made["tools"] = [self.tool(strange) for _ in range(rng.randint(0, 3))]
        if self.maybe(0.1):
            made["documents"] = [{"title": rng.choice(TEXTS), "text": rng.choice(TEXTS), "doc_id": 3} for _ in range(rng.randint(0, 2))]
        flags = {"enable_thinking": [True, False, None], "thinking": [True, False], "date_string": ["26 Jul 2024"], "tools_in_user_message": [True, False],
                 "reasoning_effort": ["low", "high", "medium", None], "builtin_tools": [["python", "code_interpreter"], ["brave_search"], []], "custom_tools": [[self.tool(False)]],
                 "model_identity": ["You are X."], "add_vision_id": [True], "keep_thinking": [True, False], "preserve_thinking": [True], "thinking_budget": [0, 512, 700, -1], "pad_token": ["<pad>"],
                 "unk_token": ["<unk>"], "citation_mode": ["off", "on"], "controls": [{"length": "short"}], "available_tools": [[self.tool(False)]], "clear_thinking": [True, False],
                 "xml_tools": [[self.tool(False)]], "python_tools": [["f"]], "strftime_now_unused": [1], "today": ["2025-01-01"], "datetime": ["2025-01-01"], "cutoff_date": ["2024"],
                 "render_assistant_message_raw": [True], "system_prompt": ["SP"], "functions": [[self.tool(False)["function"]] if not strange else "x"], "safety_mode": ["NONE", "STRICT"]}
        for key in rng.sample(list(flags), rng.randint(0, 4)):
            made[key] = rng.choice(flags[key])
        for key in ("tools", "documents", "bos_token", "eos_token"):
            if self.maybe(0.1):
                del made[key]
        return made


def sources(paths):
    for path in map(Path, paths):
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.suffix in (".jinja", ".jinja2") or file == path:
                yield file


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("sluice")
    parser.add_argument("templates", nargs="+")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    equal = errors = different = 0
    for file in sources(arguments.templates):
        source = file.read_text(encoding="utf-8")
        shown = 0
        try:
            compiled = _compile_jinja_template(source)
        except Exception as problem:
            print(f"{file.name}: refused by Jinja2: {problem}")
            continue
        for number in range(arguments.count):
            context = Maker(random.Random(f"{arguments.seed}.{file.name}.{number}")).context()
            text = json.dumps(context)
            try:
                theirs = compiled.render(json.loads(text))
            except Exception as problem:  # whatever Python raises
                theirs = problem
            done = subprocess.run([arguments.sluice, "render", str(file)], input=text.encode(), capture_output=True)
            failed = isinstance(theirs, Exception)
            mine = done.stdout.decode(errors="replace")
            if failed == (done.returncode != 0) and (failed or mine == theirs):
                equal += 1
                errors += failed
                continue
            different += 1
            if (shown := shown + 1) > 2:
                continue
            at = next((i for i, (a, b) in enumerate(zip(mine, str(theirs))) if a != b), min(len(mine), len(str(theirs))))
            print(f"--- {file.name} {number}\n  theirs {theirs if failed else theirs[max(0, at - 60):at + 100]!r}\n  ours   {mine[max(0, at - 60):at + 100]!r} "
                  f"{done.stderr.decode()[:300]}\n  context {text[:1500]}", flush=True)
        if shown:
            print(f"{file.name}: {shown} of {arguments.count} differ")
    print(f"{equal} of {equal + different} equal, {errors} of them errors of both")
    return different > 0


if __name__ == "__main__":
    sys.exit(main())
