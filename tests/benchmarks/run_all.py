"""Run the benchmarks one after the other and write docs/benchmarks/*.json and docs/benchmarks.md from their output.

A benchmark is any other script of this folder. One that fails is named at the end, and its last result stays.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from harness import ROOT, say

HERE = Path(__file__).parent
# template_flow is called by hand: it needs a dataset, and a model that knows templates.
NOT_BENCHMARKS = ("harness", "small_run", "run_all", "template_flow", "__main__", "__init__")
RESULTS = ROOT / "docs/benchmarks"


def names() -> list[str]:
    return sorted(path.stem for path in HERE.glob("*.py") if path.stem not in NOT_BENCHMARKS)


def result_of(name: str, options: list[str]) -> dict | None:
    """The JSON that a benchmark ends with; None if it failed."""
    done = subprocess.run(
        [sys.executable, HERE / f"{name}.py", *options], stdout=subprocess.PIPE, text=True, check=False
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return None
    return json.loads(lines[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names())} (default: all)")
    parser.add_argument("--run-dir", help="for stages: read the finished runs of this folder instead of running anew")
    args = parser.parse_args()
    if unknown := [name for name in args.names if name not in names()]:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(names())}")

    failed = []
    for name in args.names or names():
        say(f"== {name}")
        result = result_of(name, ["--run-dir", args.run_dir] if name == "stages" and args.run_dir else [])
        if result is None:
            failed.append(name)
            continue
        RESULTS.mkdir(exist_ok=True)
        text = json.dumps(result, indent=1, ensure_ascii=False)
        (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        print(json.dumps(result, ensure_ascii=False))
    subprocess.run([sys.executable, ROOT / "docs/generate.py", "benchmarks"], check=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
