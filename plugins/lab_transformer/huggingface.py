"""Networks of the library transformers: a folder with config.json and model.safetensors. V tokens, D width."""

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from lab.beginning import Foreign
from lab.errors import UsageError

LARGEST = 1_000_000               # bytes of a config that is worth reading
GELUS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "relu": "relu"}
Weights = dict[str, Tensor]


def read(folder: Path, kind: str) -> dict[str, Any] | None:
    """The config, where it is one of this kind."""
    file = folder / "config.json"
    try:
        if file.stat().st_size > LARGEST:
            return None
        plain = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    return plain if isinstance(plain, dict) and plain.get("model_type") == kind else None


def settings(plain: Mapping[str, Any], names: Mapping[str, str], activation: str) -> dict[str, Any]:
    """What both have. Raises UsageError for an activation that is not known here."""
    if activation not in GELUS:
        raise UsageError(f"a network with the activation {activation!r} cannot be read; known: {', '.join(GELUS)}")
    if missing := [theirs for theirs in names.values() if theirs not in plain]:
        raise UsageError(f"the config.json of a network says nothing of {missing[0]!r}")
    return {**{ours: plain[theirs] for ours, theirs in names.items()}, "activation": GELUS[activation],
            "positions": "learned", "norm": "layer", "bias": True, "tie": True}


def tensors(folder: Path, prefix: str) -> Weights:
    """By name, without the prefix that networks with a head have. Raises UsageError where there are none."""
    file = folder / "model.safetensors"
    try:
        found = safetensors.torch.load_file(file)
    except Exception as error:                    # of the file, or of safetensors
        raise UsageError(f"{file} cannot be read: {' '.join(str(error).split())[:300]}") from None
    return Named({name.removeprefix(prefix): tensor.float() for name, tensor in found.items()})


class Named(dict[str, Tensor]):
    """Tensors by name. Raises UsageError for one that is not there."""

    def __missing__(self, name: str) -> Tensor:
        raise UsageError(f"the network has no {name!r}, which one of this kind has")


def renamed(given: Weights, pattern: str, names: Mapping[str, str], change: Callable[[Tensor], Tensor]) -> Weights:
    """What stands in layers: `pattern` finds (number of the layer, name, weight or bias)."""
    found: Weights = {}
    for name, tensor in given.items():
        if (place := re.fullmatch(pattern, name)) and place[2] in names:
            found[f"body.blocks.{place[1]}.{names[place[2]]}.{place[3]}"] = change(tensor)
    return found


def gpt2(folder: Path) -> Foreign | None:
    """Radford et al. 2019."""
    plain = read(folder, "gpt2")
    if plain is None:
        return None
    names = {"layers": "n_layer", "heads": "n_head", "width": "n_embd", "epsilon": "layer_norm_epsilon"}
    own = settings(plain, names, plain.get("activation_function", "gelu_new"))
    return Foreign({**own, "inner": plain.get("n_inner") or 4 * plain["n_embd"]}, partial(gpt2_weights, folder))


def gpt2_weights(folder: Path) -> Weights:
    """Their linear layers are [inputs, outputs]."""
    given, pattern = tensors(folder, "transformer."), r"h\.(\d+)\.(.+)\.(weight|bias)"
    linear = {"attn.c_attn": "attention.into", "attn.c_proj": "attention.out", "mlp.c_fc": "inner.into",
              "mlp.c_proj": "inner.out"}
    return {"embed.tokens.weight": given["wte.weight"], "embed.places.weight": given["wpe.weight"],
            "head.weight": given["wte.weight"], "body.last.weight": given["ln_f.weight"],
            "body.last.bias": given["ln_f.bias"],
            **renamed(given, pattern, linear, lambda x: x.mT.contiguous() if x.ndim == 2 else x),
            **renamed(given, pattern, {"ln_1": "norms.0", "ln_2": "norms.1"}, lambda x: x)}


def bert(folder: Path) -> Foreign | None:
    """Devlin et al. 2019. What is said of a second sentence is left out."""
    plain = read(folder, "bert")
    if plain is None:
        return None
    names = {"layers": "num_hidden_layers", "heads": "num_attention_heads", "width": "hidden_size",
             "inner": "intermediate_size", "epsilon": "layer_norm_eps"}
    own = settings(plain, names, plain.get("hidden_act", "gelu"))
    return Foreign({**own, "placement": "post", "norm_tokens": True, "head": "transformed"},
                   partial(bert_weights, folder))


def bert_weights(folder: Path) -> Weights:
    """Every token is of the first sentence; queries, keys and values stand one below the other."""
    given = tensors(folder, "bert.")
    layer, head = "encoder.layer", "cls.predictions"
    found = {"embed.tokens.weight": given["embeddings.word_embeddings.weight"],
             "embed.places.weight": given["embeddings.position_embeddings.weight"]
             + given["embeddings.token_type_embeddings.weight"][0],
             **{f"embed.norm.{each}": given[f"embeddings.LayerNorm.{each}"] for each in ("weight", "bias")}}
    names = {"attention.output.dense": "attention.out", "attention.output.LayerNorm": "norms.0",
             "intermediate.dense": "inner.into", "output.dense": "inner.out", "output.LayerNorm": "norms.1"}
    found |= renamed(given, rf"{layer}\.(\d+)\.(.+)\.(weight|bias)", names, lambda x: x)
    for i in range(1 + max((int(name.split(".")[2]) for name in given if name.startswith(layer)), default=-1)):
        for each in ("weight", "bias"):
            parts = [given[f"{layer}.{i}.attention.self.{part}.{each}"] for part in ("query", "key", "value")]
            found[f"body.blocks.{i}.attention.into.{each}"] = torch.cat(parts)
    if f"{head}.bias" in given:
        found |= {"head.3.weight": found["embed.tokens.weight"], "head.3.bias": given[f"{head}.bias"]}
        for ours, theirs in (("head.0", "transform.dense"), ("head.2", "transform.LayerNorm")):
            found |= {f"{ours}.{each}": given[f"{head}.{theirs}.{each}"] for each in ("weight", "bias")}
    return found
