"""lab check AGENT [KEY=VALUE ...]: does an agent keep the promises that every agent keeps?"""

import tempfile
import time
from pathlib import Path

from ..errors import LabError
from ..testing import applicable, maker
from .parser import Parser


def main(argv: list[str]) -> int:
    """Runs every check of lab.testing and prints a line for each; exit code 1 where one failed."""
    parser = Parser("check", __doc__.partition(": ")[2])
    parser.add_argument("agent")
    parser.add_argument("overrides", nargs="*", default=[], metavar="KEY=VALUE",
                        help="such as env=FrozenLake; else a tiny world")
    given = parser.parse_args(argv)
    agent = given.agent
    make, failed = maker(agent, *given.overrides), 0
    for check, reason in applicable(agent):
        name, before = check.__name__.replace("_", " "), time.perf_counter()
        if reason is not None:
            print(f"  --    {name}: cannot apply, {reason}")
            continue
        try:
            with tempfile.TemporaryDirectory() as folder:
                check(make, Path(folder))
        except (AssertionError, LabError) as error:
            failed += 1
            print(f"FAILED  {name}: {error}")
        except Exception as error:
            failed += 1
            print(f"FAILED  {name}: {type(error).__name__}: {error}")
        else:
            print(f"  ok    {name} ({time.perf_counter() - before:.1f} s)")
    print(f"{agent}: {'all checks passed' if not failed else f'{failed} failed'}")
    return 1 if failed else 0
