import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_files import flat, python2_pickle, random_images, write_parquet
from PIL import Image
from pyarrow import parquet

from genpredict.datasets import load_dataset
from genpredict.datasets.cifar import CIFAR10_CLASSES, CIFAR10_NORMALIZATION
from genpredict.errors import GenpredictError

NAMES = [f"class{i}" for i in range(10)]
FINE = [f"fine{i}" for i in range(100)]


def _write_parquet10(folder: Path) -> tuple[np.ndarray, list[int]]:
    """Write 8 training images in two shards and 4 test images; return the 8."""
    images, labels = random_images(8), [3, 1, 4, 1, 5, 9, 2, 6]
    for shard, part in enumerate((slice(0, 5), slice(5, 8))):
        name = f"train-{shard:05d}-of-00002.parquet"
        write_parquet(folder / name, images[part], labels[part], names=NAMES)
    write_parquet(folder / "test-00000-of-00001.parquet", random_images(4), [0, 1, 2, 3])
    return images, labels


def _write_pickles10(folder: Path) -> tuple[np.ndarray, list[int]]:
    """Write five batches of 2 images and a test batch; return the 10."""
    folder.mkdir(parents=True)
    images, labels = random_images(10), [3, 1, 4, 1, 5, 9, 2, 6, 5, 3]
    for batch in range(5):
        part = slice(2 * batch, 2 * batch + 2)
        content = {b"labels": labels[part], b"data": flat(images[part])}
        (folder / f"data_batch_{batch + 1}").write_bytes(python2_pickle(content))
    content = {b"labels": [7, 8], b"data": flat(random_images(2))}
    (folder / "test_batch").write_bytes(python2_pickle(content))
    meta = {b"label_names": [name.encode() for name in NAMES]}
    (folder / "batches.meta").write_bytes(python2_pickle(meta))
    return images, labels


def _as_batch(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2)


@pytest.mark.parametrize("subfolder", ["", "data", "plain_text"])
def test_cifar10_from_parquet(subfolder, tmp_path):
    """Shards in order, pixels bit for bit, class names from the files' metadata."""
    images, labels = _write_parquet10(tmp_path / subfolder)
    split = load_dataset("cifar10", folder=tmp_path)
    assert torch.equal(split.train_images, _as_batch(images))
    assert torch.equal(split.test_images, _as_batch(random_images(4)))
    assert split.train_labels.tolist() == labels
    assert split.train_labels.dtype == torch.int64
    assert split.test_labels.tolist() == [0, 1, 2, 3]
    assert split.num_classes == 10
    assert split.class_names == tuple(NAMES)
    assert split.normalization is CIFAR10_NORMALIZATION


@pytest.mark.parametrize("subfolder", ["", "cifar-10-batches-py"])
def test_cifar10_from_pickles(subfolder, tmp_path):
    """The folder itself, or torchvision's root that holds it."""
    images, labels = _write_pickles10(tmp_path / "root" / subfolder)
    split = load_dataset("cifar10", folder=tmp_path / "root")
    assert torch.equal(split.train_images, _as_batch(images))
    assert torch.equal(split.test_images, _as_batch(random_images(2)))
    assert split.train_labels.tolist() == labels
    assert split.class_names == tuple(NAMES)


def test_cifar10_without_names_knows_them(tmp_path):
    _write_pickles10(tmp_path / "root")
    (tmp_path / "root" / "batches.meta").unlink()
    assert load_dataset("cifar10", folder=tmp_path / "root").class_names == CIFAR10_CLASSES


def test_cifar100_from_parquet(tmp_path):
    """Fine labels, of Hugging Face's folder; normalization measured on the training images."""
    images = random_images(6)
    path = tmp_path / "cifar100" / "train-00000-of-00001.parquet"
    write_parquet(path, images, [99, 0, 5, 7, 7, 1], label_column="fine_label", names=FINE)
    path = path.with_name("test-00000-of-00001.parquet")
    write_parquet(path, random_images(3), [0, 1, 98], label_column="fine_label", names=FINE)
    split = load_dataset("cifar100", folder=tmp_path)
    assert torch.equal(split.train_images, _as_batch(images))
    assert split.train_labels.tolist() == [99, 0, 5, 7, 7, 1]
    assert (split.num_classes, split.class_names) == (100, tuple(FINE))
    np.testing.assert_allclose(split.normalization.mean, images.mean(axis=(0, 1, 2)) / 255)


@pytest.mark.parametrize("subfolder", ["", "cifar-100-python"])
def test_cifar100_from_pickles(subfolder, tmp_path):
    folder = tmp_path / "root" / subfolder
    folder.mkdir(parents=True)
    images = random_images(3)
    labels = {b"fine_labels": [99, 0, 42], b"coarse_labels": [1, 2, 3]}
    (folder / "train").write_bytes(python2_pickle({**labels, b"data": flat(images)}))
    (folder / "test").write_bytes(python2_pickle({**labels, b"data": flat(images)}))
    names = {b"fine_label_names": [name.encode() for name in FINE]}
    (folder / "meta").write_bytes(python2_pickle(names))
    split = load_dataset("cifar100", folder=tmp_path / "root")
    assert torch.equal(split.test_images, _as_batch(images))
    assert split.test_labels.tolist() == [99, 0, 42]
    assert (split.num_classes, split.class_names) == (100, tuple(FINE))


def test_parquet_of_another_data_set_is_named(tmp_path):
    _write_parquet10(tmp_path)
    with pytest.raises(GenpredictError, match=r"train-0.*: no column 'fine_label', only img"):
        load_dataset("cifar100", folder=tmp_path)


def test_missing_shard_is_named(tmp_path):
    _write_parquet10(tmp_path)
    (tmp_path / "train-00000-of-00002.parquet").unlink()
    with pytest.raises(GenpredictError, match=r"train-00000-of-00002.parquet: shard missing"):
        load_dataset("cifar10", folder=tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "not a parquet file"), (b"PAR1 and no more PAR1", "not a parquet file, or damaged")],
)
def test_damaged_parquet_is_named(content, message, tmp_path):
    _write_parquet10(tmp_path)
    (tmp_path / "test-00000-of-00001.parquet").write_bytes(content)
    with pytest.raises(GenpredictError, match=rf"test-00000.*: {message}"):
        load_dataset("cifar10", folder=tmp_path)


def test_damaged_row_group_is_named(tmp_path):
    """Bytes flipped in the middle of a file: an error that names it, or the right images."""
    _write_parquet10(tmp_path)
    path = tmp_path / "train-00001-of-00002.parquet"
    content = bytearray(path.read_bytes())
    content[200:4000] = bytes(3800)
    path.write_bytes(content)
    with pytest.raises(GenpredictError, match=r"train-00001-of-00002.parquet"):
        load_dataset("cifar10", folder=tmp_path)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (random_images(2, 28, 28), [0, 1], "images of 28 × 28 pixels; cifar10 has 32 × 32"),
        (random_images(2), [0, 10], "label 10; cifar10 has 0 to 9"),
        (random_images(2), [0, -1], "must hold whole numbers of 0 or more"),
        (random_images(2), [0, 1.5], "must hold whole numbers"),
    ],
)
def test_what_is_not_cifar_is_named(images, labels, message, tmp_path):
    _write_parquet10(tmp_path)
    write_parquet(tmp_path / "test-00000-of-00001.parquet", images, labels)
    with pytest.raises(GenpredictError, match=f"test-00000.*{message}"):
        load_dataset("cifar10", folder=tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"labels": [1]}, r"'data' must be an array of uint8, shape \(N, 3072\)"),
        ({"labels": [1], "data": np.zeros((1, 9), np.uint8)}, "shape"),
        ({"labels": [1, 2], "data": np.zeros((1, 3072), np.uint8)}, "list of 1 numbers"),
        ({"fine_labels": [1], "data": np.zeros((1, 3072), np.uint8)}, "'labels' must be"),
        ({"labels": ["a"], "data": np.zeros((1, 3072), np.uint8)}, "'labels' must be"),
        ({"labels": [-1], "data": np.zeros((1, 3072), np.uint8)}, "label -1"),
    ],
)
def test_pickle_that_is_not_cifar_is_named(content, message, tmp_path):
    _write_pickles10(tmp_path / "root")
    (tmp_path / "root" / "test_batch").write_bytes(pickle.dumps(content))
    with pytest.raises(GenpredictError, match=f"test_batch: .*{message}"):
        load_dataset("cifar10", folder=tmp_path / "root")


def test_real_cifar10(shared):
    """All 60,000 images: 5,000 and 1,000 a class, the known mean; the first few by Pillow."""
    split = load_dataset("cifar10", folder=shared / "data" / "cifar10")
    assert split.train_images.shape == (50_000, 3, 32, 32)
    assert split.test_images.shape == (10_000, 3, 32, 32)
    assert split.train_images.dtype == torch.uint8
    assert split.train_labels.bincount().tolist() == [5000] * 10
    assert split.test_labels.bincount().tolist() == [1000] * 10
    pixels = split.train_images.view(50_000, 3, -1)
    mean = sum(part.double().mean(dim=(0, 2)) for part in pixels.split(10_000)) / 5
    assert (mean - torch.tensor([125.307, 122.950, 113.865])).abs().max() < 5e-4
    path = shared / "data" / "cifar10" / "test-00000-of-00001.parquet"
    rows = next(parquet.ParquetFile(path).iter_batches(5)).to_pylist()
    assert split.test_labels[:5].tolist() == [row["label"] for row in rows]
    for row, image in zip(rows, split.test_images, strict=False):
        expected = np.asarray(Image.open(io.BytesIO(row["img"]["bytes"])))
        assert np.array_equal(image.permute(1, 2, 0), expected)
    normalized = split.normalization(split.train_images[:5000])
    assert normalized.mean().abs() < 0.02
    assert abs(normalized.std() - 1) < 0.02
