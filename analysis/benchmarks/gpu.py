"""Check on a CUDA device that genpredict computes what the CPU computes, and time it.

    python analysis/benchmarks/gpu.py [--checkpoints FOLDER] [--output results.json] [--small]

Question: does the engine give the same numbers on a GPU, does nothing in its hot loops wait for
the host, and from which size on is a GPU worth it? Checked are layer measures (relative
difference at most 1e-9, ranks equal), the learning rates that RMSGD sets, and, by torch's own
synchronisation debugger, the places that wait. Timed are torch's batched eigenvalues by size, and
the engine on (a) the published CIFAR ResNets in FOLDER (left out where it is absent), (b) a
ResNet-18, (c) 256 networks of NATS-Bench's size space, 2,000 of them, and 1,000 ResNet-18s (the
same weights measured again and again). Each stops after --limit seconds; how many networks were
measured by then is printed. Under 8 minutes.

Without CUDA the script says so and ends; `--device cpu` runs its checks there, against itself.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import genpredict
from genpredict.layers import select_layers
from genpredict.networks import build_network
from genpredict.spectral import measure_weights
from genpredict.spectral.spectrum import gram_eigenvalues
from genpredict.training.optimizers import RMSGD

#: Largest relative difference to the CPU that passes.
TOLERANCE = 1e-9
WIDTHS = range(8, 72, 8)
SIZES = (8, 16, 24, 32, 33, 48, 64, 96, 128, 256, 512)
#: Networks measured in one call; their weights lie on the device meanwhile.
BATCH = 32


def main() -> None:
    """Run every check and timing; exit 1 where a check fails."""
    arguments = read_arguments()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device here: nothing to check (--device cpu checks the script itself)")
        return
    device = torch.device(arguments.device)
    print(f"torch {torch.__version__}, {name_of(device)}, {torch.get_num_threads()} CPU threads")
    trained = list(layers_to_check(arguments.checkpoints))
    results: dict[str, Any] = {"torch": torch.__version__, "device": name_of(device)}
    results["differences"] = compare_measures(trained, device)
    results["rates"] = compare_rates(device)
    results["waits"] = count_waits(trained, device)
    results["eigenvalues"] = time_eigenvalues(device, 2 if arguments.small else 64)
    results["seconds"] = time_sets(arguments, device)
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    passed = results["differences"]["ranks"] == 0 and all(
        difference <= TOLERANCE
        for name, difference in (results["differences"] | results["rates"]).items()
        if name != "ranks"
    )
    print("all checks passed" if passed else "NOT all checks passed")
    raise SystemExit(0 if passed else 1)


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path("../shared/data/checkpoints/akamaster")
    parser.add_argument("--checkpoints", type=Path, default=default)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--output", type=Path, help="write the results to this JSON file")
    parser.add_argument("--limit", type=float, default=20, help="seconds a set and device")
    parser.add_argument("--small", action="store_true", help="a hundredth of the work")
    return parser.parse_args()


def name_of(device: torch.device) -> str:
    """Return the name of the card, or cpu."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def layers_to_check(checkpoints: Path) -> Iterator[Tensor]:
    """Yield weights of many shapes: published ones where they are, and drawn ones."""
    if checkpoints.is_dir():
        for checkpoint in genpredict.open_checkpoints(checkpoints):
            yield from (layer.weight for layer in select_layers(checkpoint.tensors())[0])
    generator = torch.Generator().manual_seed(0)
    for shape in [(16, 16, 3, 3), (10, 64), (64, 32, 3, 3), (8, 1, 3, 3), (128, 128, 1, 1), (2, 5)]:
        yield from (aged(shape, generator) for _ in range(5))
    yield torch.zeros(8, 8, 3, 3)


def aged(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw a weight as training leaves it: noise, a few strong directions, dead channels."""
    outputs, inputs = shape[:2]
    strong = torch.randn(outputs, 2, generator=generator) @ torch.randn(
        2, inputs, generator=generator
    )
    weight = torch.randn(shape, generator=generator)
    weight += strong.reshape(outputs, inputs, *[1] * (len(shape) - 2))
    dead = torch.rand(outputs, generator=generator) < 0.1
    weight[dead] *= 1e-3
    return weight


def compare_measures(weights: Sequence[Tensor], device: torch.device) -> dict[str, float]:
    """Measure on both; print and return the largest relative difference of each measure."""
    expected = measure_weights(weights)
    measured = measure_weights([weight.to(device) for weight in weights], device=device)
    differences = {}
    for name, theirs in expected.items():
        ours = measured[name].cpu()
        if not torch.equal(ours.isnan(), theirs.isnan()):
            differences[name] = float("inf")
            continue
        scale = theirs.abs().clamp_min(1e-12 * theirs.nan_to_num().abs().max().clamp_min(1e-300))
        differences[name] = float(((ours - theirs).abs() / scale).nan_to_num().max())
    ranks = int(
        (measured["rank"].cpu() != expected["rank"]).logical_and(~expected["rank"].isnan()).sum()
    )
    print(f"measures of {len(weights)} layers: {ranks} ranks differ; largest relative differences")
    for name, difference in differences.items():
        print(f"  {name}: {difference:.1e}{'' if difference <= TOLERANCE else '  <- too large'}")
    return differences | {"ranks": ranks}


def compare_rates(device: torch.device) -> dict[str, float]:
    """Set RMSGD's rates on both after the same few steps; return the largest difference."""
    rates, weights = [], []
    for place in (torch.device("cpu"), device):
        torch.manual_seed(0)
        network = build_network("sss:8:16:24:32:40").double()
        images = torch.randn(16, 3, 32, 32, dtype=torch.float64)
        labels = torch.randint(0, 10, (16,))
        network, images, labels = network.to(place), images.to(place), labels.to(place)
        optimizer = RMSGD(network.named_parameters())
        for _ in range(2):
            take_step(network, optimizer, images, labels)
            optimizer.epoch_step()
        rates.append(torch.tensor(list(optimizer.learning_rates().values()), dtype=torch.float64))
        weights.append(torch.cat([p.detach().cpu().flatten() for p in network.parameters()]))
    difference = {
        "learning rates": float(((rates[1] - rates[0]).abs() / rates[0].abs().max()).max()),
        "weights": float((weights[1] - weights[0]).abs().max() / weights[0].abs().max()),
    }
    print(f"RMSGD after 2 epochs of one step: largest differences {difference}")
    return difference


def take_step(network: nn.Module, optimizer: RMSGD, images: Tensor, labels: Tensor) -> None:
    """Train on one batch."""
    optimizer.zero_grad()
    torch.autograd.backward(nn.functional.cross_entropy(network(images), labels))
    optimizer.step()


def count_waits(weights: Sequence[Tensor], device: torch.device) -> dict[str, int]:
    """Print and return the places where the host waits for the device, with how often."""
    if device.type != "cuda":
        print("places that wait: only told on CUDA")
        return {}
    network = build_network("sss:8:16:24:32:40").to(device)
    images = torch.randn(16, 3, 32, 32, device=device)
    labels = torch.randint(0, 10, (16,), device=device)
    optimizer = RMSGD(network.named_parameters())
    there = [weight.to(device) for weight in weights]
    calls: dict[str, Callable[[], object]] = {
        "measure_weights": lambda: measure_weights(there),
        "RMSGD.step": lambda: take_step(network, optimizer, images, labels),
        "RMSGD.epoch_step": optimizer.epoch_step,
    }
    waits = {}
    for name, call in calls.items():
        call()
        places = Counter(_waiting(call))
        waits |= {f"{name}: {place}": count for place, count in places.items()}
        print(f"{name} waits {sum(places.values())} times")
        for place, count in places.most_common(8):
            print(f"  {count} × {place}")
    return waits


def _waiting(call: Callable[[], object]) -> list[str]:
    """Return file and line of every synchronising call, as torch's debugger tells them."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    told = [each for each in caught if "synchroniz" in str(each.message)]
    return [f"{Path(each.filename).name}:{each.lineno}" for each in told]


def time_eigenvalues(device: torch.device, megabytes: int) -> dict[int, float]:
    """Time batched eigenvalues by size; return microseconds a matrix, by n."""
    spent = {}
    for n in SIZES:
        batch = max(1, min(4096, megabytes * 2**17 // n**2))
        matrices = torch.randn(batch, n, 2 * n, dtype=torch.float64, device=device)
        grams = matrices @ matrices.mT
        seconds = statistics.median(timed(lambda g=grams: gram_eigenvalues(g), device, 2))
        spent[n] = 1e6 * seconds / batch
        print(f"eigenvalues, n = {n}, batch {batch}: {spent[n]:.1f} µs a matrix")
    return spent


def time_sets(arguments: argparse.Namespace, device: torch.device) -> dict[str, dict[str, float]]:
    """Time the engine on both; print and return seconds a network, by set."""
    seconds = {}
    for name, networks, times in sets(arguments):
        here = [[layer.weight for layer in select_layers(state)[0]] for state in networks]
        there = [[weight.to(device) for weight in weights] for weights in here]
        count = len(here) * times
        measure(there, min(count, BATCH), device)  # warm up
        spent = {
            "cpu": measure(here, min(count, 256), torch.device("cpu"), arguments.limit),
            "device": measure(there, count, device, arguments.limit),
        }
        each = {place: 1e3 * time_s / number for place, (number, time_s) in spent.items()}
        seconds[name] = each
        print(
            f"{name}: CPU {each['cpu']:.2f} ms a network (of {spent['cpu'][0]}), device "
            f"{each['device']:.2f} ms (of {spent['device'][0]}), ratio "
            f"{each['cpu'] / each['device']:.2f}"
        )
    return seconds


def sets(arguments: argparse.Namespace) -> Iterator[tuple[str, list[Mapping[str, Tensor]], int]]:
    """Yield name, state dicts, and how often each is measured."""
    share = 100 if arguments.small else 1
    if arguments.checkpoints.is_dir():
        published = genpredict.open_checkpoints(arguments.checkpoints)
        yield "(a) published ResNets", [dict(each.tensors()) for each in published], 1
    torch.manual_seed(0)
    resnet = [build_network("resnet18").state_dict()]
    yield "(b) ResNet-18", resnet, 1
    rng = np.random.default_rng(0)
    names = [":".join(map(str, rng.choice(WIDTHS, 5))) for _ in range(256 // share)]
    size_space = [build_network(f"sss:{name}").state_dict() for name in names]
    yield f"(c) {len(names)} size-space networks", size_space, 1
    yield f"{2000 // share} size-space networks", size_space[: 250 // share], 8
    yield f"{1000 // share} ResNet-18s", resnet, 1000 // share


def measure(
    networks: list[list[Tensor]], count: int, device: torch.device, limit: float = float("inf")
) -> tuple[int, float]:
    """Measure that many networks, the given ones in turn, until done or out of time.

    Returns
    -------
    tuple of (int, float)
        How many were measured, and in how many seconds.
    """
    start = time.perf_counter()
    done = 0
    while done < count and time.perf_counter() - start < limit:
        batch = range(done, min(done + BATCH, count))
        measure_weights([w for number in batch for w in networks[number % len(networks)]])
        if device.type == "cuda":
            torch.cuda.synchronize()
        done = batch.stop
    return done, time.perf_counter() - start


def timed(call: Callable[[], object], device: torch.device | None, repeats: int) -> list[float]:
    """Return the wall times of calls in seconds; on a device after one to warm up."""
    waits = device is not None and device.type == "cuda"
    seconds = []
    for _ in range(repeats + waits):
        start = time.perf_counter()
        call()
        if waits:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return seconds[int(waits) :]


if __name__ == "__main__":
    main()
