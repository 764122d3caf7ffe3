#!/usr/bin/env python3
"""Compares `sluice render` with Jinja2 as transformers sets it up, on random templates: expressions of every kind,
filters, tests, methods, slices, macros, namespaces, loops, white space control. Where one raises an error, so must the
other. Left out is what Sluice refuses: integers beyond 64 bits, bytes, and the filters random, pprint and urlize.

Needs transformers and jinja2. usage: tools/compare_templates.py SLUICE [--count N] [--seed S]
"""
import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile

from transformers.utils.chat_template_utils import _compile_jinja_template

VALUES = {
    "s": "Hello World", "u": "Ünïcödé ΑΣ Привет 日本 👍🏽", "e": "", "n": None, "t": True, "f": False, "i": 7, "neg": -3, "z": 0,
    "x": 2.5, "big": 1234567890123456, "tiny": 1e-7, "l": [3, 1, 2], "words": ["pear", "Apple", "fig", "apple", "Éa"],
    "el": [], "nested": [[1, 2], [3], []], "d": {"b": 1, "a": "two", "items": [1], "c": None, "D": 2.0}, "ed": {},
    "ws": "  \t pad\n ", "lines": "a\nb\n\n  c d\r\n", "html": "<b class='x'>&\"</b> <i>y</i>", "mixed": [1, "a", None, 2.5, True],
    "users": [{"name": "Bo", "age": 30, "tags": ["x"]}, {"name": "al", "age": 25, "tags": []},
              {"name": "Cy", "age": 30, "tags": ["y", "z"], "nick": "C"}],
    "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": [{"type": "text", "text": "T"}, {"type": "image"}]},
                 {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": {"a": [1, "é"]}}}]}],
}
TEXTS = ["s", "u", "e", "ws", "lines", "html", "'a,b,,c'", "'x' ~ i", "''", "\"it's\"", "'%s|%d'", "'ſİǅß'", "'tab\\there'", "'1.5e3'", "'007'"]
NUMBERS = ["i", "neg", "z", "x", "big", "tiny", "0", "1", "-1", "2", "10", "3.0", "0.5", "1e20", "1e16", "-0.0", "t", "f"]
LISTS = ["l", "words", "el", "nested", "mixed", "users", "messages", "[1, 'b', none]", "(1, 2, 3)", "range(4)", "[[1, 'x'], [2, 'y']]",
         "['b', 'A', 'c', 'a']", "[1.0, 1, true, 'z']"]
DICTS = ["d", "ed", "users[0]", "messages[1]", "{'k': 1, 'j': [2]}", "{1: 'a', 'b': none}", "dict(q=1, r='s')", "loop_free"]
OTHERS = ["n", "none", "missing", "t", "f", "missing.attr", "users[9]", "d.nope"]
FILTERS_TEXT = ["upper", "lower", "title", "capitalize", "trim", "length", "wordcount", "escape", "e", "striptags", "urlencode", "indent",
                "indent(2)", "indent(3, true)", "indent('> ', first=true, blank=true)", "replace('a', 'b')", "replace('l', '', 1)",
                "center(15)", "truncate(5)", "truncate(8, true)", "truncate(7, false, '…', 0)", "wordwrap(5)", "wordwrap(4, false)", "reverse",
                "list", "int", "float", "string", "first", "last", "safe", "tojson", "trim('ad ')", "default('D', true)", "format(1, 2)",
                "batch(3) | list", "join('-')", "forceescape", "select('in', 'aeiou') | list", "map('upper') | join", "unique | list", "sort"]
FILTERS_NUMBER = ["abs", "int", "float", "round", "round(1)", "round(1, 'floor')", "round(0, 'ceil')", "string", "filesizeformat",
                  "filesizeformat(true)", "default(5)", "tojson", "int(base=10)", "length", "list"]
FILTERS_LIST = ["length", "first", "last", "join", "join(', ')", "list", "reverse | list", "sort", "sort(reverse=true)", "unique | list", "sum",
                "min", "max", "map('string') | list", "map('upper') | join('|')", "select | list", "reject | list", "select('defined') | list",
                "select('string') | list", "reject('number') | list", "select('eq', 1) | list", "batch(2) | list", "batch(2, 'x') | list",
                "slice(2) | list", "slice(3, 'f') | list", "tojson", "tojson(indent=2)", "string", "map(attribute='name') | list",
                "map(attribute='name', default='?') | join(',')", "map(attribute='tags.0') | list", "selectattr('nick') | list",
                "selectattr('age', 'gt', 26) | map(attribute='name') | list", "rejectattr('tags') | list", "groupby('age') | list",
                "groupby('age') | map('first') | list", "sort(attribute='age')", "sort(attribute='age,name') | map(attribute='name') | list",
                "sum(attribute='age')", "sum(start=10)", "sort(case_sensitive=true)", "min(attribute='age')", "max(case_sensitive=true)",
                "unique(attribute='age') | list", "join(attribute='name')", "join('/', attribute='role')", "count"]
FILTERS_DICT = ["length", "list", "dictsort", "dictsort(true)", "dictsort(by='value')", "dictsort(reverse=true)", "items | list", "tojson",
                "tojson(indent=1)", "tojson(sort_keys=true)", "tojson(ensure_ascii=true)", "tojson(separators=(',', ':'))", "string", "first", "xmlattr",
                "attr('b')", "default({})", "sort", "map('length') | list", "join"]
TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "mapping", "sequence", "iterable", "true", "false",
         "odd", "even", "divisibleby(3)", "in l", "in s", "in d", "eq(1)", "ne 1", "gt(0)", "lt 5", "ge(2)", "le 2", "sameas none", "upper",
         "lower", "callable", "escaped", "equalto('a')", "filter", "test", "greaterthan 1"]
METHODS_TEXT = ["upper()", "lower()", "strip()", "lstrip()", "rstrip('\\n ')", "strip('H d')", "split()", "split(',')", "split(' ', 1)", "rsplit(' ', 1)",
                "splitlines()", "splitlines(true)", "startswith('H')", "endswith(('d', 'x'))", "replace('l', 'L', 1)", "find('o')", "rfind('o')",
                "count('l')", "title()", "capitalize()", "swapcase()", "casefold()", "isdigit()", "isalpha()", "isalnum()", "isspace()", "isupper()",
                "islower()", "istitle()", "isnumeric()", "isdecimal()", "isidentifier()", "isascii()", "zfill(9)", "center(14, '*')", "ljust(14)", "rjust(14, '.')",
                "partition(' ')", "rpartition('o')", "removeprefix('He')", "removesuffix('ld')", "expandtabs(4)", "join(['1', '2'])", "index('zz')", "format(1, 2)",
                "nosuch()"]
METHODS_DICT = ["get('a')", "get('q', 'dflt')", "keys() | list", "values() | list", "items() | list", "items()", "keys()", "copy()", "get('b') + 1", "b", "items", "nosuch"]
METHODS_LIST = ["index(1)", "count(1)", "copy()", "append(9)", "nosuch"]
OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", ">", "<=", ">=", "and", "or", "in", "not in"]


class Maker:
    def __init__(self, rng):
        self.rng = rng
        self.names = []

    def pick(self, options):
        return self.rng.choice(options)

    def slice(self):
        def bound():
            return self.pick(["", "", "0", "1", "2", "-1", "-2", "5", "i", "neg"])
        return f"[{bound()}:{bound()}]" if self.rng.random() < 0.6 else f"[{bound()}:{bound()}:{self.pick(['', '1', '2', '-1', '-2'])}]"

    def text(self, depth):
        kind = self.rng.random()
        if depth <= 0 or kind < 0.25:
            return self.pick(TEXTS + self.names)
        if kind < 0.5:
            return f"({self.text(depth - 1)} | {self.pick(FILTERS_TEXT)})"
        if kind < 0.7:
            return f"{self.atom(self.text(depth - 1))}.{self.pick(METHODS_TEXT)}"
        if kind < 0.8:
            return f"{self.atom(self.text(depth - 1))}{self.slice()}"
        if kind < 0.9:
            return f"({self.text(depth - 1)} ~ {self.any(depth - 1)})"
        return f"({self.any(depth - 1)} | {self.pick(['string', 'tojson', 'join', 'e', 'lower'])})"

    def number(self, depth):
        kind = self.rng.random()
        if depth <= 0 or kind < 0.3:
            return self.pick(NUMBERS)
        if kind < 0.55:
            return f"({self.number(depth - 1)} | {self.pick(FILTERS_NUMBER)})"
        if kind < 0.85:
            return f"({self.number(depth - 1)} {self.pick(OPERATORS[:6])} {self.number(depth - 1)})"
        if kind < 0.9:
            return f"({self.pick(['-', '+', 'not '])}{self.number(depth - 1)})"
        return f"({self.any(depth - 1)} | length)"

    def list(self, depth):
        kind = self.rng.random()
        if depth <= 0 or kind < 0.3:
            return self.pick(LISTS)
        if kind < 0.65:
            return f"({self.list(depth - 1)} | {self.pick(FILTERS_LIST)})"
        if kind < 0.75:
            return f"{self.atom(self.list(depth - 1))}{self.slice()}"
        if kind < 0.8:
            return f"{self.atom(self.list(depth - 1))}[{self.pick(['0', '-1', '1', '99', 'i', 'neg'])}]"
        if kind < 0.85:
            return f"{self.atom(self.list(depth - 1))}.{self.pick(METHODS_LIST)}"
        if kind < 0.93:
            return f"[{', '.join(self.any(depth - 1) for _ in range(self.rng.randint(0, 3)))}]"
        return f"({self.list(depth - 1)} {self.pick(['+', '*', '==', '<'])} {self.pick([self.list(depth - 1), '2'])})"

    def dict(self, depth):
        kind = self.rng.random()
        if depth <= 0 or kind < 0.3:
            return self.pick(DICTS)
        if kind < 0.6:
            return f"({self.dict(depth - 1)} | {self.pick(FILTERS_DICT)})"
        if kind < 0.85:
            return f"{self.atom(self.dict(depth - 1))}.{self.pick(METHODS_DICT)}"
        key = self.pick(["'k'", "1", "s", "'b'"])
        return "{" + f"{key}: {self.any(depth - 1)}, 'w': {self.any(depth - 1)}" + "}"

    @staticmethod
    def atom(text):
        return text if text.isidentifier() or text.endswith((")", "]")) and text[0] in "([" else f"({text})"

    def test(self, depth):
        return f"({self.any(depth - 1)} is {self.pick(['', 'not '])}{self.pick(TESTS)})"

    def any(self, depth):
        kind = self.rng.random()
        if kind < 0.25:
            return self.text(depth)
        if kind < 0.45:
            return self.number(depth)
        if kind < 0.65:
            return self.list(depth)
        if kind < 0.77:
            return self.dict(depth)
        if kind < 0.83:
            return self.pick(OTHERS)
        if depth <= 0:
            return self.pick(TEXTS)
        if kind < 0.9:
            return self.test(depth)
        if kind < 0.95:
            return f"({self.any(depth - 1)} {self.pick(OPERATORS)} {self.any(depth - 1)})"
        return f"({self.any(depth - 1)} if {self.any(depth - 1)}{self.pick(['', ' else ' + self.any(depth - 1)])})"

    def tag(self, inside):
        return "{%" + self.pick(["", "-", "", "+"]) + f" {inside} " + self.pick(["", "-", ""]) + "%}"

    def out(self, depth):
        return "{{" + self.pick(["", "-", ""]) + f" {self.any(depth)} " + self.pick(["", "-", ""]) + "}}"

    def gap(self):
        return self.pick(["", "", " ", "\n", "\n  ", "  \n", "a", " b ", "\n\n", "\t", "x\n    y"])

    def body(self, depth, loop=False):
        return "".join(self.gap() + self.statement(depth, loop) for _ in range(self.rng.randint(1, 3))) + self.gap()

    def statement(self, depth, loop):
        kind = self.rng.random()
        if depth <= 0 or kind < 0.35:
            return self.out(2)
        if kind < 0.5:
            parts = self.tag(f"if {self.any(2)}") + self.body(depth - 1, loop)
            if self.rng.random() < 0.3:
                parts += self.tag(f"elif {self.any(1)}") + self.body(depth - 1, loop)
            if self.rng.random() < 0.5:
                parts += self.tag("else") + self.body(depth - 1, loop)
            return parts + self.tag("endif")
        if kind < 0.68:
            name = self.pick(["v", "w", "k, v"])
            source = f"{self.pick(DICTS[:5])}.items()" if "," in name else self.list(1)
            head = f"for {name} in {source}" + self.pick(["", "", f" if {name[-1]}", f" if {self.test(1)}"])
            inside = self.pick(["", "{{ loop.index }}", "{{ loop.last }}{{ loop.first }}", "{{ loop.cycle('a', 'b') }}", "{{ loop.length }}",
                                "{{ loop.previtem is defined }}", "{{ loop.changed(" + name[-1] + ") }}", "{{ loop.revindex0 }}", "{{ loop.nextitem }}"])
            inside += "{{ " + name[-1] + " }}"
            if self.rng.random() < 0.2:
                inside += self.tag(f"if {self.test(1)}") + self.tag(self.pick(["break", "continue"])) + self.tag("endif")
            rest = self.tag("else") + self.body(0) if self.rng.random() < 0.2 else ""
            return self.tag(head) + inside + self.body(depth - 1, True) + rest + self.tag("endfor")
        if kind < 0.8:
            name = self.pick(["p", "q"])
            self.names.append(name)
            if self.rng.random() < 0.3:
                return self.tag(f"set {name}") + self.body(depth - 1) + self.tag("endset") + "{{ " + name + " }}"
            return self.tag(f"set {name} = {self.any(2)}") + "{{ " + name + " }}"
        if kind < 0.88:
            return (self.tag(f"set ns = namespace(a={self.any(1)}, b=0)") + self.tag("for v in " + self.pick(LISTS)) +
                    self.tag(f"set ns.b = {self.pick(['ns.b + 1', 'v', self.any(1)])}") + self.tag("endfor") + "{{ ns.a }}{{ ns.b }}")
        if kind < 0.96:
            argument = self.pick(["a", "a, b=2", "a='x', b=none"])
            call = self.pick(["m(1)", "m('q', b=3)", "m(" + self.any(1) + ")", "m()", "m(1, 2, 3)", "m(b=1, a=2)"])
            macro = self.tag(f"macro m({argument})") + "[{{ a }}|{{ b }}]" + self.body(0) + self.tag("endmacro")
            if self.rng.random() < 0.3:
                macro = self.tag(f"macro m({argument})") + "({{ a }}{{ caller() }})" + self.tag("endmacro")
                return macro + self.tag(f"call {call}") + self.body(0) + self.tag("endcall")
            return macro + "{{ " + call + " }}"
        if kind < 0.98:
            return self.tag(f"filter {self.pick(['upper', 'trim', 'indent(2)', 'length'])}") + self.body(depth - 1) + self.tag("endfilter")
        return "{# " + self.pick(["note", "-", "{{ x }}"]) + " #}" + self.pick(["", "\n"])


def reference(source):
    def too_long(*_):
        raise TimeoutError
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(5)
    try:
        return _compile_jinja_template(source).render(json.loads(json.dumps(VALUES)))
    except TimeoutError:
        return "skip"
    except Exception as problem:  # whatever Python raises
        return problem
    finally:
        signal.alarm(0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("sluice")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    context, equal, errors, different = json.dumps(VALUES), 0, 0, 0
    with tempfile.NamedTemporaryFile("w", suffix=".jinja") as file:
        for number in range(arguments.count):
            maker = Maker(random.Random(f"{arguments.seed}.{number}"))
            source = maker.out(4) if number % 2 else maker.body(3)
            theirs = reference(source)
            if isinstance(theirs, str) and (theirs == "skip" or " at 0x" in theirs):  # an object's address
                continue
            file.seek(0)
            file.truncate()
            file.write(source)
            file.flush()
            done = subprocess.run([arguments.sluice, "render", file.name], input=context.encode(), capture_output=True)
            failed = isinstance(theirs, Exception)
            mine = done.stdout.decode(errors="replace")
            if failed == (done.returncode != 0) and (failed or mine in (theirs, theirs + "\n")):
                equal += 1
                errors += failed
                continue
            different += 1
            print(f"--- {arguments.seed}.{number}: {source!r}\n  theirs {theirs!r}\n  ours   {mine!r} {done.stderr.decode()[:200]}", flush=True)
    print(f"{equal} of {equal + different} equal, {errors} of them errors of both")
    return different > 0


if __name__ == "__main__":
    sys.exit(main())
