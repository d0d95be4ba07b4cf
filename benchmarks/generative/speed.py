"""Training images per second on Fashion-MNIST, the lab against other loops with the same networks and the same steps.

    python -m benchmarks.generative.speed [--quick] [--trials 5] [--tasks vae gan gan_conv] [--threads 1] [--sides ...]

vae        784-400-20-400-784, Kingma & Welling 2014, grey pixels as chances, Adam at 1e-3, batches of 128
gan        fully connected networks of 256 and 256 units, the loss that does not saturate, Adam at 2e-4, batches of 64
gan_conv   the same with convolutions of 64 and 32 channels

lab        python -m lab +agent=vae or gan data=fashion_mnist as it comes, but for the network and the optimizer; of the
           GAN without the average of the generator, which the others do not have either
by-hand    a loop by hand that does the same: data on the device, bfloat16 where the lab chooses it, fused Adam, real
           and made pictures before the critic in one batch
plain      a loop by hand: DataLoader over a TensorDataset, float32; of the GAN with two optimizers
pythae     pythae 0.1.2's VAE and BaseTrainer with this encoder and decoder (vae alone)
lightning  PyTorch Lightning's Trainer on the plain loop's data and network, without logger and checkpoints (vae alone)

Each trial is a process of its own, and the sides take turns. The clock runs over the second and third epoch of 54,000
images, after a first one; nobody evaluates, saves or logs to the screen, the lab writes metrics.jsonl and TensorBoard.
loss is that of the last batch: the nats of the VAE, the generator's loss of the GAN.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn, tanh
from torch.nn.functional import binary_cross_entropy_with_logits, softplus
from torch.utils.data import DataLoader, TensorDataset

from .. import common
from ..supervised.speed import clocked, now

SEED, EPOCHS, HIDDEN, LATENT, CODE = 0, 3, 400, 20, 32
BATCH = {"vae": 128, "gan": 64, "gan_conv": 64}
SIDES = {"vae": ("lab", "by-hand", "plain", "pythae", "lightning"), "gan": ("lab", "by-hand", "plain"),
         "gan_conv": ("lab", "by-hand", "plain")}
TARGETS = {"vae": "lab at least 2.7 times pythae and 3 times lightning", "gan": "lab at least 1.5 times plain",
           "gan_conv": "lab at least 1.5 times plain"}
LAB = {"vae": ("+agent=vae", "model=vae_mlp", f"model.hidden=[{HIDDEN}]", f"agent.latent={LATENT}"),
       "gan": ("+agent=gan", "model=gan_mlp", "agent.ema=0", "optimizer.lr=2e-4"),
       "gan_conv": ("+agent=gan", "model=gan_conv", "agent.ema=0", "optimizer.lr=2e-4")}


def overrides(task: str, threads: int) -> list[str]:
    return [*LAB[task], "data=fashion_mnist", f"agent.batch_size={BATCH[task]}", "optimizer.schedule=constant",
            f"compute.threads={threads}", f"seed={SEED}", f"budget.epochs={EPOCHS}"]


def assembled(task: str, threads: int) -> Any:
    from lab.assembly import assemble
    from lab.compose import composed

    return assemble(composed(overrides(task, threads)))


def pictures(task: str, threads: int) -> tuple[Tensor, Any]:
    """The lab's own training images as they are, bytes [N, 1, 28, 28], and the context in which it calls networks."""
    made = assembled(task, threads)
    train = made.data.splits["train"]
    (batch,) = train.batches([torch.arange(len(train))], torch.device("cpu"))
    torch.set_num_threads(threads)
    torch.manual_seed(SEED)
    return batch["x"], made.compute.autocast


def lab(task: str, threads: int, epochs: int) -> dict[str, Any]:
    from lab.budget import Budget, Periods
    from lab.runner import Runner

    from ..core.records import NEVER, Files

    made = assembled(task, threads)
    length = made.experiment.stream.epoch_length or 1
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(made.experiment, made.compute, Files(Path(folder)),
                        Periods(made.cfg.log.every or 1, NEVER, NEVER))
        runner.evaluators, runner.closing = {}, {}
        runner.run(Budget(steps=length))
        runner.finished = -1
        took = common.timed(lambda: runner.run(Budget(steps=epochs * length)))
        found = made.experiment.learner.update(made.experiment.stream.next())
        loss = found["loss/train" if task == "vae" else "loss/generator"]
        return {**took, "loss": float(loss), "precision": made.compute.precision}


class VAE(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(784, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * LATENT))
        self.back = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 784))

    def forward(self, x: Tensor) -> Tensor:
        """Pixels from 0 to 1 [B, 1, 28, 28] -> the negative bound in nats, 0-d."""
        mean, log_var = self.body(x).float().chunk(2, -1)
        said = self.back(mean + (0.5 * log_var).exp() * torch.randn_like(mean)).float()
        nats = binary_cross_entropy_with_logits(said, x.flatten(1), reduction="none").sum(-1)
        return (nats + 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)).mean()


class Steps:
    """Of a network and its losses: what a plain loop does with a batch of pixels from 0 to 1."""

    def __init__(self, task: str, fused: bool):
        self.vae, self.size, self.together = task == "vae", BATCH[task], fused
        nets: list[nn.Module] = [VAE()] if self.vae else list(rivals(task))
        rate, betas = (1e-3, (0.9, 0.999)) if self.vae else (2e-4, (0.5, 0.999))
        self.nets = nets
        self.optimizers = [torch.optim.Adam(net.parameters(), rate, betas, fused=fused) for net in nets]

    def __call__(self, x: Tensor) -> Tensor:
        if self.vae:
            return self.step(self.nets[0](x), 0)
        generator, critic = self.nets
        made = tanh(generator(torch.randn(len(x), CODE)))
        both = (2 * x - 1, made.detach().float())
        real, told = critic(torch.cat(both)).chunk(2) if self.together else map(critic, both)
        self.step(softplus(-real.float()).mean() + softplus(told.float()).mean(), 1)
        return self.step(softplus(-critic(made).float()).mean(), 0)

    def step(self, loss: Tensor, which: int) -> Tensor:
        self.optimizers[which].zero_grad()
        loss.backward()                           # type: ignore[no-untyped-call]
        self.optimizers[which].step()
        return loss.detach()


def rivals(task: str) -> tuple[nn.Module, nn.Module]:
    """Generator and critic, built as the lab builds them."""
    from lab_gan.plugin import RivalsConv, RivalsMLP
    from lab_gan.rivals import convolutional, dense

    made = dense(RivalsMLP(), CODE, (1, 28, 28)) if task == "gan" else convolutional(RivalsConv(), CODE, (1, 28, 28))
    return made.generator, nn.Sequential(made.critic, nn.Linear(made.width, 1))


def by_hand(task: str, threads: int, epochs: int) -> dict[str, Any]:
    x, low = pictures(task, threads)
    torch.set_flush_denormal(True)
    steps, last = Steps(task, fused=True), list[Tensor]()

    def epoch() -> None:
        for rows in torch.randperm(len(x)).split(steps.size):
            with low():
                last[:] = [steps(x.index_select(0, rows) / 255)]

    epoch()
    return {**common.timed(lambda: [epoch() for _ in range(epochs - 1)]), "loss": float(last[0])}


def plain(task: str, threads: int, epochs: int) -> dict[str, Any]:
    x, _ = pictures(task, threads)
    loader, steps = DataLoader(TensorDataset(x / 255), BATCH[task], shuffle=True), Steps(task, fused=False)
    last = list[Tensor]()

    def epoch() -> None:
        for (batch,) in loader:
            last[:] = [steps(batch)]

    epoch()
    return {**common.timed(lambda: [epoch() for _ in range(epochs - 1)]), "loss": float(last[0])}


def lightning(task: str, threads: int, epochs: int) -> dict[str, Any]:
    import lightning as pl  # type: ignore[import-not-found]

    (x, _), marks, last = pictures(task, threads), list[tuple[float, float]](), list[Tensor]()

    class Module(pl.LightningModule):             # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = VAE()

        def training_step(self, batch: Any, i: int) -> Any:
            loss = self.net(batch[0])
            last[:] = [loss.detach()]
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=1e-3)

        def on_train_epoch_end(self) -> None:
            marks.append(now())

    trainer = pl.Trainer(max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False,
                         enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(Module(), DataLoader(TensorDataset(x / 255), BATCH[task], shuffle=True))
    return {**clocked(marks), "loss": float(last[0])}


def pythae(task: str, threads: int, epochs: int) -> dict[str, Any]:
    from pythae.data.preprocessors import DataProcessor  # type: ignore[import-not-found]
    from pythae.models import VAE as Peer  # type: ignore[import-not-found]
    from pythae.models import VAEConfig
    from pythae.models.base.base_utils import ModelOutput  # type: ignore[import-not-found]
    from pythae.models.nn import BaseDecoder, BaseEncoder  # type: ignore[import-not-found]
    from pythae.trainers import BaseTrainer, BaseTrainerConfig  # type: ignore[import-not-found]
    from pythae.trainers.training_callbacks import TrainingCallback  # type: ignore[import-not-found]

    (x, _), net, marks = pictures(task, threads), VAE(), list[tuple[float, float]]()

    class Encoder(BaseEncoder):                   # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.body = net.body

        def forward(self, x: Tensor) -> Any:
            mean, log_var = self.body(x).chunk(2, -1)
            return ModelOutput(embedding=mean, log_covariance=log_var)

    class Decoder(BaseDecoder):                   # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.back = net.back

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=self.back(z).sigmoid().view(-1, 1, 28, 28))

    class Mark(TrainingCallback):                 # type: ignore[misc]
        def on_epoch_end(self, training_config: Any, **kwargs: Any) -> None:
            marks.append(now())

    peer = Peer(VAEConfig((1, 28, 28), LATENT, reconstruction_loss="bce"), Encoder(), Decoder())
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(folder, BATCH[task], num_epochs=epochs, learning_rate=1e-3, no_cuda=True)
        trainer = BaseTrainer(peer, DataProcessor.to_dataset(x / 255), None, config, [Mark()])
        torch.set_num_threads(threads)
        trainer.train()
    return {**clocked(marks), "loss": float(net(x[-BATCH[task]:] / 255))}


RUN: dict[str, Callable[[str, int, int], dict[str, Any]]] = {
    "lab": lab, "by-hand": by_hand, "plain": plain, "pythae": pythae, "lightning": lightning}


def row(task: str, side: str, found: dict[str, list[dict[str, Any]]], images: int) -> dict[str, Any]:
    cells: dict[str, Any] = {"task": task, "side": side}
    speeds = {name: [images / each["wall_s"] for each in tries] for name, tries in found.items()}
    cells["images_per_s"] = common.stats(speeds[side], 0)
    mine, theirs = speeds.get("lab", speeds[side]), speeds[side]
    low, high = common.interval(lambda a, b: statistics.median(a) / statistics.median(b), mine, theirs, resamples=2000)
    cells["lab_is_times"] = f"{statistics.median(mine) / statistics.median(theirs):.2f} [{low:.2f}, {high:.2f}]"
    return {**cells, "loss": round(statistics.median(each["loss"] for each in found[side]), 2), "target": TARGETS[task]}


def main() -> None:
    parser = common.options(__doc__)
    parser.add_argument("--tasks", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--sides", nargs="+", choices=RUN, default=list(RUN))
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
        sides = {side: partial(run, side, str(epochs)) for side in SIDES[task] if side in args.sides}
        found = common.interleaved(sides, args.trials)
        rows += [row(*pair, found, 54_000 * (epochs - 1)) for pair in product([task], sides)]
    common.report(rows, {"seed": SEED, "trials": args.trials, "epochs": epochs, "threads": args.threads}, args.quick)


if __name__ == "__main__":
    main()
