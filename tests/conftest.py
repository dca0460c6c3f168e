"""In continuous integration a missing part is a failure: a skipped test fails there, but for two kinds of reasons.

`shared`: it needs ../shared, real data that is not in the repository. `optional`: it needs a tool that the requirements
leave out, such as SkyPilot, which lives in an environment of its own.
"""

import os

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    allowed = any(word in str(report.longrepr) for word in ("shared", "optional"))
    if report.skipped and os.environ.get("CI") == "true" and not allowed:
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI=true does not allow: {report.longrepr}"
    return report
