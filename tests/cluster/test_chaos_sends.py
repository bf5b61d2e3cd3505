"""A small run of what tests/chaos/sends.py does at length."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))

import sends  # noqa: E402  (of tests/chaos)


@pytest.mark.limit(240)
def test_what_was_answered_1_has_one_result_whatever_its_node_and_redis_do(bare):
    assert sends.answered(bare, 12, seed=7) == []
