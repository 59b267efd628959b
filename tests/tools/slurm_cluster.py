"""A real SLURM on this machine alone: a controller and nodes on 127.0.0.1, under one folder.

python tests/tools/slurm_cluster.py FOLDER    # until Ctrl-C; SLURM_CONF=FOLDER/slurm.conf squeue

It needs root and Debian's slurmctld, slurmd, slurm-client and munge. A node is a process namespace
of its own, so that killing it is a power cut; its CPUs, memory and GPUs are what the file says.
"""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from trackssl.processes import end_with_parent

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "unshare")
_SYSTEM_FOLDER = Path("/etc/slurm")  # where the steps of Snakemake's jobs look for the settings
_FILES = ("slurm.conf", "gres.conf")

_SETTINGS = """\
ClusterName=trackssl
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock,cred_expire=5
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill,UsePss
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_min_interval=0,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmdParameters=config_overrides
SlurmdTimeout=10
SlurmctldTimeout=10
KillWait=5
ReturnToService=2
JobRequeue=1
GresTypes=gpu
TmpFS={folder}/spool
"""
_NODE = (
    "NodeName=n{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} Boards=1 "
    "SocketsPerBoard=1 CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory={memory_mb} "
    "Gres=gpu:{gpus} State=UNKNOWN\n"
)


def missing() -> str:
    """Why no cluster can be brought up here; empty where one can."""
    if os.geteuid() != 0:
        return "a cluster needs root"
    absent = [name for name in PROGRAMS if not shutil.which(name, path=_path())]
    return f"{', '.join(absent)} not installed" if absent else ""


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


class Cluster:
    """A controller and `nodes` nodes, up within `with Cluster(folder) as cluster:`."""

    def __init__(
        self, folder: Path, nodes: int = 2, cpus: int = 4, memory_mb: int = 64_000, gpus: int = 2
    ) -> None:
        self.folder, self.nodes, self.gpus = folder, nodes, gpus
        self._cpus, self._memory_mb = cpus, memory_mb
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}
        self._own: dict[str, subprocess.Popen] = {}

    def __enter__(self) -> "Cluster":
        try:
            self._configure()
            self._munge()
            self._start("slurmctld", "slurmctld", "-D", "-c", "-f", self.folder / "slurm.conf")
            for number in range(1, self.nodes + 1):
                self.start_node(number)
            self._link()
            self._wait(lambda: self._idle() == self.nodes, "the nodes do not come up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in _FILES:
            link = _SYSTEM_FOLDER / name
            if link.is_symlink() and link.readlink().parent == self.folder:
                link.unlink()
        for name in reversed(list(self._own)):
            self._end(name, signal.SIGKILL if name.startswith("n") else signal.SIGTERM)

    def start_node(self, number: int) -> None:
        """Switch a node on."""
        name = f"n{number}"
        (self.folder / "spool" / name).mkdir(parents=True, exist_ok=True)
        (self.folder / f"{name}.pid").unlink(missing_ok=True)
        conf = self.folder / "slurm.conf"
        alone = ("unshare", "--fork", "--pid", "--mount-proc", "--kill-child=KILL")
        self._start(name, *alone, "slurmd", "-D", "-f", conf, "-N", name)

    def kill_node(self, number: int) -> None:
        """Cut a node's power: nothing of it survives, and the controller is told at once."""
        self._end(f"n{number}", signal.SIGKILL)
        self.call("scontrol", "update", f"nodename=n{number}", "state=down", "reason=power")

    def revive_node(self, number: int) -> None:
        """Switch a killed node on again."""
        self.start_node(number)
        name = f"n{number}"

        def up() -> bool:
            with suppress(subprocess.CalledProcessError):  # refused once it is up by itself
                self.call("scontrol", "update", f"nodename={name}", "state=resume")
            return self.call("sinfo", "-h", "-n", name, "-o", "%T").strip() in ("idle", "mixed")

        self._wait(up, f"{name} does not come back")

    def jobs(self, form: str = "%i %j %T %N") -> list[list[str]]:
        """Jobs in the queue: number, name, state and node, or as squeue's `form` says."""
        return [line.split() for line in self.call("squeue", "-h", "-o", form).splitlines()]

    def call(self, *command: str) -> str:
        """Run one of SLURM's programs -> what it prints."""
        done = subprocess.run(
            command, env=self._env(), capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout

    def _env(self) -> dict[str, str]:
        return {**os.environ, **self.environment, "PATH": _path()}

    def _configure(self) -> None:
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(self.gpus):  # a GPU is a device file: a second /dev/null will do
            os.mknod(self.folder / f"gpu{number}", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        host, ports = socket.gethostname().split(".")[0], _free_ports(self.nodes + 1)
        text = _SETTINGS.format(host=host, port=ports[0], folder=self.folder)
        for number in range(1, self.nodes + 1):
            text += _NODE.format(
                number=number, host=host, port=ports[number], cpus=self._cpus,
                memory_mb=self._memory_mb, gpus=self.gpus,
            )  # fmt: skip
        names = f"n[1-{self.nodes}]"
        text += f"PartitionName=main Nodes={names} Default=YES LLN=YES MaxTime=INFINITE State=UP\n"
        (self.folder / "slurm.conf").write_text(text)
        devices = f"{self.folder}/gpu[0-{self.gpus - 1}]"
        (self.folder / "gres.conf").write_text(f"NodeName={names} Name=gpu File={devices}\n")

    def _munge(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        files = {"key-file": key, "socket": self.folder / "munge.sock"}
        for name, suffix in (("pid-file", "pid"), ("log-file", "log"), ("seed-file", "seed")):
            files[name] = self.folder / f"munged.{suffix}"
        self._start("munged", "munged", "-F", "--force", *(f"--{k}={v}" for k, v in files.items()))
        self._wait(files["socket"].exists, "munge does not start")

    def _link(self) -> None:
        _SYSTEM_FOLDER.mkdir(exist_ok=True)
        for name in _FILES:
            link = _SYSTEM_FOLDER / name
            if link.exists() and not self._left_over(link):
                raise RuntimeError(f"{link} belongs to another cluster; it is left alone")
            link.unlink(missing_ok=True)
            link.symlink_to(self.folder / name)

    def _left_over(self, link: Path) -> bool:
        """Whether a link is of a cluster of ours whose controller has ended."""
        pid = link.readlink().with_name("slurmctld.pid") if link.is_symlink() else None
        if pid is None or not (pid.parent / "munge.key").is_file():
            return False
        return not (pid.is_file() and Path(f"/proc/{pid.read_text().strip()}").exists())

    def _idle(self) -> int:
        with suppress(subprocess.CalledProcessError):
            return len(self.call("sinfo", "-h", "-N", "-t", "idle", "-o", "%N").split())
        return 0

    def _start(self, name: str, *command: object) -> None:
        with (self.folder / f"{name}.out").open("wb") as out:
            self._own[name] = subprocess.Popen(
                [str(word) for word in command],
                env=self._env(), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True, preexec_fn=end_with_parent,
            )  # fmt: skip

    def _end(self, name: str, number: signal.Signals) -> None:
        process = self._own.pop(name)
        process.send_signal(number)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _wait(self, ready: Callable[[], object], trouble: str, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > end:
                raise RuntimeError(f"{trouble}; see the logs in {self.folder}")
            time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


if __name__ == "__main__":
    place = Path(sys.argv[1]).resolve()
    place.mkdir(parents=True, exist_ok=True)
    with Cluster(place) as running:
        print(f"export SLURM_CONF={running.folder}/slurm.conf")
        with suppress(KeyboardInterrupt):
            signal.pause()
