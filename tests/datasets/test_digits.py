import pytest
import torch

from genpredict.datasets import load_digits
from genpredict.errors import GenpredictError


def _rows(images):
    return {tuple(image.flatten().tolist()) for image in images}


def _noisy(share, seed=0):
    return load_digits(label_noise=share, generator=torch.Generator().manual_seed(seed))


def test_shapes_types_and_scale():
    split = load_digits()
    assert split.train_images.shape == (1200, 1, 8, 8)
    assert split.test_images.shape == (597, 1, 8, 8)
    assert split.train_images.dtype == torch.float32
    assert split.train_labels.dtype == torch.int64
    assert split.train_images.min() == 0
    assert split.train_images.max() == 1
    assert split.train_labels.unique().tolist() == list(range(split.num_classes))


def test_parts_are_disjoint_and_together_all_images_against_sklearn():
    """No digit occurs twice in scikit-learn's set, so sets of pixels count images."""
    from sklearn.datasets import load_digits as read_digits

    split = load_digits()
    train, test = _rows(split.train_images), _rows(split.test_images)
    assert not train & test
    assert train | test == {tuple((image / 16).flatten()) for image in read_digits().images}


def test_labels_stay_with_their_images_against_sklearn():
    from sklearn.datasets import load_digits as read_digits

    digits = read_digits()
    label = {
        tuple((image / 16).flatten()): target
        for image, target in zip(digits.images, digits.target, strict=True)
    }
    split = load_digits(seed=5)
    for image, target in zip(split.test_images, split.test_labels, strict=True):
        assert label[tuple(image.flatten().tolist())] == target


@pytest.mark.parametrize("num_train", [80, 200, 1200])
@pytest.mark.parametrize("seed", [0, 1])
def test_both_parts_hold_the_classes_in_proportion(num_train, seed):
    split = load_digits(num_train=num_train, seed=seed)
    shares = torch.cat([load_digits().train_labels, load_digits().test_labels]).bincount() / 1797
    for labels in (split.train_labels, split.test_labels):
        assert (labels.bincount(minlength=10) - shares * len(labels)).abs().max() < 2


def test_same_seed_same_split_and_other_seed_another():
    one, same, other = load_digits(seed=0), load_digits(seed=0), load_digits(seed=1)
    assert torch.equal(one.train_images, same.train_images)
    assert torch.equal(one.test_labels, same.test_labels)
    assert _rows(one.test_images) != _rows(other.test_images)


def test_smaller_training_part_is_nested_and_leaves_the_test_part():
    small, large = load_digits(num_train=80), load_digits(num_train=500)
    assert torch.equal(small.train_images, large.train_images[:80])
    assert torch.equal(small.test_images, large.test_images)


@pytest.mark.parametrize("share", [0.1, 0.25, 1.0])
def test_label_noise_is_the_share_of_wrong_training_labels(share):
    clean, noisy = load_digits(), _noisy(share)
    assert (noisy.train_labels != clean.train_labels).sum() == round(share * 1200)
    assert torch.equal(noisy.test_labels, clean.test_labels)
    assert noisy.train_labels.min() >= 0
    assert noisy.train_labels.max() <= 9


def test_label_noise_follows_its_generator():
    assert torch.equal(_noisy(0.4, seed=1).train_labels, _noisy(0.4, seed=1).train_labels)
    assert not torch.equal(_noisy(0.4, seed=1).train_labels, _noisy(0.4, seed=2).train_labels)


def test_noisy_labels_spread_over_the_wrong_classes():
    """Each wrong class is as likely as another: 133 of 1,200 each, within 5 standard errors."""
    shift = (_noisy(1.0).train_labels - load_digits().train_labels) % 10
    counts = shift.bincount(minlength=10)
    assert counts[0] == 0
    assert (counts[1:] - 1200 / 9).abs().max() < 5 * (1200 * 8 / 81) ** 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_train": 0}, "num_train: must be at least 1, not 0"),
        ({"num_test": -3}, "num_test: must be at least 1, not -3"),
        ({"num_train": 1500}, r"1500 \+ 597 is more than the 1797 images"),
        ({"num_test": 1797}, "num_train: must be at least 1, not 0"),
        ({"label_noise": 1.5}, "label_noise: must be between 0 and 1, not 1.5"),
        ({"label_noise": 0.1}, "generator: label_noise above 0 needs one"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(GenpredictError, match=message):
        load_digits(**options)
