"""A real model that says what it is told to: a Llama whose only working part is a table of next tokens.

Embeddings are one-hot, attention and MLP add nothing, and the head gives each token its successor. So a prompt's last
token decides the whole answer, through the same files, kernels, sampler, detokeniser and server as any other model.
"""

import json
import struct
from pathlib import Path

HIDDEN = 64


class ScriptedModel:
    def __init__(self, chat_template, special=()):
        self.chat_template = chat_template
        self.special = set(special) | {"<|end|>"}
        self.tokens = ["<unk>", "<|end|>"]
        self.next = {}

    def add(self, trigger, *pieces):
        """After a prompt that ends with `trigger` the answer is `pieces`, a token each, and the end token."""
        assert trigger not in self.tokens, trigger
        self.tokens.append(trigger)
        before = len(self.tokens) - 1
        for piece in pieces:
            # Every token has one successor, so a text said twice is two tokens; the second gets an invisible twin id.
            self.tokens.append(piece)
            self.next[before] = len(self.tokens) - 1
            before = len(self.tokens) - 1
        self.next[before] = 1
        assert len(self.tokens) <= HIDDEN
        return self

    def write(self, directory):
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        assert len(set(self.tokens)) == len(self.tokens), "texts must differ"
        added = [{"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
                  "normalized": False, "special": text in self.special}
                 for i, text in enumerate(self.tokens) if i > 0]
        self._json(directory / "tokenizer.json", {
            "version": "1.0", "added_tokens": added, "normalizer": None, "pre_tokenizer": None, "post_processor": None,
            "decoder": {"type": "Fuse"},
            "model": {"type": "BPE", "vocab": {"<unk>": 0}, "merges": [], "unk_token": "<unk>"}})
        self._json(directory / "tokenizer_config.json", {"chat_template": self.chat_template, "eos_token": "<|end|>"})
        self._json(directory / "generation_config.json", {"eos_token_id": 1})
        self._json(directory / "config.json", {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN,
            "intermediate_size": HIDDEN, "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 4,
            "vocab_size": HIDDEN, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "hidden_act": "silu", "tie_word_embeddings": False, "eos_token_id": 1, "torch_dtype": "float32"})
        self._weights(directory / "model.safetensors")
        return directory

    @staticmethod
    def _json(path, value):
        path.write_text(json.dumps(value, ensure_ascii=False))

    def _weights(self, path):
        square = HIDDEN * HIDDEN
        embedding, head = [0.0] * square, [0.0] * square
        for i in range(HIDDEN):
            embedding[i * HIDDEN + i] = 1.0
        for token, successor in self.next.items():
            head[successor * HIDDEN + token] = 10.0
        tensors = {"model.embed_tokens.weight": embedding, "lm_head.weight": head}
        for name in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj",
                     "mlp.up_proj", "mlp.down_proj"):
            tensors[f"model.layers.0.{name}.weight"] = [0.0] * square
        for name in ("model.layers.0.input_layernorm", "model.layers.0.post_attention_layernorm", "model.norm"):
            tensors[f"{name}.weight"] = [1.0] * HIDDEN
        header, data = {}, b""
        for name, values in tensors.items():
            shape = [HIDDEN, HIDDEN] if len(values) == square else [HIDDEN]
            begin = len(data)
            data += struct.pack(f"<{len(values)}f", *values)
            header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, len(data)]}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        path.write_bytes(struct.pack("<Q", len(text)) + text + data)
