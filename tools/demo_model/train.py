"""Trains the phone demo model on synthetic tasks and exports it in the Hugging Face format.

    python train.py --work DIR --minutes 45 --out ../../models/phone-demo

Training runs for a given wall-clock time (the learning rate falls to zero at its end), writes
checkpoints to DIR, and goes on from the last one when it is started again. With --export-only
the newest checkpoint is exported without training.
"""

import argparse
import json
import math
import os
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from transformers import AttentionInterface, GenerationConfig, Glm4Config, Glm4ForCausalLM, PreTrainedTokenizerFast

import demo_tokenizer
import tasks

HERE = Path(__file__).resolve().parent
EOS = ["<|endoftext|>", "<|user|>", "<|observation|>", "</answer>"]
TOKENIZER_SAMPLES = 12000
LEARNED_MERGES = 2400


def float_attention(module, query, key, value, attention_mask, scaling, **kwargs):
    """Causal attention in float32, which on CPUs is faster than the bf16 kernel that autocast would choose.
    Rows are padded on the right and only answers are trained, so no mask is needed."""
    key, value = (t.repeat_interleave(module.num_key_value_groups, dim=1) for t in (key, value))
    with torch.autocast("cpu", enabled=False):
        out = F.scaled_dot_product_attention(query.float(), key.float(), value.float(), is_causal=True, scale=scaling)
    return out.transpose(1, 2).contiguous(), None


AttentionInterface.register("float_attention", float_attention)


def make_tokenizer(work):
    """The tokenizer in work, trained on first use."""
    path = work / "tokenizer.json"
    if not path.exists():
        generator = tasks.Generator("train", "tokenizer")
        texts = (generator.sample().text() for _ in range(TOKENIZER_SAMPLES))
        demo_tokenizer.build(texts, LEARNED_MERGES).save(str(path))
    return Tokenizer.from_file(str(path))


def make_config(tokenizer, args):
    ids = [tokenizer.token_to_id(t) for t in EOS]
    return Glm4Config(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=args.hidden, intermediate_size=args.intermediate,
        num_hidden_layers=args.layers, num_attention_heads=args.heads, num_key_value_heads=2, head_dim=32,
        partial_rotary_factor=0.5, attention_bias=True, attention_dropout=0.0, hidden_act="silu", rms_norm_eps=1e-5,
        max_position_embeddings=2048, tie_word_embeddings=True, pad_token_id=ids[0], eos_token_id=ids,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5})


def make_model(config, seed):
    """A fresh model. The token itself must stay visible in the residual stream next to the outputs
    of the layers, which the sandwich norms would otherwise start at full scale."""
    torch.manual_seed(seed)
    model = Glm4ForCausalLM._from_config(config, attn_implementation="float_attention", dtype=torch.float32)
    with torch.no_grad():
        model.model.embed_tokens.weight.normal_(std=0.2)
        model.model.norm.weight.fill_(0.5)
        for layer in model.model.layers:
            layer.post_self_attn_layernorm.weight.fill_(0.2)
            layer.post_mlp_layernorm.weight.fill_(0.2)
    return model


def make_optimizers(model, args):
    """Muon for the matrices inside the layers, AdamW for embeddings, norms and biases."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n and "lm_head" not in n]
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    return [torch.optim.Muon(matrices, lr=args.lr, momentum=0.95, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(rest, lr=args.lr, betas=(0.9, 0.98), weight_decay=0.0, foreach=True)]


class Batches:
    """Endless batches of (input ids, answer mask) with about tokens_per_batch tokens each."""

    def __init__(self, tokenizer, generator, tokens_per_batch):
        self.tokenizer, self.generator, self.budget = tokenizer, generator, tokens_per_batch
        self.think, self.end = tokenizer.token_to_id("<think>"), tokenizer.token_to_id("</answer>")
        self.pad, self.assistant = tokenizer.token_to_id("<|endoftext|>"), tokenizer.token_to_id("<|assistant|>")

    def __iter__(self):
        while True:
            # Samples of similar length share a batch, so little is padding.
            texts = [self.generator.sample().text() for _ in range(512)]
            rows = sorted((e.ids for e in self.tokenizer.encode_batch(texts)), key=len)
            batches, start = [], 0
            for i in range(len(rows)):
                if (i + 1 - start) * len(rows[i]) > self.budget and i > start:
                    batches.append(rows[start:i])
                    start = i
            batches.append(rows[start:])
            self.generator.rng.shuffle(batches)
            for batch in batches:
                yield self.tensors(batch)

    def tensors(self, rows):
        ids = torch.full((len(rows), max(map(len, rows))), self.pad)
        mask = torch.zeros_like(ids, dtype=torch.bool)
        for i, row in enumerate(rows):
            ids[i, :len(row)] = torch.tensor(row)
            inside = False
            for j, token in enumerate(row):
                inside = inside or token == self.think
                mask[i, j] = inside
                inside = inside and token != self.end
        return ids, mask


def loss_of(model, ids, mask):
    """Mean cross entropy of the answer tokens, and the share of them predicted right."""
    hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
    logits = model.lm_head(hidden[mask[:, 1:]]).float()
    target = ids[:, 1:][mask[:, 1:]]
    return F.cross_entropy(logits, target), (logits.argmax(-1) == target).float().mean()


def screen_size(progress):
    """Curriculum: few distractors at first."""
    return 2 if progress < 0.06 else 4 if progress < 0.15 else 8


class Trainer:
    def __init__(self, args):
        self.args, self.work = args, Path(args.work)
        self.work.mkdir(parents=True, exist_ok=True)
        self.tokenizer = make_tokenizer(self.work)
        self.model = make_model(make_config(self.tokenizer, args), args.seed)
        self.average = {n: p.detach().clone() for n, p in self.model.named_parameters()}
        self.optimizers = make_optimizers(self.model, args)
        self.step, self.elapsed, self.tokens = 0, 0.0, 0
        self.checkpoint = self.work / "checkpoint.pt"
        if self.checkpoint.exists():
            self.load()

    def load(self):
        state = torch.load(self.checkpoint, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        for optimizer, saved in zip(self.optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved)
        self.step, self.elapsed, self.tokens = state["step"], state["elapsed"], state["tokens"]
        print(f"goes on from step {self.step}", flush=True)

    def save(self):
        state = {"model": self.model.state_dict(), "average": self.average, "step": self.step, "elapsed": self.elapsed,
                 "tokens": self.tokens, "optimizers": [o.state_dict() for o in self.optimizers]}
        torch.save(state, str(self.checkpoint) + ".tmp")
        os.replace(str(self.checkpoint) + ".tmp", self.checkpoint)

    def set_rate(self, progress):
        """Warm-up, then flat, then linear to zero over the last 45 %."""
        rate = min(1.0, (self.step + 1) / 100) * min(1.0, (1 - progress) / 0.45)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.args.lr * max(rate, 0.0)

    def update_average(self):
        """Exponential average of the weights: what is evaluated and exported."""
        decay = min(0.995, 1 - 1 / (self.step + 2))
        names = list(self.average)
        params = dict(self.model.named_parameters())
        torch._foreach_lerp_([self.average[n] for n in names], [params[n].data for n in names], 1 - decay)

    def run(self):
        generator = tasks.Generator("train", f"{self.args.seed}/{self.step}", screen_size(0))
        batches = iter(Batches(self.tokenizer, generator, self.args.batch_tokens))
        parameters = list(self.model.parameters())
        print(f"{sum(p.numel() for p in parameters) / 1e6:.2f} M parameters, vocabulary {self.model.config.vocab_size}", flush=True)
        loss_sum = right_sum = count = 0
        last = saved = time.monotonic()
        while (progress := self.elapsed / (self.args.minutes * 60)) < 1:
            generator.size = screen_size(progress)
            ids, mask = next(batches)
            self.set_rate(progress)
            with torch.autocast("cpu", torch.bfloat16, enabled=self.args.autocast):
                loss, right = loss_of(self.model, ids, mask)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            for optimizer in self.optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            self.update_average()
            self.step, self.tokens = self.step + 1, self.tokens + ids.numel()
            now = time.monotonic()
            self.elapsed, last = self.elapsed + now - last, now
            loss_sum, right_sum, count = loss_sum + loss.item(), right_sum + right.item(), count + 1
            if self.step % 50 == 0:
                print(f"step {self.step} {self.elapsed / 60:.1f} min {self.tokens / 1e6:.2f} M tokens {self.tokens / self.elapsed:.0f}/s "
                      f"loss {loss_sum / count:.4f} token accuracy {right_sum / count:.4f}", flush=True)
                loss_sum = right_sum = count = 0
            if now - saved > 120:
                self.save()
                saved = now
        self.save()


def write_tokenizer(out, tokenizer):
    """tokenizer.json, its configuration and the chat template, also inside the configuration."""
    template = (HERE / "chat_template.jinja").read_text()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|endoftext|>", pad_token="<|endoftext|>",
        additional_special_tokens=demo_tokenizer.SPECIAL[1:], clean_up_tokenization_spaces=False, model_max_length=2048)
    fast.save_pretrained(out)
    (out / "chat_template.jinja").write_text(template)
    path = out / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config["chat_template"] = template
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(config, ensure_ascii=False, indent=2) + "\n")


def export(trainer, out):
    """Writes the averaged weights as bf16 with everything needed to load them."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    model = trainer.model
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(trainer.average[name])
    model.to(torch.bfloat16)
    model.generation_config = GenerationConfig(do_sample=False, eos_token_id=model.config.eos_token_id, pad_token_id=model.config.pad_token_id)
    model.save_pretrained(out, safe_serialization=True)
    (out / "model.safetensors").chmod(0o644)
    write_tokenizer(out, trainer.tokenizer)
    info = {"steps": trainer.step, "tokens": trainer.tokens, "minutes": round(trainer.elapsed / 60, 1)}
    (trainer.work / "training.json").write_text(json.dumps(info) + "\n")
    print(f"exported to {out}: {info}")


def main():
    parser = argparse.ArgumentParser(description="train the phone demo model")
    parser.add_argument("--work", required=True, help="folder for the tokenizer and checkpoints")
    parser.add_argument("--out", default=str(HERE.parents[1] / "models" / "phone-demo"))
    parser.add_argument("--minutes", type=float, default=45, help="wall-clock training time")
    parser.add_argument("--hidden", type=int, default=192)
    parser.add_argument("--intermediate", type=int, default=512)
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--heads", type=int, default=6)
    parser.add_argument("--lr", type=float, default=4e-3)
    parser.add_argument("--batch-tokens", type=int, default=3072)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--autocast", action="store_true", help="bf16 matrix products while training")
    parser.add_argument("--export-only", action="store_true")
    args = parser.parse_args()
    trainer = Trainer(args)
    if not args.export_only:
        trainer.run()
    export(trainer, args.out)


if __name__ == "__main__":
    main()
