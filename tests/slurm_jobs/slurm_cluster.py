"""A Slurm of one node on this machine: munged, slurmctld and slurmd in a folder of their own, stopped by their ids."""

import dataclasses
import getpass
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("sbatch", "squeue", "sinfo", "scontrol", "srun", "scancel", "sacct", "sacctmgr")
# Debian keeps the daemons where users do not look.
SEARCHED = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/usr/local/sbin"])
NODE, PARTITION, SHORT = "test-node", "test", "short"
# Of the node, whatever the machine has: cores and memory (MB) for every rule, and for three jobs of DFT at a time.
CPUS, MEMORY = 8, 32000

SETTINGS = """\
ClusterName=unimat
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=5,bf_interval=5,batch_sched_delay=1
ReturnToService=2
MinJobAge=600
KillWait=2
NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName={partition} Nodes={node} Default=YES MaxTime=2-00:00:00 State=UP
PartitionName={short} Nodes={node} MaxTime=60 State=UP
"""


def missing_programs() -> list[str]:
    return [name for name in (*DAEMONS, *CLIENTS) if shutil.which(name, path=SEARCHED) is None]


@dataclasses.dataclass
class Slurm:
    """Daemons that were started here, and nobody else's.

    Attributes:
        folder: their configuration, state and logs; short, since it holds a socket.
    """

    folder: Path
    daemons: dict[str, subprocess.Popen] = dataclasses.field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """One in which Slurm's commands find this Slurm, and no other, and jobs find this Python's programs."""
        outside = {key: value for key, value in os.environ.items() if not re.match(r"(SLURM|SBATCH|SQUEUE|SRUN)_", key)}
        folders = [self.folder / "bin", Path(sys.executable).parent, os.environ["PATH"]]
        return {**outside, "PATH": os.pathsep.join(map(str, folders))}

    def start(self) -> None:
        """Raises AssertionError with the daemons' logs unless the node is idle within a minute."""
        self._write_settings()
        self._write_clients()
        munge = self.folder / "munge"
        flags = [f"--{name}-file={munge / name}" for name in ("key", "log", "pid", "seed")]
        self._start("munged", "--foreground", "--force", f"--socket={munge / 'socket'}", *flags)
        self._await(lambda: (munge / "socket").exists(), "munged opens no socket")
        self._start("slurmctld", "-D", "-f", str(self.folder / "slurm.conf"))
        self._start("slurmd", "-D", "-N", NODE, "-f", str(self.folder / "slurm.conf"))
        self._await(lambda: self.node_state() == "idle", "the node does not come up")

    def stop(self) -> None:
        """End every job, then every daemon."""
        if "slurmctld" in self.daemons:
            self.run("scancel", "--user", getpass.getuser(), check=False)
            self._wait_for(lambda: not self.jobs("PENDING,RUNNING,COMPLETING"), seconds=15)
        for process in reversed(self.daemons.values()):
            process.send_signal(signal.SIGTERM)
        for process in self.daemons.values():
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=15)
        self.daemons.clear()

    def run(self, *command: str, check: bool = True) -> str:
        """Output of one of Slurm's commands; never waits longer than half a minute."""
        done = subprocess.run(
            ["timeout", "-k", "5", "30", *command], env=self.environment, capture_output=True, text=True, check=False
        )
        assert not check or done.returncode == 0, f"{command}: {done.stderr}\n{self.logs()}"
        return done.stdout

    def node_state(self) -> str:
        return self.run("sinfo", "--noheader", "--nodes", NODE, "--format", "%T", check=False).strip()

    def update_node(self, state: str) -> None:
        self.run("scontrol", "update", f"NodeName={NODE}", f"State={state}", "Reason=test")

    def jobs(self, states: str = "all") -> list[dict[str, str]]:
        """Jobs that Slurm remembers, a task of an array each: id, state, comment, time limit."""
        lines = self.run(
            *("squeue", "--array", "--noheader", "--states", states), "--format", "%i|%T|%k|%l", check=False
        ).splitlines()
        return [dict(zip(("id", "state", "comment", "limit"), line.split("|"), strict=True)) for line in lines]

    def logs(self) -> str:
        """The end of every daemon's log."""
        paths = [self.folder / "munged.out", *sorted(self.folder.glob("*.log"))]
        return "\n".join(
            f"== {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in paths if path.exists()
        )

    def _write_settings(self) -> None:
        for name in ("munge", "state", "spool"):
            (self.folder / name).mkdir(mode=0o755)
        key = self.folder / "munge/key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        controller_port, node_port = free_ports(2)
        text = SETTINGS.format(
            **{"folder": self.folder, "host": socket.gethostname().split(".")[0], "user": getpass.getuser()},
            **{"controller_port": controller_port, "node_port": node_port, "node": NODE, "partition": PARTITION},
            **{"cpus": CPUS, "memory": MEMORY, "short": SHORT},
        )
        (self.folder / "slurm.conf").write_text(text, encoding="utf-8")

    def _write_clients(self) -> None:
        """Commands that know where this Slurm is: within a job the executor takes SLURM_CONF out of the environment."""
        (self.folder / "bin").mkdir()
        for name in CLIENTS:
            program = self.folder / "bin" / name
            found = shutil.which(name, path=SEARCHED)
            program.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {found} "$@"\n')
            program.chmod(0o755)

    def _start(self, name: str, *arguments: str) -> None:
        program = shutil.which(name, path=SEARCHED)
        assert program, f"{name} is not installed"
        output = (self.folder / f"{name}.out").open("wb")
        # A session of its own: Ctrl-C is for the test, which then stops the daemons in their order.
        self.daemons[name] = subprocess.Popen(
            # Whatever becomes of this process, its daemons do not outlive it.
            ["setpriv", "--pdeathsig", "TERM", program, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        output.close()

    def _await(self, happened, trouble: str, seconds: float = 60.0) -> None:
        if not self._wait_for(happened, seconds):
            logs = self.logs()
            self.stop()
            raise AssertionError(f"{trouble}\n{logs}")

    def _wait_for(self, happened, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if happened():
                return True
            if any(process.poll() is not None for process in self.daemons.values()):
                return False
            time.sleep(0.25)
        return False


def free_ports(n: int) -> list[int]:
    """Ports that nobody listens on; all held at once, so that they differ."""
    sockets = [socket.socket() for _ in range(n)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
