"""What `python -m lab --help` prints. No torch, no Hydra: it answers at once."""

from pathlib import Path

from .host import core_folder, host

TEXT = """\
Trains an agent on an environment or a dataset:

    python -m lab +agent=dqn env=CartPole seed=1 budget.steps=50_000

Groups: choose with GROUP=NAME, the agent with +agent=NAME

{groups}

Change any value with KEY=VALUE; see them all with +agent=NAME --cfg job --resolve
Go on with a run:   python -m lab resume=RUN [budget.steps=...]
Many runs:          python -m lab -m +agent=dqn env=CartPole seed=0,1,2
What runs learned:  lab eval RUN | play RUN | predict RUN INPUT... | export RUN | sample RUN | compare RUN...
                    lab translate RUN FILE | tensorboard [DIR]
Other commands:     lab plugins | check AGENT | check-env ENV
Completion:         eval "$(lab -sc install=bash)"
Hydra's own flags:  --hydra-help
"""


def groups() -> dict[str, list[str]]:
    """Every group with its choices, from the lab's own folder, those of the plugins, and what has no file."""
    found: dict[str, set[str]] = {}
    for folder in (core_folder(), *host().folders.values()):
        for file in Path(folder).glob("*/*.yaml"):
            found.setdefault(file.parent.name, set()).add(file.stem)
    for group, name in host().entries:
        if group != "sink" and f"{group}/{name}.yaml" not in host().files:
            found.setdefault(group, set()).add(name)
    return {group: sorted(names - {"none"}) for group, names in sorted(found.items())}


def text() -> str:
    lines = [f"    {group + ':':<12}{', '.join(names)}" for group, names in groups().items() if names]
    return TEXT.format(groups="\n".join(lines))
