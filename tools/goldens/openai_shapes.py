#!/usr/bin/env python3
"""Checks tests/golden/openai/ against the schemas of OpenAI's own openapi.json. Needs: pip install jsonschema.

usage: openai_shapes.py path/to/openapi.json
"""

import json
import sys
from pathlib import Path

import jsonschema

GOLDENS = Path(__file__).resolve().parents[2] / "tests/golden/openai"
SCHEMAS = {
    "chat.json": "CreateChatCompletionResponse",
    "chat_logprobs.json": "CreateChatCompletionResponse",
    "chat_stream.txt": "CreateChatCompletionStreamResponse",
    "completion.json": "CreateCompletionResponse",
    "completion_echo.json": "CreateCompletionResponse",
    "completion_stream.txt": "CreateCompletionResponse",
    "embeddings.json": "CreateEmbeddingResponse",
    "models.json": "ListModelsResponse",
}


def without_known_gaps(answer):
    """What OpenAI's API sends and its document does not allow: null in a stream's finish_reason, logprobs of an echoed
    prompt's first token, and usage (streams)."""
    if answer.get("object") == "text_completion":
        for choice in answer["choices"]:
            choice["finish_reason"] = choice["finish_reason"] or "stop"
            if choice["logprobs"]:
                for name in ("token_logprobs", "top_logprobs"):
                    choice["logprobs"][name] = [value for value in choice["logprobs"][name] if value is not None]
    if answer.get("usage", 0) is None:
        del answer["usage"]
    return answer


def with_nullable(schema):
    """OpenAPI 3.0's `nullable: true` in JSON Schema's words."""
    if isinstance(schema, list):
        return [with_nullable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: with_nullable(value) for name, value in schema.items()}
    return {"anyOf": [inner, {"type": "null"}]} if schema.get("nullable") is True else inner


def main() -> int:
    document = with_nullable(json.loads(Path(sys.argv[1]).read_text()))
    checked = 0
    for name, schema in SCHEMAS.items():
        text = (GOLDENS / name).read_text()
        if name.endswith(".txt"):
            answers = [json.loads(event[6:]) for event in text.split("\n\n") if event.startswith("data: {")]
        else:
            answers = [json.loads(text)]
        validator = jsonschema.Draft202012Validator({**document, "$ref": f"#/components/schemas/{schema}"})
        for answer in answers:
            validator.validate(without_known_gaps(answer))
            checked += 1
    print(f"{checked} answers fit")
    return 0


if __name__ == "__main__":
    sys.exit(main())
