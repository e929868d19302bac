"""Runs the benchmarks that were asked for, prints a line for each goal, and writes them down as Markdown when told to."""

import argparse
import importlib
import signal
import sys
import traceback

import machine
import pace
import scratch
from measure import HEADER, Row

NAMES = ["upload", "idrl", "encode", "rungs", "copy", "trim", "stills", "quality", "overhead", "pickup", "recovery", "api", "login"]
MODULES = {"copy": "copying"}  # where the name is one of Python's own
LIMIT_S = 900  # for one benchmark; none takes a third of it on two cores


def main() -> int:
    modules = {name: importlib.import_module(MODULES.get(name, name)) for name in NAMES}
    wishes = arguments(modules)
    if wishes.list:
        for name, module in modules.items():
            print(f"{name:10}{module.SUMMARY}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGALRM, out_of_time)
    scratch.remove_leftovers()
    print(HEADER, flush=True)
    rows, broken, paces = [], [], {}
    for name in wishes.name or NAMES:
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
    print(pace.told(paces))
    if wishes.markdown:
        text = page(rows, broken, paces)  # before the file changes: it names the commit
        with open(wishes.markdown, "w", encoding="utf-8") as file:
            file.write(text)
    return 2 if broken else int(any(not row.met for row in rows))


def arguments(modules) -> argparse.Namespace:
    known = "\n".join(f"  {name:10}{module.SUMMARY}" for name, module in modules.items())
    parser = argparse.ArgumentParser(
        prog="bench/run",
        description="Measures Rushes beside its peers, in one go on one machine, and prints ratios.",
        epilog=f"""benchmarks:
{known}

Each line: name, ours, the peer's, ours divided by the peer's, the goal, ok or MISSED; below it the single runs.
The exit code is 0 when every goal is met, 1 when one is missed, 2 when one could not be measured.
RUSHES_BIN names the binary to measure; without it the release build, which is made when it is missing.
Keep the machine quiet meanwhile. Clips and peers are kept in bench/.cache.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="*", metavar="NAME", help="benchmarks to run; all without any")
    parser.add_argument("--list", action="store_true", help="name the benchmarks")
    parser.add_argument("--markdown", metavar="FILE", help="also write the result as a page, with machine and versions")
    wishes = parser.parse_args()
    for name in wishes.name:
        if name not in modules:
            parser.error(f"there is no benchmark {name!r}; known: {', '.join(modules)}")
    return wishes


def out_of_time(*_) -> None:
    raise TimeoutError(f"it took more than {LIMIT_S} s")


def page(rows: list[Row], broken: list[str], paces: dict[str, float]) -> str:
    lines = [
        "# Benchmarks",
        "",
        "Printed by `bench/run --markdown docs/BENCHMARKS.md`: each peer ran beside Rushes on the same machine, in turns.",
        "The ratio is ours divided by the peer's; where the single runs are pairs, the median of their ratios. What each one",
        "does is told at the top of its file in `bench/`.",
        "",
        "| goal | ours | peer | ratio | to reach | |",
        "|---|---|---|---|---|---|",
        *(row.markdown() for row in rows),
        *(f"| {name} | not measured | | | | |" for name in broken),
        "",
        *(f"- {fact}" for fact in machine.facts()),
        f"- {pace.told(paces)}",
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
