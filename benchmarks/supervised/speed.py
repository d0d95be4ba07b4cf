"""Training images per second on Fashion-MNIST, the lab against other loops with the same network and the same steps.

    python -m benchmarks.supervised.speed [--quick] [--trials 5] [--tasks conv mlp] [--threads 1] [--sides ...]

conv       two convolutions of 3 x 3, 32 and 64 channels, each with ReLU and a maximum over 2 x 2, then 10 outputs
mlp        fully connected layers of 256, 128 and 100 units, then 10 outputs

lab        python -m lab +agent=classifier data=fashion_mnist as it comes, but for the network and the optimizer
by-hand    a loop by hand that does the same: data on the device, bfloat16 where the processor has it, fused Adam, and
           the loss, accuracy and gradient's norm of each batch
plain      a loop by hand: DataLoader over a TensorDataset, float32
taught     the same over a Dataset that makes a tensor of each picture when it is asked for it, as torchvision does
lightning  PyTorch Lightning's Trainer on the plain loop's data and network, without logger and checkpoints
skorch     skorch's NeuralNetClassifier on the same

Adam at 1e-3, batches of 128, no augmentation. Each trial is a process of its own, and the sides take turns. The clock
runs over the second and third epoch of 54,000 images, after a first one; nobody evaluates, saves or logs to the screen,
the lab writes metrics.jsonl and TensorBoard. Accuracy is that on the 10,000 test images after the last epoch.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset, TensorDataset

from lab.devices import fast_bf16

from .. import common

SEED, BATCH, EPOCHS = 0, 128, 3
TASKS, SIDES = ("conv", "mlp"), ("lab", "by-hand", "plain", "taught", "lightning", "skorch")
TARGETS = {"conv": "lab at least 2.2 times plain", "mlp": "lab at least 4 times plain"}
LAB = {
    "conv": ("model=cnn", "model.channels=[32,64]", "model.kernels=[3,3]", "model.strides=[1,1]", "model.padding=same",
             "model.pool=2", "model.hidden=[]", "model.norm=none"),
    "mlp": ("model=mlp", "model.hidden=[256,128,100]", "model.norm=none")}


def network(task: str) -> nn.Sequential:
    torch.manual_seed(SEED)
    if task == "mlp":
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(),
                             nn.Linear(128, 100), nn.ReLU(), nn.Linear(100, 10))
    return nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3136, 10))


def overrides(task: str, threads: int) -> list[str]:
    return ["+agent=classifier", "data=fashion_mnist", *LAB[task], f"agent.batch_size={BATCH}", "optimizer=adam",
            "optimizer.lr=1e-3", "optimizer.schedule=constant", f"compute.threads={threads}", f"seed={SEED}",
            f"budget.epochs={EPOCHS}"]


def pictures(threads: int) -> dict[str, torch.Tensor]:
    """The lab's own training and test images, standardised: floats [N, 1, 28, 28] and labels [N]."""
    from lab.compose import composed
    from lab.compute import Compute
    from lab.world import World

    cfg = composed(overrides("mlp", threads))
    data = World(cfg, Compute(cfg.compute)).data
    front, _ = data.front
    found = {}
    with torch.no_grad():
        for name in ("train", "test"):
            (batch,) = data.splits[name].batches([torch.arange(len(data.splits[name]))], torch.device("cpu"))
            found |= {f"x_{name}": front(batch["x"]), f"y_{name}": batch["y"]}
    return found


@torch.no_grad()
def accuracy(net: nn.Module, found: dict[str, torch.Tensor]) -> float:
    net.eval()
    said = torch.cat([net(x).argmax(-1) for x in found["x_test"].split(1000)])
    return float((said == found["y_test"]).float().mean())


def lab(task: str, threads: int, epochs: int) -> dict[str, Any]:
    from lab.assembly import assemble
    from lab.budget import Budget, Periods
    from lab.compose import composed
    from lab.runner import Runner

    from ..core.records import NEVER, Files

    cfg = composed(overrides(task, threads))
    made = assemble(cfg)
    length = made.experiment.stream.epoch_length or 1
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(made.experiment, made.compute, Files(Path(folder)), Periods(cfg.log.every or 1, NEVER, NEVER))
        judge = runner.closing["test"]
        runner.evaluators, runner.closing = {}, {}
        runner.run(Budget(steps=length))
        runner.finished = -1
        took = common.timed(lambda: runner.run(Budget(steps=epochs * length)))
        made.experiment.learner.net.eval()        # type: ignore[attr-defined]
        return {**took, "accuracy": judge()["test/accuracy"], "precision": made.compute.precision}


def raw(threads: int) -> tuple[torch.Tensor, torch.Tensor, Any]:
    """The training images as they are, bytes [N, 1, 28, 28], the labels, and the lab's own standardisation."""
    from lab.compose import composed
    from lab.compute import Compute
    from lab.world import World

    cfg = composed(overrides("mlp", threads))
    data = World(cfg, Compute(cfg.compute)).data
    (batch,) = data.splits["train"].batches([torch.arange(len(data.splits["train"]))], torch.device("cpu"))
    return batch["x"], batch["y"], data.front[0]


def by_hand(task: str, threads: int, epochs: int) -> dict[str, Any]:
    """What the lab does to a batch, the metrics of each included, without a runner."""
    x, y, front = raw(threads)
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    net = network(task).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    low = torch.autocast("cpu", torch.bfloat16, enabled=fast_bf16(torch.device("cpu")))
    metrics = list[torch.Tensor]()

    def epoch() -> None:
        for rows in torch.randperm(len(x)).split(BATCH):
            images, labels = x.index_select(0, rows), y.index_select(0, rows)
            with low:
                out = net(front(images))
            out = out.float()
            loss = cross_entropy(out, labels)
            optimizer.zero_grad()
            loss.backward()
            norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm([p.grad for p in net.parameters()])))
            optimizer.step()
            metrics[:] = loss.detach(), norm, (out.detach().argmax(-1) == labels).float().mean()

    epoch()
    took = common.timed(lambda: [epoch() for _ in range(epochs - 1)])
    return {**took, "accuracy": accuracy(net, pictures(threads))}


def plain(task: str, threads: int, epochs: int) -> dict[str, Any]:
    found = pictures(threads)
    return loop(task, threads, epochs, TensorDataset(found["x_train"], found["y_train"]), found)


def taught(task: str, threads: int, epochs: int) -> dict[str, Any]:
    return loop(task, threads, epochs, Opened(*raw(threads)[:2]), pictures(threads))


class Opened(Dataset[tuple[torch.Tensor, int]]):
    """What torchvision's FashionMNIST does with ToTensor and Normalize, picture by picture: [1, 28, 28] and a label."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor):
        scaled = x / 255
        self.x, self.y, self.mean, self.std = x.numpy()[:, 0], y, float(scaled.mean()), float(scaled.std())

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        picture = Image.fromarray(self.x[i])
        x = torch.from_numpy(np.array(picture)).view(28, 28, 1).permute(2, 0, 1).contiguous().float().div(255)
        return x.sub_(self.mean).div_(self.std), int(self.y[i])


def loop(task: str, threads: int, epochs: int, examples: Dataset[Any], found: dict[str, torch.Tensor]
         ) -> dict[str, Any]:
    net = network(task)
    torch.set_num_threads(threads)
    loader = DataLoader(examples, BATCH, shuffle=True)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)

    def epoch() -> None:
        for x, y in loader:
            loss = cross_entropy(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    epoch()
    took = common.timed(lambda: [epoch() for _ in range(epochs - 1)])
    return {**took, "accuracy": accuracy(net, found)}


def clocked(marks: list[tuple[float, float]]) -> dict[str, Any]:
    """Seconds from the end of the first epoch to that of the last."""
    return {"wall_s": marks[-1][0] - marks[0][0], "cpu_s": marks[-1][1] - marks[0][1]}


def now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def lightning(task: str, threads: int, epochs: int) -> dict[str, Any]:
    import lightning as pl  # type: ignore[import-not-found]

    found, net, marks = pictures(threads), network(task), list[tuple[float, float]]()
    torch.set_num_threads(threads)

    class Module(pl.LightningModule):             # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def training_step(self, batch: Any, i: int) -> Any:
            return cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=1e-3)

        def on_train_epoch_end(self) -> None:
            marks.append(now())

    loader = DataLoader(TensorDataset(found["x_train"], found["y_train"]), BATCH, shuffle=True)
    trainer = pl.Trainer(max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False,
                         enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(Module(), loader)
    return {**clocked(marks), "accuracy": accuracy(net, found)}


def skorch(task: str, threads: int, epochs: int) -> dict[str, Any]:
    from skorch import NeuralNetClassifier  # type: ignore[import-not-found]
    from skorch.callbacks import Callback  # type: ignore[import-not-found]

    found, net, marks = pictures(threads), network(task), list[tuple[float, float]]()
    torch.set_num_threads(threads)

    class Mark(Callback):                         # type: ignore[misc]
        def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
            marks.append(now())

    model = NeuralNetClassifier(net, criterion=nn.CrossEntropyLoss, optimizer=torch.optim.Adam, lr=1e-3,
                                max_epochs=epochs, batch_size=BATCH, train_split=None, verbose=0,
                                iterator_train__shuffle=True, callbacks=[Mark()])
    model.fit(found["x_train"], found["y_train"])
    return {**clocked(marks), "accuracy": accuracy(model.module_, found)}


RUN: dict[str, Callable[[str, int, int], dict[str, Any]]] = {
    "lab": lab, "by-hand": by_hand, "plain": plain, "taught": taught, "lightning": lightning, "skorch": skorch}


def row(task: str, side: str, found: dict[str, list[dict[str, Any]]], images: int) -> dict[str, Any]:
    cells: dict[str, Any] = {"task": task, "side": side}
    mine, theirs = ([images / each["wall_s"] for each in found[name]] for name in (side, "plain"))
    low, high = common.interval(lambda a, b: statistics.median(a) / statistics.median(b), mine, theirs, resamples=2000)
    ratio = statistics.median(mine) / statistics.median(theirs)
    cells |= {"images_per_s": common.stats(mine, 0), "times_plain": f"{ratio:.2f} [{low:.2f}, {high:.2f}]"}
    return {**cells, "accuracy": round(statistics.median(each["accuracy"] for each in found[side]), 4),
            "target": TARGETS[task]}


def main() -> None:
    parser = common.options(__doc__)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--trial", nargs=3, metavar=("TASK", "SIDE", "EPOCHS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.trial:
        task, side, epochs = args.trial[0], args.trial[1], int(args.trial[2])
        print(json.dumps(RUN[side](task, args.threads, epochs)))
        return
    name, epochs = common.module_name(), 2 if args.quick else EPOCHS
    rows = []
    for task in args.tasks:
        run = partial(common.in_process, name, "--threads", str(args.threads), "--trial", task)
        sides = {side: partial(run, side, str(epochs)) for side in args.sides}
        found = common.interleaved(sides, args.trials)
        rows += [row(*pair, found, 54_000 * (epochs - 1)) for pair in product([task], args.sides)]
    common.report(rows, {"seed": SEED, "trials": args.trials, "epochs": epochs, "threads": args.threads}, args.quick)


if __name__ == "__main__":
    main()
