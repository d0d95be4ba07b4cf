"""What a plugin promises the runner: one learner, one stream of batches, any evaluators.

    stream.next()         -> batch      data in, from a dataset, an environment or a buffer
    learner.update(batch) -> metrics    one improvement of everything the learner owns

Nothing else in the lab knows whether it trains a Q-table, a GAN or a language model.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .modules import count_parameters
from .state import Saved

Batch = Mapping[str, Tensor]      # a common leading axis on every tensor, already on the compute device
Metrics = Mapping[str, Tensor]    # "group/name" -> 0-d tensor, still on the device: only the runner reads it
Evaluator = Callable[[], Mapping[str, Any]]
# ^ {"return/mean": 500.0}; the runner puts eval/ before each name. A number is a metric; a uint8 array [H, W, 3] is a
#   picture and [T, H, W, 3] a film; a tensor is shown as the histogram of its values; lab.media has Table, for CSV,
#   Counts, for a curve of precision over recall, and Codes, for the projector. All but numbers are kept under media/.
Act = Callable[[Tensor, int], Tensor]             # (obs [N, ...], count so far) -> action [N, ...], with exploration
Predict = Callable[..., Tensor]                   # (x [B, ...], length [B] or None) -> logits or numbers [B, K]
Sample = Callable[..., Tensor]                    # (n, rng, label [n] or None) -> n new examples, as the data has them
# ^ Pixels from 0 to 1. It may have a method walk(n, steps, rng, label) that yields so many times [n, ...], from one
#   to the next, and `classes`, how many it is told.
Write = Callable[..., Iterator[str]]
# ^ (prompt, count of tokens, rng, temperature, top_k, top_p, remember) -> what follows the prompt, piece by piece
Translate = Callable[..., Iterator[str]]          # (texts, width of the beam; 0: the run's) -> what belongs to each
Policy = Callable[[Tensor], Tensor]               # obs [N, ...] -> action [N, ...], without
# ^ Either may have a memory of each episode. It then has a method begin(fresh), called before every step with booleans
#   [N]: true where the episode has just begun, so that nothing is remembered. N may be another than before.


def acting(policy: Policy, see: Policy = lambda obs: obs) -> Callable[..., Tensor]:
    """`policy` on what `see` makes of the observations, as something that acts, without gradients; with its memory."""
    def act(obs: Tensor, count: int = 0) -> Tensor:
        with torch.no_grad():
            return policy(see(obs))

    act.begin = getattr(policy, "begin", None)    # type: ignore[attr-defined]
    return act


class Learner(Saved):
    """Owns parameters and optimizers; `saved` names every attribute that an update changes."""

    needs_data = False            # whether what was learned can be used only where the training data is
    says_chances = True           # whether the softmax of what it predicts of classes are their chances, or mere scores

    def update(self, batch: Batch) -> Metrics:
        """Improve once. The names of the metrics are the same at every update."""
        raise NotImplementedError

    def logged(self, count: int) -> dict[str, float]:
        """What there is to log beside the updates, when the stream is at `count`; asked for once per log."""
        return {}

    def num_parameters(self) -> int:
        """How many numbers it has learned: for `lab compare`."""
        return count_parameters(self)


class Stream(Saved):
    """An endless source of batches that knows how much of the world it has consumed."""

    count: int = 0                # environment steps, examples or tokens so far: the x axis of every plot
    unit: str = "steps"
    warmup: int = 0               # `count` before the first batch
    epoch_length: int | None = None     # `count` per epoch, where there are epochs
    epoch_updates: float | None = None  # updates per epoch

    def next(self) -> Batch | None:
        """The batch for one update. None: there is none yet, ask again; the runner looks up in between."""
        raise NotImplementedError

    def metrics(self) -> dict[str, float]:
        """What happened since the last call, such as episode returns; reading resets it."""
        return {}

    def close(self) -> None:
        """The end of this sitting."""

    def notes(self) -> list[str]:
        """What a user should know at the start, such as how exactly the environment can be resumed."""
        return []


@dataclass(frozen=True)
class Experiment:
    """What an agent's `build` returns."""

    learner: Learner
    stream: Stream
    evaluators: Mapping[str, Evaluator] = field(default_factory=dict)
    closing: Mapping[str, Evaluator] = field(default_factory=dict)     # at the end of the run alone
    summary: str = ""             # of its networks, as Markdown; lab.layers makes one
    operations: int = 0           # of one update's forward pass, where they are known: lab.layers counts them
    predict: Predict | None = None    # what the learner says of examples, for `lab predict` and `lab export`
    sample: Sample | None = None  # for `lab sample`
    cost: Predict | None = None   # (x [B, ...]) -> nats that it takes to say each of them [B]: `lab predict` of those
    # ^ that predict nothing; what costs much is unlike what was learned
    write: Write | None = None    # for `lab sample` of text
    translate: Translate | None = None        # for `lab translate`
    policy: Policy | None = None  # for evaluation over episodes, `lab eval` and `lab play`
