"""What a kernel is: a name and its parameters. How it is computed is `reference` (NumPy) and `torch_kernels`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from divscale.errors import ConfigError

KernelName = Literal["cosine", "rbf", "laplacian", "polynomial"]


@dataclass(frozen=True)
class Kernel:
    """A positive-definite similarity k(x, y).

    cosine: <x, y> / (|x| |y|), in [-1, 1].
    rbf: exp(-gamma |x - y|_2^2), in (0, 1].
    laplacian: exp(-gamma |x - y|_1), in (0, 1].
    polynomial: (gamma <x, y> + 1)^degree, unbounded.

    Attributes:
        gamma: scale; None is 1 for rbf and laplacian, 1 / D for polynomial. Without meaning for cosine.
        degree: of the polynomial.

    Raises:
        ConfigError: unknown name, gamma not positive, degree not a positive integer.
    """

    name: KernelName = "cosine"
    gamma: float | None = None
    degree: int = 3

    def __post_init__(self) -> None:
        if self.name not in get_args(KernelName):
            raise ConfigError(f"There is no kernel {self.name!r}; choose one of {', '.join(get_args(KernelName))}.")
        if self.gamma is not None and not (self.gamma > 0 and math.isfinite(self.gamma)):
            raise ConfigError(f"gamma of the {self.name} kernel is {self.gamma}; it must be a positive finite number.")
        if isinstance(self.degree, bool) or not isinstance(self.degree, int) or self.degree < 1:
            raise ConfigError(f"degree of the polynomial kernel is {self.degree!r}; it must be an integer, 1 or more.")

    @property
    def unit_diagonal(self) -> bool:
        """Whether k(x, x) = 1 for every x, so that one exp(k - k_ii) serves a tile and its mirror image."""
        return self.name != "polynomial"

    def scale(self, features: int) -> float:
        """`gamma`, or its default for vectors of so many features."""
        if self.gamma is not None:
            return self.gamma
        return 1.0 / features if self.name == "polynomial" else 1.0
