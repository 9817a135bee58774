"""Stand-in for PBS: qsub starts a job in the background, qstat -x -f says how it is, qdel ends it.

Called by these names, with a folder `pbs` beside `bin` for its jobs. A job whose name stands in the file `pbs/kill` is
killed once, as for its time limit.
"""

import os
import pathlib
import signal
import subprocess
import sys

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "pbs"


def qsub(flags, script):
    FOLDER.mkdir(exist_ok=True)
    job = f"{len(list(FOLDER.glob('*.job'))) + 1}.stand-in"
    name = flags[flags.index("-N") + 1]
    (FOLDER / f"{job}.job").write_text(" ".join(flags))
    doomed = FOLDER / "kill"
    if doomed.exists() and name in doomed.read_text().split():
        doomed.unlink()
        (FOLDER / f"{job}.exit").write_text("271")
    else:
        line = f"sh {script} >{FOLDER}/{job}.out 2>&1; echo $? >{FOLDER}/{job}.exit"
        process = subprocess.Popen(["sh", "-c", line], start_new_session=True, stdin=subprocess.DEVNULL)
        (FOLDER / f"{job}.pid").write_text(str(process.pid))
    print(job)


def qstat(job):
    if not (FOLDER / f"{job}.job").exists():
        sys.exit(f"qstat: Unknown Job Id {job}")
    end = FOLDER / f"{job}.exit"
    code = end.read_text().strip() if end.exists() else ""
    print(f"Job Id: {job}\n    job_state = {'F' if code else 'R'}" + (f"\n    Exit_status = {code}" if code else ""))


def qdel(jobs):
    for job in jobs:
        os.killpg(int((FOLDER / f"{job}.pid").read_text()), signal.SIGTERM)


program, words = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
if program == "qsub":
    qsub(words[:-1], words[-1])
elif program == "qstat":
    qstat(words[-1])
else:
    qdel(words)
