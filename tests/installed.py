"""Tests that need a tool say so."""

from importlib.metadata import PackageNotFoundError, version

import pytest


def needs(*names):
    """Skips a test where a tool is not installed."""
    missing = []
    for name in names:
        try:
            version(f"yowasp-{name}")
        except PackageNotFoundError:
            missing.append(f"yowasp-{name}")
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")
