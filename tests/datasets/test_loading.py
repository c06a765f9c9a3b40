import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_files import flat, idx, python2_pickle, random_images, write_parquet
from PIL import Image

from genpredict.datasets import load_dataset, load_digits
from genpredict.datasets.normalization import IDENTITY, measure_normalization
from genpredict.errors import GenpredictError

LABELS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] * 4


@pytest.fixture
def cifar(tmp_path) -> Path:
    """A folder ``cifar10`` with 40 training and 40 test images, 4 a class."""
    folder = tmp_path / "cifar10"
    for part in ("train", "test"):
        write_parquet(folder / f"{part}-00000-of-00001.parquet", random_images(40), LABELS)
    return folder


def test_digits_are_those_of_load_digits():
    """The default; the same bytes as `load_digits`, which the bundled networks were made with."""
    split = load_dataset()
    expected = load_digits()
    for name in ("train_images", "train_labels", "test_images", "test_labels"):
        assert torch.equal(getattr(split, name), getattr(expected, name))
    assert split.normalization is IDENTITY
    assert split.normalization(split.train_images) is split.train_images


def test_options_of_digits_against_load_digits():
    split = load_dataset("digits", limit=300, num_test=100, seed=3, label_noise=0.2, noise_seed=5)
    expected = load_digits(
        num_train=300,
        num_test=100,
        seed=3,
        label_noise=0.2,
        generator=torch.Generator().manual_seed(5),
    )
    assert torch.equal(split.train_labels, expected.train_labels)
    assert torch.equal(split.test_images, expected.test_images)
    large = load_dataset("digits", limit=10, num_test=10, image_size=32, channels=3)
    assert large.train_images.shape == (10, 3, 32, 32)
    assert large.train_images.dtype == torch.float32


def test_limit_and_num_test_keep_classes_in_proportion(cifar):
    """Ten of forty images: one a class; smaller choices are part of larger ones."""
    whole = load_dataset("cifar10", folder=cifar)
    split = load_dataset("cifar10", folder=cifar, limit=20, num_test=10, seed=1)
    assert split.train_labels.bincount().tolist() == [2] * 10
    assert split.test_labels.bincount().tolist() == [1] * 10
    smaller = load_dataset("cifar10", folder=cifar, limit=10, seed=1)
    assert torch.equal(smaller.train_images, split.train_images[:10])
    assert torch.equal(smaller.test_images, whole.test_images)
    for image, label in zip(split.train_images, split.train_labels, strict=True):
        same = (whole.train_images == image).flatten(1).all(dim=1)
        assert whole.train_labels[same].tolist() == [label]
    other = load_dataset("cifar10", folder=cifar, limit=10, seed=2)
    assert not torch.equal(other.train_images, smaller.train_images)


def test_label_noise_replaces_a_share_of_the_training_labels(cifar):
    clean = load_dataset("cifar10", folder=cifar)
    noisy = load_dataset("cifar10", folder=cifar, label_noise=0.25)
    assert (noisy.train_labels != clean.train_labels).sum() == 10
    assert torch.equal(noisy.test_labels, clean.test_labels)
    assert torch.equal(noisy.train_images, clean.train_images)
    again = load_dataset("cifar10", folder=cifar, label_noise=0.25)
    assert torch.equal(again.train_labels, noisy.train_labels)
    other = load_dataset("cifar10", folder=cifar, label_noise=0.25, noise_seed=1)
    assert not torch.equal(other.train_labels, noisy.train_labels)


@pytest.mark.parametrize("size", [8, 33, 48])
def test_image_size_against_pillow(size, cifar):
    """Scaled as one batch, within one level of Pillow's bilinear filter; the type stays."""
    whole = load_dataset("cifar10", folder=cifar)
    scaled = load_dataset("cifar10", folder=cifar, image_size=size)
    assert scaled.train_images.shape == scaled.test_images.shape == (40, 3, size, size)
    assert scaled.train_images.dtype == torch.uint8
    assert scaled.normalization == whole.normalization
    for image, result in zip(random_images(40), scaled.train_images, strict=True):
        expected = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)
        difference = result.permute(1, 2, 0).numpy().astype(int) - np.asarray(expected)
        assert np.abs(difference).max() <= 1


def test_channels(cifar):
    """Grey by the weights of ITU-R BT.601, rounded; grey digits repeated in three channels."""
    whole = load_dataset("cifar10", folder=cifar)
    grey = load_dataset("cifar10", folder=cifar, channels=1)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    expected = (whole.train_images * weights).sum(dim=1, keepdim=True)
    assert (grey.train_images - expected).abs().max() <= 0.5 + 1e-4
    assert grey.normalization == measure_normalization(grey.train_images)
    digits = load_dataset("digits", channels=3).train_images
    assert torch.equal(digits, load_dataset("digits").train_images.expand(-1, 3, -1, -1))


@pytest.mark.parametrize("package", ["pyarrow", "PIL"])
def test_package_that_is_not_installed_is_named(package, cifar, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(GenpredictError, match=r"needs \w+: pip install 'genpredict\[train\]'"):
        load_dataset("cifar10", folder=cifar)


def test_importing_loads_no_reader():
    """pyarrow, Pillow and scikit-learn are loaded where they are needed, not before."""
    code = "import sys, genpredict.datasets; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pyarrow", "PIL", "sklearn", "pandas"} & set(done.stdout.split())


def test_environment_variable_and_default_folder(cifar, monkeypatch, tmp_path):
    """GENPREDICT_DATA first, then data/ below the working directory."""
    expected = load_dataset("cifar10", folder=cifar).train_images
    monkeypatch.setenv("GENPREDICT_DATA", str(tmp_path))
    assert torch.equal(load_dataset("cifar10").train_images, expected)
    monkeypatch.setenv("GENPREDICT_DATA", str(cifar))
    assert torch.equal(load_dataset("cifar10").train_images, expected)
    monkeypatch.delenv("GENPREDICT_DATA")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GenpredictError, match=r"data/cifar10 \(no such folder\)"):
        load_dataset("cifar10")
    cifar.rename(tmp_path / "data")
    assert torch.equal(load_dataset("cifar10").train_images, expected)


def test_missing_data_set_tells_all(monkeypatch, tmp_path):
    """Which files, in which folders, what is there in part, and how to get the rest."""
    root = tmp_path / "root"
    (root / "cifar10" / "data").mkdir(parents=True)
    (root / "cifar10" / "data" / "train-00000-of-00001.parquet").touch()
    (root / "cifar-10-batches-py").mkdir()
    batch = python2_pickle({b"labels": [0], b"data": flat(random_images(1))})
    for name in ("data_batch_1", "data_batch_2", "test_batch"):
        (root / "cifar-10-batches-py" / name).write_bytes(batch)
    (root / "cifar-10-python.tar.gz").touch()
    monkeypatch.setenv("GENPREDICT_DATA", str(root))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GenpredictError) as raised:
        load_dataset("cifar10")
    assert str(raised.value).splitlines() == [
        f"cifar10: not found in {root}/cifar10, {root}, data/cifar10 (no such folder), "
        "data (no such folder). Looked for",
        "  train-*.parquet, test-*.parquet (also in plain_text/, data/)",
        "  data_batch_1, data_batch_2, data_batch_3, data_batch_4, data_batch_5, test_batch "
        "(also in cifar-10-batches-py/)",
        f"{root}/cifar10/data lacks test-*.parquet",
        f"{root}/cifar-10-batches-py lacks data_batch_3, data_batch_4, data_batch_5",
        f"{root}/cifar-10-python.tar.gz is there, but not unpacked: tar -xf cifar-10-python.tar.gz",
        "Get it: `hf download uoft-cs/cifar10 --repo-type dataset --local-dir data/cifar10`, or "
        "unpack cifar-10-python.tar.gz of https://www.cs.toronto.edu/~kriz/cifar.html.",
        "Then name the folder: folder=..., or the environment variable GENPREDICT_DATA, or put "
        "the files in data/cifar10.",
    ]


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "mnist", "fashion_mnist"])
def test_missing_data_set_names_the_folder_given(name, tmp_path):
    with pytest.raises(GenpredictError, match=rf"{name}: not found in {tmp_path}\. Looked for"):
        load_dataset(name, folder=tmp_path)


def test_folder_called_as_a_file_is_no_file(tmp_path):
    """CIFAR-100's pickles are called train and test; so are folders of images."""
    for name in ("train", "test"):
        (tmp_path / name).mkdir()
    with pytest.raises(GenpredictError, match="cifar100: not found"):
        load_dataset("cifar100", folder=tmp_path)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("svhn", {}, "unknown data set 'svhn'; known are digits, cifar10, cifar100, mnist"),
        ("folder", {}, "folder: the data set 'folder' needs one"),
        ("digits", {"folder": "."}, "folder: the digits come with scikit-learn"),
        ("cifar10", {"folder": "nowhere"}, "folder: nowhere is no folder"),
        ("cifar10", {"annotations": "a.csv"}, "annotations: only 'folder' takes them"),
        ("digits", {"image_size": 0}, "image_size: must be at least 1, not 0"),
        ("digits", {"channels": 2}, r"channels: must be 1 \(grey\) or 3 \(colour\), not 2"),
        ("digits", {"limit": 1201}, "limit: must be between 1 and 1200, not 1201"),
        ("digits", {"num_test": 1797}, "num_test: must be between 1 and 1796, not 1797"),
        ("digits", {"label_noise": 2.0}, "label_noise: must be between 0 and 1, not 2.0"),
    ],
)
def test_wrong_options_are_named(name, options, message):
    with pytest.raises(GenpredictError, match=message):
        load_dataset(name, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 41}, "limit: must be between 1 and 40, not 41"),
        ({"limit": 0}, "limit: must be between 1 and 40, not 0"),
        ({"num_test": -1}, "num_test: must be between 1 and 40, not -1"),
        ({"label_noise": -0.5}, "label_noise: must be between 0 and 1, not -0.5"),
    ],
)
def test_options_out_of_range_are_named(options, message, cifar):
    with pytest.raises(GenpredictError, match=message):
        load_dataset("cifar10", folder=cifar, **options)


def _write_mnist(folder: Path, pack, ending: str = "", separator: str = "-") -> np.ndarray:
    folder.mkdir(parents=True)
    images = random_images(6, 28, 28, 1)[..., 0]
    for part in ("train", "t10k"):
        for what, array in (("images", images), ("labels", np.arange(6, dtype=np.uint8))):
            name = f"{part}-{what}{separator}idx{array.ndim}-ubyte{ending}"
            (folder / name).write_bytes(pack(idx(array)))
    return images


@pytest.mark.parametrize(
    ("name", "subfolder"),
    [("mnist", "MNIST/raw"), ("mnist", ""), ("fashion_mnist", "FashionMNIST/raw")],
)
@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("separator", ["-", "."])
def test_mnist_from_idx_files(name, subfolder, ending, separator, tmp_path):
    import gzip

    pack = gzip.compress if ending else bytes
    images = _write_mnist(tmp_path / "root" / subfolder, pack, ending, separator)
    split = load_dataset(name, folder=tmp_path / "root")
    assert split.train_images.shape == (6, 1, 28, 28)
    assert torch.equal(split.test_images.squeeze(1), torch.from_numpy(images))
    assert split.train_labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert split.num_classes == 10
    assert split.class_names[:2] == (
        ("T-shirt/top", "Trouser") if "fashion" in name else ("0", "1")
    )
    np.testing.assert_allclose(split.normalization.mean[0], images.mean() / 255)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t10k-images-idx3-ubyte", b"", "not an idx file"),
        ("t10k-images-idx3-ubyte", b"\0\0\x0d\x03", "not an idx file of unsigned bytes"),
        ("t10k-images-idx3-ubyte", b"\0\0\x08\x03\0\0", "truncated or damaged"),
        ("t10k-images-idx3-ubyte", idx(np.zeros((2, 3, 3), np.uint8))[:-1], "truncated"),
        ("t10k-images-idx3-ubyte", idx(np.zeros((5, 3, 3), np.uint8)), r"shapes \(5, 3, 3\) and"),
        ("t10k-labels-idx1-ubyte", idx(np.full(6, 10, np.uint8)), "label 10; there are 0 to 9"),
    ],
)
def test_damaged_idx_is_named(name, content, message, tmp_path):
    _write_mnist(tmp_path / "root", bytes)
    (tmp_path / "root" / name).write_bytes(content)
    with pytest.raises(GenpredictError, match=rf"{name}.*{message}"):
        load_dataset("mnist", folder=tmp_path / "root")


def test_damaged_gzip_is_named(tmp_path):
    import gzip

    _write_mnist(tmp_path / "root", gzip.compress, ".gz")
    path = tmp_path / "root" / "train-images-idx3-ubyte.gz"
    for content in (b"no gzip", path.read_bytes()[:-20]):
        path.write_bytes(content)
        with pytest.raises(GenpredictError, match=r"ubyte.gz: cannot be unpacked or read"):
            load_dataset("mnist", folder=tmp_path / "root")
