"""What one of two processes does: DDP, FSDP2, ZeRO and FSDP1 beside training in one process."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.nn.parallel import DistributedDataParallel

from genpredict.errors import GenpredictError
from genpredict.training.optimizers import RMSGD

EPOCHS, STEPS = 3, 4
Rates = dict[str, float]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, bias=False), nn.GroupNorm(2, 8), nn.ReLU(),
        nn.Conv2d(8, 12, 3), nn.ReLU(), nn.Flatten(), nn.Linear(192, 32), nn.Linear(32, 4),
    )  # fmt: skip


def batches(epoch: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The same on every process: means over processes are those of one."""
    generator = torch.Generator().manual_seed(epoch)
    labels = [torch.randint(0, 4, (16,), generator=generator) for _ in range(STEPS)]
    return [(0.3 * torch.randn(16, 1, 8, 8, generator=generator) + y.view(-1, 1, 1, 1), y)
            for y in labels]  # fmt: skip


def train(
    model: nn.Module,
    optimizer: Any,
    epoch_step: Callable[[], object],
    epochs: range = range(EPOCHS),
) -> None:
    for epoch in epochs:
        for images, labels in batches(epoch):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
        epoch_step()


def plain(**options: Any) -> Rates:
    model = network()
    optimizer = RMSGD(model.named_parameters(), lr=0.05, **options)
    train(model, optimizer, optimizer.epoch_step)
    return optimizer.learning_rates()


def data_parallel() -> Rates:
    model = network()
    optimizer = RMSGD(model.named_parameters(), lr=0.05)
    train(DistributedDataParallel(model), optimizer, optimizer.epoch_step)
    return optimizer.learning_rates()


def sharded() -> nn.Module:
    model = network()
    for part in (model[3], model[6]):
        fully_shard(part)
    return fully_shard(model)


def fully_sharded(folder: Path) -> Rates:
    """Saved by torch.distributed.checkpoint after two epochs and gone on with in a new network."""
    model = sharded()
    optimizer = RMSGD(model.named_parameters(), lr=0.05)
    train(model, optimizer, optimizer.epoch_step, range(2))
    weights, state = get_state_dict(model, optimizer)
    dcp.save({"weights": weights, "state": state}, checkpoint_id=folder)
    model = sharded()
    optimizer = RMSGD(model.named_parameters(), lr=0.05, foreach=True)
    weights, state = get_state_dict(model, optimizer)
    dcp.load({"weights": weights, "state": state}, checkpoint_id=folder)
    set_state_dict(model, optimizer, model_state_dict=weights, optim_state_dict=state)
    train(model, optimizer, optimizer.epoch_step, range(2, EPOCHS))
    return optimizer.learning_rates()


def zero_redundancy() -> Rates:
    """Rates of the parameters of both processes."""
    from torch.distributed.optim import ZeroRedundancyOptimizer  # warns of its own deprecations

    model = network()
    optimizer = ZeroRedundancyOptimizer(
        model.parameters(), partial(RMSGD, network=model), lr=0.05, momentum=0.9
    )
    train(DistributedDataParallel(model), optimizer, lambda: optimizer.optim.epoch_step())
    parts: list[Rates] = [{}, {}]
    dist.all_gather_object(parts, optimizer.optim.learning_rates())
    return parts[0] | parts[1]


def zero_redundancy_without_network() -> str:
    from torch.distributed.optim import ZeroRedundancyOptimizer  # warns of its own deprecations

    model = network()
    optimizer = ZeroRedundancyOptimizer(model.parameters(), RMSGD, lr=0.05)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        train(DistributedDataParallel(model), optimizer, lambda: optimizer.optim.epoch_step())
    return "; ".join(str(one.message) for one in said)


def flattened() -> str:
    """FSDP1: refused, or measured where the parameters are whole for the time."""
    model = FullyShardedDataParallel(network(), use_orig_params=True, device_id=torch.device("cpu"))
    optimizer = RMSGD(model.named_parameters())
    try:
        optimizer.epoch_step()
    except GenpredictError as error:
        with FullyShardedDataParallel.summon_full_params(model):
            return f"{len(optimizer.epoch_step().finite)} layers; {error}"
    return "measured"


def main(folder: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=RANK,
                            world_size=2)  # fmt: skip
    results: dict[str, object] = {
        "one process": plain(),
        "DDP": data_parallel(),
        "FSDP2": fully_sharded(folder / "checkpoint"),
        "ZeRO": zero_redundancy(),
        "ZeRO without network": zero_redundancy_without_network(),
        "FSDP1": flattened(),
    }
    (folder / f"{RANK}.json").write_text(json.dumps(results), encoding="utf-8")
    dist.destroy_process_group()


if __name__ == "__main__":
    RANK = int(os.environ["RANK"])
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
