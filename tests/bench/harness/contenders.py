"""Who is measured: each shows an image as a file, under a path of its own, until it is left.

A contender is used as `with contender.showing(image) as path:`. `kind` says which image it takes: "qcow2", or "raw" for
those that are limits and no peers.
"""

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path


def wait_for(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("a contender does not answer")
        time.sleep(0.002)


@dataclass
class Served:
    """A path while it is shown, and the process behind it (None: the kernel)."""

    path: str
    process: int | None = None

    def peak_memory(self):
        """KiB of all processes that serve."""
        return sum(read_peak(pid) for pid in family_of(self.process)) if self.process else 0


def family_of(pid):
    children = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        return [pid, *(int(child) for child in children.read_text().split())]
    except FileNotFoundError:
        return []


def read_peak(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


class Contender:
    name = ""
    kind = "qcow2"

    @contextlib.contextmanager
    def showing(self, image):
        raise NotImplementedError


@contextlib.contextmanager
def serving(command, place, path, leave):
    """Starts a server that mounts on `place` and shows the disk as `path`; `leave(server)` makes it end."""
    server = subprocess.Popen([str(word) for word in command])
    try:
        wait_for(lambda: os.path.ismount(place) or server.poll() is not None)
        yield Served(str(path), server.pid)
    finally:
        leave(server)
        server.wait()


@dataclass
class Flatimg(Contender):
    program: str
    scratch: Path
    name: str = "flatimg"
    kind: str = "qcow2"

    def showing(self, image):
        place = self.scratch / "flatimg"
        place.mkdir(exist_ok=True)
        command = [self.program, "mount", "-f", image, place]
        unmount = [self.program, "umount", place]
        return serving(command, place, place / Path(image).name, lambda _: subprocess.run(unmount, check=True))


@dataclass
class NullFs(Contender):
    program: str
    scratch: Path
    threads: int
    name: str = "null"
    kind: str = "raw"

    def showing(self, image):
        place = self.scratch / "null"
        place.mkdir(exist_ok=True)
        command = [self.program, image, place, self.threads, "writeback"]
        return serving(command, place, place / "disk", lambda _: subprocess.run(["umount", place], check=True))


@dataclass
class QemuExport(Contender):
    """The FUSE export of qemu-storage-daemon."""

    scratch: Path
    name: str = "qemu"
    kind: str = "qcow2"

    def showing(self, image):
        place = self.scratch / "qemu"
        place.touch()
        command = [
            "qemu-storage-daemon",
            f"--blockdev=driver=file,node-name=file,filename={image},discard=unmap",
            "--blockdev=driver=qcow2,node-name=disk,file=file,discard=unmap",  # otherwise punching does nothing
            f"--export=type=fuse,id=export,node-name=disk,mountpoint={place},writable=true",
        ]
        return serving(command, place, place, lambda server: server.send_signal(signal.SIGTERM))


@dataclass
class RawFile(Contender):
    """No server at all."""

    name: str = "raw file"
    kind: str = "raw"

    @contextlib.contextmanager
    def showing(self, image):
        yield Served(image)
