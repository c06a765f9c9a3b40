"""Settings of a training run: given, filled up by a recipe, checked, written beside results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from genpredict.errors import GenpredictError
from genpredict.sidecars import read_sidecar
from genpredict.training.recipes import find_recipe
from genpredict.training.setting_texts import faults_of, file_word, short_value

Schedule = Literal["constant", "step", "cosine"]
Hyperparameter = bool | int | float | str
_Count = Annotated[int, Field(ge=1)]
_Rest = Annotated[int, Field(ge=0)]
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
#: Where a run is computed is no part of what is computed.
NO_PART_OF_RESULT = ("device", "data_folder", "threads")
#: The longest network name and setting in a run's id, and how many settings it shows; the digest
#: tells others apart.
_LONGEST, _LONGEST_PART, _MOST_PARTS = 40, 24, 4
#: Settings that an id shows anyway, or that are no part of what is computed.
_IN_STEM = {
    *("recipe", "network", "dataset", "optimizer", "hyperparameters", "seed", "annotations"),
    *("checkpoint_epochs", "budget", *NO_PART_OF_RESULT),
}
#: Settings that came after runs were made.
_ADDED = (
    *(
        "num_test",
        "num_validation",
        "eval_every",
        "clip_norm",
        "sequence_length",
        "budget",
        "stream",
    ),
)


class Settings(BaseModel):
    """What a run is, in full.

    Attributes
    ----------
    recipe : str
        Where settings that were not given come from.
    network, dataset, optimizer : str
        Names for `build_network`, `load_dataset`, `build_optimizer`.
    hyperparameters : dict
        Of the optimizer, all of them.
    epochs : int
        Passes over the training images.
    batch_size : int
        Images a step.
    schedule : {"constant", "step", "cosine"}
        What multiplies the learning rate; see `rate_factor`.
    step_epochs, step_factor : int, float
        Of the schedule "step".
    flip, crop_padding, cutout_holes, cutout_length
        Augmentation of training images; see `Augmentation`.
    label_noise : float
        Share of training labels replaced by a wrong one.
    num_train : int, optional
        Training images to use, a stratified choice; None takes all.
    num_test : int, optional
        Test images to use, likewise.
    num_validation : int, optional
        Images held out of those to train on, for choosing settings: `best_runs` looks at these
        and never at the test images. The same for every seed.
    eval_every : int, optional
        Epochs between evaluations, each on all images; the last epoch and those whose weights are
        kept are always evaluated, on all images. None has the others take about a tenth of the
        time of training (see `genpredict.training.thinning`): on fewer training images, then on
        fewer test images, then not every epoch, and not before the first. The history tells the
        numbers of images (`train_count`, `test_count`). Where a whole evaluation is a matter of a
        fraction of a second every epoch has one.
    clip_norm : float, optional
        Gradients are scaled down to this norm, over all parameters.
    sequence_length : int
        Words that a language model learns from at a time.
    image_size : int, optional
        Height and width to scale images to; None leaves them as they are.
    annotations : str, optional
        CSV file with the labels of the data set "folder".
    stream : bool
        Whether the images of the data set "folder" stay in their files until a batch needs them;
        needs `image_size`, and crops at random as ImageNet's are.
    seed : int
        Of initial weights, order of images, augmentation and dropout.
    budget_seconds : float, optional
        Training ends with the epoch in which this much time has gone into training itself
        (evaluation and measures apart), even if `epochs` are not done.
    budget : {"sgd"}, optional
        In a sweep: the budget is what the run of SGD with the same network, data and seed has
        taken, and `epochs` those of SGD.
    checkpoint_epochs : tuple of int
        Epochs after which the weights are kept; always after the last.
    device : str
        "auto", "cpu", "cuda", "cuda:1", …
    data_folder : str, optional
        Where the images are.
    threads : int, optional
        CPU threads; None leaves torch's number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str
    network: str
    dataset: str
    optimizer: str
    hyperparameters: dict[str, Hyperparameter]
    epochs: _Count
    batch_size: _Count
    schedule: Schedule = "constant"
    step_epochs: _Count = 25
    step_factor: Annotated[float, Field(gt=0, le=1)] = 0.5
    flip: bool = False
    crop_padding: _Rest = 0
    cutout_holes: _Rest = 0
    cutout_length: _Count = 16
    label_noise: _Share = 0.0
    num_train: _Count | None = None
    image_size: _Count | None = None
    annotations: str | None = None
    stream: bool = False
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    num_test: _Count | None = None
    num_validation: _Count | None = None
    eval_every: _Count | None = None
    clip_norm: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    sequence_length: _Count = 35
    budget_seconds: Annotated[float, Field(gt=0)] | None = None
    budget: Literal["sgd"] | None = None
    checkpoint_epochs: tuple[_Count, ...] = ()
    device: str = "auto"
    data_folder: str | None = None
    threads: _Count | None = None

    @property
    def id(self) -> str:
        """A name that shows what differs from the recipe: ``vgg16-cifar10-sgd-s0-lr0.05-1f2e3d``.

        The last part is unique to what is computed. Of the data sets "folder" and "text" the path
        counts too, as it was given: it is what names the data.
        """
        return "-".join([self.stem, *self._differences(), self.digest])

    @property
    def stem(self) -> str:
        """The first part of the id: network, data set, optimizer, seed."""
        return f"{file_word(self.network)[:_LONGEST]}-{self.dataset}-{self.optimizer}-s{self.seed}"

    @property
    def digest(self) -> str:
        """The last part of the id, unique to what is computed."""
        named_by_path = self.dataset in ("folder", "text")
        left_out = set(NO_PART_OF_RESULT) - ({"data_folder"} if named_by_path else set())
        kept = self.model_dump(mode="json", exclude=left_out)
        for name in _ADDED:  # settings that came later leave the ids of earlier runs as they were
            if kept[name] == type(self).model_fields[name].default:
                del kept[name]
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:6]

    def _differences(self) -> list[str]:
        """Show the settings that differ from the recipe's, the first ones of many."""
        usual = complete(
            {"recipe": self.recipe, "optimizer": self.optimizer, "dataset": self.dataset}
        )
        shown = {
            name: value
            for name, value in self.hyperparameters.items()
            if usual.hyperparameters.get(name) != value
        }
        shown |= {
            name: value
            for name, value in self
            if name not in _IN_STEM and value != getattr(usual, name)
        }
        parts = [file_word(f"{name}{short_value(value)}") for name, value in shown.items()]
        return [part[:_LONGEST_PART] for part in parts[:_MOST_PARTS]]

    def __str__(self) -> str:
        """Return the id, as which messages name a run."""
        return self.id

    def to_table(self) -> dict[str, Any]:
        """Return the fields that are set, for a TOML file."""
        return self.model_dump(mode="json", exclude_none=True)


def complete(given: Mapping[str, Any]) -> Settings:
    """Fill settings up from their recipe and the optimizer's defaults, and check them.

    Parameters
    ----------
    given : mapping
        Fields of `Settings`. Without `recipe`: the recipe "digits" for the digits (and where no
        data set is named), else "paper".

    Returns
    -------
    Settings

    Raises
    ------
    GenpredictError
        Naming the field, the rule and the value.

    Notes
    -----
    RMSGD's ``beta = "scaled"`` becomes the number that `scaled_beta` gives for the epochs.

    A schedule that a recipe brings is for optimizers whose rate has to be lowered by hand: RMSGD
    and the line search keep a constant multiplier unless a schedule is asked for.

    Examples
    --------
    >>> complete({"optimizer": "adam", "epochs": 3}).hyperparameters["lr"]
    0.001
    """
    from genpredict.training.optimizers.hyperparameters import check_hyperparameters
    from genpredict.training.optimizers.rates import SCALED, scaled_beta
    from genpredict.training.optimizers.registry import find_optimizer

    given = {name: value for name, value in given.items() if value is not None}
    for name in ("recipe", "optimizer"):
        if not isinstance(given.get(name, ""), str):
            raise GenpredictError(f"{name}: must be one name, not {given[name]!r}")
    name = given.get("recipe") or _usual_recipe(given)
    recipe = find_recipe(name)
    fields = {**recipe.settings, **given, "recipe": name}
    optimizer = fields["optimizer"]
    asked = dict(given.get("hyperparameters", {}))
    if optimizer == "rmsgd" and asked.get("beta") == SCALED:
        asked["beta"] = scaled_beta(fields["epochs"])
    spec = find_optimizer(optimizer)
    fields["hyperparameters"] = check_hyperparameters(
        optimizer,
        {**recipe.hyperparameters.get(optimizer, {}), **asked},
        spec.defaults,
        spec.rules,
    )
    if "schedule" not in given and not spec.steps_down:
        fields["schedule"] = "constant"
    try:
        return Settings(**fields)
    except ValidationError as error:
        raise GenpredictError(faults_of(error, Settings.model_fields)) from error


def read_settings(path: Path) -> Settings:
    """Read the settings that stand beside a run's results.

    Raises
    ------
    GenpredictError
        When the file is no settings file.
    """
    import tomllib

    try:
        return Settings(**tomllib.loads(read_sidecar(path).decode("utf-8")))
    except (OSError, ValueError) as error:
        fault = (
            faults_of(error, Settings.model_fields) if isinstance(error, ValidationError) else error
        )
        raise GenpredictError(
            f"{path}: no settings of a run ({fault}); delete the run's folder to start it anew"
        ) from error


def _usual_recipe(given: Mapping[str, Any]) -> str:
    return "digits" if given.get("dataset", "digits") == "digits" else "paper"
