"""Rules for every test: on CI a skipped test is a failed one, and a slow machine makes no test fail.

All that can run on CI must run there. hypothesis, too, is not to judge how long an example takes beside other work.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("slipway", deadline=None)
settings.load_profile("slipway")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped on CI, where nothing may be: {report.longrepr}"
    return report
