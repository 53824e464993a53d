"""divscale: how diverse should LLM-generated training data be, and how much of it should be mixed with real data?

`load_study(path).run()` runs a study, `measure(data)` measures data that exist; `divscale.metrics` holds the measures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from divscale.api import MeasuredFiles, Results, StudyRun, load_study, measure

__all__ = ["MeasuredFiles", "Results", "StudyRun", "__version__", "load_study", "measure"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from divscale import api

        return getattr(api, name)
    raise AttributeError(f"module 'divscale' has no attribute {name!r}")
