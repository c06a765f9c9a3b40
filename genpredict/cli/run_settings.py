"""Settings of a run as options of a command."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from genpredict.cli.options import commas
from genpredict.errors import GenpredictError

RunsFolder = Annotated[Path, Parameter(name=["--output", "-o"])]
Positive = Annotated[int | None, Parameter(validator=Number(gte=1))]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Given:
    """Settings that a command gives a run.

    Parameters
    ----------
    recipe
        Fills in every setting that is not given: paper (as in the CVPR 2022 paper), nats (as in
        NATS-Bench), digits, ptb (a language model) or wgan (a generator of images); default digits
        for the data set digits, else paper.
    network
        digits_cnn, resnet18, resnet20, vgg16, sss:8:16:24:32:40, …, lstm:3:400:1150 (layers,
        embedding, hidden units) for the data set text, or wgan; default the recipe's.
    dataset
        digits, cifar10, cifar100, mnist, fashion_mnist, folder for any folder of images, or text
        for a language model; default the recipe's, without a recipe digits.
    data_folder
        Where the images are; default $GENPREDICT_DATA, else data. The digits need none. For text a
        file, or a folder with files for train, valid and test; without one a small text is made up.
    optimizer
        rmsgd, sgd, adam, adagrad, adabelief, adabound, adamp, sgdp, sam or sls; default the
        recipe's: sgd of nats, else rmsgd.
    hyperparameter
        One of the optimizer's, as name=value; may be repeated. beta=scaled gives RMSGD the β that
        goes with the number of epochs: .98^(250/epochs).
    epochs
        Passes over the training images; default the recipe's: 250 of paper, 12 of nats, 20 of
        digits.
    batch_size
        Images a step; default the recipe's.
    schedule
        How the learning rate falls over the epochs; default the recipe's, constant for rmsgd and
        sls.
    step_epochs
        Epochs between two steps of the schedule step; default the recipe's: 25 of paper, 5 of
        digits.
    step_factor
        What each of these steps multiplies the learning rate by; default the recipe's, 0.5.
    flip
        Mirror training images at random; --no-flip turns off what a recipe has.
    crop_padding
        Crop training images at random after padding them by this many pixels; 0 turns it off.
    cutout_holes
        Blank this many squares of each training image.
    cutout_length
        Width of these squares, in pixels; default 16.
    label_noise
        Share of training labels, 0 to 1, to replace by wrong ones.
    num_train
        Number of training images to use; default all.
    num_test
        Number of test images to use; default all.
    num_validation
        Number of images to hold out of those to train on, for choosing settings.
    eval_every
        Epochs between evaluations on all images. By default evaluations before the last epoch take
        about a tenth of the time of training: they look at fewer training and test images (never at
        fewer than --num-test or --num-validation), and not after every epoch, which is said then.
        The last epoch, and those whose weights are kept, are always evaluated on all images.
    clip_norm
        Scale gradients down to this norm.
    sequence_length
        Words that a language model learns from at a time; default 35.
    image_size
        Height and width, in pixels, to scale images to.
    annotations
        CSV file with the labels, for the data set folder.
    stream
        Leave the images of the data set folder in their files until a batch needs them, for sets
        larger than the memory; needs --image-size, and crops at random as for ImageNet.
    seed
        Of initial weights, order of images, augmentation and dropout; default 0.
    budget_seconds
        End with the epoch in which this much time has gone into training, if --epochs are not done
        before. For the time of an SGD run: the seconds in its summary.json.
    checkpoint_epochs
        Also keep the weights after these epochs, e.g. 1,2,5,10; those after the last are always
        kept.
    device
        auto (a GPU where there is one), cpu or cuda; default auto.
    threads
        CPU threads; default torch's number.
    """

    recipe: str | None = None
    network: str | None = None
    dataset: str | None = None
    data_folder: Path | None = None
    optimizer: str | None = None
    hyperparameter: Annotated[list[str] | None, Parameter(name=["--hyperparameter", "-H"])] = None
    epochs: Positive = None
    batch_size: Positive = None
    schedule: Literal["constant", "step", "cosine"] | None = None
    step_epochs: Positive = None
    step_factor: float | None = None
    flip: Annotated[bool | None, Parameter(negative="--no-flip")] = None
    crop_padding: int | None = None
    cutout_holes: int | None = None
    cutout_length: Positive = None
    label_noise: float | None = None
    num_train: Positive = None
    num_test: Positive = None
    num_validation: Positive = None
    eval_every: Positive = None
    clip_norm: float | None = None
    sequence_length: Positive = None
    image_size: Positive = None
    annotations: Path | None = None
    stream: bool | None = None
    seed: int | None = None
    budget_seconds: float | None = None
    checkpoint_epochs: Annotated[tuple[int, ...] | None, commas(int)] = None
    device: str | None = None
    threads: Positive = None

    def settings(self) -> dict[str, Any]:
        """Return them as fields of `Settings`."""
        settings = asdict(self)
        settings["hyperparameters"] = dict(map(_assignment, settings.pop("hyperparameter") or ()))
        for name in ("data_folder", "annotations"):
            settings[name] = str(settings[name]) if settings[name] else None
        return settings


def _assignment(text: str) -> tuple[str, bool | int | float | str]:
    """Read name=value, the value as a number or a truth where it is one."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise GenpredictError(f"--hyperparameter: must be name=value, such as lr=0.1, not {text}")
    if value.lower() in ("true", "false"):
        return name, value.lower() == "true"
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value
