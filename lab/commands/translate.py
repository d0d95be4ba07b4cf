"""lab translate RUN FILE: what belongs to each line of a file, by a run that has learned pairs of texts."""

import sys
from pathlib import Path

import torch

from ..data.files import decoded, file, lines
from ..errors import UsageError, within
from ..modules import evaluating
from .out import checked, write
from .parser import Parser
from .using import opened


def main(argv: list[str]) -> int:
    """Prints a line for each line, an empty one for an empty one."""
    args = Parser("translate", "Say what belongs to each line of a file.")
    args.add_argument("run", type=Path, help="a run folder, or one of its checkpoints")
    args.add_argument("file", metavar="FILE", help="a text file; -: what is typed or piped in")
    args.add_argument("--beam", type=int, default=None, metavar="K", help="of the beam (default: agent.beam)")
    args.add_argument("--out", type=Path, default=None, help="NAME.txt (default: printed)")
    given = args.parse_args(argv)
    within("--beam", given.beam, 1, 1_000)
    if given.out is not None:
        checked(given.out, (".txt",))
    text = sys.stdin.read() if given.file == "-" else read(given.file)
    _, made, _, _, count = opened(given.run, "translate")
    assert made.experiment.translate is not None
    given_lines = lines(text)
    found = list[str]()
    with torch.no_grad(), evaluating(made.experiment.learner):
        said = made.experiment.translate([line for line in given_lines if line], given.beam or 0)
        for line in given_lines:
            found.append(next(said) if line else "")
            if given.out is None:
                print(found[-1], flush=True)
    if given.out is not None:
        write(given.out, "".join(f"{line}\n" for line in found).encode())
        print(f"{given.out}: {len(found):,} lines by {made.cfg.agent.name} at {count:,}")
    return 0


def read(path: str) -> str:
    """Raises UsageError for what is no text."""
    found = file(path, "FILE")
    text = decoded(found)
    if not text.strip():
        raise UsageError(f"{path} is empty; expected lines to translate")
    return text
