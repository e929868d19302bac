"""Directories: bench/.cache for what may stay (clips, peers), and others for each run, removed at its end."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / "bench" / ".cache"
SYSTEM = Path(tempfile.gettempdir())
PREFIX = "rushes-bench-"


@contextmanager
def directory(parent: Path = CACHE) -> Iterator[Path]:
    """By default on the disk of the repository: a temporary directory in memory would make every disk look fast."""
    CACHE.mkdir(exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=parent))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def remove_leftovers() -> None:
    """What runs left that were killed."""
    for path in [*CACHE.glob(f"{PREFIX}*"), *SYSTEM.glob(f"{PREFIX}*")]:
        owner = path.name.removeprefix(PREFIX).split("-")[0]
        if not Path("/proc", owner).exists():
            shutil.rmtree(path, ignore_errors=True)
