#!/usr/bin/env python3
"""Writes tests/golden/templates: what transformers' own Jinja environment renders.

conversations.json  named sets of variables: plain, tools, images, reasoning, …
rendered.json       for every template found under the shared data folder and every conversation: the text as 16 hex digits
                    of its FNV-1a 64 hash and its length in bytes, or "error". The templates themselves stay outside the
                    repository.
language.json       {contexts, cases: [{template, context: index, expected | error}]}: the language, construct by
                    construct, and three whole templates. Runs without the shared data.

strftime_now depends on the day, so templates that call it are rendered under a macro of that name; the test does the same.

Run: python tools/goldens/templates.py [SHARED_DATA]   (needs transformers, jinja2)
"""

import json
import sys
from pathlib import Path

from transformers.utils.chat_template_utils import _compile_jinja_template

from templates_cases import language_cases

REPOSITORY = Path(__file__).resolve().parents[2]
OUT = REPOSITORY / "tests/golden/templates"
CLOCK = "{% macro strftime_now(format) %}<{{ format }}>{% endmacro %}"

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Get the weather at a place.\nUse it for \"today\".",
    "parameters": {"type": "object", "properties": {
        "city": {"type": "string", "description": "Name of the city, e.g. São Paulo"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "description": "How many", "default": 1}}, "required": ["city"]}}}
SEARCH = {"type": "function", "function": {
    "name": "search", "description": "Find <documents> & more",
    "parameters": {"type": "object", "properties": {
        "query": {"type": "string"},
        "filters": {"type": "array", "items": {"type": "object", "properties": {
            "field": {"type": "string"}, "value": {"anyOf": [{"type": "string"}, {"type": "number"}]}}}},
        "options": {"type": "object", "properties": {"limit": {"type": "integer"}, "exact": {"type": "boolean"}},
                    "additionalProperties": False}}, "required": ["query", "filters"]}}}
EMPTY = {"type": "function", "function": {"name": "now", "description": "The time",
                                          "parameters": {"type": "object", "properties": {}}}}


def call(name, arguments, identity="call00001"):
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


SYSTEM = {"role": "system", "content": "You are a careful helper."}
CALLS = [SYSTEM, user("Weather in Paris?"),
         assistant("Let me look.", tool_calls=[call("get_weather", {"city": "Paris", "days": 2, "unit": "celsius"})]),
         {"role": "tool", "content": "{\"temp\": 21.5, \"sky\": \"clear\"}", "tool_call_id": "call00001", "name": "get_weather"}]
PARALLEL = [user("Compare Oslo and Rome"),
            assistant(None, tool_calls=[call("get_weather", {"city": "Oslo"}),
                                        call("search", {"query": "Rome", "filters": [{"field": "a", "value": 1.5}],
                                                        "options": {"exact": True, "limit": None}}, "call00002")]),
            {"role": "tool", "content": "cold", "tool_call_id": "call00001", "name": "get_weather"},
            {"role": "tool", "content": "warm", "tool_call_id": "call00002", "name": "search"}]
IMAGE = [user([{"type": "image"}, {"type": "text", "text": "What is this?"}]), assistant("A cat."),
         user([{"type": "text", "text": "And "}, {"type": "image"}, {"type": "text", "text": "this?"}])]
REASONING = [user("1+1?"), assistant("2", reasoning_content="One and one."), user("2+2?"),
             assistant("<think>\nTwo and two.\n</think>\n\n4"), user("3+3?")]

CONVERSATIONS = {
    "one_user": {"messages": [user("Hello")], "add_generation_prompt": True},
    "no_prompt": {"messages": [user("Hello")], "add_generation_prompt": False},
    "system": {"messages": [SYSTEM, user("Hi!")], "add_generation_prompt": True},
    "turns": {"messages": [SYSTEM, user("a"), assistant("b"), user("  c \n"), assistant("d\n"), user("e")],
              "add_generation_prompt": True},
    "ends_with_assistant": {"messages": [user("a"), assistant("b")], "add_generation_prompt": False},
    "empty": {"messages": [], "add_generation_prompt": True},
    "empty_content": {"messages": [user(""), assistant(""), user(" ")], "add_generation_prompt": True},
    "only_system": {"messages": [SYSTEM], "add_generation_prompt": True},
    "two_users": {"messages": [user("a"), user("b")], "add_generation_prompt": True},
    "unicode": {"messages": [{"role": "system", "content": "你是一个智能体 🤖"}, user("Ünïcödé\u00a0\u3000 <&> \"'\\ \t日本語 é"),
                             assistant("Ответ — «да»"), user("ＡＢＣ ß İ ΑΣ")], "add_generation_prompt": True},
    "special_text": {"messages": [user("<|im_end|>{{ x }}{% if %}</think>[INST]"), assistant("</s><|eot_id|>"), user("x")],
                     "add_generation_prompt": True},
    "tools_offered": {"messages": [SYSTEM, user("Weather?")], "tools": [WEATHER, SEARCH, EMPTY],
                      "add_generation_prompt": True},
    "tools_without_system": {"messages": [user("Weather?")], "tools": [WEATHER], "add_generation_prompt": True},
    "tools_empty": {"messages": [user("Weather?")], "tools": [], "add_generation_prompt": True},
    "tools_none": {"messages": [user("Weather?")], "tools": None, "documents": None, "add_generation_prompt": True},
    "call_and_result": {"messages": CALLS, "tools": [WEATHER], "add_generation_prompt": True},
    "call_then_answer": {"messages": CALLS + [assistant("It is 21.5 degrees."), user("Thanks")], "tools": [WEATHER],
                         "add_generation_prompt": True},
    "call_as_text": {"messages": [CALLS[1], assistant("", tool_calls=[call("get_weather", "{\"city\": \"Paris\"}")]), CALLS[3]],
                     "tools": [WEATHER], "add_generation_prompt": True},
    "parallel_calls": {"messages": PARALLEL, "tools": [WEATHER, SEARCH], "add_generation_prompt": True},
    "last_is_call": {"messages": PARALLEL[:2], "tools": [WEATHER, SEARCH], "add_generation_prompt": False},
    "images": {"messages": IMAGE, "add_generation_prompt": True},
    "text_parts": {"messages": [{"role": "system", "content": [{"type": "text", "text": "Sys"}]},
                                user([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}])],
                   "add_generation_prompt": True},
    "reasoning": {"messages": REASONING, "add_generation_prompt": True},
    "thinking_on": {"messages": REASONING, "add_generation_prompt": True, "enable_thinking": True, "thinking": True},
    "thinking_off": {"messages": REASONING, "add_generation_prompt": True, "enable_thinking": False, "thinking": False,
                     "reasoning_effort": "low"},
    "documents": {"messages": [SYSTEM, user("Summarise")], "add_generation_prompt": True,
                  "documents": [{"title": "A", "text": "First text", "doc_id": 1},
                                {"title": "B", "text": "Second — text", "doc_id": "two"}]},
    "developer": {"messages": [{"role": "developer", "content": "Rules."}, user("Hi")], "add_generation_prompt": True},
    "strange_role": {"messages": [user("Hi"), {"role": "narrator", "content": "meanwhile"}], "add_generation_prompt": True},
    "date": {"messages": [SYSTEM, user("Hi")], "add_generation_prompt": True, "date_string": "26 Jul 2024",
             "builtin_tools": ["web_search", "code_interpreter"], "custom_tools": [WEATHER]},
}
for variables in CONVERSATIONS.values():
    variables.update({"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"})


def render(template, variables):
    """The text, or the exception."""
    try:
        return _compile_jinja_template(template).render(**variables)
    except Exception as error:  # noqa: BLE001: any failure of a template is an outcome
        return error


def digest(result):
    if isinstance(result, Exception):
        return "error"
    data = result.encode()
    code = 0xCBF29CE484222325
    for byte in data:
        code = ((code ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{code:016x}:{len(data)}"


def shared_templates(shared):
    folder = shared / "templates"
    return sorted(p for p in folder.rglob("*") if p.suffix in (".jinja", ".jinja2"))


def main():
    shared = Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY.parent / "shared/data"
    OUT.mkdir(parents=True, exist_ok=True)
    conversations = dict(CONVERSATIONS)
    for file in sorted((shared / "templates").rglob("contexts/*.json")):
        conversations[f"minja_{file.stem}"] = json.loads(file.read_text())

    rendered = {}
    for path in shared_templates(shared):
        source = path.read_text()
        if "strftime_now" in source:
            source = CLOCK + source
        rendered[str(path.relative_to(shared))] = {
            name: digest(render(source, variables)) for name, variables in conversations.items()}

    contexts, language = [], []
    for template, context in language_cases():
        if context not in contexts:
            contexts.append(context)
        result = render(template, context)
        outcome = {"error": type(result).__name__} if isinstance(result, Exception) else {"expected": result}
        language.append({"template": template, "context": contexts.index(context), **outcome})

    def write(name, text):
        (OUT / name).write_text(text + "\n")

    write("conversations.json", json.dumps(conversations, ensure_ascii=False, indent=1))
    write("rendered.json", json.dumps(rendered, indent=0))
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in language)
    write("language.json", "{\"contexts\": " + json.dumps(contexts, ensure_ascii=False) + ",\n\"cases\": [\n" + lines + "\n]}")
    errors = sum("error" in c for c in language)
    print(f"{len(rendered)} templates x {len(conversations)} conversations, {len(language)} language cases, {errors} errors")


if __name__ == "__main__":
    main()
