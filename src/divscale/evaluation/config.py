"""What of lm-evaluation-harness a study's tuned models are asked."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from divscale.frozen import Count, Distinct, FrozenConfig


class HarnessConfig(FrozenConfig):
    """Tasks of lm-evaluation-harness, by name, for every fine-tuned causal model.

    tasks: names of tasks, groups or tags, of the harness itself or of `include_path`.
    include_path: a folder with task files (YAML) of one's own, and with the data that they name. A path in them that
        is relative is looked for in this folder. Every node must see it.
    limit: the first rows of each task alone; null: all.
    """

    tasks: Annotated[tuple[str, ...], Distinct] = Field(min_length=1)
    include_path: str | None = None
    limit: Count | None = None
