import pytest
import torch

from genpredict.errors import GenpredictError
from genpredict.networks import DigitsCNN, build_network


def test_shapes_of_logits_and_weights():
    network = build_network("digits_cnn", num_classes=7).eval()
    assert network(torch.zeros(3, 1, 8, 8)).shape == (3, 7)
    shapes = [tuple(weight.shape) for weight in network.parameters() if weight.ndim > 1]
    assert shapes == [(16, 1, 3, 3), (32, 16, 3, 3), (32, 32, 3, 3), (32, 32, 3, 3), (7, 32)]


@pytest.mark.parametrize("widths", [(16, 32, 32, 32), (4, 6, 8, 10)])
def test_number_of_parameters_against_theory(widths):
    """Convolutions without bias, two numbers a channel for batch norm, a head with bias."""
    convolutions = 9 * sum(a * b for a, b in zip((1, *widths), widths, strict=False))
    head = 10 * widths[-1] + 10
    network = DigitsCNN(widths=widths)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == convolutions + 2 * sum(widths) + head


def test_initial_weights_follow_the_default_generator():
    torch.manual_seed(3)
    one = build_network("digits_cnn").state_dict()
    torch.manual_seed(3)
    other = build_network("digits_cnn").state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(GenpredictError, match=r"no network is called 'lenet'; .*digits_cnn"):
        build_network("lenet")


def test_no_classes():
    with pytest.raises(GenpredictError, match="num_classes: must be at least 1, not 0"):
        build_network("digits_cnn", num_classes=0)


def test_names_sort_by_depth():
    """Files of safetensors are sorted by name; depth must survive it."""
    names = [name for name, weight in DigitsCNN().named_parameters() if weight.ndim > 1]
    assert names == sorted(names)
