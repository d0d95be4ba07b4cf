"""The machine, handed to plugins as tools: where to compute, how precisely, how fast, with which randomness."""

import math
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from .config import ComputeConfig
from .devices import choose_device, fast_bf16, gpu, has_bf16, threads_at_most, use_threads
from .errors import UsageError
from .nn import dense_layers

Function = TypeVar("Function", bound=Callable[..., Any])
QUICK = 150_000                   # parameters up to which numpy answers sooner than torch
LARGE, WORK = 1_000_000, {"bf16": 30_000_000, "threads": 200_000_000}     # parameters, or operations, of an update


class Compute:
    """Device, precision, threads and named random generators of one run.

    Raises UsageError for a device that is not there, and for what it cannot do.
    """

    def __init__(self, cfg: ComputeConfig, seed: int = 0):
        self.device, self.jit_mode, self.seed = choose_device(cfg.device), cfg.jit, seed
        self.be_precise(cfg.precision)
        self.threads, self.at_hand = cfg.threads, self.device.type == "cpu"
        if self.jit_mode == "graph" and self.device.type != "cuda":
            raise UsageError(f"compute.jit=graph needs a CUDA device, this run is on {self.device}; "
                             "use eager or compile")
        if self.precision == "bf16" and not has_bf16(self.device):
            raise UsageError(f"compute.precision=bf16: {self.device} has no bfloat16 arithmetic; use fp32 or auto")
        self.skipped = torch.zeros((), device=self.device)      # steps not taken: loss or gradient was not finite
        self.now: Callable[[], int] = int                       # the update in progress; the runner says which
        self.due: tuple[Tensor, torch.optim.Optimizer, float, Tensor] | None = None     # a step not yet taken
        self.first_skipped: int | None = None                   # the update of the first of them, where known at once

    def be_precise(self, precision: str) -> None:
        """`autocast()` is the context in which networks are called."""
        self.precision, low = precision, partial(torch.autocast, self.device.type, torch.bfloat16)
        self.autocast: Callable[[], AbstractContextManager[Any]] = low if precision == "bf16" else nullcontext

    def settle(self, parameters: int, operations: int = 0) -> None:
        """Decide what `auto` left open, now that the size of the network is known: what gains by bf16 and threads."""
        gains = {name for name, work in WORK.items() if parameters >= LARGE or operations >= work}
        if self.precision == "auto":
            self.be_precise("bf16" if "bf16" in gains and fast_bf16(self.device) else "fp32")
        self.threads = self.threads or (threads_at_most() if "threads" in gains else 1)
        use_threads(self.threads)
        torch.set_flush_denormal(True)        # the decayed moments of idle weights would slow Adam tenfold on a CPU

    def seed_for(self, name: str) -> int:
        """A seed that depends on the run's seed and this name alone."""
        return zlib.crc32(f"{self.seed}/{name}".encode())

    def rng(self, name: str) -> torch.Generator:
        """A generator of one's own, on the device: adding a consumer never shifts another's numbers."""
        return torch.Generator(self.device).manual_seed(self.seed_for(name))

    def host_rng(self, name: str) -> np.random.Generator:
        """The same on the host, where a few numbers at every step come sooner."""
        return np.random.default_rng(self.seed_for(name))

    def minimize(self, loss: Tensor, optimizer: torch.optim.Optimizer, clip: float = float("inf"),
                 norm: Tensor | None = None) -> Tensor:
        """One step down `loss`; returns the norm of the gradient before it is clipped to `clip`, a 0-d tensor.

        Where the loss or the norm is not finite the step is skipped, on the device, and counted in `skipped`. With
        `norm` the gradients are there already.
        """
        if norm is None:
            parameters = list(chain.from_iterable(map(itemgetter("params"), optimizer.param_groups)))
            for parameter in parameters:      # what zero_grad does, without its bookkeeping
                parameter.grad = None
            loss.backward()  # type: ignore[no-untyped-call]
            grads = [p.grad for p in parameters if p.grad is not None]
            if torch.compiler.is_compiling():     # the rest of the step is taken outside the graph
                norm = torch.stack([grad.square().sum() for grad in grads]).sum().sqrt()
                self.due = loss.detach(), optimizer, clip, norm
                return norm
            norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))
        if not self.at_hand and getattr(optimizer, "_step_supports_amp_scaling", False):
            fused, both = cast(Any, optimizer), loss.detach() + norm      # skips and rescales in its own kernel
            fused.found_inf, fused.grad_scale = both.sub_(both).ne_(0), (norm / clip).clamp_(min=1)
            self.skipped += fused.found_inf
            optimizer.step()
        elif math.isfinite(loss.item() + (size := norm.item())):      # the others wait for the device; a CPU is there
            if size > clip:
                groups = map(itemgetter("params"), optimizer.param_groups)
                torch._foreach_mul_([p.grad for p in chain.from_iterable(groups) if p.grad is not None], clip / norm)
            optimizer.step()
        else:
            self.first_skipped = self.first_skipped or self.now()
            self.skipped += 1
        return norm

    def quick(self, net: nn.Module) -> Callable[[Tensor], Any]:
        """`net` without gradients, for few rows: calling torch takes longer than the arithmetic of a small network.

        One that is fully connected and on a CPU answers with an array, from the memory of its parameters: what is
        learned, or loaded in place, is seen at once. All others answer with a tensor.
        """
        layers = dense_layers(net)
        if not layers or sum(weight.size for weight, _, _ in layers) > QUICK:
            return torch.no_grad()(net)

        def answer(obs: Tensor) -> np.ndarray:
            out: np.ndarray = obs.numpy()
            for weight, bias, activate in layers:
                out = np.dot(out, weight)
                out += bias
                activate(out)
            return out

        return answer

    def jit(self, function: Function) -> Function:
        """Speed up a function of tensors with one `minimize` or none, whose step is taken when the function returns.

        It has to be one graph, the forward pass and its gradient; where it cannot be, it runs as it is, and a warning
        says why.
        """
        if self.jit_mode == "eager":
            return function
        from .jit import compiled  # brings in the compiler, which takes a second

        return compiled(self, function)

    def describe(self) -> dict[str, Any]:
        """What the bits of a run depend on; recorded with every start and compared on resume."""
        about = {"device": str(self.device), "precision": self.precision, "jit": self.jit_mode, "threads": self.threads,
                 "torch": torch.__version__, "cpu": torch.backends.cpu.get_cpu_capability()}
        return about | gpu(self.device)


class QuickAdam(torch.optim.Adam):
    """Torch's fused Adam to the bit, float32 on a CPU, without the bookkeeping that takes most of a small step.

    Kingma & Ba 2015; with `decoupled_weight_decay` Loshchilov & Hutter 2019. Only hooks before a step are called.
    """

    def __init__(self, parameters: list[Tensor], **settings: Any):
        super().__init__(parameters, **settings, fused=True)
        self.gather()

    def __setstate__(self, state: dict[str, Any]) -> None:                # the end of load_state_dict
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self.gather()

    def gather(self) -> None:
        """What each group has for its P parameters; their counts of steps are views of one tensor [P]."""
        self.held = list[list[Any]]()
        for params in [group["params"] for group in self.param_groups]:
            for p in params:
                fresh = {"step": torch.zeros(()), "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
                self.state[p] = fresh | self.state[p]
            counts = torch.stack([self.state[p]["step"] for p in params])
            for p, count in zip(params, counts, strict=True):
                self.state[p]["step"] = count
            self.held.append([counts, *([self.state[p][name] for p in params] for name in fresh)])

    def state_dict(self) -> dict[str, Any]:
        """As torch's, with tensors that share no memory."""
        found = super().state_dict()
        return found | {"state": {i: each | {"step": each["step"].clone()} for i, each in found["state"].items()}}

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Raises TypeError for a closure."""
        if closure is not None:
            raise TypeError("a step takes no closure: the gradients are there already")
        for hook in self._optimizer_step_pre_hooks.values():
            hook(self, (), {})
        skip, scale = getattr(self, "found_inf", None), getattr(self, "grad_scale", None)
        for group, (counts, *held) in zip(self.param_groups, self.held, strict=True):
            rows = list(zip(group["params"], [p.grad for p in group["params"]], *held, strict=True))
            if all([grad is not None for _, grad, *_ in rows]):
                counts += 1
            elif rows := [row for row in rows if row[1] is not None]:
                torch._foreach_add_([count for _, _, count, *_ in rows], 1)
            else:
                continue
            params, grads, steps, first, second = map(list, zip(*rows, strict=True))
            (torch._fused_adamw_ if group["decoupled_weight_decay"] else torch._fused_adam_)(
                params, grads, first, second, [], steps, amsgrad=False, lr=group["lr"], beta1=group["betas"][0],
                beta2=group["betas"][1], weight_decay=group["weight_decay"], eps=group["eps"], maximize=False,
                grad_scale=scale, found_inf=skip)
            if skip is not None:
                torch._foreach_sub_(steps, [skip] * len(steps))

    step.hooked = True            # type: ignore[attr-defined]  # torch would wrap it in a profiler's record
