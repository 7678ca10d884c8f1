"""The flows that larger flows are built from."""

import pytest

from codegen_api import APIConnectionError, DeadlineExceededError
from codegen_api._flows import FailureLimit


def test_only_failures_in_a_row_count():
    limit = FailureLimit(2)
    for _ in range(5):
        limit.count(APIConnectionError("once"))
        limit.count(APIConnectionError("twice"))
        limit.reset()
    limit.count(APIConnectionError("once"))
    limit.count(APIConnectionError("twice"))

    with pytest.raises(APIConnectionError, match="thrice"):
        limit.count(APIConnectionError("thrice"))


def test_a_passed_deadline_is_raised_at_once():
    with pytest.raises(DeadlineExceededError):
        FailureLimit(9).count(DeadlineExceededError("over"))
