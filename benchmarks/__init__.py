"""The commands behind every number in the documents: python -m benchmarks.<area>.<name> [--quick]"""

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):     # before anything imports torch; inherited by every trial
    os.environ.setdefault(name, "1")
