"""Where a network looks: its attention as pictures. B texts, H heads, T tokens that look, S that are looked at."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lab import figures
from lab.contract import Evaluator
from lab.data.tokenizer import Tokenizer

MOST = 30                         # tokens that are shown


def attention(net: Callable[[], nn.Module], call: Callable[[], Any], looking: Callable[[str], Sequence[str]],
              looked_at: Callable[[str], Sequence[str]]) -> Evaluator:
    """Pictures of every layer that has attention, as `call` goes through the network; of a layer's name the tokens that
    look, and those that are looked at.
    """
    def shown() -> Mapping[str, Any]:
        return {f"attention/{layer.replace('.', '_')}": maps(found[0].float().cpu().numpy(), looking(layer),
                                                             looked_at(layer))
                for layer, found in weights(net(), call).items()}

    return shown


def maps(found: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> Any:
    """One of each head, [H, T, S]."""
    heads = len(found)
    across = min(heads, 4)
    down = -(-heads // across)
    side = 1.2 + 0.13 * max(len(rows), len(columns))
    made = figures.figure(side * across, side * down)
    for i, shares in enumerate(found[:, :len(rows), :len(columns)]):
        axes = made.add_subplot(down, across, i + 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_title(f"head {i + 1}", fontsize=8)
        axes.set_xticks(range(len(columns)), list(map(figures.name, columns)), fontsize=6, rotation=90)
        axes.set_yticks(range(len(rows)), list(map(figures.name, rows)), fontsize=6)
    return figures.drawn(made)


def names(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    """Of tokens, with something to be seen for blanks; what the agent has added is a dot."""
    told = [tokenizer.name(i) if i < tokenizer.size else "\N{MIDDLE DOT}" for i in ids]
    return [each.replace("\n", "\\n").replace(" ", "\N{OPEN BOX}") for each in told]


def weights(net: nn.Module, call: Callable[[], Any]) -> dict[str, Tensor]:
    """Of each layer that can tell, by its name: how much each token looks at each, [B, H, T, S], as `call` goes by."""
    found, hooks = dict[str, Tensor](), list[Any]()

    def note(name: str) -> Any:
        def hook(part: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
            found[name] = part.weights(*args, **kwargs)
        return hook

    for name, part in net.named_modules():
        if hasattr(part, "weights"):
            hooks.append(part.register_forward_hook(note(name), with_kwargs=True))
    try:
        with torch.no_grad():
            call()
    finally:
        for each in hooks:
            each.remove()
    return found
