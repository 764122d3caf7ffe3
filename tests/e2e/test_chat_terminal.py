"""`sluice chat` on a pseudo-terminal: what a person at the keyboard sees."""

import fcntl
import json
import os
import pty
import select
import shutil
import struct
import termios
import time

import pytest

from sluice_process import BINARY, DEMO_MODEL


class Terminal:
    """A program on a pseudo-terminal of its own; Ctrl-C typed there is a real SIGINT."""

    def __init__(self, *words, env, columns=80):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            os.chdir("/tmp")
            os.execve(BINARY, [str(BINARY), *map(str, words)], {**os.environ, "TERM": "xterm", **env})
        self.seen = ""

    def type(self, text):
        os.write(self.fd, text.encode())

    def read_until(self, *endings, timeout_s=60):
        """Waits until one of `endings` has been printed since the last call; returns the text up to and with it."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = [self.seen.index(e) + len(e) for e in endings if e in self.seen]
            if found:
                text, self.seen = self.seen[: min(found)], self.seen[min(found):]
                return text
            left = deadline - time.monotonic()
            assert left > 0, f"none of {endings} in {self.seen!r}"
            if select.select([self.fd], [], [], left)[0]:
                try:
                    self.seen += os.read(self.fd, 4096).decode(errors="replace")
                except OSError:  # the other side is closed
                    raise AssertionError(f"the program ended; last text {self.seen!r}") from None

    def wait(self, timeout_s=30):
        """The exit status."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.fd)
                return os.waitstatus_to_exitcode(status)
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    os.read(self.fd, 4096)
                except OSError:
                    pass
        os.kill(self.pid, 9)
        raise AssertionError("the program did not end")


@pytest.fixture
def endless_model(tmp_path):
    """The bundled model without its end-of-answer tokens, so that an answer runs to the token limit."""
    model = tmp_path / "endless"
    shutil.copytree(DEMO_MODEL, model)
    for name in ("config.json", "generation_config.json"):
        settings = json.loads((model / name).read_text())
        settings["eos_token_id"] = settings["vocab_size"] - 1 if "vocab_size" in settings else 0
        (model / name).write_text(json.dumps(settings))
    return model


PROMPT = "\x1b[1m> \x1b[0m"


def test_ctrl_c_stops_the_answer_and_not_the_program(endless_model):
    # The reference kernels leave time to stop it.
    chat = Terminal("chat", endless_model, "--max-tokens", "3000", env={"SLUICE_KERNELS": "ref"})
    chat.read_until(PROMPT)
    chat.type("Open the settings\n")
    chat.read_until("do(")  # the answer has begun
    chat.type("\x03")
    stopped = chat.read_until("(stopped)", "(cut at the token limit")
    assert stopped.endswith("(stopped)")
    chat.read_until(PROMPT)
    chat.type("/stats\n")
    report = chat.read_until("tokens/s")
    tokens = int(report.split(" answer tokens")[0].split()[-1])
    assert 0 < tokens < 3000, report
    # The program goes on, with the stopped answer in its history.
    chat.read_until(PROMPT)
    chat.type("/set max_tokens 3\n")
    chat.read_until(PROMPT)
    chat.type("Again\n")
    chat.read_until("(cut at the token limit")
    chat.read_until(PROMPT)
    chat.type("/history\n")
    history = chat.read_until("user: Again")
    assert "user: Open the settings" in history and "assistant: " in history
    chat.read_until(PROMPT)
    chat.type("\x04")
    assert chat.wait() == 0


def test_ctrl_c_at_the_prompt_and_ctrl_d():
    chat = Terminal("chat", DEMO_MODEL, env={})
    chat.read_until(PROMPT)
    chat.type("\x03")
    assert "Ctrl-D or /quit ends" in chat.read_until("ends)")
    chat.read_until(PROMPT)
    chat.type("Hi\n")
    chat.read_until(PROMPT)
    chat.type("\x04")
    assert chat.wait() == 0


def test_lines_are_edited_recalled_and_completed():
    chat = Terminal("chat", DEMO_MODEL, env={})
    chat.read_until(PROMPT)
    chat.type("Hello 打开微\x7f\x7f\x7f\x01say \x05\n")  # backspaces, Home, End
    chat.read_until(PROMPT)
    chat.type("\x1b[A")  # the arrow brings it back
    chat.read_until("say Hello ")
    chat.type("\x15/hist\t\n")
    assert "user: say Hello \n" in chat.read_until("assistant:").replace("\r", "")
    chat.read_until(PROMPT)
    chat.type("\x1b[200~/one\rtwo\x1b[201~\x01x\n")  # a paste of two lines is one message
    chat.read_until(PROMPT)
    chat.type("/history\n")
    assert "user: x/one\ntwo\n" in chat.read_until("two\r\n").replace("\r", "")
    chat.read_until(PROMPT)
    chat.type("\x04")
    assert chat.wait() == 0


def test_the_progress_of_loading_stays_in_its_line():
    chat = Terminal("chat", DEMO_MODEL, "--quantize", "int8", env={}, columns=40)
    shown = chat.read_until(PROMPT).split("phone-demo.")[0]
    assert "loading [" in shown and "%" in shown
    assert max(len(part) for part in shown.replace("\x1b[K", "").split("\r")) < 40, shown
    chat.type("Hi\n")
    chat.read_until(PROMPT)
    chat.type("/stats\n")
    rate = chat.read_until("tokens/s").split("then ")[-1].split()[0]
    assert float(rate) < 100_000  # not of tokens that had come before the first was looked at
    chat.read_until(PROMPT)
    chat.type("\x04")
    assert chat.wait() == 0


def test_a_file_that_holds_no_conversation_is_refused(tmp_path):
    wrong = tmp_path / "wrong.json"
    wrong.write_text('[1, {"role": "user", "content": null}]')
    chat = Terminal("chat", DEMO_MODEL, env={})
    chat.read_until(PROMPT)
    chat.type(f"/load {wrong}\n")
    chat.read_until("array of messages")
    chat.read_until(PROMPT)
    chat.type("/history\n")
    chat.read_until(PROMPT)
    chat.type("\x04")
    assert chat.wait() == 0
