"""Functions of tensors as one graph: the forward pass, the loss and its gradient."""

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from torch import Tensor
from torch._C._dynamo.eval_frame import set_eval_frame
from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException
from torch.utils._pytree import tree_map_only

if TYPE_CHECKING:
    from .compute import Compute

LOG = logging.getLogger("lab")
KEPT = ("CONSTANT_MATCH", "EQUALS_MATCH")
STAYING = ("EMPTY_NN_MODULE_HOOKS_DICT", "NOT_PRESENT_IN_GENERIC_DICT")
PLAIN = {Tensor, type(None)}
LEARNERS = 1_000                  # of one class that a process, such as a sweep, may compile
Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(compute: "Compute", function: Function) -> Function:
    """`function`, compiled when it is called first, as a CUDA graph where compute.jit says so; see Compute.jit."""
    torch._dynamo.config.trace_autograd_ops = True
    torch._dynamo.config.recompile_limit = LEARNERS
    graphs, refused, known = compute.jit_mode == "graph", list[str](), set[tuple[Any, ...]]()
    options: dict[str, Any] = {"guard_filter_fn": looked_at, "size_asserts": False, "alignment_asserts": False}
    options |= torch._inductor.list_mode_options("reduce-overhead") if graphs else {"cpp_wrapper": compute.at_hand}
    graph = torch.compile(function, fullgraph=True, options=options)

    def call(*args: Any) -> Any:
        if refused:
            return function(*args)
        shapes = None if graphs else shapes_of(args)
        if shapes in known:
            out = without_asking(function, args)
        else:
            try:
                out = replayed(graph, args) if graphs else graph(*args)
            except (TorchDynamoException, FailOnRecompileLimitHit) as error:
                refused.append(getattr(function, "__qualname__", repr(function)))
                why = " ".join(str(error).split())[:300]
                LOG.warning("%s cannot be compiled, it runs eagerly: %s", refused[0], why)
                return function(*args)
        if compute.due is None:                       # it ran as it is: no graph fits any more
            known.clear()
            return out
        if shapes:
            known.add(shapes)
        due, compute.due = compute.due, None
        compute.minimize(*due)
        return out

    return cast(Function, call)


def shapes_of(args: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """None where they are more than tensors and None."""
    return tuple(arg if arg is None else arg.shape for arg in args) if set(map(type, args)) <= PLAIN else None


def without_asking(function: Function, args: tuple[Any, ...]) -> Any:
    """Run the graph that fits, without what torch.compile's own entry does around it.

    Where none fits the function runs as it is, and takes its step itself.
    """
    before = set_eval_frame(False)
    try:
        return function(*args)
    finally:
        set_eval_frame(before)


def looked_at(guards: Sequence[Any]) -> list[bool]:
    """Of what a call may look at to see whether its graph still fits, what can change while something learns.

    That is its arguments, and the numbers, flags and tensors that its object and the parts of it hold. Globals, the
    layers of a network and what an optimizer holds, which is no part of the graph, are taken to stay.
    """
    return [not guard.is_global and "param_groups" not in guard.name
            and (guard.guard_type in KEPT or not ("_modules" in guard.name or guard.guard_type in STAYING))
            and "_parameters" not in guard.name for guard in guards]


def replayed(graph: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """The next replay of a CUDA graph overwrites its outputs: hand out copies."""
    torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
    return tree_map_only(Tensor, torch.clone, graph(*args))
