"""What a machine offers to compute with."""

import ctypes
import os
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from .errors import UsageError

TRIED, GAIN = 8, 0.8              # products to time; share of the time that counts as faster
KEPT = {-3: 2**28, -1: 2**30}     # M_MMAP_THRESHOLD, a tensor's bytes; M_TRIM_THRESHOLD, bytes free at the end


def choose_device(name: str) -> torch.device:
    """auto, cpu, cuda or cuda:N, which is made to repeat itself. Raises UsageError where it is not there."""
    try:
        device = torch.device(name if name != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
    except RuntimeError:
        raise UsageError(f"compute.device={name} is not a device; expected auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"compute.device={name} is not supported; expected auto, cpu, cuda or cuda:N")
    if device.type == "cuda":
        found = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= found:
            raise UsageError(f"compute.device={name}: this machine offers {found} CUDA devices to this torch "
                             f"({torch.__version__}); use compute.device=cpu or auto")
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    return device


def gpu(device: torch.device) -> dict[str, Any]:
    """What the bits of a run depend on besides, on a GPU."""
    if device.type != "cuda":
        return {}
    props = torch.cuda.get_device_properties(device)
    return {"gpu": props.name, "memory_GB": round(props.total_memory / 1e9, 1),
            "capability": f"{props.major}.{props.minor}"}


def has_bf16(device: torch.device) -> bool:
    """Whether there is bfloat16 arithmetic at all."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def fast_bf16(device: torch.device) -> bool:
    """Whether bfloat16 saves time. A CPU is asked to multiply, since its flags do not tell.

    A Xeon with AVX512-BF16 and without AMX took twice as long as in float32, one with AVX-512 alone four times as long.
    """
    if device.type == "cpu":
        return has_bf16(device) and seconds(torch.bfloat16) < GAIN * seconds(torch.float32)
    return has_bf16(device)


@cache
def seconds(dtype: torch.dtype) -> float:
    """Of a product of two matrices of 512 x 512 on the CPU, the least of some: others may be at work there."""
    x, took = torch.ones(512, 512, dtype=dtype), list[float]()
    for _ in range(TRIED):
        begin = time.perf_counter()
        torch.mm(x, x)
        took.append(time.perf_counter() - begin)
    return min(took)


def keep_memory() -> None:
    """What is freed stays with the process, for the next tensor of that size, where the C library can do so (glibc).

    Else each of some 100 KB or more comes from the system as new pages, which cost more than simple arithmetic on them.
    """
    with suppress(AttributeError, OSError, TypeError):
        library = ctypes.CDLL(None)
        for parameter, size in KEPT.items():
            library.mallopt(parameter, size)


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_at_most() -> int:
    """As many as it may use, fewer where OMP_NUM_THREADS says so."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores(), int(said)) if said.isdecimal() and int(said) else cores()


def use_threads(count: int) -> None:
    """Of torch, and of numpy's own library, which else takes every core for a product of a few rows."""
    torch.set_num_threads(count)
    threadpool_limits(count, "blas")


def room(device: torch.device) -> int:
    """Bytes of memory that are free on it; without bound where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError, IndexError):
        return 2**63
