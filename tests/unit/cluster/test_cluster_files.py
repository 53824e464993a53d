"""Files of configs/clusters: what may be used of a Ray that runs already."""

from pathlib import Path

import pytest

from divscale.study_file import load_resources

FILES = sorted((Path(__file__).parents[3] / "configs" / "clusters").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_for_a_running_ray_says_its_cpus_and_nothing_that_only_a_local_one_can_be_given(file):
    resources = load_resources(file)
    assert (resources.address is None) == (file.stem == "laptop")
    if resources.address is not None:  # a plan is made elsewhere, on a machine with other CPUs
        assert resources.cpus and resources.gpus and "object_store_gib" not in resources.model_fields_set
