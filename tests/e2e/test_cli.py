"""The commands that need no server."""

import json
import subprocess

from sluice_process import BINARY, DEMO_MODEL, run


def test_help_and_version():
    assert run("--help").returncode == 0
    assert run("version").stdout.startswith("sluice ")
    for command in ("serve", "pull", "chat", "generate", "inspect", "bench", "convert", "tokenize", "render", "completion", "man"):
        done = run(command, "--help")
        assert done.returncode == 0 and done.stdout.startswith(f"usage: sluice {command}"), done
    done = run("serv")
    assert done.returncode == 2 and "serve" in done.stderr


def test_inspect():
    report = json.loads(run("inspect", DEMO_MODEL, "--json").stdout)
    assert report["architecture"] == "glm4" and report["memory_plan"]["kv_tokens"] > 0
    assert "memory plan" in run("inspect", DEMO_MODEL).stdout


def test_tokenize_round_trip():
    texts = ["Hello, world", "打开微信 😀", "", "  spaces\n"]
    ids = json.loads(run("tokenize", DEMO_MODEL, stdin=json.dumps(texts)).stdout)
    assert json.loads(run("tokenize", DEMO_MODEL, "--decode", stdin=json.dumps(ids)).stdout) == texts
    assert run("tokenize", DEMO_MODEL, stdin="{").returncode != 0


def test_render(tmp_path):
    context = {"messages": [{"role": "user", "content": "Hi"}], "add_generation_prompt": True}
    done = run("render", DEMO_MODEL / "chat_template.jinja", stdin=json.dumps(context))
    assert done.returncode == 0 and "Hi" in done.stdout
    broken = tmp_path / "broken.jinja"
    broken.write_text("a\n{% if %}")
    done = run("render", broken, stdin="{}")
    assert done.returncode != 0 and "2" in done.stderr
    number = tmp_path / "number.jinja"
    number.write_text("{{ n }}")
    assert run("render", number, stdin='{"s": "99999999999999999999", "n": 9223372036854775807}').stdout == str(2**63 - 1)
    for n in (2**63, 10**30):
        done = run("render", number, stdin=json.dumps({"n": n}))
        assert done.returncode != 0 and str(n) in done.stderr


def test_generate_is_seeded():
    words = ("generate", DEMO_MODEL, "Hello", "--temperature", "1", "--seed", "3", "--max-tokens", "16", "--json")
    first, second = (json.loads(run(*words).stdout) for _ in range(2))
    assert first["text"] == second["text"] and first["completion_tokens"] <= 16


def test_chat_in_a_pipe():
    done = run("chat", DEMO_MODEL, stdin="Hi\n/stats\n/history\n/set temperature x\n/nope\n/quit\n")
    assert done.returncode == 0, done.stderr
    assert "answer tokens" in done.stdout and "user: Hi" in done.stdout and "unknown command /nope" in done.stdout


def completed(*words):
    """What bash offers for the last of `words`."""
    script = run("completion", "bash").stdout
    line = " ".join(f"'{word}'" for word in words)
    ask = f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _sluice; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, cwd="/", timeout=30, check=True)
    return done.stdout.split()


def test_bash_completes_commands_flags_and_values():
    assert completed("sluice", "ser") == ["serve"]
    assert completed("sluice", "serve", "--po") == ["--port"]
    assert completed("sluice", "serve", "--kv-dtype", "i") == ["int8"]
    assert completed("sluice", "completion", "") == ["bash", "zsh", "fish"]
    assert completed("sluice", "help", "be") == ["bench"]
    assert completed("sluice", "bench", "start") == ["startup"]
    assert completed("sluice", "serve", "/et") == ["/etc"]


def test_the_man_page_has_no_line_that_ends_in_blanks():
    page = run("man").stdout
    assert page.startswith(".TH SLUICE 1") and ".B sluice serve" in page
    assert not [line for line in page.splitlines() if line != line.rstrip()]


def test_completion_scripts_parse():
    script = run("completion", "bash").stdout
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
    assert "complete -c sluice" in run("completion", "fish").stdout
    assert run("completion", "csh").returncode == 2
    assert run("man").stdout.startswith(".TH SLUICE 1")


def test_binary_is_where_it_should_be():
    assert BINARY.exists()
