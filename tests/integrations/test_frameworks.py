"""RMSGD in Lightning, Trainer and accelerate as they are: stopped and resumed, bit for bit."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from genpredict.training.optimizers import RMSGD

pytestmark = pytest.mark.filterwarnings("ignore")  # frameworks warn of themselves


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 12), nn.Linear(12, 3))


def examples() -> torch.utils.data.TensorDataset:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(48) % 3
    images = torch.randn(48, 8, generator=generator) + 2 * labels.unsqueeze(1)
    return torch.utils.data.TensorDataset(images, labels)


def assert_same(one: nn.Module, other: nn.Module) -> None:
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_lightning_resumes(tmp_path: Path) -> None:
    """Four epochs in one go, or two, a checkpoint, and two more."""
    lightning = pytest.importorskip("lightning.pytorch")
    from genpredict.integrations import LightningEpochStep

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = network()

        def training_step(self, batch: Any, _: int) -> torch.Tensor:
            return nn.functional.cross_entropy(self.network(batch[0]), batch[1])

        def configure_optimizers(self) -> RMSGD:
            return RMSGD(self.network.named_parameters(), lr=0.1)

    def fit(epochs: int, checkpoint: Path | None = None) -> tuple[Any, Any]:
        trainer = lightning.Trainer(
            max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False,
            enable_checkpointing=False, enable_model_summary=False,
            callbacks=[LightningEpochStep()],
        )  # fmt: skip
        module = Module()
        loader = torch.utils.data.DataLoader(examples(), batch_size=16)
        trainer.fit(module, loader, ckpt_path=checkpoint, weights_only=False)
        return trainer, module

    _, whole = fit(4)
    trainer, _ = fit(2)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    resumed, other = fit(4, tmp_path / "half.ckpt")
    assert_same(whole, other)
    assert resumed.optimizers[0].param_groups[0]["epoch"] == 4


def test_trainer_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its own checkpoint after two of four epochs; what was logged is in its history."""
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    from genpredict.integrations import TrainerEpochStep

    # it takes the folder tests/datasets, which is on the path, for the package of that name
    monkeypatch.setattr("transformers.trainer.is_datasets_available", lambda: False)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network()

        def forward(self, images: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"loss": nn.functional.cross_entropy(self.network(images), labels)}

    rows = [{"images": image, "labels": label} for image, label in examples()]

    def fit(folder: Path, resume: str | bool = False) -> tuple[Any, Any]:
        model = Model()
        optimizer = RMSGD(model.named_parameters(), lr=0.1)
        constant = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
        trainer = transformers.Trainer(
            model,
            transformers.TrainingArguments(
                str(folder), num_train_epochs=4, per_device_train_batch_size=16, use_cpu=True,
                save_strategy="epoch", report_to=[], disable_tqdm=True, seed=0,
            ),
            train_dataset=rows,
            optimizers=(optimizer, constant),
            callbacks=[TrainerEpochStep()],
        )  # fmt: skip
        trainer.train(resume_from_checkpoint=resume)
        return trainer, model

    trainer, whole = fit(tmp_path)
    assert any("rmsgd/Q" in line for line in trainer.state.log_history)
    _, other = fit(tmp_path / "again", str(tmp_path / "checkpoint-6"))
    assert_same(whole, other)


def test_accelerate_resumes(tmp_path: Path) -> None:
    """Its save_state and load_state, epoch_step behind its wrapper."""
    accelerate = pytest.importorskip("accelerate")
    from genpredict.integrations import call_epoch_step

    def prepared() -> tuple[Any, Any, Any, Any]:
        accelerator = accelerate.Accelerator(cpu=True)
        model = network()
        optimizer = RMSGD(model.named_parameters(), lr=0.1)
        loader = torch.utils.data.DataLoader(examples(), batch_size=16)
        return (accelerator, *accelerator.prepare(model, optimizer, loader))

    def fit(parts: tuple[Any, Any, Any, Any], epochs: range) -> None:
        accelerator, model, optimizer, loader = parts
        for _ in epochs:
            for images, labels in loader:
                optimizer.zero_grad()
                accelerator.backward(nn.functional.cross_entropy(model(images), labels))
                optimizer.step()
            call_epoch_step([optimizer])

    whole = prepared()
    fit(whole, range(2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole[0].save_state(str(tmp_path))
    fit(whole, range(2, 4))
    other = prepared()
    other[0].load_state(str(tmp_path))
    other[0].load_state(str(tmp_path))  # twice, as after a second interruption
    fit(other, range(2, 4))
    assert_same(whole[1], other[1])
