"""python -m lab +agent=dqn env=CartPole seed=1"""

import os
import signal
import sys
from importlib import import_module
from pathlib import Path

from . import __version__, argv, help, screen, signals
from .errors import LabError, UsageError, closest

COMMANDS = {"plugins": "plugins", "eval": "eval", "play": "play", "check": "check", "check-env": "check_env",
            "tensorboard": "tensorboard", "export": "export", "predict": "predict", "sample": "sample",
            "translate": "translate", "compare": "compare"}


def main() -> int:
    """Runs a command or a training; returns its exit code. A user's mistake is one paragraph, not a traceback."""
    args = sys.argv[1:]
    screen.install()
    signals.FLAGS.stop = None
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:      # nohup and the like ignore it
        signal.signal(signal.SIGINT, signals.interrupted)
    try:
        if args and args[0] in COMMANDS:
            return int(import_module(f".commands.{COMMANDS[args[0]]}", __package__).main(args[1:]))
        if args and not args[0].startswith("-") and "=" not in args[0]:
            raise UsageError(f"no command is called {args[0]!r}. {closest(args[0], COMMANDS)} "
                             "To train: python -m lab +agent=dqn env=CartPole")
        return train(args)
    except (KeyboardInterrupt, signals.Stop):         # before or after the stretch in which a stop is saved first
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:        # LabError, or what a plugin or the lab itself did not foresee
        if os.environ.get("LAB_DEBUG") == "1":
            raise
        if not isinstance(error, LabError):
            error = LabError(f"{type(error).__name__}: {error}. LAB_DEBUG=1 shows the traceback")
        screen.complain(error)
        return error.exit_code


def train(args: list[str]) -> int:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)         # until there is something to save
    flags, overrides = argv.split(args)
    argv.refuse_doubles(overrides)
    run, rest = argv.take(overrides, "resume")
    if flags and run is not None:
        raise UsageError("resume= goes on with one run: it takes no flags")
    if {"--version", "--help", "-h"} & set(flags):
        print(f"lab {__version__}" if "--version" in flags else help.text())
        return 0
    if any(argv.key(each) == "model.init" for each in overrides):
        from .beginning import inherited

        overrides = inherited(overrides)
    if flags:
        return through_hydra(flags, overrides)
    if run not in (None, "", "null"):
        from .train import resume

        return resume(Path(str(run)), rest)
    folder, rest = argv.take(overrides, "hydra.run.dir")
    from .compose import composed

    cfg = composed(rest)
    from .train import start  # here and not above: this imports torch, which a typo must not wait for

    return start(cfg, folder)


def through_hydra(flags: list[str], overrides: list[str]) -> int:
    """--cfg, --multirun, shell completion: Hydra's own."""
    import hydra

    from .compose import HYDRA, composed, install
    from .host import core_folder
    from .jobs import FAILED, job

    sweep = bool({"-m", "--multirun"} & set(flags))
    if not any(flag == "--hydra-help" or flag.startswith(("-sc", "--shell")) for flag in flags):
        configs = [composed(each) for each in argv.expanded(overrides)]
        if sweep:                     # a mistake gets our message, not Hydra's, and before the first job
            from .assembly import rehearse
            from .folder import make

            rehearse(configs)
            place = argv.take(overrides, "hydra.sweep.dir")[0] or "runs/sweeps"
            make(Path(place.strip("\"'").partition("${")[0] or "."), "hydra.sweep.dir")
    sys.argv[:] = ["lab", *flags, *overrides]
    install()
    FAILED.clear()
    hydra.main(version_base=HYDRA, config_path=str(core_folder()), config_name="config")(job)()
    return FAILED[0] if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
