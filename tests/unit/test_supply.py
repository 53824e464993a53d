"""What mixes ask for is held against what there will be, as far as anything is trained on it."""

from pathlib import Path

import pytest

from divscale.errors import ConfigError
from divscale.study_file import load

SMOKE = Path(__file__).parents[1] / "studies" / "smoke.yaml"


@pytest.mark.parametrize(("mix", "arms"), [
    ("[{design: add_on, generated_share: [0.5]}]", "{labelled: [2]}"),
    ("[{design: add_on, generated: [4,50]}]", "{generated: [4]}"),
    ("[{design: add_on, generated: [4], levels: [0.3]},{design: add_on, generated: [50], levels: [1.2]}]", "{levels: [0.3]}"),
    ("[{design: generated_only, generated: [50]}]", "{labelled: [2]}"),
    ("[{design: add_on, generated: [50], shortfall: oversample}]", "{}"),
])
def test_what_no_entry_takes_may_be_more_than_there_is(mix, arms):
    asked = ["data.labelled=[2,50]", f"mix={mix}", "recipe.filters=[none]"]
    load(SMOKE, [*asked, f"train={{method: probe, arms: {arms}}}"])
    if "oversample" not in mix:
        with pytest.raises(ConfigError, match=r"50 generated rows are wanted, but recipe\.samples x recipe\.candidates makes 8"):
            load(SMOKE, [*asked, "train={method: probe}"])
