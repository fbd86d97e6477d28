from torch import nn

from mypkg.ops import *


class Mine(nn.Module):
    """One convolution."""

    def __init__(self, levels, num_classes, boundary=None):
        super().__init__()
        self.c = nn.Conv2d(levels[-1].channels, num_classes, 1)

    def forward(self, features, boundary=None, *, with_aux=False):
        return self.c(squash(features[-1])), {}
