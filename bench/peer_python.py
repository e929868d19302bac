"""Interpreters with the pinned packages of a peer."""

import shutil
import subprocess
import sys
from pathlib import Path

from scratch import CACHE, ROOT

PEERS = ROOT / "bench" / "peers"


def python_with(name: str, requirements: str) -> Path:
    """An interpreter with the packages of a file in bench/peers, installed in bench/.cache."""
    home, wanted = CACHE / name, (PEERS / requirements).read_text()
    installed = home / "installed.txt"
    if not installed.exists() or installed.read_text() != wanted:
        print(f"Installing {name} into bench/.cache", file=sys.stderr)
        shutil.rmtree(home, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", home], check=True, timeout=120)
        install = [home / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "--use-pep517"]
        install += ["-r", PEERS / requirements]
        subprocess.run(install, check=True, timeout=600)
        installed.write_text(wanted)
    return home / "bin/python"
