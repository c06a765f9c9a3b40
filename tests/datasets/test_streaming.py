"""Images that stay in their files: the same pixels, random parts, a run that goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from broken_runs import Interrupter, assert_same_result
from torch.nn.functional import interpolate

from genpredict.datasets import load_dataset
from genpredict.datasets.streaming import AREAS, RATIOS, FileImages, centre_box, random_box
from genpredict.errors import GenpredictError
from genpredict.training import train

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve images a class, of several sizes, one class bright and one dark."""
    generator = torch.Generator().manual_seed(0)
    for label, base in (("bright", 150), ("dark", 20)):
        (tmp_path / "images" / label).mkdir(parents=True)
        for index in range(12):
            size = (20 + index, 30 - index, 3)
            pixels = base + torch.randint(0, 60, size, generator=generator)
            picture = Image.fromarray(pixels.to(torch.uint8).numpy())
            picture.save(tmp_path / "images" / label / f"{index}.png")
    return tmp_path / "images"


def test_centres_against_slicing(folder: Path) -> None:
    """Seven eighths of the shorter side, scaled; labels and parts as of the set in memory."""
    split = load_dataset("folder", folder=folder, image_size=8, stream=True)
    whole = load_dataset("folder", folder=folder, image_size=8)
    assert torch.equal(split.train_labels, whole.train_labels)
    assert split.test_images.shape == whole.test_images.shape
    pixels = torch.from_numpy(__import__("numpy").array(Image.open(split.test_images.files[0])))
    top, left, rows, columns = centre_box(*pixels.shape[:2])
    assert rows == columns == round(min(pixels.shape[:2]) * 7 / 8)
    part = pixels.permute(2, 0, 1)[None, :, top : top + rows, left : left + columns]
    expected = interpolate(part, size=(8, 8), mode="bilinear", antialias=True)
    assert torch.equal(split.test_images[torch.tensor([0])], expected)
    assert torch.equal(split.test_images[0:1], expected)


def test_random_parts_against_bounds() -> None:
    """Areas and ratios lie in torchvision's ranges, rounding apart, and inside the image."""
    draws = torch.rand(500, 10, 4, generator=torch.Generator().manual_seed(0)).tolist()
    boxes = [random_box(200, 300, some) for some in draws]
    for top, left, rows, columns in boxes:
        assert 0 <= top <= 200 - rows
        assert 0 <= left <= 300 - columns
        assert AREAS[0] * 0.97 <= rows * columns / 60_000 <= AREAS[1]
        assert RATIOS[0] * 0.95 <= columns / rows <= RATIOS[1] * 1.05
    assert len(set(boxes)) > 490


def test_training_parts_are_random_and_evaluation_is_not(folder: Path) -> None:
    """Two readings differ, those of the centres do not; nothing is read to choose images."""
    split = load_dataset("folder", folder=folder, image_size=8, stream=True, limit=10,
                         num_validation=4)  # fmt: skip
    assert isinstance(split.train_images, FileImages)
    assert (len(split.train_images), len(split.validation_images)) == (10, 4)
    assert not torch.equal(split.train_images[0:4], split.train_images[0:4])
    assert torch.equal(split.validation_images[0:4], split.validation_images[0:4])


def test_a_run_on_files_learns_and_goes_on_bit_for_bit(folder: Path, tmp_path: Path) -> None:
    """Broken off in the second of three epochs; bright and dark are soon told apart."""
    given = {
        "dataset": "folder", "data_folder": str(folder), "stream": True, "image_size": 8,
        "network": "digits_cnn", "optimizer": "adam", "epochs": 3, "batch_size": 4, "threads": 1,
        "recipe": "digits",
    }  # fmt: skip
    whole = train(tmp_path / "whole", **given)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "broken", watcher=Interrupter(1, 2), **given)
    assert_same_result(train(tmp_path / "broken", **given), whole)


def test_what_it_is_for_is_named(folder: Path) -> None:
    """Folders alone, with a size."""
    with pytest.raises(GenpredictError, match=r"^stream: is for the data set 'folder', and needs"):
        load_dataset("folder", folder=folder, stream=True)
    with pytest.raises(GenpredictError, match=r"^stream: is for"):
        load_dataset("digits", stream=True)
