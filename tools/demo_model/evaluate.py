"""Held-out accuracy of an exported demo model, by greedy generation with transformers.

    python evaluate.py --model ../../models/phone-demo --count 400

An answer counts as right when its action equals the expected one exactly, every character.
The bf16 weights are read from the exported directory and computed in float32 (--dtype bfloat16
computes in bf16 too). Writes evaluation.json into the model directory.
"""

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LogitsProcessor, LogitsProcessorList

import tasks

HERE = Path(__file__).resolve().parent
MEANING = {
    "combination": "known words and phrasings; (app, control) pairs and coordinates never seen in training",
    "template": "wordings of the task never seen in training",
    "label": "labels, names and texts made of words never seen in training",
}


class FrequencyPenalty(LogitsProcessor):
    """The frequency_penalty of the OpenAI interface: it counts the generated tokens only.
    The Open-AutoGLM client always sends 0.2, so the answers should not depend on it."""

    def __init__(self, penalty, prompt_length):
        self.penalty, self.prompt_length = penalty, prompt_length

    def __call__(self, input_ids, scores):
        counts = torch.zeros_like(scores)
        made = input_ids[:, self.prompt_length:]
        counts.scatter_add_(1, made, torch.ones_like(made, dtype=scores.dtype))
        return scores - self.penalty * counts


def load(directory, dtype=torch.float32):
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=dtype).eval()
    return tokenizer, model


def render(tokenizer, messages):
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)


@torch.no_grad()
def generate(tokenizer, model, prompts, penalty=0.0, max_new_tokens=160):
    """Greedy answers of a batch of prompts, as the server shows them: without the end token."""
    tokenizer.padding_side = "left"
    batch = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False, return_token_type_ids=False)
    processors = LogitsProcessorList([FrequencyPenalty(penalty, batch["input_ids"].shape[1])])
    out = model.generate(**batch, max_new_tokens=max_new_tokens, do_sample=False, logits_processor=processors)
    ends = set(model.generation_config.eos_token_id)
    answers = []
    for row in out[:, batch["input_ids"].shape[1]:].tolist():
        stop = next((i for i, t in enumerate(row) if t in ends), len(row))
        answers.append(tokenizer.decode(row[:stop], skip_special_tokens=True))
    return answers


def action_of(answer):
    return answer.split("<answer>", 1)[-1]


def evaluate_split(tokenizer, model, split, seed, count, penalty, batch_size=50):
    """Results of one split: a list of (sample, expected answer, given answer)."""
    generator = tasks.Generator(split, f"evaluation/{seed}")
    samples = sorted((generator.sample() for _ in range(count)), key=lambda s: len(s.text()))
    results = []
    for i in range(0, count, batch_size):
        part = samples[i:i + batch_size]
        answers = generate(tokenizer, model, [render(tokenizer, s.messages()) for s in part], penalty)
        results += [(s, s.turns[-1][1], a) for s, a in zip(part, answers)]
    return results


def share(rights):
    return {"accuracy": round(sum(rights) / len(rights), 4), "count": len(rights)}


def summary(results):
    """Accuracies overall and by language, action, kind of task and number of turns."""
    groups = defaultdict(lambda: defaultdict(list))
    for sample, expected, given in results:
        right = action_of(expected) == action_of(given)
        for name, value in (("language", sample.lang), ("action", tasks.action_name(action_of(expected))),
                            ("task", sample.kind), ("turns", str(len(sample.turns)))):
            groups[name][value].append(right)
        groups["all"]["all"].append(right)
    out = share(groups.pop("all")["all"])
    out["answer_accuracy_with_thought"] = round(sum(e == g for _, e, g in results) / len(results), 4)
    for name, values in groups.items():
        out["by_" + name] = {value: share(rights) for value, rights in sorted(values.items())}
    return out


def main():
    parser = argparse.ArgumentParser(description="held-out accuracy of the phone demo model")
    parser.add_argument("--model", default=str(HERE.parents[1] / "models" / "phone-demo"))
    parser.add_argument("--count", type=int, default=400, help="samples per split")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--frequency-penalty", type=float, default=0.0)
    parser.add_argument("--show", type=int, default=0, help="print this many wrong answers per split")
    parser.add_argument("--no-write", action="store_true")
    args = parser.parse_args()
    tokenizer, model = load(args.model, getattr(torch, args.dtype))
    report = {"measure": "exact match of the action, greedy generation", "compute": args.dtype,
              "frequency_penalty": args.frequency_penalty, "seed": args.seed, "splits": {}}
    for split, meaning in MEANING.items():
        start = time.monotonic()
        results = evaluate_split(tokenizer, model, split, args.seed, args.count, args.frequency_penalty)
        report["splits"][split] = {"meaning": meaning, **summary(results)}
        wrong = [r for r in results if action_of(r[1]) != action_of(r[2])]
        print(f"{split}: {json.dumps(summary(results))} ({time.monotonic() - start:.0f} s)")
        for sample, expected, given in wrong[:args.show]:
            print(f"--- {sample.kind}\n{sample.messages()[-1]['content']}\n  task:     {sample.turns[0][0].splitlines()[0]}"
                  f"\n  expected: {expected}\n  given:    {given}")
    if not args.no_write:
        (Path(args.model) / "evaluation.json").write_text(json.dumps(report, ensure_ascii=False, indent=2) + "\n")


if __name__ == "__main__":
    main()
