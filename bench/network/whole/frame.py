"""The frame in which a network sees an image: with rows and columns of the mean colour below and on the right.

Strides, patches and windows of most networks want a height and a width that they divide.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from bench.network.layers import resize


@dataclass(frozen=True)
class Frame:
    """The size of an image, and that of its frame, in pixels.

    Attributes:
        height: the height of the image.
        width: its width.
        multiple_px: the number that divides the height and the width of the frame.
        least_px: the least height and width of the frame.
    """

    height: int
    width: int
    multiple_px: int
    least_px: int = 1

    @property
    def px(self) -> tuple[int, int]:
        """The height and the width of the frame."""
        height, width = max(self.height, self.least_px), max(self.width, self.least_px)
        return height + -height % self.multiple_px, width + -width % self.multiple_px

    @property
    def is_image(self) -> bool:
        """True if the frame adds nothing to the image."""
        return self.px == (self.height, self.width)

    def padded(self, image: Tensor) -> Tensor:
        """The normalised image ``N 3 H W`` in its frame; 0 is the mean colour of ImageNet."""
        height, width = self.px
        return image if self.is_image else functional.pad(image, (0, width - self.width, 0, height - self.height))

    def image_sized(self, x: Tensor) -> Tensor:
        """The part of a map of the frame ``N C h w`` that shows the image, at the image's size.

        It is resized by ``align_corners=False``, as transformers and the networks' own repositories do.
        """
        return resize(x, self.px, False)[..., : self.height, : self.width]
