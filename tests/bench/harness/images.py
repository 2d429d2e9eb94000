"""The images that are measured on, each made once and kept for the run."""

import random
import subprocess
from pathlib import Path

CLUSTER = 65536
SAME_DISK = {"chain.raw": "full.raw", "small.raw": "full.raw"}  # other layouts of one disk are the same raw file


def run(*command, **options):
    subprocess.run([str(word) for word in command], check=True, **options)


class Images:
    """In one folder; `mib` is the size of the disks. Everything is asked for by name and made at the first time."""

    def __init__(self, folder, mib):
        self.folder = Path(folder)
        self.mib = mib
        self.folder.mkdir(parents=True, exist_ok=True)

    def get(self, name):
        name = SAME_DISK.get(name, name)
        path = self.folder / name
        if not path.exists():
            making = self.folder / "being-made"
            making.unlink(missing_ok=True)
            getattr(self, "make_" + name.replace(".", "_"))(making)
            making.rename(path)
        return str(path)

    def copy_of(self, name):
        """A copy that may be written; the one before it is gone."""
        copy = self.folder / ("copy." + name.rsplit(".", 1)[-1])
        run("cp", "--sparse=always", self.get(name), copy)
        return str(copy)

    def fresh(self, kind, options=""):
        """An empty image that may be written; the one before it is gone."""
        path = self.folder / f"fresh.{kind}"
        path.unlink(missing_ok=True)
        if kind == "raw":
            run("truncate", "-s", f"{self.mib}M", path)
        else:
            run("qemu-img", "create", "-q", "-f", kind, *(["-o", options] if options else []), path, f"{self.mib}M")
        return str(path)

    # --- one function for each name -----------------------------------------------------------------------------------

    def make_full_raw(self, path):
        """Nothing compresses, nothing is a hole."""
        with open(path, "wb") as out:
            for _ in range(self.mib):
                out.write(random.randbytes(1 << 20))

    def make_full_qcow2(self, path):
        run("qemu-img", "convert", "-O", "qcow2", self.get("full.raw"), path)

    def make_small_qcow2(self, path):
        run("qemu-img", "convert", "-O", "qcow2", "-o", "cluster_size=4k", self.get("full.raw"), path)

    def make_text_raw(self, path):
        """What compresses as programs and texts do."""
        half = self.mib << 19
        with open(path, "wb") as out:
            tree = subprocess.Popen(["tar", "-C", "/usr", "-cf", "-", "lib", "share"], stdout=subprocess.PIPE)
            out.write(tree.stdout.read(half))
            tree.stdout.close()
            tree.wait()
            out.truncate(half)

    def make_deflate_qcow2(self, path):
        run("qemu-img", "convert", "-c", "-m", "2", "-O", "qcow2", self.get("text.raw"), path)

    def make_zstd_qcow2(self, path):
        options = ["-o", "compression_type=zstd"]
        run("qemu-img", "convert", "-c", "-m", "2", "-O", "qcow2", *options, self.get("text.raw"), path)

    def make_chain0_qcow2(self, path):
        run("cp", self.get("full.qcow2"), path)

    def make_chain_qcow2(self, path):
        """Three overlays over a full image; each holds a quarter of the clusters, chosen at random."""
        self.get("chain0.qcow2")
        for depth in (1, 2, 3):
            overlay = path if depth == 3 else self.folder / f"chain{depth}.qcow2"
            base = self.folder / f"chain{depth - 1}.qcow2"
            run("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", overlay)
            clusters = list(range(self.mib * (1 << 20) // CLUSTER))
            random.Random(depth).shuffle(clusters)
            self.write_clusters(overlay, clusters[: len(clusters) // 4])

    def make_frag_qcow2(self, path):
        """Every other cluster, in random order."""
        run("qemu-img", "create", "-q", "-f", "qcow2", path, f"{self.mib}M")
        clusters = list(range(0, self.mib * (1 << 20) // CLUSTER, 2))
        random.Random(7).shuffle(clusters)
        self.write_clusters(path, clusters)

    def make_frag_raw(self, path):
        """The same holes."""
        with open(path, "wb") as out:
            out.truncate(self.mib << 20)
            for at in range(0, self.mib << 20, 2 * CLUSTER):
                out.seek(at)
                out.write(b"\x09" * CLUSTER)

    def make_tib_qcow2(self, path):
        """1 TiB with every table in place."""
        run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "preallocation=metadata", path, "1T")

    @staticmethod
    def write_clusters(path, clusters):
        lines = "".join(f"write -q -P 9 {cluster * CLUSTER} {CLUSTER}\n" for cluster in clusters)
        run("qemu-io", "-f", "qcow2", path, input=lines.encode(), stdout=subprocess.DEVNULL)
