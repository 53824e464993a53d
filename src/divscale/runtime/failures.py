"""What Ray's errors mean for a fleet: a death that its work outlives, or the end, in words that a user can act on."""

from __future__ import annotations

from typing import Any

from divscale.errors import DivscaleError, HungError, StageFailedError


def is_death(error: Any) -> bool:
    """Whether an error says that an actor, its node or the result it had made is gone, so that the work is to do again.

    What an actor's own code raised is none, also where that was an object it could not get.
    """
    from ray import exceptions

    gone = (exceptions.RayActorError, exceptions.ObjectLostError, exceptions.NodeDiedError,
            exceptions.WorkerCrashedError, exceptions.LocalRayletDiedError, exceptions.OutOfMemoryError)
    return isinstance(error, gone) and not isinstance(error, exceptions.RayTaskError)


def died(fleet: str, what: str, error: Any) -> StageFailedError:
    """An actor died too often; `what` says what of."""
    return StageFailedError(
        f"an actor of the {fleet} fleet died and {what}: {_gist(error)} Usually it ran out of memory: use fewer actors "
        "or smaller batches (resources). What was finished is kept; run again to go on.")


def raised(fleet: str, error: Any) -> DivscaleError:
    """What an actor raised, or Ray in its place."""
    cause = getattr(error, "cause", error)
    if isinstance(cause, DivscaleError):
        return cause
    return StageFailedError(f"an actor of the {fleet} fleet failed: {type(cause).__name__}: {_gist(cause)} The "
                            "traceback is in the log. What was finished is kept.")


def silent(fleet: str, silence_s: float) -> HungError:
    """An actor with work does not reply."""
    return HungError(
        f"an actor of the {fleet} fleet has not replied for {silence_s:g} s though it has work: its process hangs or "
        "is stopped. Its stack is in the log; look at the machine too (memory, a GPU that fell off). Where its work "
        "merely takes long, raise resources.step_timeout_s. What was finished is kept; run again to go on.")


def never_ready(fleet: str, waiting: int, size: int, timeout_s: float) -> StageFailedError:
    """Actors were not placed and loaded in time."""
    return StageFailedError(
        f"{waiting} of {size} actors of the {fleet} fleet were not ready after {timeout_s:g} s: waited for them to be "
        f"placed and to load their model ({free()}). Raise resources.start_timeout_s, ask for fewer "
        "actors, or look at the Ray logs.")


def free() -> str:
    """What of the cluster is free, for a message."""
    import ray

    there, left = ray.cluster_resources(), ray.available_resources()
    return "the cluster has " + ", ".join(
        f"{name} {left.get(name, 0):g} of {there.get(name, 0):g} free" for name in ("CPU", "GPU"))


def _gist(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    # What the constructor raised stands at the end of its traceback.
    line = lines[-1] if "creation task" in lines[0] else lines[0]
    return line if line.endswith(".") else line + "."
