"""`python -m bench [NAME…]`: runs benchmarks, prints their tables, exits 1 when a bar is short."""

from __future__ import annotations

import argparse
import importlib
import sys

from bench.table import Table

NAMES = ("debit", "televersement", "croissance", "listes")


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"one or more of {', '.join(NAMES)}; default: all"
    )
    wanted = parser.parse_args().names or NAMES
    if unknown := set(wanted) - set(NAMES):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    held = True
    for name in wanted:
        table: Table = importlib.import_module(f"bench.{name}").run()
        print(table.text(), flush=True)
        held = held and all(bar.held for bar in table.bars)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
