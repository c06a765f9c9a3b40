"""A small generator of images and its critic."""

from __future__ import annotations

from torch import Tensor, nn

#: Length of the noise that an image is made from.
LATENT = 32
#: Images must halve twice.
SIDE_MULTIPLE = 4


class Critic(nn.Module):
    """Score images; no batch norm, whose statistics would mix real and made images.

    Parameters
    ----------
    channels : int
        Of the images.
    side : int
        Of the images, in pixels, a multiple of 4.
    width : int
        Channels of the first layer.
    """

    def __init__(self, channels: int, side: int, *, width: int = 16) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 4, stride=2, padding=1)
        self.conv2 = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)
        self.head = nn.Linear(2 * width * (side // 4) ** 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return a score an image, shape (N,)."""
        maps = nn.functional.leaky_relu(self.conv1(images), 0.2)
        maps = nn.functional.leaky_relu(self.conv2(maps), 0.2)
        scores: Tensor = self.head(maps.flatten(1))
        return scores.squeeze(1)


class Generator(nn.Module):
    """Make images, in [-1, 1], from noise.

    Parameters
    ----------
    channels, side, width
        As of `Critic`.
    """

    def __init__(self, channels: int, side: int, *, width: int = 16) -> None:
        super().__init__()
        self.grid = (2 * width, side // 4, side // 4)
        self.stem = nn.Linear(LATENT, 2 * width * (side // 4) ** 2)
        self.norm = nn.BatchNorm2d(2 * width)
        self.conv1 = nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1)
        self.conv2 = nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1)

    def forward(self, noise: Tensor) -> Tensor:
        """Return images, shape (N, channels, side, side), from noise, shape (N, LATENT)."""
        maps = self.norm(self.stem(noise).view(-1, *self.grid)).relu()
        maps = self.conv1(maps).relu()
        images: Tensor = self.conv2(maps)
        return images.tanh()
