"""Imported before everything else."""

import os
import sys

if sys.argv[:1] == ["-m"] and sys.path[:1] == [os.getcwd()] and not sys.flags.safe_path:
    del sys.path[0]               # `python -m lab`: a typing.py in the current folder must not replace the standard one
