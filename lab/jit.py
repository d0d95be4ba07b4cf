"""Functions of tensors as one graph: the forward pass, the loss and its gradient."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from torch import Tensor
from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException
from torch.utils._pytree import tree_map_only

if TYPE_CHECKING:
    from .compute import Compute

LOG = logging.getLogger("lab")
LEARNERS = 1_000                  # of one class that a process, such as a sweep, may compile
Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(compute: "Compute", function: Function) -> Function:
    """`function`, compiled when it is called first, as a CUDA graph where compute.jit says so; see Compute.jit."""
    torch._dynamo.config.trace_autograd_ops = True
    torch._dynamo.config.recompile_limit = LEARNERS
    graphs, refused = compute.jit_mode == "graph", list[str]()
    graph = torch.compile(function, fullgraph=True, mode="reduce-overhead" if graphs else None)

    def call(*args: Any) -> Any:
        if refused:
            return function(*args)
        try:
            out = replayed(graph, args) if graphs else graph(*args)
        except (TorchDynamoException, FailOnRecompileLimitHit) as error:
            refused.append(getattr(function, "__qualname__", repr(function)))
            LOG.warning("%s cannot be compiled, it runs eagerly: %s", refused[0], " ".join(str(error).split())[:300])
            return function(*args)
        if compute.due is not None:
            due, compute.due = compute.due, None
            compute.minimize(*due)
        return out

    return cast(Function, call)


def replayed(graph: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """The next replay of a CUDA graph overwrites its outputs: hand out copies."""
    torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
    return tree_map_only(Tensor, torch.clone, graph(*args))
