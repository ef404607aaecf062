"""Run the derivations; write their pages or compare them with what is committed.

python -m derivations            run all of them (or those named: python -m derivations relu gelu)
python -m derivations --write    and write derivations/<name>.md
python -m derivations --check    and fail if a page differs from what the derivation gives
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent


def names() -> list[str]:
    return sorted(p.stem for p in HERE.glob("*.py") if not p.stem.startswith("_"))


def page(name: str) -> str:
    return import_module(f"derivations.{name}").derive().markdown()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m derivations", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("name", nargs="*", help="which derivations; all by default")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--write", action="store_true", help="write the pages")
    mode.add_argument("--check", action="store_true", help="compare the pages with the derivations")
    options = parser.parse_args()
    stale = []
    unknown = set(options.name) - set(names())
    if unknown:
        parser.error(f"no derivation {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    for name in options.name or names():
        text, target = page(name), HERE / f"{name}.md"
        if options.write:
            target.write_text(text, encoding="utf-8")
        elif options.check and (not target.exists() or target.read_text(encoding="utf-8") != text):
            stale.append(target.name)
        print(f"{name}: every step holds ({target.relative_to(HERE.parent)})")
    if stale:
        print(f"out of date: {', '.join(stale)}; run python -m derivations --write", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
