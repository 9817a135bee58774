"""Crystals per second that the demo's model samples, and how often sampling compiles.

The network is that of `config/config.yaml` with random parameters, which take as long as trained ones. The first call
compiles; a second one, of another size that is padded to the same batch, should compile nothing. The baseline of a
rate is the paper's sampler: 256 ancestral steps without guidance.
"""

import argparse
import dataclasses
import time

import jax
import numpy as np
import yaml
from encode_roundtrip import made_up_crystals
from harness import ROOT, Figure, finish, peak_memory_mib, say
from jax import monitoring

from unimat.crystal_table import from_crystals
from unimat.model import networks
from unimat.model.checkpoints import Model
from unimat.model.representation.encode_stream import Tally
from unimat.model.representation.encoding import chosen_grid, encode_table
from unimat.model.sampling.sampled_sets import sample
from unimat.model.settings import EncodeSettings, ModelSettings, SampleSettings
from unimat.settings import load_settings

COMPILED = "/jax/core/compile/backend_compile_duration"
GUIDANCE = 2.0


def demo_model(conditions: tuple[str, ...] = ()) -> Model:
    """The demo's network for the demo's grid, with random parameters."""
    sections = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    settings = load_settings(EncodeSettings, sections["encode"], "encode")
    grid, tally = chosen_grid(settings), Tally()
    elements = np.array(sorted(grid.cell_of))
    crystals = [
        dataclasses.replace(crystal, atomic_numbers=elements[crystal.atomic_numbers % len(elements)])
        for crystal in made_up_crystals(500, seed=0)
    ]
    tally.add("train", *encode_table(from_crystals(crystals), grid, settings.slots, settings.max_atoms))
    encoding = tally.encoding(grid, settings)
    chosen = dataclasses.replace(load_settings(ModelSettings, sections["model"], "model"), conditions=conditions)
    network = networks.build(chosen, encoding)
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda p: np.asarray(p + 0.02 * rng.normal(size=p.shape), np.float32), network.init(key=jax.random.key(0))
    )
    return Model(chosen, encoding, network, params, {})


def seconds(model: Model, settings: SampleSettings, compiled: list[float]) -> tuple[float, int, float]:
    """Wall time of a set, how many programs it compiled, and the seconds that took."""
    compiled.clear()
    start = time.perf_counter()
    sample(model, settings)
    return time.perf_counter() - start, len(compiled), sum(compiled)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=256, help="crystals of a set, at once (default: 256)")
    parser.add_argument("--steps", type=int, default=256, help="steps of the paper's sampler (default: 256)")
    args = parser.parse_args()

    compiled: list[float] = []
    monitoring.register_event_duration_secs_listener(
        lambda name, duration, **_: compiled.append(duration) if name == COMPILED else None
    )
    model, told = demo_model(), demo_model(("composition",))
    paper = SampleSettings(n=args.n, steps=args.steps, batch_size=args.n)
    say("first call")
    _, first, compile_time = seconds(model, paper, compiled)
    say("second call, of another size")
    other = dataclasses.replace(paper, n=max(args.n - args.n // 16, 1), seed=1)
    _, again, _ = seconds(model, other, compiled)
    wall, _, _ = seconds(model, dataclasses.replace(paper, seed=2), compiled)
    rate = args.n / wall
    figures = [
        Figure(f"ancestral, {args.steps} steps", rate, "crystals/s"),
        Figure("programs compiled by the first call", first, ""),
        Figure("seconds of compiling in the first call", compile_time, "s"),
        Figure("programs compiled by a second call of another size", again, "", 0),
    ]
    quicker = {"steps": max(args.steps // 8, 1)}
    for name, changes in {
        f"ancestral, {args.steps} steps, Si4C4, guidance {GUIDANCE:g}": {"composition": "Si4C4", "guidance": GUIDANCE},
        f"dpm++, {quicker['steps']} steps": {"sampler": "dpm++", **quicker},
        f"heun, {quicker['steps']} steps": {"sampler": "heun", **quicker},
    }.items():
        say(name)
        settings = dataclasses.replace(paper, **changes)
        network = told if settings.composition else model
        seconds(network, settings, compiled)
        wall, _, _ = seconds(network, dataclasses.replace(settings, seed=3), compiled)
        figures.append(Figure(name, args.n / wall, "crystals/s", None, rate, "higher"))
    finish("sampling", [*figures, Figure("peak memory", peak_memory_mib(), "MiB")])


if __name__ == "__main__":
    main()
