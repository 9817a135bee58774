"""Where arrays live: one mesh over all devices of all processes, the same code on one CPU and on a pod.

The batch is cut along both axes of the mesh. Parameters and optimizer state are cut along `fsdp`, and copied along
`data`: the step gathers the parameters, works on its crystals, and each device updates the part that it keeps.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from unimat.errors import UserError
from unimat.model.settings import TrainSettings

AXES = ("data", "fsdp")


def within(mesh: Mesh) -> Any:
    """Context in which programs are traced whose kernels should be cut along a mesh."""
    return jax.sharding.use_abstract_mesh(mesh.abstract_mesh)


@dataclasses.dataclass(frozen=True)
class Layout:
    """The mesh, and the sharding of each kind of array.

    Attributes:
        mesh: of axes data, fsdp.
    """

    mesh: Mesh

    @property
    def devices(self) -> list[jax.Device]:
        return self.mesh.devices.ravel().tolist()

    @property
    def n_devices(self) -> int:
        return self.mesh.size

    @property
    def batch(self) -> NamedSharding:
        """Of arrays whose first axis counts crystals."""
        return NamedSharding(self.mesh, PartitionSpec(AXES))

    @property
    def copied(self) -> NamedSharding:
        """Of arrays that every device holds whole."""
        return NamedSharding(self.mesh, PartitionSpec())

    def sharded(self, tree: Any) -> Any:
        """Shardings of a tree of parameters or optimizer state, of arrays or of their shapes."""
        return jax.tree.map(lambda x: NamedSharding(self.mesh, spec(x.shape, self.mesh.shape["fsdp"])), tree)

    def gathered(self, tree: Any) -> Any:
        """`tree`, every device holding all of it. As a fresh copy, which no donation can take away."""
        return jax.jit(lambda x: x, out_shardings=self.copied)(tree)

    def of_rows(self, n: int) -> NamedSharding:
        """Of `n` crystals: cut if they can be shared out, else copied."""
        return self.copied if n % self.n_devices else self.batch

    def place(self, part: dict[str, np.ndarray], n: int) -> dict[str, jax.Array]:
        """`n` crystals that every process has, on the devices."""
        sharding = self.of_rows(n)
        place = jax.make_array_from_callback
        return {name: place(array.shape, sharding, array.__getitem__) for name, array in part.items()}


def layout(settings: TrainSettings, devices: Sequence[jax.Device] | None = None) -> Layout:
    """The layout that the settings ask for, over all devices of the job.

    Raises:
        UserError: if `fsdp` does not divide the devices, or they do not divide the batch.
    """
    found = jax.devices() if devices is None else devices
    check_division(settings, len(found))
    # Process by process, since each reads a run of rows of the batch; neighbours along fsdp then share a host.
    ordered = sorted(found, key=lambda device: (device.process_index, device.id))
    return Layout(Mesh(np.array(ordered).reshape(-1, settings.fsdp), AXES))


def check_division(settings: TrainSettings, n_devices: int) -> None:
    """Raise UserError if the settings cannot be shared out among so many devices."""
    if n_devices % settings.fsdp:
        possible = ", ".join(str(n) for n in range(1, n_devices + 1) if n_devices % n == 0)
        raise UserError(f"train.fsdp {settings.fsdp} does not divide the {n_devices} devices; give one of {possible}")
    if settings.batch_size % n_devices:
        raise UserError(
            f"train.batch_size {settings.batch_size} cannot be shared out among {n_devices} devices; give a multiple "
            f"of {n_devices}, or show it fewer devices"
        )


def spec(shape: Sequence[int], fsdp: int) -> PartitionSpec:
    """Cut along the largest axis that `fsdp` divides, the first of equals; not at all if there is none."""
    sizes = [size if size % fsdp == 0 else 0 for size in shape]
    if fsdp == 1 or not sizes or not max(sizes):
        return PartitionSpec()
    axis = int(np.argmax(sizes))
    return PartitionSpec(*[None] * axis, "fsdp")


def bytes_per_device(tree: Any, shardings: Any) -> int:
    """Bytes that each device holds of a tree of arrays or shapes under these shardings."""
    sizes = jax.tree.map(lambda x, s: math.prod(s.shard_shape(x.shape)) * x.dtype.itemsize, tree, shardings)
    return sum(jax.tree.leaves(sizes))
