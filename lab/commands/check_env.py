"""`lab check-env ENV [KEY=VALUE ...]`: how exactly an environment can be resumed in mid-episode, found by trying."""

import re
import textwrap
import warnings
from collections.abc import Sequence
from functools import partial
from time import perf_counter
from typing import Any

from ..argv import repaired
from ..compose import choice, resolved
from ..env_state import Tier, trials
from ..env_walk import Env, Seen, odd, play, sampler
from ..errors import EnvError, UsageError, nearest
from ..help import groups
from ..host import host
from ..state import frozen_rng
from .parser import Parser

SECONDS = 2.0                     # for the search for a reset that is not pure


def main(argv: list[str]) -> int:
    """0 where the environment can be resumed exactly, 1 where only a new episode is left.

    Raises UsageError for an environment that is not registered or not installed, EnvError where it fails.
    """
    parser = Parser("check-env", __doc__.partition(": ")[2])
    parser.add_argument("env", help="a choice of env=, such as CartPole, or the id of a registered one")
    parser.add_argument("options", nargs="*", default=[], metavar="KEY=VALUE",
                        help="env.KEY=VALUE as in training, or NAME=VALUE for an argument of the environment")
    args = parser.parse_args(argv)
    cfg = config(args.env, args.options)
    name, build = getattr(cfg, "id", args.env), partial(host().load("env", cfg.name), cfg, None)
    with frozen_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        build().close()                                   # a mistake in the id or an option is seen here
        try:
            found = dict(trials(build, lambda episode: 1000 + episode))
            impure = impurity(build())
        except Exception as error:
            raise EnvError(f"{name} raised {type(error).__name__}: {error}") from error
    print("\n".join(report(name, found, impure)))
    return int(best(found) is Tier.BOUNDARY)


def config(name: str, options: Sequence[str]) -> Any:
    """The env group of a training with `name`, and with `options` in the syntax of its command line."""
    name, options = name.lstrip("+"), [option.lstrip("+") for option in options]
    if name.startswith("env."):
        name, options = "gym", [name, *options]
    for key, equals, _ in [option.partition("=") for option in options]:
        if not equals or "." in key.removeprefix("env.options.").removeprefix("env."):
            raise UsageError(f"expected env.KEY=VALUE, or NAME=VALUE for an option, after the name; came {key!r}")
    name = name.removeprefix("env=")
    if not re.fullmatch(r"[\w:./-]+", name):
        raise UsageError(f"{name!r} is no name of an environment. {nearest(name, groups()['env'])}")
    chosen = [f"env={name}"] if name in groups()["env"] else ["env=gym", f"env.id={name}"]
    own = "env.options." if "options" in resolved(chosen, "env") else "env."
    given = [option if option.startswith("env.") else f"{own}{option}" for option in options]
    return choice("env", [*chosen, *map(repaired, given)])


def best(found: dict[Tier, str]) -> Tier:
    return next((tier for tier, why_not in found.items() if not why_not), Tier.BOUNDARY)


def report(id: str, found: dict[Tier, str], impure: str) -> list[str]:
    """`found`: tier -> the first difference, or ""; `impure`: the first sign that reset(seed) is not pure, or ""."""
    width = max(map(len, Tier))
    lines = [f"{id}: {best(found)}"]
    lines += [f"  {tier:<{width}}  {f'no: {brief(why_not)}' if why_not else 'yes'}" for tier, why_not in found.items()]
    if best(found) is Tier.BOUNDARY:
        lines += ["  It does not repeat itself: a resumed run begins a new episode, unlike one that never stopped."]
    if impure:
        lines += [f"  warning: an episode depends on those before its reset(seed=...): {brief(impure)}.",
                  "           Evaluation on fixed seeds can differ from one time to the next."]
    return lines


def brief(text: str) -> str:
    return textwrap.shorten(text, 160, placeholder=" ...")


def impurity(env: Env) -> str:
    """The first difference between two episodes of one seed and the same actions, other episodes before each; or ""."""
    act, end, first = sampler(env), perf_counter() + SECONDS, dict[int, tuple[list[Any], list[Seen]]]()
    try:
        while len(first) < 16 and perf_counter() < end:
            actions = [act() for _ in range(8)]
            first[len(first)] = actions, episode(env, len(first), actions)
        for seed, (actions, seen) in reversed(first.items()):
            for step, (was, now) in enumerate(zip(seen, episode(env, seed, actions), strict=False)):
                if what := odd(was, now):
                    return f"seed {seed}, step {step}: {what}"
        return ""
    finally:
        env.close()


def episode(env: Env, seed: int, actions: Sequence[Any]) -> list[Seen]:
    """What came back from the reset and from every step, to the end of the episode or of `actions`."""
    seen = [play(env, ("reset", seed))]
    for action in actions:
        seen.append(play(env, ("step", action)))
        if seen[-1]["terminated"] or seen[-1]["truncated"]:
            break
    return seen
