"""vLLM, stepped by hand: requests join and leave its running batch at any time."""

from __future__ import annotations

import os
from typing import Any

from divscale.errors import PreflightError
from divscale.generation.config import EngineConfig
from divscale.generation.engines.model_folder import ModelFacts, model_facts
from divscale.generation.engines.protocol import EngineCompletion, EngineRequest
from divscale.remote_code import allowed
from divscale.runtime.resources import Resources

GIB = 1024**3
# Tokens a cache block holds: small ones waste little on short texts (vLLM's default on CPU is 128).
CPU_BLOCK = 32
# One tensor-parallel rank runs in the actor's own process: no second start-up, no queue between. Nothing is reported.
ENVIRONMENT = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1",
               "VLLM_LOGGING_LEVEL": "ERROR"}


class VllmEngine:
    """An `Engine` on vLLM's V1 core.

    On CPU at float32 the tokens of a request do not depend on what else runs or in which order (tested). On CUDA
    batches of other sizes may round differently: there a request is reproducible in what is asked, not in every token.

    Args:
        model_dir: a Hugging Face folder with safetensors.
        config: dtype and context.
        resources: `max_num_seqs`, `kv_cache_gib`, `gpus_per_engine`, `gpu_memory_utilization`.
        gpus: GPUs of this engine; 0 is CPU.
        structured: requests may have a JSON schema, to which xgrammar then holds their completions. White space outside
            of strings is not left to the model: one space after a colon or comma, or none.

    Raises:
        PreflightError: vLLM here is the build of the other kind of device, or the folder is not a model it accepts.
    """

    def __init__(
        self, model_dir: str, config: EngineConfig, resources: Resources, gpus: int, *, structured: bool = False,
    ) -> None:
        os.environ.update(ENVIRONMENT)
        from transformers import AutoTokenizer
        from vllm.engine.arg_utils import EngineArgs
        from vllm.platforms import current_platform
        from vllm.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams
        from vllm.usage.usage_lib import UsageContext
        from vllm.v1.engine.llm_engine import LLMEngine

        check_build(on_cpu=current_platform.is_cpu(), gpus=gpus)
        facts = model_facts(model_dir, config)
        self.context = facts.context
        self.tokenizer = AutoTokenizer.from_pretrained(model_dir, trust_remote_code=allowed())
        self._stop_ids = list(facts.stop_ids)
        self._sampling, self._final = SamplingParams, RequestOutputKind.FINAL_ONLY
        self._held_to = StructuredOutputsParams
        where = _cuda_args(resources, gpus) if gpus else _cpu_args(facts, resources)
        # Tokens in, tokens out: the renderer tokenises for every engine alike, and vLLM starts without a tokenizer,
        # but for grammars, which are over its tokens' text.
        grammars = {"structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True}}
        args = EngineArgs(model=model_dir, dtype=config.dtype, max_model_len=facts.context,
                          skip_tokenizer_init=not structured, max_num_seqs=resources.max_num_seqs,
                          load_format="safetensors", generation_config="vllm", disable_log_stats=True, seed=0,
                          trust_remote_code=allowed(),
                          **(grammars if structured else {}), **where)
        # As for vLLM's own offline class: on a GPU a step takes up to 16,384 tokens of prompts, 2,048 by default.
        self._engine = LLMEngine.from_engine_args(args, UsageContext.LLM_CLASS)

    @property
    def busy(self) -> bool:
        """Whether any request is unfinished."""
        return self._engine.has_unfinished_requests()

    def submit(self, request: EngineRequest) -> None:
        """Take a request. Returns at once."""
        # vLLM writes into it, so every request has its own
        held_to = self._held_to(json=request.json_schema) if request.json_schema else None
        params = self._sampling(
            temperature=request.temperature, top_p=request.top_p, min_p=request.min_p, seed=request.seed,
            max_tokens=request.max_tokens, stop_token_ids=self._stop_ids, detokenize=False, output_kind=self._final,
            structured_outputs=held_to)
        self._engine.add_request(request.key, {"prompt_token_ids": request.prompt_ids}, params)

    def step(self) -> list[EngineCompletion]:
        """One forward pass over the running batch; return what finished."""
        finished: list[Any] = [out for out in self._engine.step() if out.finished]
        return [EngineCompletion(out.request_id, list(out.outputs[0].token_ids), out.outputs[0].finish_reason or "stop")
                for out in finished]


def check_build(*, on_cpu: bool, gpus: int) -> None:
    """Refuse the vLLM that is installed where it is not for what the engine was given.

    Raises:
        PreflightError: a build for CPUs and GPUs to use, or one for GPUs and none.
    """
    if on_cpu and gpus:
        raise PreflightError("vLLM here is its CPU build, and the engine was given GPUs: install requirements/gpu.txt "
                             "on every node, or set resources.gpus=0.")
    if not on_cpu and not gpus:
        raise PreflightError("vLLM here is its GPU build, and the engine was given no GPU: look at resources.gpus, "
                             "resources.gpus_per_engine and `ray status`, or install requirements/cpu.txt.")


def _cpu_args(facts: ModelFacts, resources: Resources) -> dict[str, Any]:
    # The cache is cleared at start (3.8 s a GiB here): a small model gets what its sequences can fill, no more.
    seats = -(-facts.context // CPU_BLOCK) * CPU_BLOCK * (resources.max_num_seqs + 8)
    cache = min(resources.kv_cache_gib * GIB, max(16 * 1024**2, seats * facts.kv_bytes))
    return {
        "enforce_eager": True, "kv_cache_memory_bytes": cache, "block_size": CPU_BLOCK,
        # Per-row seeds need whole prompts: a partial prefill rewinds the row's generator, which CPU ones cannot do.
        "enable_chunked_prefill": False, "max_num_batched_tokens": max(4096, facts.context),
        # A context that several prompts begin with is computed once. The tokens stay the same bits (tested); 200
        # prompts of 25 contexts took 3.2 s of one core instead of 4.5.
        "enable_prefix_caching": True,
    }


def _cuda_args(resources: Resources, gpus: int) -> dict[str, Any]:
    # Not run yet on a GPU. Prefix caching and chunked prefill stay at vLLM's defaults (on).
    return {"gpu_memory_utilization": resources.gpu_memory_utilization, "tensor_parallel_size": gpus}
