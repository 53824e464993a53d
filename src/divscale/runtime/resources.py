"""What a run may use. Nothing here is identity: changing it changes no fingerprint and no result."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from divscale.frozen import Count, Distinct, FrozenConfig

Tracker = Literal["tensorboard", "mlflow", "wandb"]


class Resources(FrozenConfig):
    """Sizes of the fleets and of their batches. Null: taken from the machine."""

    address: str | None = Field(
        default=None, description="a running Ray (RAY_ADDRESS is honoured too); null: a local one"
    )
    cpus: Count | None = None
    gpus: Annotated[int, Field(ge=0)] | None = None
    object_store_gib: Annotated[float, Field(gt=0)] = Field(
        default=0.5, description="of a local Ray; a running one has what its nodes were started with"
    )
    generation_actors: Count | None = None
    gpus_per_engine: Annotated[int, Field(ge=0)] | None = None
    gpu_memory_utilization: Annotated[float, Field(gt=0, lt=1)] = 0.9
    kv_cache_gib: Count = 1
    max_num_seqs: Count = 256
    requests_per_batch: Count = 64
    step_timeout_s: Count = Field(
        default=600, description="seconds without a sign of life after which an engine, an encoder, a tile worker or a "
                                 "training group is taken to hang; as often that as it takes steps to an answer"
    )
    endpoint_concurrency: Annotated[int, Field(ge=1, le=1000)] = 64
    endpoint_retries: Annotated[int, Field(ge=0)] = 8
    endpoint_timeout_s: Count = 600
    embedding_actors: Count | None = None
    texts_per_batch: Count = 256
    similarity_actors: Count | None = None
    training_workers: Count | None = Field(
        default=None, description="ranks that train one arm together; null: GPUs / training_groups, or 1"
    )
    training_groups: Count | None = Field(
        default=None, description="arms trained side by side; null: GPUs / training_workers where both are there; on a "
                                  "machine without GPUs its CPUs / training_workers, memory allowing; or 1"
    )
    training_memory_gib: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="a training worker above this between two arms is replaced; null: never"
    )
    checkpoint_every_s: Annotated[float, Field(ge=0)] = Field(
        default=600, description="seconds of training that a lost arm may cost"
    )
    keep: Literal["none", "adapter", "best", "all"] = Field(
        default="all", description="trained weights that stay once an arm is scored: none, adapters alone, of every "
                                   "entry of train those of the arm with the best score, all"
    )
    trackers: Annotated[tuple[Tracker, ...], Distinct] = Field(
        default=(), description="where the metrics of arms go beside their metrics.jsonl"
    )
    harness_rows_per_batch: Count = 16
    tile_rows: Count = 1024
    start_timeout_s: Count = 600
    stall_minutes: Annotated[float, Field(gt=0)] | None = Field(
        default=240, description="a run in which no stage begins or ends and no row or token is done for so long is "
                                 "ended, with the stacks of all processes in the log; null: never"
    )
