"""Packages that a process does not use are left out of what looks for them."""

import importlib.util
import sys

import pytest

from harness.install.extras import without


def test_a_package_is_absent_inside_and_there_again_afterwards() -> None:
    sys.modules.pop("this", None)
    with without("this", "json"):
        assert importlib.util.find_spec("this") is None
        with pytest.raises(ImportError):
            importlib.import_module("this")
        assert importlib.import_module("json")  # was loaded before: it stays
    assert "this" not in sys.modules
    assert importlib.util.find_spec("this") is not None
