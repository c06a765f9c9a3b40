"""Every named network: published numbers of parameters, shapes, gradients, errors, imports."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from genpredict.errors import GenpredictError
from genpredict.networks import build_network, list_networks
from genpredict.networks.efficientnet import EfficientNetB0, skip_at_random
from genpredict.networks.shufflenet import shuffle

#: Parameters of the usual 32×32 forms for 10 classes.
COUNTS = {
    "resnet18": 11_173_962,
    "resnet34": 21_282_122,
    "resnet50": 23_520_842,
    "resnet101": 42_512_970,
    "resnext29": 3_458_634,
    "mobilenetv2": 2_296_922,
    "senet18": 11_260_354,
    "efficientnetb0": 3_599_686,
    "shufflenetv2": 2_488_874,
    "vgg16": 14_728_266,
    "resnet20": 269_722,
    "resnet32": 464_154,
    "resnet44": 658_586,
    "resnet56": 853_018,
    "digits_cnn": 23_738,
}
TOPOLOGY = (
    "tss:|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_1x1~2|"
)
NAMES = [*COUNTS, "sss:8:8:8:16:32", TOPOLOGY]


def count(network: nn.Module) -> int:
    """Count the parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("name", "expected"), COUNTS.items())
def test_number_of_parameters_against_published(name: str, expected: int) -> None:
    """Networks for 10 classes have the sizes that are known of them."""
    assert count(build_network(name)) == expected


def test_every_name_is_built() -> None:
    """What is listed and what is counted above are the same names, the NATS spaces apart."""
    assert {name for name in list_networks() if ":" not in name} == set(COUNTS)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "digits_cnn"])
def test_gradients_reach_every_parameter(name: str) -> None:
    """One backward pass on 32×32 images leaves a finite gradient everywhere, mostly not zero."""
    torch.manual_seed(0)
    network = build_network(name, num_classes=7)
    logits = network(torch.randn(2, 3, 32, 32))
    assert logits.shape == (2, 7)
    functional.cross_entropy(logits, torch.tensor([3, 5])).backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
    moved = sum(bool(parameter.grad.any()) for parameter in network.parameters())
    assert moved >= 0.9 * len(list(network.parameters()))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("vgg16", "resnet101")])
def test_grey_images_of_8_pixels(name: str) -> None:
    """All but VGG take the digits' images; ResNet-101 is left out, it takes too long."""
    network = build_network(name, num_classes=4, in_channels=1, image_side=8).eval()
    with torch.no_grad():
        assert network(torch.randn(3, 1, 8, 8)).shape == (3, 4)


@pytest.mark.parametrize("name", NAMES)
def test_default_channels_of_images(name: str) -> None:
    """Colour, but grey for the digits' own network."""
    first = next(weight for weight in build_network(name).parameters() if weight.ndim == 4)
    assert first.shape[1] == (1 if name == "digits_cnn" else 3)


@pytest.mark.parametrize("name", NAMES)
def test_layers_keep_their_order_when_names_are_sorted(name: str) -> None:
    """Files of safetensors hold tensors sorted by name; convolutions stay in order of depth.

    Numbers are compared as numbers. Names of NATS-Bench are what they are: there the classifier
    comes before the stem.
    """
    weights = [key for key, weight in build_network(name).named_parameters() if weight.ndim > 1]
    if ":" in name:
        weights = [key for key in weights if key.startswith("cells")]
    key = [[(part.isdigit(), part.zfill(4)) for part in name.split(".")] for name in weights]
    assert key == sorted(key)


@pytest.mark.parametrize("name", NAMES)
def test_initial_weights_follow_the_default_generator(name: str) -> None:
    """One seed, one network."""
    found = []
    for _ in range(2):
        torch.manual_seed(3)
        found.append(build_network(name).state_dict())
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])


@pytest.mark.parametrize("name", ["resnet18", "vgg16", "mobilenetv2", "efficientnetb0", "senet18"])
def test_initial_convolutions_against_he(name: str) -> None:
    """Standard deviations are √(2/fan_in) within sampling error, biases 0 (He et al. 2015)."""
    torch.manual_seed(1)
    for module in build_network(name).modules():
        if isinstance(module, nn.Conv2d):
            expected = (2 / module.weight[0].numel()) ** 0.5
            error = 5 * expected / (2 * module.weight.numel()) ** 0.5  # 5 standard errors
            assert module.weight.std().item() == pytest.approx(expected, abs=error)
            assert module.bias is None or not module.bias.any()


def test_dropped_paths_keep_the_mean_against_theory() -> None:
    """Whole images go at the given rate, the others grow by its complement."""
    torch.manual_seed(0)
    found = skip_at_random(torch.ones(40_000, 2, 3, 3), 0.2)
    kept = found.flatten(1)
    assert ((kept == 0).all(1) | (kept == 1.25).all(1)).all()
    # the standard error of the mean is √(0.2/0.8)/200 = 0.0025
    assert found.mean().item() == pytest.approx(1, abs=0.01)


def test_dropped_paths_only_in_training() -> None:
    """In evaluation EfficientNet gives the same answer twice, in training not."""
    torch.manual_seed(0)
    network, images = EfficientNetB0(dropout=0), torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        assert not torch.equal(network(images), network(images))
        network.eval()
        assert torch.equal(network(images), network(images))


def test_shuffle_against_definition() -> None:
    """Channel c of the first half goes to 2c, of the second to 2c + 1."""
    features = torch.randn(2, 10, 3, 4)
    found = shuffle(features)
    for channel in range(5):
        assert torch.equal(found[:, 2 * channel], features[:, channel])
        assert torch.equal(found[:, 2 * channel + 1], features[:, 5 + channel])


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(GenpredictError, match="no network is called 'lenet'") as raised:
        build_network("lenet")
    assert all(name in str(raised.value) for name in (*COUNTS, "sss:8:", "tss:|"))


@pytest.mark.parametrize("name", ["sss:8:8:8:8", "sss:8:8:8:8:0", "ResNet18", "tss", ""])
def test_names_that_are_nearly_right(name: str) -> None:
    """Four widths, a width of 0, capitals: no network, and never another one in its place."""
    with pytest.raises(GenpredictError, match="no network is called"):
        build_network(name)


@pytest.mark.parametrize("parameter", ["num_classes", "in_channels"])
def test_numbers_below_one(parameter: str) -> None:
    with pytest.raises(GenpredictError, match=f"{parameter}: must be at least 1, not 0"):
        build_network("resnet20", **{parameter: 0})


def test_images_too_small_for_vgg() -> None:
    """Told at build time where the side is given, else by the first batch."""
    with pytest.raises(GenpredictError, match="image_side: vgg16 needs images of at least 32"):
        build_network("vgg16", image_side=8)
    with pytest.raises(GenpredictError, match=r"halves them five times.*not 32 × 8"):
        build_network("vgg16")(torch.zeros(2, 3, 32, 8))


def test_networks_load_no_other_stage() -> None:
    """Networks know torch and the errors, nothing else of genpredict (docs/design.md 5)."""
    code = "import sys, genpredict.networks; print(*(n for n in sys.modules if 'genpredict.' in n))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name.split(".")[1] for name in done.stdout.split()} == {
        "networks",
        "extensions",
        "errors",
        "_version",
    }
