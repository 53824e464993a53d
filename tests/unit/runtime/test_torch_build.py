"""A torch for CPUs is told from one for GPUs, and a local Ray counts GPUs for the latter alone."""

import pytest

from divscale.runtime.resources import Resources
from divscale.runtime.session import gpus_of_a_local_ray
from divscale.runtime.torch_build import says_cuda, torch_has_cuda

CPU = "from typing import Optional\n\n__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\nhip: Optional[str] = None\n"


def test_the_build_is_read_from_its_own_file():
    import torch

    assert not says_cuda(CPU)
    assert says_cuda(CPU.replace("cuda: Optional[str] = None", "cuda: Optional[str] = '13.0'"))
    assert says_cuda("cuda = '12.8'\n")
    assert torch_has_cuda() == (torch.version.cuda is not None)


@pytest.mark.parametrize(("wanted", "has_cuda", "given"), [(None, False, 0), (None, True, None), (0, True, 0), (2, False, 2)])
def test_gpus_that_torch_could_not_use_are_not_counted(wanted, has_cuda, given, monkeypatch):
    monkeypatch.setattr("divscale.runtime.session.torch_has_cuda", lambda: has_cuda)
    assert gpus_of_a_local_ray(Resources(gpus=wanted)) == given
