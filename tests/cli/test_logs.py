"""What is logged when something goes wrong: where, and never with which values."""

import subprocess
import sys

import pytest

FAILS = """
import sys
import structlog
from samvad.cli.running import configure_logs

configure_logs(sys.argv[1])

def connect(given):
    raise RuntimeError("no answer")

try:
    connect({"accessToken": "EAA-" + "of-ada"})
except RuntimeError as error:
    structlog.get_logger("test").error("request.failed", exc_info=error)
"""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_in_the_log_shows_the_place_and_no_values(log_format: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAILS, log_format], capture_output=True, text=True, timeout=60, check=True
    )

    assert "request.failed" in done.stderr
    assert "no answer" in done.stderr
    assert "connect" in done.stderr
    assert "EAA-of-ada" not in done.stderr
