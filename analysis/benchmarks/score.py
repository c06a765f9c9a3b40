"""Time genpredict.score against the tools it replaces, and its engine against the floor.

    python analysis/benchmarks/score.py [--checkpoints FOLDER] [--repeats 7]

Three sets of networks, all on the same machine in one run, on 2 threads and, against the floor, on
one as well:

(a) the published CIFAR ResNets in FOLDER (left out where it is absent),
(b) a CIFAR ResNet-18, 11.2 million weights, freshly initialized,
(c) 256 networks of NATS-Bench's size space, freshly initialized.

Rivals: the loop over the `rmsgd` package's EVBMF in float32, as released (its `Metrics`, linear
layers included), and WeightWatcher's `analyze` on (b). The floor is torch's own batched Gram
matrices and `eigvalsh` of the very matrices the engine decomposes, equal shapes stacked
beforehand. Every pair is timed in turn, rival and genpredict and rival again, and the median of
the ratios is printed with its range, so that a machine that drifts does not decide the outcome.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import statistics
import threading
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import genpredict
from genpredict.layers import select_layers
from genpredict.networks import build_network
from genpredict.spectral import dead_channels, measure_weights, unfold, unfoldings
from genpredict.spectral.unfold import without

THREADS = 2
SIZE_SPACE_NETWORKS = 256
#: OpenMP's threads spin for 0.2 s after a call and would take a core from the next (seconds).
PAUSE = 0.3
#: A virtual machine's core that slept comes back milliseconds late: all work so long before a call.
WARM_UP = 0.03
WIDTHS = range(8, 72, 8)

StateDict = Mapping[str, Tensor]
Networks = dict[str, StateDict]


def main() -> None:
    """Run every comparison and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path("../shared/data/checkpoints/akamaster")
    parser.add_argument("--checkpoints", type=Path, default=default)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", default="abc", help="sets to run, e.g. a or bc")
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; ratios are rival/ours")
    for name, networks in sets(arguments.checkpoints, arguments.only):
        compare(name, networks, arguments.repeats)


def sets(checkpoints: Path, only: str) -> Iterator[tuple[str, Networks]]:
    """Yield the sets of networks, as state dicts in memory."""
    if "a" in only and checkpoints.is_dir():
        found = genpredict.open_checkpoints(checkpoints)
        yield "a: published ResNets", {one.id: dict(one.tensors()) for one in found}
    if "b" in only:
        torch.manual_seed(0)
        yield "b: ResNet-18", {"resnet18": build_network("resnet18").state_dict()}
    if "c" in only:
        yield f"c: {SIZE_SPACE_NETWORKS} size-space networks", size_space_networks()


def size_space_networks() -> Networks:
    """Draw networks of the size space at random."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    names = [":".join(map(str, rng.choice(WIDTHS, 5))) for _ in range(SIZE_SPACE_NETWORKS)]
    return {f"{n} {w}": build_network(f"sss:{w}").state_dict() for n, w in enumerate(names)}


def compare(name: str, networks: Networks, repeats: int) -> None:
    """Print how the rivals and the floor compare on one set."""
    weights = [layer.weight for one in networks.values() for layer in select_layers(one)[0]]
    print(f"\n{name}: {len(weights)} layers, {sum(w.numel() for w in weights):,} weights")
    for dtype in ("float64", "float32"):
        ours = lambda dtype=dtype: genpredict.score(networks, dtype=dtype)  # noqa: E731
        report(f"score {dtype} vs rmsgd", ours, lambda: released_loop(weights), repeats)
        if name.startswith("b"):
            report(f"score {dtype} vs WeightWatcher", ours, weightwatcher(networks), repeats=2)
    for threads, dtype in product((1, THREADS), (torch.float64, torch.float32)):
        torch.set_num_threads(threads)
        engine = lambda dtype=dtype: measure_weights(weights, dtype=dtype)  # noqa: E731
        label = f"{str(dtype).removeprefix('torch.')} on {threads} thread(s)"
        full = stacked(weights, dtype)
        both = stacked(weights, dtype, and_left=True)
        report(f"engine {label} vs floor", engine, lambda m=full: floor(m), 3 * repeats)
        if sum(map(len, both)) > sum(map(len, full)):
            report(f"engine {label} vs floor, what is left of layers with dead channels too",
                   engine, lambda m=both: floor(m), 3 * repeats)  # fmt: skip
    print_profile(weights)
    if name.startswith("a"):
        print_error_of_float32(networks)


def report(
    label: str, ours: Callable[[], object], rival: Callable[[], object], repeats: int
) -> None:
    """Time two callables in turn and print the medians and the ratio."""
    ours(), rival()  # warm up
    pairs = [(timed(rival), timed(ours)) for _ in range(repeats)]
    ratios = sorted(b / a for b, a in pairs)
    rival_s, ours_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    middle = statistics.median(ratios)
    print(
        f"  {label}: {rival_s:.4f} s / {ours_s:.4f} s = {middle:.2f} "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f}); ours/rival {1 / middle:.2f}"
    )


def timed(call: Callable[[], object]) -> float:
    """Return the wall time of one call in seconds, the threads of the call before at rest."""
    time.sleep(PAUSE)
    helpers = [threading.Thread(target=_work) for _ in range(THREADS - 1)]
    for helper in helpers:
        helper.start()
    _work()
    for helper in helpers:
        helper.join()
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _work() -> None:
    """Keep one core busy for a moment, by a call that uses no OpenMP."""
    matrices = torch.eye(64).expand(32, 64, 64)
    end = time.perf_counter() + WARM_UP
    while time.perf_counter() < end:
        torch.linalg.eigvalsh(matrices)


def released_loop(weights: list[Tensor]) -> None:
    """Factorize one matrix after the other with the `rmsgd` package, in float32."""
    from rmsgd.metrics import Metrics

    parameters = [nn.Parameter(weight.float()) for weight in weights]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Metrics(parameters, linear=True)()


def weightwatcher(networks: Networks) -> Callable[[], object]:
    """Return WeightWatcher's analysis of the one network of a set."""
    import weightwatcher

    logging.getLogger("weightwatcher").setLevel(logging.ERROR)
    network = build_network("resnet18")
    network.load_state_dict(dict(next(iter(networks.values()))))

    def analyze() -> object:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            return weightwatcher.WeightWatcher(model=network).analyze()

    return analyze


def stacked(weights: list[Tensor], dtype: torch.dtype, *, and_left: bool = False) -> list[Tensor]:
    """Stack the unfoldings of equal shape, and on demand those of what dead channels leave."""
    alike: dict[tuple[int, ...], list[Tensor]] = defaultdict(list)
    for weight in weights:
        versions = [weight.to(dtype)]
        dead = dead_channels(versions[0])
        if and_left and any(mask.any() for mask in dead):
            versions.append(without(versions[0], *dead))
        for version in versions:
            for name in unfoldings(tuple(version.shape)):
                matrix = unfold(version, name).contiguous()
                alike[tuple(matrix.shape)].append(matrix)
    return [torch.stack(matrices) for matrices in alike.values()]


def floor(stacks: list[Tensor]) -> None:
    """Compute Gram matrices and eigenvalues as torch does by itself."""
    for matrices in stacks:
        torch.linalg.eigvalsh(torch.bmm(matrices, matrices.mT))


def print_profile(weights: list[Tensor]) -> None:
    """Print where the engine's processor time goes, on one thread."""
    torch.set_num_threads(1)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        start = time.process_time()
        measure_weights(weights)
        total = 1e3 * (time.process_time() - start)
    torch.set_num_threads(THREADS)
    names = {"Gram matrices": ("aten::bmm",), "eigenvalues": ("aten::_linalg_eigh",)}
    names["copies"] = ("aten::copy_", "aten::_foreach_copy_", "aten::index", "aten::cat")
    spent = {event.key: event.self_cpu_time_total / 1e3 for event in profile.key_averages()}
    parts = {part: sum(spent.get(key, 0.0) for key in keys) for part, keys in names.items()}
    calls = sum(event.count for event in profile.key_averages())
    parts[f"the rest of {calls} calls, profiling included"] = total - sum(parts.values())
    text = ", ".join(f"{part} {ms:.1f} ms" for part, ms in parts.items())
    print(f"  profile of the engine, float64, one thread: {text}")


def print_error_of_float32(networks: Networks) -> None:
    """Print how far float32 is from float64 on real weights."""
    exact, rough = (genpredict.score(networks, dtype=dtype) for dtype in ("float64", "float32"))
    ranks = int((exact["rank"] != rough["rank"]).where(exact["rank"].notnull()).sum())
    print(f"  float32 against float64: {ranks} of {int(exact['rank'].count())} ranks differ;")
    for name in ("stable_rank", "condition_number", "quality", "Q"):
        worst = float(abs(exact[name] - rough[name]).max())
        typical = float(abs(exact[name] - rough[name]).median())
        print(f"    {name}: largest difference {worst:.1e}, median {typical:.1e}")


if __name__ == "__main__":
    main()
