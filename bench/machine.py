"""The machine and the versions of the measured programs, for the Markdown page."""

import os
import re
import subprocess
from datetime import datetime, timezone
from pathlib import Path

from scratch import ROOT
from service import binary


def facts() -> list[str]:
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    cores = len(os.sched_getaffinity(0))
    system = re.search(r'PRETTY_NAME="(.*)"', Path("/etc/os-release").read_text())
    versions = [f"{name} {version}" for name, version in found_versions().items()]
    return [
        f"Machine: {processor()}, {cores} cores, {int(memory[1]) / (1 << 20):.0f} GiB of memory",
        f"System: {system[1]}, Linux {os.uname().release}",
        f"Date: {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
        f"Versions: {', '.join(versions)}",
    ]


def processor() -> str:
    named = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return named[1] if named else os.uname().machine


def found_versions() -> dict[str, str]:
    postgres = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/postgres")))
    commands = {
        "rushes": [str(binary()), "--version"],
        "commit": ["git", "-C", str(ROOT), "describe", "--always", "--dirty"],
        "ffmpeg": ["ffmpeg", "-version"],
        "nginx": ["nginx", "-v"],
        "wrk": ["wrk", "-v"],
        "h2load": ["h2load", "--version"],
        "Postgres": [*postgres[-1:], "--version"],
        "Redis": ["redis-server", "--version"],
        "Python": ["python3", "--version"],
    }
    return {name: version_of(command) for name, command in commands.items()} | {"moviepy": "1.0.3", "psycopg": "3.3.9"}


def version_of(command: list[str]) -> str:
    """The first version number in the output of a program; the whole output of git."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except OSError:
        return "unknown"
    text = (done.stdout or done.stderr).strip()
    number = re.search(r"\d+(\.\d+)+", text)
    return text if "git" in command[0] else number[0] if number else "unknown"
