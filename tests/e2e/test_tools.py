"""Tool calls and reasoning end to end: scripted models write as their families do, the official client reads."""

import json

import openai
import pytest

from scripted_model import ScriptedModel
from sluice_process import Server, run

WEATHER = {"type": "function", "function": {"name": "get_weather", "description": "The weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}}}
TIME = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}}

# family: (what its template shows, its special tokens, the pieces of an answer, content, calls)
FAMILIES = {
    "hermes": ("<tool_call></tool_call>", [],
               ["Let me", " see.\n", "<tool_call>", "\n{\"name\": \"", "get_weather", "\", \"arguments\": {\"ci",
                "ty\": \"Kö", "ln\"}}\n", "</tool_call>"],
               "Let me see.", [("get_weather", {"city": "Köln"})]),
    "llama3_json": ("<|start_header_id|> {\"name\": function, \"parameters\": {}}", ["<|python_tag|>"],
                    ["<|python_tag|>", "{\"name\": \"get", "_weather\", \"para", "meters\": {\"city\": \"SF\"}}", "; ",
                     "{\"name\": \"get_time\", ", "\"parameters\": {", "}}"],
                    None, [("get_weather", {"city": "SF"}), ("get_time", {})]),
    "mistral": ("[TOOL_CALLS]", ["[TOOL_CALLS]"],
                ["[TOOL_CALLS]", "[{\"name\": \"get_weather\"", ", \"arguments\": {\"city\":", " \"Nice\"}}]"],
                None, [("get_weather", {"city": "Nice"})]),
    "mistral_v11": ("[TOOL_CALLS][ARGS]", ["[TOOL_CALLS]", "[ARGS]"],
                    ["Sure.", "[TOOL_CALLS]", "get_weather", "[ARGS]", "{\"city\":", " \"Nice\"}"],
                    "Sure.", [("get_weather", {"city": "Nice"})]),
    "harmony": ("<|channel|> to=functions.",
                ["<|start|>", "<|channel|>", "<|message|>", "<|constrain|>", "<|call|>"],
                ["<|channel|>", "commentary", " to=functions.get", "_weather ", "<|constrain|>", "json", "<|message|>",
                 "{\"city\": ", "\"Bergen\"}", "<|call|>", "never read"],
                None, [("get_weather", {"city": "Bergen"})]),
    "glm4": ("[gMASK]<|observation|>", ["<|observation|>", "[gMASK]"],
             ["get_", "weather", "\n{\"city\": \"", "北", "京\"}", "<|observation|>", "never read"],
             None, [("get_weather", {"city": "北京"})]),
    "glm45": ("<tool_call><arg_key>", ["<|observation|>"],
              ["\n<tool_call>", "get_weather\n", "<arg_key>", "city", "</arg_key>\n", "<arg_value>", "北京",
               "</arg_value>\n", "<arg_key>days", "</arg_key><arg_value>3</arg_value>\n", "</tool_call>"],
              None, [("get_weather", {"city": "北京", "days": 3})]),
}
TEMPLATE = "{{# {shows} #}}{{% for m in messages %}}{{{{ m.content }}}}{{% endfor %}}"


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tmp_path_factory):
    shows, special, pieces, content, calls = FAMILIES[request.param]
    model = ScriptedModel(TEMPLATE.format(shows=shows), special)
    for token in special:
        if token not in pieces:
            model.add(token)
    model.add("<call>", *pieces)
    directory = model.write(tmp_path_factory.mktemp(request.param) / "model")
    with Server(directory) as server:
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0, _strict_response_validation=True)
        yield client, pieces, content, calls


def ask(client, **more):
    return client.chat.completions.create(model="model", messages=[{"role": "user", "content": "<call>"}], **more)


def test_calls_of_a_whole_answer(family):
    client, pieces, content, calls = family
    choice = ask(client, tools=[WEATHER, TIME]).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == content
    assert [(c.function.name, json.loads(c.function.arguments)) for c in choice.message.tool_calls] == calls
    assert len({c.id for c in choice.message.tool_calls}) == len(calls)


def test_calls_of_a_stream(family):
    client, pieces, content, calls = family
    said, built, finish, first = "", {}, None, None
    for chunk in ask(client, tools=[WEATHER, TIME], stream=True):
        choice = chunk.choices[0]
        first = first or choice.delta
        said += choice.delta.content or ""
        for call in choice.delta.tool_calls or []:
            if call.index not in built:
                assert call.id and call.type == "function" and call.function.arguments == ""
                built[call.index] = [call.function.name, ""]
            else:
                assert call.id is None and call.function.name is None
            built[call.index][1] += call.function.arguments
        finish = choice.finish_reason or finish
    assert first.role == "assistant"
    assert finish == "tool_calls"
    assert said == (content or "")
    assert [(name, json.loads(arguments)) for name, arguments in built.values()] == calls


def test_a_cut_answer_leaks_nothing(family):
    client, pieces, content, calls = family
    for length in range(1, len(pieces)):
        for stream in (False, True):
            answer = ask(client, tools=[WEATHER, TIME], max_tokens=length, stream=stream)
            if stream:
                said = "".join(chunk.choices[0].delta.content or "" for chunk in answer)
            else:
                said = answer.choices[0].message.content or ""
            assert (content or "").startswith(said.rstrip()), (length, said)


def test_without_tools_it_is_text_without_special_tokens(family):
    client, pieces, content, calls = family
    text = ask(client).choices[0].message.content
    for special in ("<|python_tag|>", "[TOOL_CALLS]", "[ARGS]", "<|observation|>", "<|channel|>"):
        assert special not in text


def test_the_streaming_client_helper_agrees(family):
    client, pieces, content, calls = family
    with client.chat.completions.stream(model="model", messages=[{"role": "user", "content": "<call>"}],
                                        tools=[WEATHER, TIME]) as stream:
        for _ in stream:
            pass
        message = stream.get_final_completion().choices[0].message
    assert message.content in (content, content or "")
    assert [(c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls] == calls


def test_a_named_function_is_called(tmp_path):
    model = ScriptedModel("{# <tool_call></tool_call> #}{% for m in messages %}{{ m.content }}{% endfor %}")
    model.add("<tool_call>").add("\n{\"name\": \"").add("get_weather").add("\", \"arguments\":", " {\"city\":", " \"Rome\"}}")
    with Server(model.write(tmp_path / "model")) as server:
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0)
        choice = ask(client, tools=[WEATHER, TIME],
                     tool_choice={"type": "function", "function": {"name": "get_weather"}}).choices[0]
        assert [(c.function.name, c.function.arguments) for c in choice.message.tool_calls] == [
            ("get_weather", "{\"city\": \"Rome\"}")]


def test_reasoning_is_split_off_where_it_is_asked_for(tmp_path):
    model = ScriptedModel("{% for m in messages %}{{ m.content }}{% endfor %}{# <think> </think> #}")
    model.add("<go>", "<think>", "\nHm", ".\n", "</think>", "\n\n", "Yes", ".")
    directory = model.write(tmp_path / "model")
    body = {"messages": [{"role": "user", "content": "<go>"}]}
    for flags, reasoning, content in [((), None, "<think>\nHm.\n</think>\n\nYes."),
                                      (("--reasoning-parser", "qwen3"), "Hm.", "Yes."),
                                      (("--reasoning-parser", "auto"), "Hm.", "Yes.")]:
        with Server(directory, *flags) as server:
            message = server.request("/v1/chat/completions", body)[1]["choices"][0]["message"]
            assert message.get("reasoning_content") == reasoning
            assert message["content"] == content


def test_the_dialect_is_shown_and_can_be_chosen(tmp_path):
    model = ScriptedModel("{% for m in messages %}{{ m.content }}{% endfor %}")
    model.add("<call>", "<tool_call>", "{\"name\": \"get_time\", \"arguments\": {}}", "</tool_call>")
    directory = model.write(tmp_path / "model")
    assert json.loads(run("inspect", directory, "--json").stdout)["tokenizer"]["tool_calls"] == ""
    body = {"messages": [{"role": "user", "content": "<call>"}], "tools": [TIME]}
    with Server(directory) as server:
        assert server.request("/v1/chat/completions", body)[1]["choices"][0]["finish_reason"] == "stop"
    with Server(directory, "--tool-call-parser", "hermes") as server:
        assert server.request("/v1/chat/completions", body)[1]["choices"][0]["finish_reason"] == "tool_calls"
    wrong = run("serve", directory, "--tool-call-parser", "hermest")
    assert wrong.returncode != 0 and "hermes" in wrong.stderr


def test_conversations_with_tools_have_a_template_of_their_own(tmp_path):
    directory = ScriptedModel("").add("<call>").write(tmp_path / "model")
    config = {"eos_token": "<|end|>", "chat_template": [
        {"name": "tool_use", "template": "{{ tools|length }} tools: {{ messages[0].content }}"},
        {"name": "rag", "template": "no"}, {"name": "default", "template": "default: {{ messages[0].content }}"}]}
    (directory / "tokenizer_config.json").write_text(json.dumps(config))
    body = {"messages": [{"role": "user", "content": "hi"}]}
    with Server(directory) as server:
        assert server.request("/apply-template", body)[1]["prompt"] == "default: hi"
        assert server.request("/apply-template", body | {"tools": []})[1]["prompt"] == "default: hi"
        assert server.request("/apply-template", body | {"tools": [WEATHER, TIME]})[1]["prompt"] == "2 tools: hi"
    # The names go with the model into other forms of it.
    gguf, back = tmp_path / "model.gguf", tmp_path / "back"
    assert run("convert", directory, gguf).returncode == 0
    assert run("convert", gguf, back).returncode == 0
    assert run("convert", back, tmp_path / "again").returncode == 0
    for path in (gguf, tmp_path / "again"):
        with Server(path) as server:
            assert server.request("/apply-template", body)[1]["prompt"] == "default: hi"
            assert server.request("/apply-template", body | {"tools": [WEATHER]})[1]["prompt"] == "1 tools: hi"


def test_what_a_template_refuses_is_said_first_and_then_where(tmp_path):
    template = "{% for m in messages %}\n{% if m.role == 'system' %}{{ raise_exception('No system, please.') }}{% endif %}"
    directory = ScriptedModel(template + "\n{{ m.content + m.name }}{% endfor %}").add("<call>").write(tmp_path / "model")
    with Server(directory) as server:
        status, answer, _ = server.request("/v1/chat/completions", {"messages": [{"role": "system", "content": "x"}]})
        assert status == 400
        assert answer["error"]["message"] == ("No system, please. (chat template line 2, in "
                                              "'raise_exception('No system, please.')')")
        status, answer, _ = server.request("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]})
        assert status == 400 and "line 3" in answer["error"]["message"] and "m.name" in answer["error"]["message"]


def test_integers_that_no_template_could_print_exactly_are_refused(tmp_path):
    model = ScriptedModel("{{ tools }}{{ limit }}{% for m in messages %}{{ m.content }}{% endfor %}")
    directory = model.add("<call>").write(tmp_path / "model")
    body = {"messages": [{"role": "user", "content": "<call>"}]}
    limit = {"type": "function", "function": {"name": "f", "parameters": {"maximum": 2**64 - 1}}}
    with Server(directory) as server:
        for more, param in (({"tools": [limit]}, "tools"), ({"chat_template_kwargs": {"limit": 2**64}}, "chat_template_kwargs"),
                            ({"documents": [{"n": -10**30}]}, "documents")):
            for path in ("/v1/chat/completions", "/apply-template"):
                status, answer, _ = server.request(path, body | more)
                assert status == 400 and answer["error"]["param"] == param, answer
                assert "64 bits" in answer["error"]["message"]
        prompt = server.request("/apply-template", body | {"chat_template_kwargs": {"limit": 2**63 - 1}})[1]["prompt"]
        assert prompt == f"None{2**63 - 1}<call>"
        assert server.request("/v1/chat/completions", body | {"seed": 2**64 - 1})[0] == 200
