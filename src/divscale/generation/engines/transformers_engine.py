"""Hugging Face transformers as a plain engine, for machines without vLLM."""

from __future__ import annotations

from collections import deque
from typing import Any

from divscale.generation.config import EngineConfig
from divscale.generation.engines.model_folder import model_facts
from divscale.generation.engines.protocol import EngineCompletion, EngineRequest
from divscale.remote_code import allowed
from divscale.runtime.resources import Resources

# Rows decoded together.
BATCH_ROWS = 64


class TransformersEngine:
    """An `Engine` that decodes batches of left-padded rows, each with a random stream of its own.

    A row's noise depends on its seed alone; its logits depend on the batch by float rounding only, so that tokens are
    the same in any order but for near-ties.

    Args:
        model_dir: a Hugging Face folder with safetensors.
        config: dtype and context.
        resources: not used; the signature is every engine's.
        gpus: 0 is CPU, else the first visible CUDA device.
    """

    def __init__(self, model_dir: str, config: EngineConfig, resources: Resources, gpus: int) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        facts = model_facts(model_dir, config)
        self.context = facts.context
        self.tokenizer = AutoTokenizer.from_pretrained(model_dir, trust_remote_code=allowed())
        self._device = torch.device("cuda" if gpus else "cpu")
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            model_dir, dtype=getattr(torch, config.dtype), use_safetensors=True, trust_remote_code=allowed())
        self._model.to(self._device).eval()
        self._stop_ids = frozenset(facts.stop_ids)
        self._rows = min(BATCH_ROWS, resources.max_num_seqs)
        self._waiting: deque[EngineRequest] = deque()

    @property
    def busy(self) -> bool:
        """Whether any request is unfinished."""
        return bool(self._waiting)

    def submit(self, request: EngineRequest) -> None:
        """Take a request. Returns at once."""
        self._waiting.append(request)

    def step(self) -> list[EngineCompletion]:
        """Decode the next batch to its end."""
        count = min(self._rows, len(self._waiting))
        return self._decode([self._waiting.popleft() for _ in range(count)])

    def _decode(self, rows: list[EngineRequest]) -> list[EngineCompletion]:
        import torch

        longest = max(len(row.prompt_ids) for row in rows)
        ids_BT = torch.zeros((len(rows), longest), dtype=torch.long)
        mask_BT = torch.zeros((len(rows), longest), dtype=torch.long)
        for place, row in enumerate(rows):
            ids_BT[place, longest - len(row.prompt_ids):] = torch.tensor(row.prompt_ids)
            mask_BT[place, longest - len(row.prompt_ids):] = 1
        mask_BT, step_BT = mask_BT.to(self._device), ids_BT.to(self._device)
        streams = [torch.Generator().manual_seed(row.seed) for row in rows]
        written: list[list[int]] = [[] for _ in rows]
        reasons: list[str | None] = [None] * len(rows)
        cache = None
        with torch.inference_mode():
            while None in reasons:
                positions_BT = (mask_BT.cumsum(1) - 1).clamp(min=0)[:, -step_BT.shape[1]:]
                out = self._model(input_ids=step_BT, attention_mask=mask_BT, position_ids=positions_BT,
                                  past_key_values=cache, use_cache=True, logits_to_keep=1)
                cache, logits_BV = out.past_key_values, out.logits[:, -1].float().cpu()
                next_ids = [0 if reasons[place] else sample(logits_BV[place], row, streams[place])
                            for place, row in enumerate(rows)]
                for place, (row, token) in enumerate(zip(rows, next_ids, strict=True)):
                    if reasons[place] is not None:
                        continue
                    written[place].append(token)
                    if token in self._stop_ids:
                        reasons[place] = "stop"
                    elif len(written[place]) >= row.max_tokens:
                        reasons[place] = "length"
                step_BT = torch.tensor(next_ids, device=self._device)[:, None]
                mask_BT = torch.cat([mask_BT, torch.ones_like(step_BT)], dim=1)
        return [EngineCompletion(row.key, ids, reason or "stop")
                for row, ids, reason in zip(rows, written, reasons, strict=True)]


def sample(logits_V: Any, row: EngineRequest, stream: Any) -> int:
    """Draw a token: temperature, then min-p, then top-p, then Gumbel-max with the row's own noise.

    Args:
        logits_V: float32 logits over the vocabulary, on CPU.
        row: its temperature (0 is the arg-max), min_p and top_p.
        stream: the row's `torch.Generator`.

    Returns:
        The token's id.
    """
    import torch

    if row.temperature == 0:
        return int(logits_V.argmax())
    logp_V = torch.log_softmax(logits_V / row.temperature, dim=-1)
    noise_V = -torch.log(torch.empty_like(logp_V).exponential_(generator=stream))
    if row.min_p > 0:
        logp_V = logp_V.masked_fill(logp_V.exp() < row.min_p * logp_V.max().exp(), float("-inf"))
    if row.top_p < 1:
        sorted_V, order_V = torch.softmax(logp_V, dim=-1).sort(descending=True)
        # The smallest set whose probability reaches top_p: a token stays if those before it do not.
        beyond_V = sorted_V.cumsum(-1) - sorted_V >= row.top_p
        logp_V = logp_V.index_fill(0, order_V[beyond_V], float("-inf"))
    return int((logp_V + noise_V).argmax())
