from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_files import random_images, write_image
from PIL import Image

from genpredict.datasets import load_dataset
from genpredict.errors import GenpredictError

IMAGES = random_images(24, 12, 10)


def _write_classes(folder: Path, counts: dict[str, int], images=IMAGES) -> None:
    rest = iter(images)
    for name, count in counts.items():
        for number in range(count):
            write_image(folder / name / f"{number:03d}.png", next(rest))


def _as_batch(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2)


@pytest.mark.parametrize("test", ["test", "val", "valid", "validation"])
def test_folder_of_two_parts(test, tmp_path):
    """Classes numbered by name, pixels bit for bit; hidden folders and other files ignored."""
    _write_classes(tmp_path / "train", {"cat": 3, "ant": 2})
    _write_classes(tmp_path / test, {"cat": 1})
    (tmp_path / "train" / ".cache").mkdir()
    (tmp_path / "train" / "cat" / "notes.txt").touch()
    split = load_dataset("folder", folder=tmp_path)
    assert split.class_names == ("ant", "cat")
    assert split.train_labels.tolist() == [0, 0, 1, 1, 1]
    assert split.test_labels.tolist() == [1]
    assert torch.equal(split.train_images, _as_batch(IMAGES[[3, 4, 0, 1, 2]]))
    assert torch.equal(split.test_images, _as_batch(IMAGES[:1]))
    np.testing.assert_allclose(
        split.normalization.mean, IMAGES[:5].mean(axis=(0, 1, 2)) / 255, rtol=1e-12
    )


def test_folder_without_parts_is_split_in_proportion(tmp_path):
    """A fifth is held out, or `num_test`; together the parts are all images, each once."""
    _write_classes(tmp_path, {"a": 10, "b": 5})
    split = load_dataset("folder", folder=tmp_path)
    assert split.train_labels.bincount().tolist() == [8, 4]
    assert split.test_labels.bincount().tolist() == [2, 1]
    both = torch.cat([split.train_images, split.test_images]).flatten(1)
    assert sorted(both.tolist()) == sorted(_as_batch(IMAGES[:15]).flatten(1).tolist())
    assert len(load_dataset("folder", folder=tmp_path, num_test=6).test_labels) == 6
    other = load_dataset("folder", folder=tmp_path, seed=1)
    assert not torch.equal(other.test_images, split.test_images)


def test_annotations_of_mhist(tmp_path):
    """Its columns; other partitions are left out; numbers of annotators are no labels."""
    for number in range(4):
        write_image(tmp_path / "images" / f"MHIST_{number}.png", IMAGES[number])
    (tmp_path / "annotations.csv").write_text(
        "Image Name,Majority Vote Label,"
        "Number of Annotators who Selected SSA (Out of 7),Partition\n"
        "MHIST_1.png,SSA,6,train\nMHIST_0.png,HP,0,test\n"
        "MHIST_2.png,HP,2,train\nMHIST_3.png,HP,2,val\n"
    )
    split = load_dataset("folder", folder=tmp_path)
    assert split.class_names == ("HP", "SSA")
    assert split.train_labels.tolist() == [1, 0]
    assert split.test_labels.tolist() == [0]
    assert torch.equal(split.train_images, _as_batch(IMAGES[[1, 2]]))
    assert torch.equal(split.test_images, _as_batch(IMAGES[:1]))


def test_annotations_with_many_labels(tmp_path):
    """ADP's form: a column of 0 and 1 for each label; float32; combinations in proportion."""
    rows = []
    for number in range(20):
        write_image(tmp_path / "img" / f"{number}.png", IMAGES[number])
        rows.append(f"{number}.png,{number % 2},1,{int(number < 10)}")
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["\ufeffPatch Names,E,E.M,H", *rows]) + "\n", encoding="utf-8")
    split = load_dataset("folder", folder=tmp_path / "img", annotations=table)
    assert split.is_multi_label
    assert split.class_names == ("E", "E.M", "H")
    assert split.train_labels.shape == (16, 3)
    assert split.train_labels.dtype == torch.float32
    assert split.test_labels.unique(dim=0).tolist() == [[0, 1, 0], [0, 1, 1], [1, 1, 0], [1, 1, 1]]
    for image, label in zip(split.train_images, split.train_labels, strict=True):
        number = (_as_batch(IMAGES) == image).flatten(1).all(dim=1).nonzero().item()
        assert label.tolist() == [number % 2, 1, number < 10]
    small = load_dataset("folder", folder=tmp_path / "img", annotations=table, limit=4)
    assert len(small.train_labels.unique(dim=0)) == 4
    with pytest.raises(GenpredictError, match="label_noise: must be 0 where images have several"):
        load_dataset("folder", folder=tmp_path / "img", annotations=table, label_noise=0.1)


def test_classes_that_are_numbers_keep_their_order(tmp_path):
    for number in range(3):
        write_image(tmp_path / f"{number}.png", IMAGES[number])
    (tmp_path / "a.csv").write_text(
        "file,label,split\n0.png,10,train\n1.png,9,train\n2.png,9,test\n"
    )
    assert load_dataset("folder", folder=tmp_path).class_names == ("9", "10")


def test_grey_and_colour(tmp_path):
    """Grey where all are; one image in colour makes all three channels; `channels` decides."""
    _write_classes(tmp_path, {"a": 4}, IMAGES[..., :1])
    split = load_dataset("folder", folder=tmp_path, num_test=1)
    assert split.train_images.shape == (3, 1, 12, 10)
    write_image(tmp_path / "b" / "0.png", IMAGES[0])
    split = load_dataset("folder", folder=tmp_path, num_test=1)
    assert split.train_images.shape == (4, 3, 12, 10)
    split = load_dataset("folder", folder=tmp_path, num_test=1, channels=1)
    assert split.train_images.shape == (4, 1, 12, 10)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1", "CMYK"])
def test_other_modes_against_pillow(mode, tmp_path):
    """Palettes, transparency, black and white, print colours: as Pillow converts them."""
    image = Image.fromarray(IMAGES[0]).convert(mode)
    suffix = "jpg" if mode == "CMYK" else "png"
    for name in ("x", "y"):
        (tmp_path / "a").mkdir(exist_ok=True)
        image.save(tmp_path / "a" / f"{name}.{suffix}")
    split = load_dataset("folder", folder=tmp_path, num_test=1, channels=3)
    expected = np.asarray(Image.open(tmp_path / "a" / f"x.{suffix}").convert("RGB"))
    assert torch.equal(split.train_images[0], torch.from_numpy(expected.copy()).permute(2, 0, 1))


def test_palette_with_transparency(tmp_path):
    """Transparency is dropped, without a warning."""
    image = Image.fromarray(IMAGES[0]).convert("P")
    (tmp_path / "a").mkdir()
    for name in ("x", "y"):
        image.save(tmp_path / "a" / f"{name}.png", transparency=bytes([0, 128]))
    split = load_dataset("folder", folder=tmp_path, num_test=1)
    expected = torch.from_numpy(np.asarray(image.convert("RGB")).copy()).permute(2, 0, 1)
    assert torch.equal(split.train_images[0], expected)


def test_image_size_scales_against_pillow(tmp_path):
    """Images of any size come to one."""
    write_image(tmp_path / "a" / "0.png", IMAGES[0])
    write_image(tmp_path / "a" / "1.png", random_images(1, 40, 30)[0])
    with pytest.raises(GenpredictError, match=r"png: .*12 × 10.*40 × 30|.*40 × 30.*12 × 10"):
        load_dataset("folder", folder=tmp_path, num_test=1)
    split = load_dataset("folder", folder=tmp_path, num_test=1, image_size=16)
    both = torch.cat([split.train_images, split.test_images]).tolist()
    for image in (IMAGES[0], random_images(1, 40, 30)[0]):
        scaled = Image.fromarray(image).resize((16, 16), Image.Resampling.BILINEAR)
        assert np.asarray(scaled).transpose(2, 0, 1).tolist() in both


def test_damaged_and_deep_images_are_named(tmp_path):
    _write_classes(tmp_path, {"a": 3})
    path = tmp_path / "a" / "001.png"
    whole = path.read_bytes()
    for content in (b"", b"no image", whole[:60], whole[:-150]):
        path.write_bytes(content)
        with pytest.raises(GenpredictError, match=r"001\.png: (not an image|damaged image)"):
            load_dataset("folder", folder=tmp_path)
    Image.fromarray(np.zeros((12, 10), np.uint16)).save(path)
    with pytest.raises(GenpredictError, match=r"001\.png: more than 8 bits a pixel"):
        load_dataset("folder", folder=tmp_path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "holds neither a subfolder for each class nor a CSV file"),
        (["a/notes.txt"], "holds no images"),
        (["train/a/0.png"], "holds train/, but neither test/ nor val/"),
        (["train/a/0.png", "test/b/0.png"], "test/b: no such class in train/"),
        (["train/a/0.png", "test/a/0.txt"], "test holds no images"),
        (["a.csv", "b.csv"], "holds a.csv, b.csv; name the one to use"),
        (["a/0.png"], "num_test: must be between 1 and 0"),
    ],
)
def test_folder_that_does_not_fit_is_named(files, message, tmp_path):
    for name in files:
        write_image(tmp_path / name, IMAGES[0])
    with pytest.raises(GenpredictError, match=message):
        load_dataset("folder", folder=tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\n", "needs a line of titles and a row for each image"),
        ("file,label\n0.png\n", "row 1 has 1 cells, the titles are 2"),
        ("file,label\n0.png,a\n9.png,b\n", "1 of 2 images are not below .*'9.png'"),
        ("file,label\ntwice.png,a\n", "twice.png lies in several folders"),
        ("file,label,split\n0.png,a,train\n", "column 'split' must say train or test"),
        ("file,E\n0.png,2\n", "no column of labels.*column 'E' holds more than 0 and 1"),
        ("file\n0.png\n", "no column of labels.*nothing else is there"),
        (b"file,label\n\xff\xfe,a\n", "cannot be read as CSV"),
    ],
)
def test_wrong_annotations_are_named(text, message, tmp_path):
    for name in ("0.png", "a/twice.png", "b/twice.png"):
        write_image(tmp_path / name, IMAGES[0])
    table = tmp_path / "labels.csv"
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(GenpredictError, match=rf"labels\.csv: .*{message}"):
        load_dataset("folder", folder=tmp_path)


def test_annotations_that_are_not_there(tmp_path):
    with pytest.raises(GenpredictError, match=r"none\.csv: cannot be read as CSV"):
        load_dataset("folder", folder=tmp_path, annotations=tmp_path / "none.csv")
