"""A lab for reinforcement learning and generative models. Importing it is cheap: no torch here."""

from . import startup  # noqa: F401, first: before anything else is looked for
from .hookspecs import Agent, Dataset, Entry, Env, Model, Optimizer, Sink, hookimpl

__version__ = "0.1.0"
__all__ = ["Agent", "Dataset", "Entry", "Env", "Model", "Optimizer", "Sink", "__version__", "hookimpl"]
