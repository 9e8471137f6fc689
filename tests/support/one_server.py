"""Skips tests on a cluster that only one server can pass, each with its reason.

A mark says it of a test or of a module, and `skip_on_cluster` of a helper and so of all its users.
With EVENT_TRIGGER_TEST_ON_CITUS=1 every database of the tests is spread over a cluster.
"""

import os

import pytest

from tests.support.databases import ON_CITUS

IS_CLUSTER = bool(os.environ.get(ON_CITUS))


def one_server(reason: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(IS_CLUSTER, reason=_why(reason))


def skip_on_cluster(reason: str) -> None:
    if IS_CLUSTER:
        pytest.skip(_why(reason))


def _why(reason: str) -> str:
    return f"of one server: {reason}"
