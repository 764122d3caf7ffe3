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
    for special in ("<|python_tag|>", "[TOOL_CALLS]", "[ARGS]", "<|observation|>"):
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
