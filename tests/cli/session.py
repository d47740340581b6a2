"""Many commands in one process: to start Python for each of them would cost a second every time."""

import contextlib
import io
import json
import os
import sys

from samvad.cli import main


def run(words: list[str], settings: dict[str, str]) -> dict[str, object]:
    """What `samvad` with these words prints in an installation with these settings, and how it ends."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    for name in [name for name in os.environ if name.startswith("SAMVAD_")]:
        del os.environ[name]
    os.environ.update(settings)
    sys.argv = ["samvad", *words]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(run(**json.loads(line))), flush=True)
