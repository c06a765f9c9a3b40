"""A small convolutional network for the 8 × 8 images of scikit-learn's digits."""

from __future__ import annotations

from torch import Tensor, nn


class DigitsCNN(nn.Module):
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
            _block(in_channels, widths[0]),
            _block(widths[0], widths[1]),
            nn.MaxPool2d(2),
            _block(widths[1], widths[2]),
            _block(widths[2], widths[3]),
        )
        self.head = nn.Linear(widths[3], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits.

        Parameters
        ----------
        images : Tensor, shape (N, in_channels, 8, 8)
            Images, scaled to [0, 1].

        Returns
        -------
        Tensor, shape (N, num_classes)
            Unnormalized log probabilities.
        """
        features = self.features(images).mean(dim=(2, 3))
        logits: Tensor = self.head(features)
        return logits


def _block(num_in: int, num_out: int) -> nn.Sequential:
    """Join a 3 × 3 convolution, batch norm and ReLU; the grid keeps its size."""
    return nn.Sequential(
        nn.Conv2d(num_in, num_out, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(num_out),
        nn.ReLU(),
    )
