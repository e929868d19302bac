"""Directories: bench/.cache for what may stay (clips, peers), and one below it for each run, removed at its end."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / "bench" / ".cache"


@contextmanager
def directory() -> Iterator[Path]:
    """On the disk of the repository: a temporary directory in memory would make every disk look fast."""
    CACHE.mkdir(exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=f"run-{os.getpid()}-", dir=CACHE))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def remove_leftovers() -> None:
    """What runs left that were killed."""
    for path in CACHE.glob("run-*"):
        owner = path.name.split("-")[1]
        if not Path("/proc", owner).exists():
            shutil.rmtree(path, ignore_errors=True)
