"""Proximal policy optimisation. Light: the command line reads this file before torch is imported."""

from lab import Agent, hookimpl


@hookimpl
def lab_agents() -> list[Agent]:
    return []
