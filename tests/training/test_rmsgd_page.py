"""docs/rmsgd_in_your_training.md: every section runs as it stands, after the page's beginning."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

PAGE = Path(__file__).resolve().parents[2] / "docs" / "rmsgd_in_your_training.md"
FENCE = re.compile(r"```python\n(.*?)```", re.DOTALL)
BEGINNING, *REST = PAGE.read_text(encoding="utf-8").split("\n## ")
SECTIONS = {part.partition("\n")[0]: FENCE.findall(part) for part in REST}
FRAMEWORKS = {
    "Lightning": ("lightning.pytorch",),
    "Trainer": ("transformers", "accelerate"),
    "accelerate": ("accelerate",),
}


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """Be the only process of a group."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0,
                            world_size=1)  # fmt: skip
    yield
    dist.destroy_process_group()


@pytest.mark.filterwarnings("ignore")  # frameworks warn of themselves
@pytest.mark.parametrize("section", [name for name, code in SECTIONS.items() if code])
def test_every_section_runs(
    section: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of the page, its optimizers having done their epochs."""
    for framework in FRAMEWORKS.get(section, ()):
        pytest.importorskip(framework)
    if section == "Several processes":
        request.getfixturevalue("alone")
    if section == "Trainer":  # takes the folder tests/datasets for the package of that name
        monkeypatch.setattr("transformers.trainer.is_datasets_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names: dict[str, Any] = {}
    for code in (*FENCE.findall(BEGINNING), *SECTIONS[section]):
        exec(compile(code, f"{PAGE.name}: {section}", "exec"), names)
    assert "optimizer" in names or section == "Lightning"


def test_every_way_of_training_has_a_section() -> None:
    """What a reader may come from."""
    assert set(SECTIONS) >= {"Plain torch", "Parameter groups", "Fine-tuning", *FRAMEWORKS}
