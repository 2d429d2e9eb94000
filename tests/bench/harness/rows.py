"""The rows of the table: what is done, on which image, and which share of the limit or of the peer is wanted.

A row measures one contender once and returns a number. Rates are better when higher, seconds when lower.
"""

import ctypes
import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

PUNCH = 3  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE


@dataclass
class Row:
    name: str
    unit: str
    measure: Callable  # (bench, contender) -> float
    of_limit: float | None = None  # at least this share of the null file system
    of_peer: float | None = None  # at least this many times QEMU
    lower_is_better: bool = False
    without: tuple = ()  # contenders that cannot do it

    def ratio(self, ours, other):
        if not ours or not other:
            return None
        return other / ours if self.lower_is_better else ours / other


# --- fio ----------------------------------------------------------------------------------------------------------------


def fio(path, *options):
    """(operations a second, MiB a second) of one job."""
    command = ["fio", "--name=row", f"--filename={path}", "--allow_file_create=0", "--fallocate=none", "--invalidate=0",
               "--randrepeat=0", "--norandommap=0", "--group_reporting", "--output-format=json", *options]  # fmt: skip
    done = subprocess.run(command, check=True, capture_output=True, timeout=300)
    job = json.loads(done.stdout[done.stdout.index(b"{") :])["jobs"][0]
    both = (job["read"], job["write"])
    return sum(part["iops"] for part in both), sum(part["bw_bytes"] for part in both) / (1 << 20)


def random_io(pattern, depth, *more):
    engine = ["--ioengine=libaio", "--direct=1", f"--iodepth={depth}"] if depth else ["--ioengine=psync"]
    return [*engine, f"--rw={pattern}", "--bs=4k", *more]


def for_a_while(bench):
    return ["--time_based", f"--runtime={bench.seconds}"]


def requests(image, options):
    """Row function: operations a second on an image of that name."""

    def measure(bench, contender):
        with contender.showing(bench.image_for(contender, image)) as served:
            return fio(served.path, *options, *for_a_while(bench))[0]

    return measure


def writes(name, options):
    """The same on a copy that is written."""

    def measure(bench, contender):
        with contender.showing(bench.copy_for(contender, name)) as served:
            return fio(served.path, *options, *for_a_while(bench))[0]

    return measure


def fresh_writes(options, image_options=""):
    """Into an empty image, the last sync counted: a fixed amount, as clusters are fresh only once."""

    def measure(bench, contender):
        with contender.showing(bench.fresh_for(contender, image_options)) as served:
            return fio(served.path, *options, "--end_fsync=1")[0]

    return measure


def sequential(pattern, image, again=False):
    def measure(bench, contender):
        source = {"fresh": bench.fresh_for, "copy": bench.copy_for}.get(image)
        path = source(contender) if source else bench.image_for(contender, image)
        options = ["--ioengine=psync", f"--rw={pattern}", "--bs=1m"]
        if pattern == "write":
            options.append("--end_fsync=1")
        with contender.showing(path) as served:
            rate = fio(served.path, *options)[1]
            return fio(served.path, *options)[1] if again else rate

    return measure


def synced_writes(fresh):
    """4 KiB write + fsync with the image on a real file system."""

    def measure(bench, contender):
        make = bench.on_disk.fresh_for if fresh else bench.on_disk.copy_for
        with contender.showing(make(contender)) as served:
            return fio(served.path, *random_io("randwrite", 0, "--fsync=1"), *for_a_while(bench))[0]

    return measure


# --- holes, copies, loop devices ----------------------------------------------------------------------------------------


def timed(action):
    begin = time.monotonic()
    action()
    return time.monotonic() - begin


def walk(bench, contender):
    with contender.showing(bench.image_for(contender, "frag")) as served:
        return timed(lambda: walk_extents(served.path))


def walk_extents(path):
    file = os.open(path, os.O_RDONLY)
    at, end = 0, os.fstat(file).st_size
    while at < end:
        try:
            at = os.lseek(file, os.lseek(file, at, os.SEEK_DATA), os.SEEK_HOLE)
        except OSError:  # only holes follow
            break
    os.close(file)


def punch_all(bench, contender):
    with contender.showing(bench.copy_for(contender)) as served:
        return timed(lambda: punch(served.path))


def punch(path):
    fallocate = ctypes.CDLL(None, use_errno=True).fallocate64
    fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    file = os.open(path, os.O_RDWR)
    size = os.fstat(file).st_size
    for at in range(0, size, 1 << 20):
        if fallocate(file, PUNCH, at, min(1 << 20, size - at)) != 0:
            raise OSError(ctypes.get_errno(), path)
    os.fsync(file)
    os.close(file)


def copy_sparse(bench, contender):
    target = bench.images.folder / "copied"
    with contender.showing(bench.image_for(contender, "frag")) as served:
        seconds = timed(lambda: subprocess.run(["cp", "--sparse=always", served.path, target], check=True))
    target.unlink()
    return seconds


def loop_on_top(direct):
    """mkfs, the copy of a tree, a sync: what people do with a disk."""

    def measure(bench, contender):
        with contender.showing(bench.fresh_for(contender)) as served:
            return timed(lambda: fill_file_system(served.path, direct, bench.scratch / "loop"))

    return measure


def fill_file_system(path, direct, place):
    place.mkdir(exist_ok=True)
    attach = ["losetup", "-f", "--show", f"--direct-io={direct}", path]
    device = subprocess.run(attach, check=True, capture_output=True, text=True).stdout.strip()
    try:
        subprocess.run(["mkfs.ext4", "-q", device], check=True)
        subprocess.run(["mount", device, place], check=True)
        try:
            subprocess.run(["cp", "-r", "/usr/include", place], check=True)
            subprocess.run(["sync", "-f", place], check=True)
        finally:
            subprocess.run(["umount", place], check=True)
    finally:
        subprocess.run(["losetup", "-d", device], check=True)


# --- large images -------------------------------------------------------------------------------------------------------


def first_byte(bench, contender):
    """Milliseconds from the start of the program to the first byte of a 1 TiB disk."""
    image = bench.image_for(contender, "tib")
    begin = time.monotonic()
    with contender.showing(image) as served:
        with open(served.path, "rb", buffering=0) as disk:
            disk.read(1)
        return (time.monotonic() - begin) * 1000


def memory_all_over(bench, contender):
    """MiB at most, after random reads all over a 1 TiB disk."""
    with contender.showing(bench.image_for(contender, "tib")) as served:
        fio(served.path, *random_io("randread", 32, "--size=1t", "--norandommap", "--time_based",
                                           f"--runtime={4 * bench.seconds}"))  # fmt: skip
        return served.peak_memory() / 1024


# --- commands -----------------------------------------------------------------------------------------------------------


def command(name, flatimg, qemu_img, target=None):
    """Seconds of a command of ours against qemu-img's, which stands for the peer. `{name}` is an image of that name."""

    def measure(bench, contender):
        words = {"flatimg": [bench.program, *flatimg], "qemu": ["qemu-img", *qemu_img]}[contender.name]
        done = [bench.fill_in(word) for word in words]
        if target:
            Path(bench.fill_in(target)).unlink(missing_ok=True)
        return timed(lambda: subprocess.run(done, check=True, stdout=subprocess.DEVNULL))

    return Row(name, "s", measure, of_peer=1.5, lower_is_better=True, without=("null", "raw file"))


def commands():
    out = "{out}"
    convert = [
        command("convert qcow2 to raw", ["convert", "-O", "raw", "{full.qcow2}", out],
                ["convert", "-O", "raw", "{full.qcow2}", out], out),
        command("convert raw to qcow2", ["convert", "-f", "raw", "-O", "qcow2", "{full.raw}", out],
                ["convert", "-f", "raw", "-O", "qcow2", "{full.raw}", out], out),
        command("convert deflate to raw", ["convert", "-O", "raw", "{deflate.qcow2}", out],
                ["convert", "-m", "2", "-O", "raw", "{deflate.qcow2}", out], out),
        command("convert zstd to raw", ["convert", "-O", "raw", "{zstd.qcow2}", out],
                ["convert", "-m", "2", "-O", "raw", "{zstd.qcow2}", out], out),
    ]  # fmt: skip
    compress = [
        command("convert to deflate", ["convert", "-c", "-f", "raw", "-O", "qcow2", "{text.raw}", out],
                ["convert", "-c", "-m", "2", "-f", "raw", "-O", "qcow2", "{text.raw}", out], out),
        command("convert to zstd", ["convert", "-c", "-f", "raw", "-O", "qcow2", "-o", "compression_type=zstd",
                                    "{text.raw}", out],
                ["convert", "-c", "-m", "2", "-f", "raw", "-O", "qcow2", "-o", "compression_type=zstd", "{text.raw}",
                 out], out),
    ]  # fmt: skip
    for row in compress:
        row.of_peer = 1.3
    check = [
        command("check, fragmented", ["check", "{frag.qcow2}"], ["check", "{frag.qcow2}"]),
        command("check, 1 TiB", ["check", "{tib.qcow2}"], ["check", "{tib.qcow2}"]),
    ]
    for row in check:
        row.of_peer = 3.0
    compare = command("compare qcow2 with raw", ["compare", "-F", "raw", "{full.qcow2}", "{full.raw}"],
                      ["compare", "-F", "raw", "{full.qcow2}", "{full.raw}"])  # fmt: skip
    return [*convert, *compress, *check, compare]


def all_rows():
    peers_only = ("null", "raw file")
    fresh = ["--io_size=32m"]
    return [
        Row("random read 4 KiB, depth 1", "/s", requests("full", random_io("randread", 1)), 0.85),
        Row("random read 4 KiB, depth 32", "/s", requests("full", random_io("randread", 32)), 0.80, 3.4),
        Row("random write 4 KiB, depth 1", "/s", writes("full", random_io("randwrite", 1)), 0.80),
        Row("random write 4 KiB, depth 32", "/s", writes("full", random_io("randwrite", 32)), 0.80),
        Row("random write 4 KiB, fresh", "/s", fresh_writes(random_io("randwrite", 32, *fresh)), 0.60, 5.0),
        Row("random write 4 KiB, buffered", "/s", writes("full", random_io("randwrite", 0)), 0.80),
        Row("mixed 70/30, depth 32", "/s", writes("full", random_io("randrw", 32, "--rwmixread=70")), 0.75),
        Row("sequential read 1 MiB", "MiB/s", sequential("read", "full"), 0.85),
        Row("sequential read 1 MiB, again", "MiB/s", sequential("read", "full", again=True), 0.85),
        Row("sequential write 1 MiB", "MiB/s", sequential("write", "copy"), 0.85),
        Row("sequential write 1 MiB, fresh", "MiB/s", sequential("write", "fresh"), 0.85),
        Row("4 KiB write + fsync", "/s", synced_writes(fresh=False), 0.90),
        Row("4 KiB write + fsync, fresh", "/s", synced_writes(fresh=True), 0.90),
        Row("deflate, random read, depth 1", "/s", requests("deflate", random_io("randread", 1)), of_peer=2.5,
            without=peers_only),
        Row("deflate, random read, depth 32", "/s", requests("deflate", random_io("randread", 32)), of_peer=3.0,
            without=peers_only),
        Row("deflate, sequential read", "MiB/s", sequential("read", "deflate"), of_peer=2.5, without=peers_only),
        Row("zstd, sequential read", "MiB/s", sequential("read", "zstd"), of_peer=2.5, without=peers_only),
        Row("chain of 3, random read, depth 32", "/s", requests("chain", random_io("randread", 32)), 0.70),
        Row("4 KiB clusters, random read, depth 32", "/s", requests("small", random_io("randread", 32)), 0.70),
        Row("4 KiB clusters, random write, fresh", "/s",
            fresh_writes(random_io("randwrite", 32, *fresh), "cluster_size=4k"), of_peer=4.0),
        Row("walk of all extents", "s", walk, of_peer=2.0, lower_is_better=True),
        Row("punch, MiB by MiB", "s", punch_all, of_peer=2.0, lower_is_better=True),
        Row("cp --sparse, fragmented", "s", copy_sparse, of_peer=2.0, lower_is_better=True),
        Row("ext4 on a loop device, buffered", "s", loop_on_top("off"), 0.80, 2.0, True),
        Row("ext4 on a loop device, direct", "s", loop_on_top("on"), 0.80, 2.0, True),
        Row("1 TiB, start to first byte", "ms", first_byte, lower_is_better=True, without=peers_only),
        Row("1 TiB, memory after random reads", "MiB", memory_all_over, lower_is_better=True, without=peers_only),
        *commands(),
    ]  # fmt: skip
