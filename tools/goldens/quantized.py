#!/usr/bin/env python3
"""Writes tests/golden/quantized: small random models quantised as the tools do it, and what their weights are worth.

The packing and the meaning of the packed bytes are those of the libraries themselves: AutoGPTQ's QuantLinear (pack, and
its forward pass over unit vectors), AutoAWQ's dequantize_gemm, compressed-tensors' compressors, torch.float8_e4m3fn with
transformers' block dequantisation. Each folder holds config.json, model.safetensors, and golden.json: some values of every
dequantised matrix, and the float32 logits of transformers over the dequantised weights.

Run: PYTHONPATH=<libraries> python tools/goldens/quantized.py [name ...]
Needs torch, transformers, safetensors; and on PYTHONPATH the unpacked wheels of auto-gptq 0.7.1, autoawq 0.2.7 and
compressed-tensors (no GPU is needed; auto-gptq and autoawq are only read, file by file).
"""

import importlib.util
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import (AutoModelForCausalLM, Gemma2Config, Gemma3TextConfig, Glm4Config, GlmConfig, LlamaConfig,
                          MistralConfig, Phi3Config, Qwen2Config, Qwen3Config)
from transformers.integrations.finegrained_fp8 import _dequantize_fp8_weight

from models_chatglm import IN_LAYER, LAYER, TOP, chatglm_config

OUT = Path(__file__).resolve().parents[2] / "tests/golden/quantized"
PROMPT = 12


def library_file(path: str):
    """One file of an installed library, without its package's imports."""
    for folder in sys.path:
        if (Path(folder) / path).exists():
            spec = importlib.util.spec_from_file_location(Path(path).stem, Path(folder) / path)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    raise SystemExit(f"{path} is not on PYTHONPATH")


def llama(hidden=64, layers=1) -> LlamaConfig:
    return LlamaConfig(hidden_size=hidden, intermediate_size=2 * hidden, num_hidden_layers=layers, num_attention_heads=4,
                       num_key_value_heads=2, head_dim=32 if hidden == 128 else 16, vocab_size=64,
                       max_position_embeddings=128, rms_norm_eps=1e-5, tie_word_embeddings=False)


def glm4() -> Glm4Config:
    return Glm4Config(hidden_size=64, intermediate_size=96, num_hidden_layers=1, num_attention_heads=4,
                      num_key_value_heads=2, head_dim=16, vocab_size=64, max_position_embeddings=128, rms_norm_eps=1e-5,
                      attention_bias=True, tie_word_embeddings=False, pad_token_id=0, eos_token_id=[0])


SMALL = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1, "num_attention_heads": 4,
         "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 40, "max_position_embeddings": 128,
         "rms_norm_eps": 1e-5, "pad_token_id": 0}
WINDOW = 7  # shorter than the prompt


def families() -> dict:
    """A small config of each family, for the table family × (AWQ, GPTQ) of docs/models.md."""
    both = {"num_hidden_layers": 2, "layer_types": ["sliding_attention", "full_attention"], "sliding_window": WINDOW}
    glm = {"attention_bias": True, "tie_word_embeddings": False, "eos_token_id": [0]}
    return {"mistral": MistralConfig(**SMALL, sliding_window=WINDOW),
            "qwen2": Qwen2Config(**{k: v for k, v in SMALL.items() if k != "head_dim"}, tie_word_embeddings=True),
            "qwen3": Qwen3Config(**SMALL),
            "glm": GlmConfig(**SMALL | glm),
            "chatglm": GlmConfig(**SMALL | glm),
            "glm4": Glm4Config(**SMALL | glm),
            "gemma2": Gemma2Config(**SMALL | both, query_pre_attn_scalar=20, attn_logit_softcapping=6.0,
                                   final_logit_softcapping=9.0),
            "gemma3": Gemma3TextConfig(**SMALL | both, query_pre_attn_scalar=20),
            "phi3": Phi3Config(**{k: v for k, v in SMALL.items() if k != "head_dim"}, sliding_window=WINDOW)}


def build(config, seed: int):
    stem = config.__class__.__name__.removesuffix("Config").removesuffix("Text")
    config.architectures = [stem + "ForCausalLM"]
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            value = 0.3 * noise + ("gemma" not in config.model_type) if "norm" in name else 0.5 * noise if name.endswith("bias") else noise
            if value.ndim == 2 and "embed" not in name:
                value = 1.5 * value / value.shape[1] ** 0.5
            parameter.copy_(value.bfloat16().float())
    return model


def linears(model, also_head=False):
    return [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)
            and (also_head or name != "lm_head")]


def group_scales(weight, group: int, bits: int, symmetric: bool, group_of):
    """Per row and group: scale and zero point (≥ 1) by minimum and maximum, as the tools' simplest observers do."""
    groups = int(group_of.max()) + 1
    top = 2**bits - 1
    scales, zeros = [], []
    for g in range(groups):
        part = weight[:, group_of == g]
        if symmetric:
            scale = part.abs().amax(1) * 2 / top
            zero = torch.full_like(scale, 2 ** (bits - 1))
        else:
            low, high = part.amin(1).clamp(max=0), part.amax(1).clamp(min=0)
            scale = (high - low) / top
            zero = torch.round(-low / scale).clamp(1, top)
        scales.append(scale.clamp(min=1e-4).half().float())
        zeros.append(zero)
    return torch.stack(scales, 1), torch.stack(zeros, 1)  # [rows, groups]


def gptq(model, settings, modules=None, own=None):
    """AutoGPTQ's first format; `gptq_v2` stores zero points as they are. `own`: module → (bits, group)."""
    linear = library_file("auto_gptq/nn_modules/qlinear/qlinear_cuda.py").QuantLinear
    tensors, values = {}, {}
    for name in modules or linears(model):
        module = model.get_submodule(name)
        bits, group = (own or {}).get(name, (settings["bits"], settings["group_size"]))
        weight = module.weight.data
        columns = weight.shape[1]
        size = columns if group == -1 else group
        group_of = torch.arange(columns) // size
        if settings.get("desc_act"):
            group_of = group_of[torch.randperm(columns, generator=torch.Generator().manual_seed(len(name)))]
        scales, zeros = group_scales(weight, size, bits, settings.get("sym", True), group_of)
        packed = linear(bits, group, columns, weight.shape[0], bias=False)
        bare = torch.nn.Linear(columns, weight.shape[0], bias=False).half()
        bare.weight.data = weight.half()
        packed.pack(bare, scales.half(), zeros.half(), g_idx=group_of.int())
        packed.scales = packed.scales.float()
        values[name] = packed(torch.eye(columns)).t().contiguous()
        qzeros = packed.qzeros
        if settings.get("checkpoint_format") == "gptq_v2":  # GPTQModel: the same with one more in every place
            qzeros = (qzeros.long() + sum(1 << s for s in range(0, 32, bits))).to(torch.int32)
        tensors |= {f"{name}.qweight": packed.qweight, f"{name}.qzeros": qzeros,
                    f"{name}.scales": packed.scales.half(), f"{name}.g_idx": packed.g_idx.to(torch.int32)}
    return tensors, values


def awq(model, settings, with_zeros=True):
    unpack = library_file("awq/utils/packing_utils.py").dequantize_gemm
    order = [0, 2, 4, 6, 1, 3, 5, 7]  # WQLinear_GEMM.from_linear

    def pack(codes):
        words = torch.zeros(codes.shape[0], codes.shape[1] // 8, dtype=torch.int64)
        for i, source in enumerate(order):
            words |= codes[:, source::8].long() << (4 * i)
        return torch.where(words >= 2**31, words - 2**32, words).to(torch.int32)

    tensors, values = {}, {}
    for name in linears(model):
        weight = model.get_submodule(name).weight.data
        columns = weight.shape[1]
        size = columns if settings["group_size"] == -1 else settings["group_size"]
        group_of = torch.arange(columns) // size
        scales, zeros = group_scales(weight, size, 4, not settings["zero_point"], group_of)
        codes = torch.round(weight / scales[:, group_of] + zeros[:, group_of]).clamp(0, 15)
        qweight, qzeros = pack(codes.t()), pack(zeros.t().contiguous())
        values[name] = unpack(qweight, qzeros, scales.t().contiguous(), 4, size).t().contiguous()
        tensors |= {f"{name}.qweight": qweight, f"{name}.scales": scales.t().contiguous().half()}
        if with_zeros:
            tensors[f"{name}.qzeros"] = qzeros
    return tensors, values


def compressed(model, groups, skip=(), act_order=False):
    """groups: a list of (predicate on the module's name, weights arguments, format)."""
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from compressed_tensors.quantization.utils import calculate_qparams
    tensors, values = {}, {}
    for name in linears(model):
        if name in skip:
            continue
        weight = model.get_submodule(name).weight.data
        arguments, form = next((w, f) for match, w, f in groups if match(name))
        args = QuantizationArgs(**arguments)
        scheme = QuantizationScheme(targets=["Linear"], weights=args)
        compressor = BaseCompressor.get_value_from_registry(form)
        rows, columns = weight.shape
        order = torch.arange(columns)
        if args.strategy == "tensor":
            low, high = weight.amin().reshape(1), weight.amax().reshape(1)
        elif args.strategy == "channel":
            low, high = weight.amin(1, keepdim=True), weight.amax(1, keepdim=True)
        elif args.strategy == "group":
            if act_order:
                order = torch.randperm(columns, generator=torch.Generator().manual_seed(5))
            parts = weight[:, order].reshape(rows, -1, args.group_size)
            low, high = parts.amin(2), parts.amax(2)
        else:
            height, width = args.block_structure
            padded = torch.nn.functional.pad(weight, (0, -columns % width, 0, -rows % height))
            parts = padded.reshape(padded.shape[0] // height, height, -1, width)
            low, high = parts.amin((1, 3)), parts.amax((1, 3))
        scale, zero = calculate_qparams(low, high, args)
        state = {"weight": weight[:, order].contiguous(), "weight_scale": scale.bfloat16()}
        if not args.symmetric:
            state["weight_zero_point"] = zero.to(torch.int8)
        packed = compressor.compress(state, scheme)
        exact = dict(packed, weight_scale=packed["weight_scale"].float())  # so that the products are not rounded
        value = compressor.decompress(exact, scheme)["weight"].float()
        if act_order:  # columns lie in the file in their own order, g_idx says whose group each belongs to
            back = torch.argsort(order)
            codes = dict(state, weight=value[:, back].contiguous())
            from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32, unpack_from_int32
            sorted_codes = unpack_from_int32(packed["weight_packed"], args.num_bits, weight.shape)
            packed["weight_packed"] = pack_to_int32(sorted_codes[:, back].contiguous(), args.num_bits)
            packed["weight_g_idx"] = (back // args.group_size).to(torch.int32)
            value = codes["weight"]
        values[name] = value
        tensors |= {f"{name}.{key}": tensor.contiguous() for key, tensor in packed.items()}
        if arguments["type"] == "float" and args.strategy == "tensor":
            tensors[f"{name}.input_scale"] = torch.tensor([0.02], dtype=torch.bfloat16)
    return tensors, values


def fp8(model, block, per_row=False, skip=(), scale_name="weight_scale_inv", e8m0=False):
    tensors, values = {}, {}
    for name in linears(model):
        if name in skip:
            continue
        weight = model.get_submodule(name).weight.data
        rows, columns = weight.shape
        if block:
            padded = torch.nn.functional.pad(weight, (0, -columns % block[1], 0, -rows % block[0]))
            parts = padded.reshape(padded.shape[0] // block[0], block[0], -1, block[1])
            scale = parts.abs().amax((1, 3)) / 448
            if e8m0:
                scale = torch.exp2(torch.ceil(torch.log2(scale)))
            spread = scale.repeat_interleave(block[0], 0).repeat_interleave(block[1], 1)[:rows, :columns]
        else:
            scale = weight.abs().amax(1, keepdim=True) / 448 if per_row else weight.abs().amax() / 448
            spread = scale
        codes = (weight / spread).to(torch.float8_e4m3fn)
        values[name] = codes.float() * spread
        if block and rows % block[0] == 0 and columns % block[1] == 0:
            assert torch.equal(values[name], _dequantize_fp8_weight(codes, scale, block, torch.float32))
        tensors |= {f"{name}.weight": codes,
                    f"{name}.{scale_name}": scale.to(torch.float8_e8m0fnu) if e8m0 else scale.float()}
    return tensors, values


GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": False, "sym": True, "damp_percent": 0.01,
        "true_sequential": True, "static_groups": False, "model_name_or_path": None}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True, "version": "gemm",
       "modules_to_not_convert": None}
INT4 = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": 32}
INT8 = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel"}
FLOAT8 = {"num_bits": 8, "type": "float", "symmetric": True, "strategy": "channel"}
FP8 = {"quant_method": "fp8", "activation_scheme": "dynamic", "fmt": "e4m3"}


def every(_):
    return True


def ct_settings(groups, form, ignore=("lm_head",)):
    return {"quant_method": "compressed-tensors", "format": form, "ignore": list(ignore), "kv_cache_scheme": None,
            "global_compression_ratio": 1.5, "quantization_status": "compressed",
            "config_groups": {f"group_{i}": {"weights": weights | {"dynamic": False, "observer": "minmax", "actorder": None},
                                             "input_activations": activations, "output_activations": None,
                                             "targets": targets}
                              for i, (weights, activations, targets) in enumerate(groups)}}


DYNAMIC = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True, "group_size": None}


def variants():
    def with_gptq(config, changes, **more):
        settings = GPTQ | changes
        return config, settings, lambda model: gptq(model, settings, **more)

    def with_awq(config, changes, **more):
        settings = AWQ | changes
        return config, settings, lambda model: awq(model, settings, **more)

    def with_ct(config, weights, form, activations=None, **more):
        settings = ct_settings([(weights, activations, ["Linear"])], form)
        if more.get("act_order"):
            settings["config_groups"]["group_0"]["weights"]["actorder"] = "group"
        return config, settings, lambda model: compressed(model, [(every, weights, form)], **more)

    head = linears(build(llama(128), 0), also_head=True)
    own = {"model.layers.0.mlp.down_proj": (8, 64)}
    mixed = [(lambda n: "self_attn" in n, INT8 | {"strategy": "group", "group_size": 32}, "pack-quantized"),
             (every, INT4, "pack-quantized")]
    yield "awq_g32", *with_awq(llama(), {})
    yield "awq_g128", *with_awq(llama(128), {"group_size": 128})
    yield "awq_row", *with_awq(llama(), {"group_size": -1, "version": "GEMM"})
    yield "awq_symmetric", *with_awq(llama(), {"zero_point": False, "group_size": 64}, with_zeros=False)
    yield "gptq4_g32", *with_gptq(llama(), {"sym": False})
    yield "gptq4_g128_head", *with_gptq(llama(128), {"group_size": 128, "lm_head": True}, modules=head)
    yield "gptq4_act_order", *with_gptq(llama(), {"desc_act": True, "sym": False})
    yield "gptq4_v2", *with_gptq(llama(), {"sym": False, "checkpoint_format": "gptq_v2"})
    yield "gptq8_row", *with_gptq(llama(), {"bits": 8, "group_size": -1})
    yield "gptq3_g32", *with_gptq(llama(), {"bits": 3})
    yield "gptq2_g32", *with_gptq(llama(), {"bits": 2, "sym": False})
    yield "gptq_dynamic", *with_gptq(llama(), {"dynamic": {r"+:.*\.down_proj": {"bits": 8, "group_size": 64}}}, own=own)
    yield "gptq4_fused", *with_gptq(glm4(), {"sym": False})
    yield "ct_int4_g32", *with_ct(llama(), INT4, "pack-quantized")
    yield "ct_int4_asymmetric", *with_ct(llama(), INT4 | {"symmetric": False}, "pack-quantized")
    yield "ct_int4_act_order", *with_ct(llama(), INT4, "pack-quantized", act_order=True)
    yield "ct_int4_row", *with_ct(llama(), INT4 | {"strategy": "channel", "group_size": None}, "pack-quantized")
    yield "ct_int3_g32", *with_ct(llama(), INT4 | {"num_bits": 3}, "pack-quantized")
    yield "ct_int8_row", *with_ct(llama(), INT8, "int-quantized", DYNAMIC)
    yield "ct_int8_tensor_asymmetric", *with_ct(llama(), INT8 | {"strategy": "tensor", "symmetric": False},
                                                "int-quantized", DYNAMIC)
    yield "ct_fp8_row", *with_ct(llama(), FLOAT8, "float-quantized", DYNAMIC | {"type": "float"})
    yield "ct_fp8_tensor", *with_ct(llama(), FLOAT8 | {"strategy": "tensor"}, "float-quantized",
                                    {"num_bits": 8, "type": "float", "strategy": "tensor", "dynamic": False})
    yield "ct_fp8_block", *with_ct(llama(80), FLOAT8 | {"strategy": "block", "block_structure": [32, 48]},
                                   "float-quantized")
    yield "ct_mixed", llama(layers=2), ct_settings(
        [(mixed[0][1], None, ["re:.*self_attn.*"]), (INT4, None, ["re:.*mlp.*"])], "pack-quantized",
        ["lm_head", "model.layers.1.mlp.down_proj"]), lambda model: compressed(
            model, mixed, skip=["model.layers.1.mlp.down_proj"])
    block = [128, 128]
    yield "fp8_block", llama(160), FP8 | {"weight_block_size": block, "modules_to_not_convert": ["lm_head"]}, \
        lambda model: fp8(model, block)
    yield "fp8_block_fused", glm4(), FP8 | {"weight_block_size": [32, 16], "scale_fmt": "ue8m0"}, \
        lambda model: fp8(model, [32, 16], e8m0=True)
    yield "fp8_tensor", llama(), FP8 | {"activation_scheme": "static", "ignored_layers": [
        "model.layers.0.self_attn.o_proj"]}, lambda model: fp8(
            model, None, skip=["model.layers.0.self_attn.o_proj"], scale_name="weight_scale")
    yield "fbgemm_fp8", llama(), {"quant_method": "fbgemm_fp8", "activation_scale_ub": 1200.0,
                                  "modules_to_not_convert": ["lm_head"]}, lambda model: fp8(
                                      model, None, per_row=True, scale_name="weight_scale")
    for seed, (family, small) in enumerate(families().items()):
        yield f"{family}_awq", *with_awq(small, {"group_size": 32})
        # Every second one with act-order, every third with zero points of its own.
        yield f"{family}_gptq", *with_gptq(small, {"desc_act": seed % 2 == 0, "sym": seed % 3 != 0})


def as_chatglm(part: dict, dim: int = -1) -> dict:
    """The same tensors as THUDM's files have them: Q K V joined, which is side by side where columns are packed."""
    renamed, fused = {}, {}
    for name, tensor in part.items():
        if name in TOP:
            renamed[TOP[name]] = tensor
            continue
        layer, rest = name.removeprefix("model.layers.").split(".", 1)
        module, kind = rest.rsplit(".", 1)
        if f"{module}.weight" in IN_LAYER:
            module = IN_LAYER[f"{module}.weight"].removesuffix(".weight")
            renamed[f"{LAYER}{layer}.{module}.{kind}"] = tensor
        else:
            fused.setdefault(f"{LAYER}{layer}.self_attention.query_key_value.{kind}", {})[module] = tensor
    for target, parts in fused.items():
        qkv = [parts[f"self_attn.{letter}_proj"] for letter in "qkv"]
        is_index = target.endswith(".g_idx")
        assert not is_index or all(torch.equal(one, qkv[0]) for one in qkv), "one order for all"
        renamed[target] = qkv[0] if is_index else torch.cat(qkv, dim=dim)
    return renamed


def main() -> None:
    for seed, (name, config, settings, quantize) in enumerate(variants()):
        if len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        model = build(config, seed)
        tensors, values = quantize(model)
        state = {k: v.bfloat16().contiguous() for k, v in model.state_dict().items() if k.removesuffix(".weight") not in values}
        written = config.to_diff_dict() | {"architectures": config.architectures}
        own_code = name.startswith("chatglm")
        if own_code:
            tensors, state = as_chatglm(tensors), as_chatglm(state)
            written = chatglm_config(config.to_dict() | {"rope_theta": config.rope_parameters["rope_theta"]})
        folder = OUT / name
        folder.mkdir(parents=True, exist_ok=True)
        save_file(state | {k: v.contiguous() for k, v in tensors.items()}, folder / "model.safetensors",
                  metadata={"format": "pt"})
        written["quantization_config"] = settings
        (folder / "config.json").write_text(json.dumps(written, indent=1) + "\n")
        generator = torch.Generator().manual_seed(seed)
        samples = {}
        with torch.no_grad():
            for module, value in values.items():
                model.get_submodule(module).weight.copy_(value)
            in_file = {f"{module}.weight": value for module, value in values.items()}
            for name_in_file, value in (as_chatglm(in_file, dim=0) if own_code else in_file).items():
                places = torch.randint(value.numel(), (24,), generator=generator)
                samples[name_in_file] = [[int(p) // value.shape[1], int(p) % value.shape[1],
                                                float(value.flatten()[p])] for p in places]
            prompt = torch.randint(1, config.vocab_size, (PROMPT,), generator=generator)
            logits = model(prompt[None]).logits[0]
        golden = {"prompt": prompt.tolist(), "samples": samples,
                  "logits": [[float(f"{x:.7g}") for x in row] for row in logits.tolist()]}
        (folder / "golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
        print(name, sum(f.stat().st_size for f in folder.iterdir()), "bytes")


if __name__ == "__main__":
    main()
