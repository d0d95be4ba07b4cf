"""Small repairs to the command line before Hydra reads it."""

import itertools
import re
from collections.abc import Iterator
from decimal import Decimal

from .errors import UsageError, first_line

FLAGS = {"-m", "--multirun", "-h", "--help", "--hydra-help", "--resolve", "--version", "--cfg", "-c",
         "--info", "-i", "-sc", "--shell-completion", "--package", "-p", "--config-dir", "-cd"}
WITH_VALUE = {"--cfg", "-c", "--package", "-p", "--config-dir", "-cd", "--info", "-i"}
TRIED = 64                        # jobs of a sweep that are checked before the first one starts
PLAIN = re.compile(r"[\w./:%@?|+=\\-]*", re.ASCII)          # what Hydra reads without quotes
ADDED = ("agent", "experiment")   # groups that are appended: agent=dqn means +agent=dqn


def key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def split(args: list[str]) -> tuple[list[str], list[str]]:
    """(flags with their values, overrides): Hydra stops reading overrides at a flag in their midst."""
    flags, overrides, rest = list[str](), list[str](), iter(args)
    for arg in rest:
        if not arg.startswith("-"):
            overrides.append(arg)
            continue
        flags.append(arg)
        if arg in WITH_VALUE and (value := next(rest, None)) is not None:
            flags.append(value)
    for flag in flags:
        if flag.startswith("-") and flag.partition("=")[0] not in FLAGS:
            raise UsageError(f"unknown option {flag}; overrides are written KEY=VALUE, see python -m lab --help")
    return flags, [repaired(each) for each in overrides]


def repaired(override: str) -> str:
    """agent=dqn as +agent=dqn, env.options.x=1 as ++env.options.x=1, 1e6 as 1000000, for keys that count, and a name
    of a file that Hydra cannot read, such as "a (1).txt", in quotes.
    """
    name, sign, value = override.partition("=")
    if not sign:
        raise UsageError(f"{override!r} is neither a command nor KEY=VALUE; see python -m lab --help")
    if value.strip("\"'") == "???":     # which Hydra takes for a value that is still to come
        raise UsageError(f"{override}: expected a value")
    if name.lstrip("+") in ADDED:
        name = f"+{name.lstrip('+')}"
    if name.lstrip("+").startswith("env.options."):
        name = f"++{name.lstrip('+')}"
    if re.fullmatch(r"[+-]?\d+(\.\d+)?[eE]\+?\d+", value) and float(value).is_integer() and abs(float(value)) < 1e18:
        value = str(int(Decimal(value)))
    if not PLAIN.fullmatch(value) and value[0] not in "[{'\"" and "${" not in value and not parses(f"{name}={value}"):
        value = quoted(value)
    return f"{name}={value}"


def quoted(value: str) -> str:
    """As one word for Hydra, whatever is in it."""
    doubled = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
    return f"'{doubled}'"


def parses(override: str) -> bool:
    """Whether Hydra can read it."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return True


def expanded(overrides: list[str]) -> Iterator[list[str]]:
    """The first of the jobs that a sweep over plain choices comes to; one list where nothing is swept."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import ValueType
    from hydra.errors import HydraException

    ours = [each for each in overrides if not key(each).startswith("hydra")]
    try:
        parsed = OverridesParser.create().parse_overrides(ours)
        globs = [each for each in parsed if each.value_type is ValueType.GLOB_CHOICE_SWEEP]       # Hydra's own affair
        choices = [[f"{each.get_key_element()}={value}" for value in each.sweep_string_iterator()]
                   if each.is_choice_sweep() else [str(each.input_line)] for each in parsed
                   if each not in globs and (each.is_choice_sweep() or not each.is_sweep_override())]
    except HydraException as error:
        raise UsageError(first_line(error)) from None
    yield from itertools.islice(map(list, itertools.product(*choices)), TRIED)


def take(overrides: list[str], name: str) -> tuple[str | None, list[str]]:
    """The last value given to `name`, and the other overrides."""
    values = [each.partition("=")[2] for each in overrides if key(each) == name]
    return (values[-1] if values else None), [each for each in overrides if key(each) != name]


def refuse_doubles(overrides: list[str]) -> None:
    """Raises UsageError where one key is given twice with different values: which one was meant?"""
    seen: dict[str, str] = {}
    for each in overrides:
        if seen.setdefault(key(each), each) != each:
            raise UsageError(f"{key(each)} is given twice: {seen[key(each)]} and {each}")
    if {"agent", "experiment"} <= seen.keys():
        raise UsageError(f"an experiment brings its agent: leave out {seen['agent']}, or {seen['experiment']}")
