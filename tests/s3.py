"""A store of files that speaks S3: a server on loopback in a process of its own, which checks every signature."""

import json
import os
import re
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

KEY, SECRET = "a-key-of-the-tests", "a-secret-of-the-tests"
REGION = "eu-north-1"
PATIENCE_S = 60.0  # for a Python that starts on a machine that does much else


@dataclass
class S3:
    """The server, and below its folder the buckets: an object is a file there."""

    folder: Path
    port: int = 0
    process: "subprocess.Popen[str] | None" = None
    buckets: int = 0
    log: list[str] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, str]:
        """The environment of whoever may read and write here."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": REGION,
        }

    def bucket(self) -> str:
        """A new bucket, by name."""
        self.buckets += 1
        name = f"bucket-{self.buckets}"
        (self.folder / name).mkdir()
        return name

    def keys(self, bucket: str) -> list[str]:
        """What one finds in a bucket: what is in no object yet, or no more, is not there."""
        root = self.folder / bucket
        files = (it.relative_to(root) for it in root.rglob("*") if it.is_file())
        return sorted(it.as_posix() for it in files if not it.parts[0].startswith(".nanio"))

    def unfinished(self, bucket: str) -> list[str]:
        """The keys of what waits to become an object, and is paid for meanwhile."""
        begun = (json.loads(it.read_text()) for it in (self.folder / ".nanio").rglob("init.json"))
        return sorted(it["key"] for it in begun if it["bucket"] == bucket)

    def start(self) -> None:
        """Begin to answer; after `stop`, at the same address."""
        command = [sys.executable, "-m", "uvicorn", "nanio.app:build_app", "--factory", "--ws", "none"]
        env = {"NANIO_DATA_DIR": str(self.folder), "NANIO_ACCESS_KEY": KEY, "NANIO_SECRET_KEY": SECRET}
        self.process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(self.port)],
            env=os.environ | env | {"NANIO_REGION": REGION},
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        answers = threading.Event()
        threading.Thread(target=self._read, args=(self.process, answers), daemon=True).start()
        assert answers.wait(PATIENCE_S), f"no S3 server within {PATIENCE_S} s: {self.log}"
        assert self.process.poll() is None, f"the S3 server ended: {self.log}"

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _read(self, process: "subprocess.Popen[str]", answers: threading.Event) -> None:
        """Its log tells its port; read to the end, or a full pipe would hold it up."""
        assert process.stderr is not None
        with process.stderr as lines:
            for line in lines:
                self.log.append(line)
                if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
                    self.port = int(found[1])
                    answers.set()
        answers.set()
