"""lab sample RUN of a run that has learned a language: what follows a prompt, as it is made."""

from argparse import ArgumentParser, Namespace
from itertools import chain

import torch

from ..assembly import Assembled
from ..errors import UsageError, within
from ..modules import evaluating
from .out import checked
from .out import write as put

COLDEST = 1e-3
TOKENS, BETWEEN = 256, "\n\n---\n\n"
ITS_OWN = ("prompt", "tokens", "temperature", "top_k", "top_p")


def options(args: ArgumentParser) -> None:
    own = args.add_argument_group("of text")
    own.add_argument("--prompt", default=None, help="what to go on from (default: that of the run)")
    own.add_argument("--tokens", type=int, default=None, help=f"how many to say (default: {TOKENS})")
    own.add_argument("--temperature", type=float, default=None, help="0: the most likely; default: 1")
    own.add_argument("--top-k", type=int, default=None, help="of so many tokens, the most likely (default: of all)")
    own.add_argument("--top-p", type=float, default=None, help="of the most likely that have this chance together")


def refuse(given: Namespace, agent: str) -> None:
    """Raises UsageError where what is asked for is for text."""
    for name in ITS_OWN:
        if getattr(given, name) is not None:
            raise UsageError(f"--{name.replace('_', '-')} is for runs that have learned text, and {agent} has not")


def main(given: Namespace, made: Assembled, count: int) -> int:
    """Printed piece by piece, or written to a file. Raises UsageError for what does not go together."""
    n, tokens = 1 if given.n is None else given.n, TOKENS if given.tokens is None else given.tokens
    temperature = 1.0 if given.temperature is None else given.temperature
    top_k, top_p = given.top_k or 0, 1.0 if given.top_p is None else given.top_p
    within("-n", n, 1, 10_000)
    within("--tokens", tokens, 1, 10_000_000)
    within("--temperature", temperature, 0, 1000)
    if 0 < temperature < COLDEST:
        raise UsageError(f"--temperature is {temperature}; expected 0, or a number from {COLDEST}")
    within("--top-k", top_k, 0, 10**9)
    within("--top-p", top_p, 1e-9, 1)
    if given.label is not None:
        raise UsageError("--class is for runs that were told classes, and text has none")
    if given.out is not None:
        checked(given.out, (".txt",))
    prompt = getattr(made.cfg.agent, "prompt", "") if given.prompt is None else given.prompt
    rng, write = torch.Generator(made.compute.device).manual_seed(given.seed % 2**63), made.experiment.write
    assert write is not None
    said = list[str]()
    with torch.no_grad(), evaluating(made.experiment.learner):
        for i in range(n):
            pieces = iter(write(prompt, tokens, rng, temperature, top_k, top_p))
            first = next(pieces, "")              # what is wrong with a prompt comes before it is shown
            for piece in chain([BETWEEN] if i else [], [prompt, first], pieces):
                said.append(piece)
                if given.out is None:
                    print(piece, end="", flush=True)
    if given.out is None:
        print()
    else:
        put(given.out, "".join(said).encode())
        print(f"{given.out}: {n:,} texts of {made.cfg.agent.name} at {count:,}")
    return 0
