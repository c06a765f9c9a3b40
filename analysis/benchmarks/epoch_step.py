"""Time RMSGD's epoch_step against the released optimizer's, and against a training epoch.

    python analysis/benchmarks/epoch_step.py [--network resnet18] [--repeats 7] [--threads 2]

All on the same machine in one run: a CIFAR network trained for a few steps, so that its weights
are no longer those of the initialization. The rival is `epoch_step` of the `rmsgd` package on the
same weights, linear layers included, in the weights' float32, as released. The three are timed in
turn, warm, and the median of the ratios is printed with its range, so that a machine that drifts
does not decide the outcome. A training epoch of CIFAR-10 is taken as the median time of a step
times the number of batches in 50,000 images.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from math import ceil

import torch
from torch import nn

from genpredict.networks import build_network
from genpredict.training.optimizers import RMSGD

#: OpenMP's threads spin for 0.2 s after a call and would take a core from the next (seconds).
PAUSE = 0.3
CIFAR_IMAGES = 50_000
#: What is asked: the rival's time by ours, and our share of a training epoch.
ASKED = {"float64": 6, "float32": 10}
ASKED_SHARE = 0.02


def main() -> None:
    """Run both comparisons and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="resnet18")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    network = build_network(arguments.network)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {arguments.network}")
    step_s = statistics.median(training_steps(network, arguments.batch, arguments.repeats))
    ours_s = compare(network, arguments.repeats)
    steps = ceil(CIFAR_IMAGES / arguments.batch)
    print(
        f"\na step of {arguments.batch} images {step_s:.3f} s, {steps} steps {step_s * steps:.0f} s"
    )
    for name, seconds in ours_s.items():
        share = seconds / (step_s * steps)
        print(f"  epoch_step {name}: {share:.2%} of a training epoch (asked: < {ASKED_SHARE:.0%})")


def training_steps(network: nn.Module, batch: int, repeats: int) -> list[float]:
    """Train on random images; return the seconds of each step but the first two."""
    optimizer = RMSGD(network.named_parameters())
    images, labels = torch.randn(batch, 3, 32, 32), torch.randint(0, 10, (batch,))

    def step() -> None:
        optimizer.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(network(images), labels))
        optimizer.step()

    return [timed(step) for _ in range(2 + repeats)][2:]


def compare(network: nn.Module, repeats: int) -> dict[str, float]:
    """Time the three epoch_steps in turn; print the ratios; return our median seconds."""
    rival = released_epoch_step(network)
    ours = {
        name: RMSGD(network.named_parameters(), dtype=getattr(torch, name)).epoch_step
        for name in ASKED
    }
    for call in (rival, *ours.values()):
        call()  # warm up
    rounds = []
    for _ in range(repeats):
        rival_s = timed(rival)
        rounds.append({"rmsgd": rival_s} | {name: timed(call) for name, call in ours.items()})
    medians = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    print(f"epoch_step of the rmsgd package: {medians['rmsgd']:.3f} s")
    for name, asked in ASKED.items():
        ratios = sorted(one["rmsgd"] / one[name] for one in rounds)
        print(
            f"epoch_step {name}: {medians[name]:.3f} s, rmsgd/ours "
            f"{statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f}; asked: {asked})"
        )
    return {name: medians[name] for name in ASKED}


def released_epoch_step(network: nn.Module) -> Callable[[], object]:
    """Return the package's epoch_step on the weights of a network."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import rmsgd
    peer = rmsgd.RMSGD(network.parameters(), lr=0.03, beta=0.98, linear=True)

    def call() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            peer.epoch_step()

    return call


def timed(call: Callable[[], object]) -> float:
    """Return the wall time of one call in seconds, the threads of the call before at rest."""
    time.sleep(PAUSE)
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
