"""VGG-16 with batch norm for 32×32 images.

References
----------
.. [1] K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
   Recognition", ICLR 2015.
"""

from __future__ import annotations

from torch import Tensor, nn

from genpredict.errors import GenpredictError
from genpredict.networks.blocks import FeatureNetwork, initialize_he

#: Configuration D of [1]_, Table 1: channels of the convolutions between one pooling and the next.
GROUPS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
#: Each pooling halves the grid: smaller images would have nothing left.
SMALLEST_SIDE = 2 ** len(GROUPS)


class VGG16(FeatureNetwork):
    """13 convolutions with batch norm, five poolings, one linear layer in place of three [1]_.

    Parameters
    ----------
    num_classes : int
        Number of outputs.
    in_channels : int
        Channels of the images.

    Attributes
    ----------
    features : nn.Sequential
        Images, shape (N, in_channels, H, W), to feature maps, shape (N, 512, H/32, W/32).
    head : nn.Linear
        Averaged features, shape (N, 512), to logits, shape (N, num_classes).
    """

    def __init__(self, *, num_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width_in = in_channels
        for group in GROUPS:
            for width in group:
                layers += [nn.Conv2d(width_in, width, 3, padding=1), nn.BatchNorm2d(width)]
                layers.append(nn.ReLU())
                width_in = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(width_in, num_classes)
        initialize_he(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits.

        Parameters
        ----------
        images : Tensor, shape (N, in_channels, H, W)
            Images, normalized, of at least 32 × 32 pixels.

        Returns
        -------
        Tensor, shape (N, num_classes)
            Unnormalized log probabilities.

        Raises
        ------
        GenpredictError
            If images are smaller than 32 × 32 pixels.
        """
        if min(images.shape[-2:]) < SMALLEST_SIDE:
            raise GenpredictError(
                f"images: vgg16 halves them five times and needs sides of at least "
                f"{SMALLEST_SIDE} pixels, not {images.shape[-2]} × {images.shape[-1]}; enlarge "
                "them or take a resnet"
            )
        return super().forward(images)
