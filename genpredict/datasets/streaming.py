"""Images that stay in their files until a batch needs them: for sets larger than the memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from genpredict.datasets.decoding import decode_images

#: Share of the pixels, and width over height, of a random resized crop: Szegedy et al., CVPR 2015,
#: as torchvision has it.
AREAS, RATIOS = (0.08, 1.0), (3 / 4, 4 / 3)
#: Of the shorter side to that of the crop where nothing is random: 256 to 224 pixels.
_MARGIN = 256 / 224
#: Tries to place a random crop before the whole image is taken.
_TRIES = 10
#: Images read at a time; decoding lets other threads go on.
_THREADS = 8

Box = tuple[int, int, int, int]


class FileImages:
    """Images in files, read when they are asked for.

    Stands in for a tensor of shape (N, channels, side, side), uint8, as far as training and
    evaluation use one: its length, its shape, and ``images[places]``.

    Parameters
    ----------
    files : sequence of Path
        One an image, of any size.
    side : int
        Height and width in pixels that batches have.
    channels : int
        1 for grey, 3 for colour.
    is_random : bool
        Whether each reading takes another part of the image (`random_box`), for training; else the
        centre.
    generator : torch.Generator, optional
        Of the random parts, on the CPU.
    device : torch.device
        Where batches go.

    References
    ----------
    C. Szegedy et al., "Going Deeper with Convolutions", CVPR 2015.
    """

    dtype = torch.uint8

    def __init__(
        self,
        files: Sequence[Path],
        *,
        side: int,
        channels: int = 3,
        is_random: bool = False,
        generator: torch.Generator | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.files = list(files)
        self.side, self.channels, self.is_random = side, channels, is_random
        self.generator = generator or torch.Generator().manual_seed(0)
        self.device = device or torch.device("cpu")

    @property
    def shape(self) -> torch.Size:
        """The shape of the tensor of all images."""
        return torch.Size((len(self.files), self.channels, self.side, self.side))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, places: Tensor | slice) -> Tensor:
        """Read some images, shape (B, channels, side, side), uint8."""
        indices = range(len(self.files))[places] if isinstance(places, slice) else places.tolist()
        draws: Sequence[Any] = [()] * len(indices)
        if self.is_random:
            draws = torch.rand(len(indices), _TRIES, 4, generator=self.generator).tolist()
        with ThreadPoolExecutor(_THREADS) as pool:
            images = list(pool.map(self._read, [self.files[i] for i in indices], draws))
        return torch.stack(images).to(self.device)

    def to(self, device: torch.device) -> FileImages:
        """Return the same images, whose batches go to another device."""
        return self._like(device=device)

    def subset(self, places: Tensor | slice) -> FileImages:
        """Return some of the images, unread."""
        files = self.files
        chosen = files[places] if isinstance(places, slice) else [files[i] for i in places.tolist()]
        return self._like(files=chosen)

    def centred(self) -> FileImages:
        """Return the same images, of which the centre is read."""
        return self._like(is_random=False)

    def drawing_from(self, generator: torch.Generator) -> FileImages:
        """Return the same images, whose random parts another generator draws."""
        return self._like(generator=generator)

    def _like(self, **changes: Any) -> FileImages:
        options = {
            "files": self.files,
            "side": self.side,
            "channels": self.channels,
            "is_random": self.is_random,
            "generator": self.generator,
            "device": self.device,
        }
        return FileImages(**{**options, **changes})

    def _read(self, file: Path, draws: Sequence[Sequence[float]]) -> Tensor:
        """Decode an image and scale a part of it."""
        (image,) = decode_images([file], where=str(file), channels=self.channels)
        height, width = image.shape[1:]
        box = random_box(height, width, draws) if self.is_random else centre_box(height, width)
        top, left, rows, columns = box
        part = image[None, :, top : top + rows, left : left + columns]
        scaled = interpolate(part, size=(self.side, self.side), mode="bilinear", antialias=True)
        return scaled[0]


def random_box(height: int, width: int, draws: Sequence[Sequence[float]]) -> Box:
    """Place a part of random area and ratio at random.

    Parameters
    ----------
    height, width : int
        Of the image.
    draws : sequence of four numbers each, in [0, 1)
        One for each try: area, ratio, row, column. The centre is taken where none fits.

    Returns
    -------
    tuple of int
        First row, first column, rows, columns.

    Examples
    --------
    >>> random_box(100, 200, [(0.5, 0.5, 0.0, 0.0)])  # 104 rows would not fit
    (6, 56, 88, 88)
    >>> random_box(100, 200, [(0.1, 0.5, 0.0, 0.0)])
    (0, 0, 59, 59)
    """
    for area, ratio, row, column in draws:
        pixels = height * width * (AREAS[0] + area * (AREAS[1] - AREAS[0]))
        low, high = map(math.log, RATIOS)
        aspect = math.exp(low + ratio * (high - low))
        rows, columns = round(math.sqrt(pixels / aspect)), round(math.sqrt(pixels * aspect))
        if 0 < rows <= height and 0 < columns <= width:
            top = int(row * (height - rows + 1))
            return top, int(column * (width - columns + 1)), rows, columns
    return centre_box(height, width)


def centre_box(height: int, width: int) -> Box:
    """Place the square that an evaluation looks at: 224 of 256 pixels of the shorter side.

    Examples
    --------
    >>> centre_box(256, 300)
    (16, 38, 224, 224)
    """
    side = max(round(min(height, width) / _MARGIN), 1)
    return (height - side) // 2, (width - side) // 2, side, side


def pick(images: Tensor | FileImages, places: Tensor | slice) -> Any:
    """Choose images of a split; those in files stay unread."""
    return images.subset(places) if isinstance(images, FileImages) else images[places]


def centred(images: Tensor | FileImages) -> Any:
    """Return images as an evaluation looks at them: the same, and of files the centres."""
    return images.centred() if isinstance(images, FileImages) else images
