"""Time groups of measures against the measures of every score, and against WeightWatcher.

    python analysis/benchmarks/measures.py [--networks 512] [--repeats 3] [--only abc]

On one machine in one run, on 2 threads:

(a) all `weightwatcher` measures of a CIFAR ResNet-18 against WeightWatcher's `analyze`,
(b) the same on 64 networks of NATS-Bench's size space,
(c) `score` of size-space networks in memory with the groups `heavy_tail`, `weightwatcher` and
    `statistics`, each and all together, against `score` alone,
(d) the command `genpredict score` on the same networks as files, one process.

NumPy's and SciPy's BLAS run on one thread: on two, `analyze` takes up to ten times the processor
time on a machine with other work, because their threads spin while they wait for each other.

Pairs are timed in turn and the median of their ratios is printed with its range, of wall time and
of processor time, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from threadpoolctl import threadpool_limits
from torch import nn

import genpredict
from genpredict.layers import select_layers
from genpredict.networks import build_network
from genpredict.spectral.blocks import plan
from genpredict.spectral.parallel import runner
from genpredict.spectral.weightwatcher import weightwatcher_measures

THREADS = 2
RIVAL_NETWORKS = 64
WIDTHS = range(8, 72, 8)
GROUPS = ("heavy_tail", "weightwatcher", "statistics")


def main() -> None:
    """Run every comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="abcd")
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    print(f"torch {torch.__version__}, {THREADS} threads")
    if "a" in arguments.only:
        torch.manual_seed(0)
        against_weightwatcher("(a) ResNet-18", [build_network("resnet18")], 1)
    networks = size_space_networks(arguments.networks)
    if "b" in arguments.only:
        some = list(networks.values())[:RIVAL_NETWORKS]
        against_weightwatcher(f"(b) {len(some)} size-space networks", some, 1)
    if "c" in arguments.only:
        against_default(networks, arguments.repeats)
    if "d" in arguments.only:
        command_against_default(networks, arguments.repeats)


def size_space_networks(count: int) -> dict[str, nn.Module]:
    """Draw networks of the size space at random."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    names = [":".join(map(str, rng.choice(WIDTHS, 5))) for _ in range(count)]
    return {f"{n} {w}": build_network(f"sss:{w}") for n, w in enumerate(names)}


def against_weightwatcher(title: str, networks: Sequence[nn.Module], repeats: int) -> None:
    """Print the ratio of `analyze` to ours."""
    import weightwatcher

    logging.getLogger("weightwatcher").setLevel(logging.CRITICAL)
    weights = [layer.weight for n in networks for layer in select_layers(n.state_dict())[0]]
    _, pieces = plan([tuple(weight.shape) for weight in weights])

    def measure(layers: Sequence[int]) -> None:
        weightwatcher_measures(torch.stack([weights[layer] for layer in layers]))

    def ours() -> None:
        with runner(torch.device("cpu")) as run:
            run([partial(measure, piece.layers) for piece in pieces])

    def rival() -> None:
        with (
            threadpool_limits(1, user_api="blas"),
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            for network in networks:
                weightwatcher.WeightWatcher(model=network).analyze()

    report(f"{title}: analyze/ours", rival, ours, repeats)


def against_default(networks: Mapping[str, nn.Module], repeats: int) -> None:
    """Print what the groups cost in memory."""
    plain = lambda: genpredict.score(networks)  # noqa: E731
    for groups in (*((group,) for group in GROUPS), GROUPS):
        more = lambda groups=groups: genpredict.score(networks, measures=groups)  # noqa: E731
        label = f"(c) score of {len(networks)} networks, {'+'.join(groups)}/default"
        report(label, more, plain, repeats)


def command_against_default(networks: Mapping[str, nn.Module], repeats: int) -> None:
    """Print what the groups cost the command on files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "networks"
        folder.mkdir()
        for key, network in networks.items():
            save_file(network.state_dict(), folder / f"{key.replace(':', '-')}.safetensors")

        def run(*options: str) -> None:
            output = Path(name) / "scores.zarr"
            command = ["-m", "genpredict", "score", folder, "--workers", "1", "--overwrite"]
            words = [sys.executable, *command, "-o", output, *options]
            subprocess.run(words, check=True, capture_output=True)

        more = lambda: run("--measures", ",".join(GROUPS))  # noqa: E731
        report(f"(d) genpredict score on {len(networks)} files, all/default", more, run, repeats)


def report(
    title: str, first: Callable[[], object], second: Callable[[], object], repeats: int
) -> None:
    """Time two callables in turn and print the ratio of first to second."""
    second()
    pairs = [(timed(first), timed(second)) for _ in range(repeats)]
    parts = []
    for clock, what in enumerate(("wall", "processor")):
        ratios = sorted(a[clock] / b[clock] for a, b in pairs)
        seconds = [statistics.median(pair[side][clock] for pair in pairs) for side in (0, 1)]
        parts.append(
            f"{what} {seconds[0]:.2f} s / {seconds[1]:.2f} s = {statistics.median(ratios):.2f} "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )
    print(f"{title}: {'; '.join(parts)}", flush=True)


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Return the wall time and the processor time, of child processes too, of one call."""
    wall, processor = time.perf_counter(), spent()
    call()
    return time.perf_counter() - wall, spent() - processor


def spent() -> float:
    """Return the processor time of this process and of those it has waited for, in seconds."""
    import resource

    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


if __name__ == "__main__":
    main()
