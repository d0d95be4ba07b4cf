"""lab export RUN: the network of a run for other programs, checked and timed."""

import importlib
import logging
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .. import checkpoint
from ..data.dataset import About
from ..data.network import single
from ..errors import LabError, UsageError
from .parser import Parser
from .using import opened

FORMATS = ("onnx", "torch")
SIZES = (1, 64)                   # examples in a batch, whose latency is reported
TRIALS, TOLERANCE = 20, 1e-3
Call = Callable[[Tensor], Tensor]


class Saying(nn.Module):
    """What a run says of inputs of one type, [B, ...] -> [B, K]."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return single(self.net(x))


def main(argv: list[str]) -> int:
    """Writes model.onnx and model.pt2, says how far their outputs are from the run's own, and how long each takes."""
    args = Parser("export", "Write the network of a run as ONNX and for torch.export.")
    args.add_argument("run", type=Path, help="a run folder, or one of its checkpoints")
    args.add_argument("--out", type=Path, default=Path("."), help="the folder to write to (default: here)")
    args.add_argument("--format", nargs="+", choices=FORMATS, default=list(FORMATS))
    given = args.parse_args(argv)
    cfg, made, about, dtype, count = opened(given.run, "predict")
    if about.ragged:
        raise UsageError("the inputs of this run are of several lengths, and a network that is exported takes "
                         "inputs of one; use lab predict")
    net = network_of(made.experiment.learner, cfg.agent.name)
    examples = some(about, dtype, 1)
    if "onnx" in given.format:
        onnx_runtime()
    try:
        given.out.mkdir(parents=True, exist_ok=True)
        calls = {kind: WRITERS[kind](net, examples, given.out) for kind in given.format}
    except OSError as error:
        raise checkpoint.disk_error(error, given.out) from error
    own = {size: some(about, dtype, size) for size in SIZES}
    print(f"{cfg.agent.name} at {count:,}: {about.kind} {list(about.shape)} {dtype} -> {about.outputs} outputs")
    print(f"{'':<12}{'largest difference':>20}" + "".join(f"{f'ms, batch {size}':>16}" for size in SIZES))
    everyone: dict[str, Call] = {"the lab": net, **calls}
    for kind, call in everyone.items():
        far = max(float((call(x).detach() - net(x).detach()).abs().max()) for x in own.values())
        print(f"{kind:<12}{far:>20.2g}" + "".join(f"{latency(call, x):>16.3f}" for x in own.values()))
        if not far <= TOLERANCE * max(1, float(net(own[SIZES[-1]]).detach().abs().max())):
            raise LabError(f"{kind}: its outputs are up to {far:.3g} from those of the run; the files are not to be "
                           "trusted")
    return 0


def network_of(learner: Any, name: str) -> nn.Module:
    """Raises UsageError where a learner has none."""
    net = getattr(learner, "judged", None)
    if not isinstance(net, nn.Module):
        raise UsageError(f"{name} is no network that could be exported; use lab predict")
    return Saying(net).eval().cpu()


def some(about: About, dtype: torch.dtype, size: int) -> Tensor:
    """Inputs of the kind that the network takes, at random: [size, ...]"""
    rng = torch.Generator().manual_seed(0)
    if dtype == torch.uint8:
        return torch.randint(0, 256, (size, *about.shape), dtype=dtype, generator=rng)
    x = torch.rand(size, *about.shape, generator=rng)
    for i, column in enumerate(about.columns if about.kind == "table" else ()):
        if column.categories is not None:
            x[:, i] = (x[:, i] * len(column.categories)).floor()
    return x


def latency(call: Call, x: Tensor) -> float:
    """Median milliseconds."""
    times = []
    with torch.no_grad():
        for _ in range(TRIALS):
            start = time.perf_counter()
            call(x)
            times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def program(net: nn.Module, x: Tensor) -> Any:
    two = torch.cat([x, x])                       # a batch of one would be taken for a constant
    return torch.export.export(net, (two,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))


def to_torch(net: nn.Module, x: Tensor, folder: Path) -> Call:
    """model.pt2, to be read by torch.export.load."""
    file = folder / "model.pt2"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(program(net, x), file)
        call: Call = torch.export.load(file).module()
    return call


def onnx_runtime() -> Any:
    """Raises UsageError where a package that ONNX takes is missing."""
    try:
        for name in ("onnx", "onnxscript"):
            importlib.import_module(name)
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise UsageError(f'ONNX needs the package {error.name}: pip install "pluglab[export]", or --format torch'
                         ) from error


def to_onnx(net: nn.Module, x: Tensor, folder: Path) -> Call:
    """model.onnx, run by onnxruntime."""
    runtime, file = onnx_runtime(), folder / "model.onnx"
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.onnx.export(program(net, x), dynamo=True, verbose=False, input_names=["x"], output_names=["out"])
        assert made is not None
        made.save(file)
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(None, {session.get_inputs()[0].name: x.numpy()})[0])


WRITERS: dict[str, Callable[[nn.Module, Tensor, Path], Call]] = {"onnx": to_onnx, "torch": to_torch}
