"""divscale: how diverse should LLM-generated training data be, and how much of it should be mixed with real data?

`load_study(path).run()` runs a study; `divscale.metrics` holds the measures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from divscale.api import Results, StudyRun, load_study

__all__ = ["Results", "StudyRun", "__version__", "load_study"]


def __getattr__(name: str) -> Any:
    if name in ("Results", "StudyRun", "load_study"):
        from divscale import api

        return getattr(api, name)
    raise AttributeError(f"module 'divscale' has no attribute {name!r}")
