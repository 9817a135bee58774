"""Settings of encoding, network, training and sampling; defaults are the paper's where it gives one.

"Table 4" and "section 2.1" are those of the UniMat paper (arXiv:2311.09235). Nothing here imports JAX, so
that a configuration can be checked on a machine without it.
"""

import dataclasses
from typing import Any, Literal


def _positive(settings: Any, *names: str) -> None:
    for name in names:
        if getattr(settings, name) <= 0:
            raise ValueError(f"{name} must be above 0, found {getattr(settings, name)!r}")


def _within(settings: Any, low: float, high: float, *names: str) -> None:
    for name in names:
        if not low <= getattr(settings, name) <= high:
            raise ValueError(f"{name} must lie in [{low}, {high}], found {getattr(settings, name)!r}")


def _distinct(settings: Any, name: str) -> None:
    values = getattr(settings, name)
    if len(set(values)) < len(values):
        raise ValueError(f"{name} holds {max(values, key=values.count)!r} twice")


# Conditions that are read off a crystal itself; any other is a property column.
CRYSTAL_CONDITIONS = ("elements", "composition")


@dataclasses.dataclass(frozen=True)
class EncodeSettings:
    """How crystals are laid over the periodic table.

    Attributes:
        elements: symbols; the smallest grid that holds them is used. None: `rows` and `columns` decide.
        rows, columns: indices of rows (0 to 8) and columns (0 to 17) of the table; None: all of them.
        slots: L, the number of atoms of one element that fit; None: the largest count in the dataset.
        max_atoms: crystals of more atoms are rejected; None: no limit.
        coordinates: what the tensor holds: fractional coordinates, or Cartesian ones (section 2.1 names both).
        lattice_lengths: what stands for a, b, c: their logarithm (always positive when decoded), that of the
            length over the cube root of the number of atoms (`per_atom`), that of the volume per atom with two ratios
            (`volume`), or the lengths themselves as in section 2.1.
        properties: columns of numbers (or of vectors of one length) of the crystal tables that a model may be
            conditioned on.
        max_rejected: share of the training split that may be rejected; more is a mistake more often than not.
        templates: take along the columns `template_lattice`, `template_coords` and `template_species` of the crystal
            tables: a known structure for each crystal, aligned with it atom by atom.
    """

    elements: tuple[str, ...] | None = None
    rows: tuple[int, ...] | None = None
    columns: tuple[int, ...] | None = None
    slots: int | None = None
    max_atoms: int | None = None
    coordinates: Literal["fractional", "cartesian"] = "fractional"
    lattice_lengths: Literal["log", "per_atom", "volume", "raw"] = "log"
    properties: tuple[str, ...] = ()
    max_rejected: float = 0.5
    templates: bool = False

    def __post_init__(self) -> None:
        _within(self, 0, 1, "max_rejected")
        _distinct(self, "properties")
        if taken := set(self.properties) & set(CRYSTAL_CONDITIONS):
            raise ValueError(f"properties cannot hold {min(taken)!r}: conditions of that name come from the crystal")
        if self.elements is not None and (self.rows is not None or self.columns is not None):
            raise ValueError("elements and rows/columns both choose the grid; give one of them")
        _positive(self, *(name for name in ("slots", "max_atoms") if getattr(self, name) is not None))


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """The diffused state and the network.

    Attributes:
        network: `unet`: the paper's, over the whole table; `compact`: a transformer over the occupied cells, which is
            always told the composition or draws one (`unimat.model.compact`).
        coordinate_form: `raw`: x, y, z with null at (-1, -1, -1), section 2.1; `circle`: (cos 2πx, sin 2πx)
            of each, null at zero, without a wall at the cell border.
        coords_scale: factor on the coordinate channels before noise is added; above 1 it settles atoms at
            higher noise.
        fourier_features: harmonics sin, cos(2πkx), k = 1..n, of noisy `raw` coordinates at the input; 0: none.
        displacement_features: harmonics of the periodic displacements 2πk(x_i - x_j), k = 1..n, whose cosines and
            sines the attention of the first resolution averages beside its values; 0: none
            (`unimat.model.network.displacements`). Fractional coordinates only; costs memory in proportion to n.
        channels: channels of the first resolution (Table 4); of every layer of `compact`.
        multipliers: factor on `channels` at each resolution (Table 4).
        blocks: residual blocks per resolution (Table 4).
        attention_resolutions: down-sampling factors (1, 3, 9) at which there is attention (Table 4).
        head_dim, dropout: channels per attention head, and rate inside residual blocks (Table 4).
        attention: `joint`: over all L * H * W cells; `factored`: over H, W for each slot, then over L for each
            cell, as video diffusion separates space and time.
        slot_kernel: width of convolutions along L; 3: "3D convolution" (section 6), 1: equivariant to the
            order of an element's atoms.
        grid_kernel: width of convolutions along H and W; 1 leaves the mixing of elements to attention, which on
            grids of a few elements learns as much for a third of the time.
        cell_embedding: add a learned vector for each cell of the table, beside the position that zero
            padding gives away.
        slot_embedding: add a learned vector for each slot (breaks the equivariance of slot_kernel = 1).
        lattice_embedding: let the noisy lattice modulate each block as the noise level does, beside being
            concatenated to the input.
        prediction: what the network predicts (Table 4: epsilon); `edm`: the mixture of crystal and noise whose variance
            is one at every noise level, from an input whose variance is one (arXiv:2206.00364, Table 1).
        sigma_data_coords, sigma_data_lattice: `edm` alone, root mean square of the coordinate channels and of the
            lattice in the data, sigma_data of that paper (its Table 1: 0.5; the lattice is standardised to 1).
        log_snr_min, log_snr_max: ends of the noise schedule (Table 4).
        compute_dtype: type of activations; parameters and the diffused state stay float32.
        conditions: what the network is told beside the noisy crystal: `elements` (which occur, section 2.2),
            `composition` (how many atoms of each, section 2.2), or a name of `EncodeSettings.properties`.
        remat: compute blocks again in the backward pass in place of keeping their activations.
        layers: transformer layers of `compact`.
        harmonics: of the displacements that `compact` sees along each axis, 2πk(x_i - x_j), k = 1..n.
        pair_features: what `compact` sees of two atoms: `distances`, of nearest images, or also `vectors`, of all.
        distance_features: Gaussians of distances among these.
        occupancy_channels: width of the model of compositions inside `compact`.
        templates: `compact` can be shown a template: a structure of the same atoms that may be near to the crystal.
    """

    network: Literal["unet", "compact"] = "unet"
    coordinate_form: Literal["raw", "circle"] = "circle"
    coords_scale: float = 1.0
    fourier_features: int = 0
    displacement_features: int = 0
    channels: int = 256
    multipliers: tuple[int, ...] = (1, 2, 4)
    blocks: int = 3
    attention_resolutions: tuple[int, ...] = (1, 3, 9)
    head_dim: int = 64
    dropout: float = 0.1
    attention: Literal["joint", "factored"] = "factored"
    slot_kernel: Literal[1, 3] = 3
    grid_kernel: Literal[1, 3] = 3
    cell_embedding: bool = True
    slot_embedding: bool = False
    lattice_embedding: bool = True
    prediction: Literal["epsilon", "v", "x0", "edm"] = "epsilon"
    sigma_data_coords: float = 0.5
    sigma_data_lattice: float = 1.0
    log_snr_min: float = -20.0
    log_snr_max: float = 20.0
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    conditions: tuple[str, ...] = ()
    remat: bool = False
    layers: int = 6
    harmonics: int = 8
    pair_features: Literal["distances", "vectors"] = "distances"
    distance_features: int = 16
    occupancy_channels: int = 128
    templates: bool = False

    def __post_init__(self) -> None:
        _distinct(self, "conditions")
        _positive(self, "layers", "harmonics", "distance_features", "occupancy_channels")
        if slashed := [name for name in self.conditions if "/" in name]:
            raise ValueError(f"conditions: {slashed[0]!r} holds a slash, which divides the names of parameters")
        _positive(self, "channels", "blocks", "head_dim", "coords_scale", "sigma_data_coords", "sigma_data_lattice")
        _within(self, 0, 0.95, "dropout")
        _within(self, 0, 64, "fourier_features", "displacement_features")
        if not self.multipliers or min(self.multipliers) < 1:
            raise ValueError(f"multipliers must be whole numbers from 1, found {list(self.multipliers)}")
        if self.log_snr_min >= self.log_snr_max:
            raise ValueError(f"log_snr_min {self.log_snr_min} must lie below log_snr_max {self.log_snr_max}")
        if self.fourier_features and self.coordinate_form != "raw":
            raise ValueError("fourier_features are for coordinate_form raw; circle has its own")
        if self.templates and self.network != "compact":
            raise ValueError(f"templates are for network compact, found network {self.network!r}")
        if self.network == "compact" and self.channels % self.head_dim:
            raise ValueError(
                f"channels {self.channels} cannot be shared out among heads of head_dim {self.head_dim}; "
                "give a head_dim that divides channels"
            )


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """The training recipe.

    Attributes:
        seed: of initial parameters, order of crystals, augmentation, noise.
        batch_size, steps, learning_rate, beta1, beta2, weight_decay, ema_decay: Table 4.
        warmup_steps: linear rise of the learning rate (the paper does not say).
        learning_rate_decay: `none` (Table 4 names no decay), or `cosine` to zero at the last step.
        gradient_clip: largest global norm of a gradient; None: not clipped.
        shuffle_slots: `all`: an element's atoms fall on random ones of its L slots; `occupied`: their order is
            shuffled but they keep the first slots; `none`.
        translate: move each crystal by a random fraction of its cell.
        permute_axes: exchange a, b, c at random (fractional coordinates). rotate: rotate at random (Cartesian ones).
        lattice_weight: weight of the lattice's loss beside that of the coordinates.
        null_weight: weight of empty slots in the loss of the coordinates; 1: plain mean squared error. Below 1
            an atom is rather kept than lost: the network learns more from atoms, and samples hold more of them.
        condition_dropout: share of crystals that are shown no condition; each condition is also left out by
            itself as often (classifier-free guidance, arXiv:2207.12598, found 0.1 to 0.2 best).
        loss_weight: `none`: every noise level counts alike (with `prediction: edm` that is its paper's weight);
            `min_snr`: min(SNR, gamma) of the error of x0 (arXiv:2303.09556).
        min_snr_gamma: gamma of `min_snr`; 5 is that paper's.
        noise_levels: `cosine`: evenly spread in the time of the cosine schedule (Table 4), for `compact` in that of
            its flow; `log_normal`: ln(sigma / alpha) normally distributed (arXiv:2206.00364, Table 1).
        noise_mean, noise_std: of `log_normal`, P_mean and P_std of that paper, for images.
        occupancy_steps: steps after which the model of compositions inside a `compact` network rests, lest it learn
            the dataset by heart; None: never. occupancy_rate: its learning rate, in units of learning_rate.
            occupancy_orders: orders of the elements of each crystal that it learns from in one step.
        pairing: of the noise and the data of a `compact` network: `random`, or `nearest`: atoms of an element go to the
            positions that are nearest (optimal assignment), and the origin is where they then move least.
        template_dropout: share of the crystals with a template that are not shown it (`model.templates`).
        template_start: share of those that are shown it whose path starts from the template in place of noise.
        template_jitter: deviation of such a start from its template, in cells and in units of the lattice vector.
        fsdp: devices over which parameters and optimizer state are sharded; the rest of the mesh is data.
        tensorboard: write event files beside history.csv.
        log_every, validate_every, checkpoint_every: steps between rows of history.csv, validations, checkpoints.
        validation_crystals: at most so many crystals are drawn from the validation split.
        time_limit_minutes: save and stop with exit code 75 after so long; None: no limit.
        initial: model.npz to start from, or the name of a model that ships; None: fresh parameters.
    """

    seed: int = 0
    batch_size: int = 512
    steps: int = 200_000
    learning_rate: float = 1e-4
    warmup_steps: int = 1000
    learning_rate_decay: Literal["none", "cosine"] = "none"
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.0
    ema_decay: float = 0.9999
    gradient_clip: float | None = None
    shuffle_slots: Literal["all", "occupied", "none"] = "all"
    translate: bool = True
    permute_axes: bool = True
    rotate: bool = True
    lattice_weight: float = 1.0
    null_weight: float = 1.0
    condition_dropout: float = 0.1
    loss_weight: Literal["none", "min_snr"] = "none"
    min_snr_gamma: float = 5.0
    noise_levels: Literal["cosine", "log_normal"] = "cosine"
    noise_mean: float = -1.2
    noise_std: float = 1.2
    occupancy_steps: int | None = None
    occupancy_rate: float = 1.0
    occupancy_orders: int = 1
    pairing: Literal["random", "nearest"] = "random"
    template_dropout: float = 0.3
    template_start: float = 0.5
    template_jitter: float = 0.02
    fsdp: int = 1
    tensorboard: bool = False
    log_every: int = 100
    validate_every: int = 1000
    validation_crystals: int = 1024
    checkpoint_every: int = 2000
    time_limit_minutes: float | None = None
    initial: str | None = None

    def __post_init__(self) -> None:
        _positive(self, "batch_size", "steps", "learning_rate", "log_every", "validate_every", "checkpoint_every")
        _positive(self, "lattice_weight", "null_weight", "validation_crystals", "min_snr_gamma", "noise_std", "fsdp")
        _positive(self, "occupancy_rate", "occupancy_orders")
        _within(self, 0, 0.95, "condition_dropout")
        _within(self, 0, 1, "template_dropout", "template_start", "template_jitter")
        _within(self, 0, 1, "beta1", "beta2", "ema_decay")
        _within(self, 0, self.steps, "warmup_steps")


@dataclasses.dataclass(frozen=True)
class SampleSettings:
    """How crystals are generated.

    Attributes:
        n: number of crystals; with `compositions`, of each that has no count of its own.
        steps: denoising steps (Table 4). `heun` asks the network twice in each.
        gamma: interpolation of the log variance between the lower (0) and upper (1) bound of the posterior
            (Table 4); `ancestral` alone.
        batch_size: crystals at once, over all devices.
        seed: of all draws; crystal i depends on the seed and on i alone.
        clip: keep each predicted crystal within the range of the data.
        sampler: of network unet `ancestral`, the paper's and its default, or `ddim` (arXiv:2010.02502), `dpm++` (2M,
            arXiv:2211.01095) and `heun` (arXiv:2206.00364), which follow the reverse ODE and need fewer steps; of
            compact `euler`, its only one. None: the network's default.
        churn: fresh noise in `heun`, S_churn of that paper; 0: none. churn_noise: its S_noise.
        guidance: omega of Equation 2, (1 + omega) * conditional - omega * unconditional prediction.
        composition: formula of the atoms in the cell, e.g. Li4Fe4P4O16.
        compositions: CSV with a column `formula` and, if wanted, `count`; in place of `composition`.
        chemical_system: elements that should occur, e.g. Si-C.
        properties: value asked for by name, in the unit of the dataset's column; a list for a vector.
        n_atoms: number of atoms of the compositions that a compact network draws; None: as in its dataset.
        anti_annealing: `euler` alone: atoms move 1 + s * t times as far at time t as the flow says, for this s
            (arXiv:2412.11693 found 5 best): they settle where they are most probable.
        templates: crystal table of structures to start from or to look at, one crystal for each of them, in their order
            (of a model with `model.templates`); in a workflow, also a set. In place of `compositions`.
        start: where the path of a crystal with a template begins: at `noise`, so that it may end far from it, or at the
            `template`, which it refines.
        template_jitter: deviation of a start at the template, in cells and in units of the lattice vector; 0: none.
        keep_symmetry: a crystal that starts at its template keeps the template's space group.
        mask_slots: hold every slot outside the requested composition null and read every slot inside as an
            atom; for models trained with `shuffle_slots` other than `all`.
    """

    n: int = 1000
    steps: int = 256
    gamma: float = 0.1
    batch_size: int = 256
    seed: int = 0
    clip: bool = True
    sampler: Literal["ancestral", "ddim", "dpm++", "heun", "euler"] | None = None
    churn: float = 0.0
    churn_noise: float = 1.0
    guidance: float = 0.0
    composition: str | None = None
    compositions: str | None = None
    chemical_system: str | None = None
    properties: dict[str, float | tuple[float, ...]] = dataclasses.field(default_factory=dict)
    n_atoms: int | None = None
    anti_annealing: float = 5.0
    templates: str | None = None
    start: Literal["noise", "template"] = "noise"
    template_jitter: float = 0.0
    keep_symmetry: bool = True
    mask_slots: bool = False

    def __post_init__(self) -> None:
        _positive(self, "n", "steps", "batch_size", "churn_noise")
        _within(self, 0, 1, "gamma", "template_jitter")
        if self.templates is None and (self.start == "template" or self.template_jitter):
            raise ValueError("start template and template_jitter need templates, the table to start from")
        if self.templates is not None and (self.composition, self.compositions, self.n_atoms) != (None, None, None):
            raise ValueError("templates say what to make; leave composition, compositions and n_atoms out")
        _within(self, 0, 1000, "churn", "guidance", "anti_annealing")
        if self.n_atoms is not None:
            _positive(self, "n_atoms")
            if self.composition is not None or self.compositions is not None:
                raise ValueError("n_atoms and a composition both say how many atoms there are; give one of them")
        if self.composition is not None and self.compositions is not None:
            raise ValueError("composition and compositions both say what to make; give one of them")
        if self.churn and self.sampler != "heun":
            raise ValueError(f"churn is for sampler heun, found sampler {self.sampler!r}")
