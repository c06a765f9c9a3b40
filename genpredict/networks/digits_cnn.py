"""A small convolutional network for the 8 × 8 images of scikit-learn's digits."""

from __future__ import annotations

from torch import nn

from genpredict.networks.blocks import FeatureNetwork, conv_norm


class DigitsCNN(FeatureNetwork):
    """Classify 8 × 8 grey images by four convolutions and one linear head.

    Each convolution is 3 × 3 without bias, followed by batch norm and ReLU. The grid shrinks
    from 8 × 8 to 4 × 4 after the second one; the mean over the last grid feeds the head.

    Parameters
    ----------
    num_classes : int
        Number of outputs.
    in_channels : int
        Channels of the images.
    widths : tuple of int
        Output channels of the four convolutions.

    Attributes
    ----------
    features : nn.Sequential
        Images, shape (N, in_channels, 8, 8), to feature maps, shape (N, widths[3], 4, 4).
    head : nn.Linear
        Pooled features, shape (N, widths[3]), to logits, shape (N, num_classes).

    Notes
    -----
    The default has 23,738 parameters, 95 kB in float32: small enough to keep dozens of trained
    ones in a repository, deep enough for measures over layers to differ. Names sort by depth:
    safetensors files hold their tensors in alphabetical order.

    Examples
    --------
    >>> import torch
    >>> DigitsCNN()(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        *,
        num_classes: int = 10,
        in_channels: int = 1,
        widths: tuple[int, int, int, int] = (16, 32, 32, 32),
    ) -> None:
        super().__init__()
        self.features = nn.Sequential(
            conv_norm(in_channels, widths[0], 3, activation=nn.ReLU),
            conv_norm(widths[0], widths[1], 3, activation=nn.ReLU),
            nn.MaxPool2d(2),
            conv_norm(widths[1], widths[2], 3, activation=nn.ReLU),
            conv_norm(widths[2], widths[3], 3, activation=nn.ReLU),
        )
        self.head = nn.Linear(widths[3], num_classes)
