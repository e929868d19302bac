"""Runs the selected benchmarks, prints one row per goal, and optionally writes a Markdown page."""

import argparse
import importlib
import signal
import sys
import traceback

import machine
import pace
import scratch
from measure import HEADER, Row

NAMES = (
    "upload uploads idrl encode rungs copy trim stills quality overhead small pickup recovery api login slow delivery library"
    " events webhooks import lookup"
).split()
MODULES = {"copy": "copying", "uploads": "tus", "import": "imports", "lookup": "lookups"}  # `copy` is a module, `import` a keyword
LIMIT_S = 900  # timeout of one benchmark; each takes less than a third of it on two cores


def main() -> int:
    modules = {name: importlib.import_module(MODULES.get(name, name)) for name in NAMES}
    options = arguments(modules)
    if options.list:
        for name, module in modules.items():
            print(f"{name:10}{module.SUMMARY}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGALRM, raise_timeout)
    scratch.remove_leftovers()
    print(HEADER, flush=True)
    rows, broken, paces = [], [], {}
    for name in options.name or NAMES:
        try:
            signal.alarm(LIMIT_S)
            paces[name] = pace.measure()
            for row in modules[name].run():
                print(row.line(), flush=True)
                rows.append(row)
        except Exception as error:
            traceback.print_exc()
            print(f"{name:18}not measured: {error}", flush=True)
            broken.append(name)
        finally:
            signal.alarm(0)
    print(pace.summary(paces))
    if options.markdown:
        text = page(rows, broken, paces)  # before the file is written: the page shows if the tree has changes
        with open(options.markdown, "w", encoding="utf-8") as file:
            file.write(text)
    return 2 if broken else int(any(not row.met for row in rows))


def arguments(modules) -> argparse.Namespace:
    known = "\n".join(f"  {name:10}{module.SUMMARY}" for name, module in modules.items())
    parser = argparse.ArgumentParser(
        prog="bench/run",
        description="Benchmarks Rushes against comparable programs on one machine and prints ratios.",
        epilog=f"""benchmarks:
{known}

Columns: name, ours, the peer's, ours divided by the peer's, the goal, ok or MISSED; the next line shows the single runs.
The exit code is 0 if every goal is met, 1 if one is missed, 2 if one could not be measured.
RUSHES_BIN selects the binary. The default is the release build, which is built if it is missing.
Run nothing else on the machine. Clips and peers are cached in bench/.cache.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="*", metavar="NAME", help="benchmarks to run; default: all")
    parser.add_argument("--list", action="store_true", help="list the benchmarks")
    parser.add_argument("--markdown", metavar="FILE", help="also write the result as a page, with machine and versions")
    options = parser.parse_args()
    for name in options.name:
        if name not in modules:
            parser.error(f"there is no benchmark {name!r}; known: {', '.join(modules)}")
    return options


def raise_timeout(*_) -> None:
    raise TimeoutError(f"timeout after {LIMIT_S} s")


def page(rows: list[Row], broken: list[str], paces: dict[str, float]) -> str:
    lines = [
        "# Benchmarks",
        "",
        "This page is written by `bench/run --markdown docs/BENCHMARKS.md`. Rushes and a peer (another program with the same job) run",
        "in turns on the same machine. The ratio is the value of Rushes divided by the value of the peer. When the single runs are",
        "pairs, it is the median of their ratios. The top of each file in `bench/` explains what it measures.",
        "",
        "| name | ours | peer | ratio | goal | |",
        "|---|---|---|---|---|---|",
        *(row.markdown() for row in rows),
        *(f"| {name} | not measured | | | | |" for name in broken),
        "",
        *(f"- {fact}" for fact in machine.facts()),
        f"- {pace.summary(paces)}",
        "",
        "## Single runs",
        "",
        *(f"- {row.name}: {row.detail}" for row in rows),
    ]
    return "\n".join(lines) + "\n"


try:
    sys.exit(main())
except KeyboardInterrupt:
    sys.exit(130)
