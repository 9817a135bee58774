"""`python -m tests.benchmarks` is `python tests/benchmarks/run_all.py`."""

import runpy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # as for a script, so that each finds the harness
runpy.run_path(str(Path(__file__).with_name("run_all.py")), run_name="__main__")
