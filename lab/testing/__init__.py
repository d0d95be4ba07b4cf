"""Promises that every agent keeps, as named checks. For a plugin's own tests:

    import pytest
    from lab.testing import CHECKS, maker

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_mine(check, tmp_path):
        check(maker("mine"), tmp_path)

`lab check mine` runs the same. An agent declares what cannot apply: Agent(..., not_checked={"overfits_one_batch":
"the reason"}), and overrides under which 70 updates cross every period of its config: Agent(..., small=(...)).
"""

from .checks import CHECKS, Check, applicable
from .making import Make, maker, next_batch
from .mutants import kinds, survivors

__all__ = ["CHECKS", "Check", "Make", "applicable", "kinds", "maker", "next_batch", "survivors"]
