"""The machine, handed to plugins as tools: where to compute, how precisely, how fast, with which randomness."""

import os
import zlib
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from .config import ComputeConfig
from .errors import UsageError

Function = TypeVar("Function", bound=Callable[..., Any])
LARGE = 1_000_000                 # parameters from which bf16 and more threads gain more than they cost


class Compute:
    """Device, precision, threads and named random generators of one run.

    Raises UsageError for a device that is not there, and for what it cannot do.
    """

    def __init__(self, cfg: ComputeConfig, seed: int = 0):
        self.device, self.precision, self.jit_mode, self.seed = choose_device(cfg.device), cfg.precision, cfg.jit, seed
        self.threads = cfg.threads
        if self.jit_mode == "graph" and self.device.type != "cuda":
            raise UsageError(f"compute.jit=graph needs a CUDA device, this run is on {self.device}; "
                             "use eager or compile")
        if self.precision == "bf16" and not has_bf16(self.device):
            raise UsageError(f"compute.precision=bf16: {self.device} has no bfloat16 arithmetic; use fp32 or auto")
        self.skipped = torch.zeros((), device=self.device)      # steps not taken: loss or gradient was not finite
        if self.device.type == "cuda":
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True, warn_only=True)

    def settle(self, parameters: int) -> None:
        """Decide what `auto` left open, now that the size of the network is known."""
        if self.precision == "auto":
            self.precision = "bf16" if parameters >= LARGE and has_bf16(self.device) else "fp32"
        if self.threads == 0:
            self.threads = (os.cpu_count() or 1) if parameters >= LARGE else 1
        torch.set_num_threads(self.threads)

    def seed_for(self, name: str) -> int:
        """A seed that depends on the run's seed and this name alone."""
        return zlib.crc32(f"{self.seed}/{name}".encode())

    def rng(self, name: str) -> torch.Generator:
        """A generator of one's own, on the device: adding a consumer never shifts another's numbers."""
        return torch.Generator(self.device).manual_seed(self.seed_for(name))

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def minimize(self, loss: Tensor, optimizer: torch.optim.Optimizer, clip: float = float("inf")) -> Tensor:
        """One step down `loss`; returns the norm of the gradient before it is clipped to `clip`, a 0-d tensor.

        Where the loss or the norm is not finite the step is skipped, on the device, and counted in `skipped`.
        """
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))
        bad = (~(loss.detach() + norm).isfinite()).float()
        self.skipped += bad
        if getattr(optimizer, "_step_supports_amp_scaling", False):     # fused: skips and rescales in the kernel
            fused = cast(Any, optimizer)
            fused.found_inf, fused.grad_scale = bad, (norm / clip).clamp(min=1)
            optimizer.step()
        elif not bad:                                                   # the others wait for the device here
            torch._foreach_mul_(grads, (clip / norm).clamp(max=1))
            optimizer.step()
        return norm

    def jit(self, function: Function) -> Function:
        """Speed up a function of tensors; no autograd graph may leave it, so: one optimizer step, one function."""
        if self.jit_mode == "eager":
            return function
        if self.jit_mode == "compile":
            return cast(Function, torch.compile(function))
        graph = torch.compile(function, mode="reduce-overhead")

        def replay(*args: Any) -> Any:      # the next replay overwrites the outputs: hand out copies
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
            return tree_map_only(Tensor, torch.clone, graph(*args))

        return cast(Function, replay)

    def describe(self) -> dict[str, Any]:
        """What the bits of a run depend on; recorded with every start and compared on resume."""
        about = {"device": str(self.device), "precision": self.precision, "jit": self.jit_mode, "threads": self.threads,
                 "torch": torch.__version__, "cpu": torch.backends.cpu.get_cpu_capability()}
        if self.device.type == "cuda":
            props = torch.cuda.get_device_properties(self.device)
            about |= {"gpu": props.name, "memory_GB": round(props.total_memory / 1e9, 1),
                      "capability": f"{props.major}.{props.minor}"}
        return about


def choose_device(name: str) -> torch.device:
    """auto, cpu, cuda or cuda:N. Raises UsageError where it is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"compute.device={name} is not a device; expected auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"compute.device={name} is not supported; expected auto, cpu, cuda or cuda:N")
    if device.type == "cuda":
        found = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= found:
            raise UsageError(f"compute.device={name}: this machine offers {found} CUDA devices to this torch "
                             f"({torch.__version__}); use compute.device=cpu or auto")
    return device


def has_bf16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 itself."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def count_parameters(part: object) -> int:
    """Parameters of every module that is an attribute of `part`, each once."""
    modules = [value for value in vars(part).values() if isinstance(value, nn.Module)]
    return sum(p.numel() for p in {id(p): p for module in modules for p in module.parameters()}.values())
