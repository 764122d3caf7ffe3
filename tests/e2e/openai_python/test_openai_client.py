"""The official openai client against a served model, whatever the model is.

SLUICE_URL names a running server (http://127.0.0.1:8000); without it the bundled model is served by the fixture of the
end-to-end suite. SLUICE_API_KEY and SLUICE_MODEL are used when set. Answers are checked for their form and for what holds
of any model: greedy answers repeat, streams spell what whole answers say, stops end them, errors name what was wrong.
"""

import base64
import json
import math
import os
import struct
import urllib.request

import openai
import pytest

MESSAGES = [{"role": "user", "content": "Tell me about your day, please."}]
GREEDY = {"temperature": 0.0, "max_tokens": 24}


@pytest.fixture(scope="session")
def url(request):
    given = os.environ.get("SLUICE_URL")
    return given.rstrip("/") if given else request.getfixturevalue("demo").url


def make_client(url, **more):
    return openai.OpenAI(base_url=f"{url}/v1", api_key=os.environ.get("SLUICE_API_KEY", "EMPTY"), max_retries=0, timeout=300, **more)


@pytest.fixture(scope="session")
def client(url):
    with make_client(url) as client:
        yield client


@pytest.fixture(scope="session")
def strict_client(url):
    """An answer that does not fit the client's own models is an error. Not for what these models themselves leave out:
    the null finish reasons of streamed completions, the null of an echoed prompt's first log-probability, base64."""
    with make_client(url, _strict_response_validation=True) as client:
        yield client


@pytest.fixture(scope="session")
def model(client):
    return os.environ.get("SLUICE_MODEL") or client.models.list().data[0].id


@pytest.fixture(scope="session")
def chat(strict_client, model):
    """Asks for a chat completion; skips for a model without a chat template."""
    try:
        strict_client.chat.completions.create(model=model, messages=MESSAGES, max_tokens=1)
    except openai.BadRequestError as error:
        if error.code == "unsupported_endpoint":
            pytest.skip("the served model has no chat template")
        raise
    return lambda **more: strict_client.chat.completions.create(model=model, **{"messages": MESSAGES, **more})


@pytest.fixture(scope="session")
def complete(client, model):
    return lambda **more: client.completions.create(model=model, **{"prompt": "Once upon a time", **more})


def joined(stream):
    """index -> text, finish reason, number of chunks with text; and the usages of the stream."""
    choices, usages = {}, []
    for chunk in stream:
        assert chunk.object in ("chat.completion.chunk", "text_completion")
        if chunk.usage is not None:
            usages.append(chunk.usage)
        for piece in chunk.choices:
            choice = choices.setdefault(piece.index, {"text": "", "finish": None, "chunks": 0, "role": None})
            text = piece.delta.content if hasattr(piece, "delta") else piece.text
            if hasattr(piece, "delta") and piece.delta.role:
                assert choice["role"] is None and choice["chunks"] == 0, "the role comes once, with the first text"
                choice["role"] = piece.delta.role
            choice["text"] += text or ""
            choice["chunks"] += bool(text)
            if piece.finish_reason:
                assert choice["finish"] is None
                choice["finish"] = piece.finish_reason
            else:
                assert choice["finish"] is None, "nothing follows the finish reason"
    return choices, usages


# --- models ---------------------------------------------------------------------------------------------------------


def test_models_are_listed_and_shown(strict_client, model):
    client = strict_client
    ids = [card.id for card in client.models.list()]
    assert model in ids
    for id in ids:
        card = client.models.retrieve(id)
        assert card.id == id and card.object == "model" and card.created > 0
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("no/such-model")
    assert caught.value.code == "model_not_found"


# --- chat -----------------------------------------------------------------------------------------------------------


def test_chat_whole(chat, model):
    answer = chat(**GREEDY)
    assert answer.object == "chat.completion" and answer.id.startswith("chatcmpl-") and answer.model == model
    (choice,) = answer.choices
    assert choice.index == 0 and choice.message.role == "assistant" and isinstance(choice.message.content, str)
    assert choice.finish_reason in ("stop", "length") and choice.logprobs is None
    usage = answer.usage
    assert usage.prompt_tokens > 0 and 0 < usage.completion_tokens <= 24
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert 0 <= usage.prompt_tokens_details.cached_tokens < usage.prompt_tokens
    assert choice.finish_reason == "stop" or usage.completion_tokens == 24


def test_chat_stream_spells_the_whole_answer(chat):
    whole = chat(**GREEDY)
    choices, usages = joined(chat(**GREEDY, stream=True))
    assert choices[0]["text"] == whole.choices[0].message.content
    assert choices[0]["finish"] == whole.choices[0].finish_reason
    assert choices[0]["role"] == "assistant"
    assert usages == []


def test_chat_stream_with_usage(chat):
    whole = chat(**GREEDY)
    chunks = list(chat(**GREEDY, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert chunks[-1].usage.prompt_tokens == whole.usage.prompt_tokens
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_chat_stream_helper(client, chat, model):
    whole = chat(**GREEDY)
    with client.chat.completions.stream(model=model, messages=MESSAGES, **GREEDY) as stream:
        for _ in stream:
            pass
        try:
            final = stream.get_final_completion()
        except openai.LengthFinishReasonError as error:  # the helper's word for finish_reason "length"
            final = error.completion
    assert final.choices[0].message.content == whole.choices[0].message.content


def test_chat_n_and_seed(chat):
    ask = {"n": 3, "seed": 11, "temperature": 1.0, "max_tokens": 16}
    first, second = chat(**ask), chat(**ask)
    texts = [choice.message.content for choice in first.choices]
    assert [choice.index for choice in first.choices] == [0, 1, 2]
    assert texts == [choice.message.content for choice in second.choices]
    choices, _ = joined(chat(**ask, stream=True))
    assert [choices[i]["text"] for i in range(3)] == texts


def test_chat_greedy_repeats(chat):
    assert chat(**GREEDY).choices[0].message.content == chat(**GREEDY).choices[0].message.content


def test_chat_stop_never_leaks(chat):
    text = chat(temperature=0.0, max_tokens=48).choices[0].message.content
    if len(text) < 8:
        pytest.skip("the answer is too short to stop in")
    stop = text[len(text) // 2:len(text) // 2 + 3]
    want = text[:text.index(stop)]
    stopped = chat(temperature=0.0, max_tokens=48, stop=[stop, "\u0000never"])
    assert stopped.choices[0].message.content == want and stopped.choices[0].finish_reason == "stop"
    choices, _ = joined(chat(temperature=0.0, max_tokens=48, stop=stop, stream=True))
    assert choices[0]["text"] == want
    included = chat(temperature=0.0, max_tokens=48, stop=stop, extra_body={"include_stop_str_in_output": True})
    assert included.choices[0].message.content == want + stop


def test_chat_lengths(chat):
    one = chat(temperature=0.0, max_completion_tokens=1)
    assert one.usage.completion_tokens == 1
    assert one.choices[0].finish_reason in ("length", "stop")
    forced = chat(temperature=0.0, max_tokens=40, extra_body={"ignore_eos": True})
    assert forced.usage.completion_tokens == 40 and forced.choices[0].finish_reason == "length"


def test_chat_logprobs(chat):
    answer = chat(**GREEDY, logprobs=True, top_logprobs=3)
    tokens = answer.choices[0].logprobs.content
    assert len(tokens) in (answer.usage.completion_tokens, answer.usage.completion_tokens - 1)
    for token in tokens:
        assert token.logprob <= 0 and len(token.top_logprobs) == 3
        ordered = [top.logprob for top in token.top_logprobs]
        assert ordered == sorted(ordered, reverse=True)
    spelled = b"".join(bytes(token.bytes) for token in tokens).decode("utf-8", "replace")
    assert answer.choices[0].message.content.strip() in spelled
    chunks = list(chat(**GREEDY, logprobs=True, top_logprobs=3, stream=True))
    streamed = [t for c in chunks for p in c.choices if p.logprobs for t in p.logprobs.content]
    assert [t.token for t in streamed] == [t.token for t in tokens]
    assert all(math.isclose(a.logprob, b.logprob, abs_tol=1e-3) for a, b in zip(streamed, tokens))


def test_chat_content_parts_and_roles(chat):
    parts = chat(**GREEDY, messages=[{"role": "user", "content": [{"type": "text", "text": MESSAGES[0]["content"]}]}])
    assert parts.choices[0].message.content == chat(**GREEDY).choices[0].message.content
    long = chat(**GREEDY, messages=[{"role": "developer", "content": "Be brief."}, *MESSAGES, {"role": "assistant", "content": "Fine."},
                                    {"role": "user", "content": "And then? 然后呢？ 😀"}])
    assert long.usage.prompt_tokens > parts.usage.prompt_tokens


def test_chat_takes_the_phone_agents_call(client, chat, model):
    """The very arguments of Open-AutoGLM's ModelClient, without the picture."""
    stream = client.chat.completions.create(
        messages=[{"role": "system", "content": "今天的日期是: 2025年12月11日 星期四"},
                  {"role": "user", "content": [{"type": "text", "text": '打开微信\n\n{"current_app": "System Home"}'}]}],
        model=model, max_tokens=64, temperature=0.0, top_p=0.85, frequency_penalty=0.2, extra_body={"skip_special_tokens": False}, stream=True)
    first = None
    for chunk in stream:
        if len(chunk.choices) == 0:
            continue
        if chunk.choices[0].delta.content is not None and first is None:
            first = chunk.choices[0].delta.content
    assert first is not None and first != ""


def test_chat_tools_are_shown_to_the_template(chat):
    tool = {"type": "function", "function": {"name": "get_weather", "description": "The weather of a city",
                                             "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}
    answer = chat(**GREEDY, tools=[tool])
    assert answer.choices[0].finish_reason in ("stop", "length", "tool_calls")


# --- completions ----------------------------------------------------------------------------------------------------


def test_completion_whole_and_stream(complete, strict_client, model):
    whole = strict_client.completions.create(model=model, prompt="Once upon a time", temperature=0.0, max_tokens=12)
    assert whole.object == "text_completion" and whole.id.startswith("cmpl-")
    assert whole.choices[0].finish_reason in ("stop", "length")
    choices, _ = joined(complete(temperature=0.0, max_tokens=12, stream=True))
    assert choices[0]["text"] == whole.choices[0].text


def test_completion_default_length_is_16(complete):
    answer = complete(temperature=0.0, extra_body={"ignore_eos": True})
    assert answer.usage.completion_tokens == 16


def test_completion_batch_of_prompts(complete):
    one, two = (complete(prompt=p, temperature=0.0, max_tokens=8).choices[0].text for p in ("Once upon", "The dog"))
    batch = complete(prompt=["Once upon", "The dog"], temperature=0.0, max_tokens=8, n=2)
    assert [(c.index, c.text) for c in batch.choices] == [(0, one), (1, one), (2, two), (3, two)]
    choices, _ = joined(complete(prompt=["Once upon", "The dog"], temperature=0.0, max_tokens=8, stream=True))
    assert [choices[0]["text"], choices[1]["text"]] == [one, two]


def test_completion_token_prompts(complete, url):
    ids = tokenize(url, {"prompt": "Once upon a time"})
    by_ids = complete(prompt=ids, temperature=0.0, max_tokens=8)
    by_text = complete(temperature=0.0, max_tokens=8)
    assert by_ids.usage.prompt_tokens == by_text.usage.prompt_tokens == len(ids)
    assert by_ids.choices[0].text == by_text.choices[0].text
    assert [c.text for c in complete(prompt=[ids, ids], temperature=0.0, max_tokens=8).choices] == [by_text.choices[0].text] * 2


def test_completion_echo_scores_the_prompt(complete):
    prompt = "Once upon a time, there was a little girl"
    scored = complete(prompt=prompt, echo=True, logprobs=1, max_tokens=0, temperature=0.0)
    choice = scored.choices[0]
    assert choice.text == prompt and scored.usage.completion_tokens == 0
    logprobs = choice.logprobs
    assert logprobs.token_logprobs[0] is None and all(value <= 0 for value in logprobs.token_logprobs[1:])
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.text_offset) == len(logprobs.top_logprobs)
    assert logprobs.text_offset == sorted(logprobs.text_offset) and logprobs.text_offset[-1] < len(prompt)
    more = complete(prompt=prompt, echo=True, logprobs=1, max_tokens=4, temperature=0.0).choices[0]
    assert more.text.startswith(prompt)
    for got, want in zip(more.logprobs.token_logprobs[1:], logprobs.token_logprobs[1:]):
        assert math.isclose(got, want, abs_tol=1e-3)
    choices, _ = joined(complete(prompt=prompt, echo=True, max_tokens=4, temperature=0.0, stream=True))
    assert choices[0]["text"] == more.text


def test_completion_logit_bias_bans_a_token(complete):
    first = complete(temperature=0.0, max_tokens=1, logprobs=2, extra_body={"return_token_ids": True, "ignore_eos": True})
    (id,) = first.choices[0].token_ids
    banned = complete(temperature=0.0, max_tokens=1, logit_bias={str(id): -100}, extra_body={"return_token_ids": True, "ignore_eos": True})
    assert banned.choices[0].token_ids != [id]


# --- embeddings -----------------------------------------------------------------------------------------------------


def test_embeddings(client, strict_client, model):
    try:
        answer = strict_client.embeddings.create(model=model, input=["a cat", "a dog", "a cat"], encoding_format="float")
    except openai.APIStatusError as error:
        if error.status_code == 501:
            pytest.skip("the served model makes no embeddings")
        raise
    vectors = [item.embedding for item in answer.data]
    assert [item.index for item in answer.data] == [0, 1, 2]
    assert math.isclose(math.hypot(*vectors[0]), 1, abs_tol=1e-3)
    assert all(math.isclose(a, b, abs_tol=1e-4) for a, b in zip(vectors[0], vectors[2])) and vectors[0] != vectors[1]
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0
    default = client.embeddings.create(model=model, input="a cat")  # the client asks for base64 and decodes
    assert all(math.isclose(a, b, abs_tol=1e-4) for a, b in zip(default.data[0].embedding, vectors[0]))
    cut = client.embeddings.create(model=model, input="a cat", dimensions=8, encoding_format="float").data[0].embedding
    assert len(cut) == 8 and math.isclose(math.hypot(*cut), 1, abs_tol=1e-3)
    raw = client.embeddings.with_raw_response.create(model=model, input="a cat", encoding_format="base64").http_response.json()
    packed = base64.b64decode(raw["data"][0]["embedding"])
    assert all(math.isclose(a, b, abs_tol=1e-4) for a, b in zip(struct.unpack(f"<{len(packed) // 4}f", packed), vectors[0]))


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments, param", [
    ({"temperature": -1}, "temperature"), ({"temperature": 3}, "temperature"), ({"top_p": 1.5}, "top_p"),
    ({"max_tokens": -5}, "max_tokens"), ({"max_tokens": "many"}, "max_tokens"), ({"n": 0}, "n"), ({"stop": 7}, "stop"),
    ({"logit_bias": {"x": 1}}, "logit_bias.x"), ({"messages": []}, "messages"), ({"messages": "hi"}, "messages"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": "a"}, {"role": "user"}]}, "messages[1].content"),
    ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    ({"extra_body": {"min_p": 2}}, "min_p"), ({"extra_body": {"top_k": "all"}}, "top_k"),
])
def test_wrong_parameters_are_named(chat, arguments, param):
    with pytest.raises(openai.BadRequestError) as caught:
        chat(**arguments)
    assert caught.value.param == param and caught.value.type == "invalid_request_error"
    assert caught.value.code


def test_unknown_fields_are_ignored(chat):
    assert chat(**GREEDY, extra_body={"no_such_field": {"a": [1]}}).choices


def test_unknown_model(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-no-such", messages=MESSAGES)
    assert caught.value.code == "model_not_found" and caught.value.param == "model"


def test_overlong_prompt(complete, client, model):
    limit = client.models.retrieve(model).max_model_len
    with pytest.raises(openai.BadRequestError) as caught:
        complete(prompt=[5] * (limit + 1), max_tokens=1)
    assert caught.value.code == "context_length_exceeded"


def test_images_are_refused_clearly(chat):
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    with pytest.raises(openai.BadRequestError, match="image"):
        chat(messages=[{"role": "user", "content": [picture, {"type": "text", "text": "what is it?"}]}])


# --- the routes beside OpenAI's -------------------------------------------------------------------------------------


def post(url, path, body):
    headers = {"content-type": "application/json", "authorization": f"Bearer {os.environ.get('SLUICE_API_KEY', 'EMPTY')}"}
    with urllib.request.urlopen(urllib.request.Request(url + path, json.dumps(body).encode(), headers), timeout=120) as answer:
        return json.load(answer)


def tokenize(url, body):
    return post(url, "/tokenize", body)["tokens"]


def test_tokens_there_and_back(url):
    text = "Hello, 你好 😀!"
    ids = tokenize(url, {"content": text})
    assert post(url, "/tokenize", {"content": text})["count"] == len(ids) > 0
    assert post(url, "/detokenize", {"tokens": ids})["content"].strip() == text
    pieces = tokenize(url, {"content": text, "with_pieces": True})
    assert [piece["id"] for piece in pieces] == ids


def test_template_is_what_chat_counts(url, chat):
    prompt = post(url, "/apply-template", {"messages": MESSAGES})["prompt"]
    assert MESSAGES[0]["content"] in prompt
    assert len(tokenize(url, {"messages": MESSAGES})) == chat(**GREEDY).usage.prompt_tokens


def test_infer(url, chat):
    answer = post(url, "/infer", {"input": MESSAGES[0]["content"], **GREEDY})
    assert answer["output"] == chat(**GREEDY).choices[0].message.content
