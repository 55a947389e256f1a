"""Mirror images."""

from torch import Tensor

from augserve_pipelines.scripting.form import Form

__all__ = ["Flip"]


class Flip(Form):
    """Mirror along a dimension: -1 is left to right, -2 upside down."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, image: Tensor) -> Tensor:
        return image.flip(self.dim)
