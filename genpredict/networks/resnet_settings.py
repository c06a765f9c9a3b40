"""The ResNets, ResNeXt and SENet that have a name, by their published settings.

References
----------
.. [1] K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016:
   Table 1 (resnet18 … resnet101) and section 4.2 (resnet20 … resnet56).
.. [2] S. Xie, R. Girshick, P. Dollár, Z. Tu, K. He, "Aggregated Residual Transformations for Deep
   Neural Networks", CVPR 2017, section 5.3: 29 layers, here cardinality 1 and width 64.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from genpredict.networks.resnet import BasicBlock, BlockMaker, Bottleneck, PaddedBlock, ResNet
from genpredict.networks.senet import PreActivationBlock


class Setting(NamedTuple):
    """Arguments of `ResNet`: block, blocks and channels of the stages, stem, kernel of the stem."""

    block: BlockMaker
    counts: tuple[int, ...]
    widths: tuple[int, ...]
    stem: int = 64
    stem_kernel: int = 3
    he_classifier: bool = False


_BASIC = (64, 128, 256, 512)
_WIDE = (256, 512, 1024, 2048)
_NARROW = (16, 32, 64)
#: ResNeXt-29's block: the 3×3 convolution has half of the channels put out, in one group.
_RESNEXT = partial(Bottleneck, expansion=2, groups=1)

#: Lower-case name → settings. resnext29 has a stem of 1×1, not 3×3 as in [2]_, which
#: would add 1,536 to the 3,458,634 parameters that its usual 32×32 form has.
SETTINGS = {
    "resnet18": Setting(BasicBlock, (2, 2, 2, 2), _BASIC),
    "resnet34": Setting(BasicBlock, (3, 4, 6, 3), _BASIC),
    "resnet50": Setting(Bottleneck, (3, 4, 6, 3), _WIDE),
    "resnet101": Setting(Bottleneck, (3, 4, 23, 3), _WIDE),
    "resnet20": Setting(PaddedBlock, (3, 3, 3), _NARROW, stem=16, he_classifier=True),
    "resnet32": Setting(PaddedBlock, (5, 5, 5), _NARROW, stem=16, he_classifier=True),
    "resnet44": Setting(PaddedBlock, (7, 7, 7), _NARROW, stem=16, he_classifier=True),
    "resnet56": Setting(PaddedBlock, (9, 9, 9), _NARROW, stem=16, he_classifier=True),
    "resnext29": Setting(_RESNEXT, (3, 3, 3), (128, 256, 512), stem_kernel=1),
    "senet18": Setting(PreActivationBlock, (2, 2, 2, 2), _BASIC),
}


def build_resnet(name: str, *, num_classes: int, in_channels: int) -> ResNet:
    """Build the network of a name in `SETTINGS`."""
    setting = SETTINGS[name]._asdict()
    return ResNet(**setting, num_classes=num_classes, in_channels=in_channels)
