import pytest
import torch

from genpredict.datasets.images import replace_labels, stratified_order
from genpredict.errors import GenpredictError


def test_stratified_order_is_a_permutation():
    labels = torch.tensor([2, 0, 2, 1, 2, 2, 0])
    assert stratified_order(labels, seed=0).sort().values.tolist() == list(range(7))


def test_every_run_of_an_order_holds_the_classes_in_proportion():
    """Uneven classes, every cut of 50: never 2 or more off the expected count."""
    labels = torch.cat([torch.zeros(500), torch.ones(300), torch.full((200,), 2)]).long()
    ordered = labels[stratified_order(labels, seed=4)]
    for start in range(0, 951):
        counts = ordered[start : start + 50].bincount(minlength=3)
        assert (counts - torch.tensor([25, 15, 10])).abs().max() < 2


def test_replace_labels_leaves_its_input():
    labels = torch.zeros(20, dtype=torch.int64)
    replace_labels(labels, share=1.0, num_classes=3, generator=torch.Generator())
    assert labels.sum() == 0


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_share_out_of_range(share):
    with pytest.raises(GenpredictError, match="share: must be between 0 and 1"):
        replace_labels(
            torch.zeros(3).long(), share=share, num_classes=2, generator=torch.Generator()
        )


def test_one_class_has_no_wrong_label():
    with pytest.raises(GenpredictError, match="num_classes: must be at least 2, not 1"):
        replace_labels(torch.zeros(3).long(), share=0.5, num_classes=1, generator=torch.Generator())
