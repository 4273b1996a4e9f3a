"""Batches of conversations with a model in this process."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from lvlm2p.teachers.label import Usage
from lvlm2p.teachers.models.local.checkpoint import LocalModel
from lvlm2p.teachers.models.local.processor import QwenEncoder
from lvlm2p.teachers.models.messages import Finish, Reply, Request


class Session:
    """A batch of conversations, and the model's KV cache of them.

    A later question that begins with all that was said before continues from that cache, which
    is exact: only its own tokens are read. Anything else starts anew.
    """

    def __init__(self, local: LocalModel) -> None:
        self.local = local
        self._prompts: list[str] = []
        """What each row reads now."""
        self._texts: list[str] = []
        """What each row has read and written."""
        self._ids: Any = None
        self._mask: Any = None
        self._kv_cache: Any = None

    def replies(
        self,
        requests: Sequence[Request],
        seeds: Sequence[int],
        max_tokens: int,
        temperature: float,
    ) -> list[Reply]:
        """One reply to each request, in their order; letters asked for all or none."""
        started = time.perf_counter()
        letters = {letter for request in requests for letter in request.letters}
        if letters and not self._single_tokens(letters):
            replies = self._score(requests)
        else:
            replies = self._generate(requests, seeds, max_tokens, temperature)
        share = round((time.perf_counter() - started) / len(requests), 5)
        return [replace(reply, latency_s=share, cost_usd=0.0) for reply in replies]

    def _generate(
        self, requests: Sequence[Request], seeds: Sequence[int], max_tokens: int, temperature: float
    ) -> list[Reply]:
        import torch
        from transformers import GenerationConfig

        local, letters = self.local, bool(requests[0].letters)
        inputs, fresh = self._inputs(requests)
        config = GenerationConfig(  # type: ignore[no-untyped-call]
            max_new_tokens=1 if letters else max_tokens,
            do_sample=False,
            eos_token_id=local.ends,
            pad_token_id=local.pad,
            return_dict_in_generate=True,
            output_logits=letters,
        )
        noise = [_Gumbel(seeds, temperature, local.device)] if temperature and not letters else None
        with torch.inference_mode():
            out = local.model.generate(**inputs, generation_config=config, logits_processor=noise)
        width = inputs["input_ids"].shape[1]
        new = out.sequences[:, width:]
        written = _until_end(new, local.ends)
        texts = local.encoder.tokenizer.batch_decode(
            [row[:n] for row, n in zip(new, written, strict=True)], skip_special_tokens=False
        )
        self._keep_cache(inputs, out, written, texts)
        chances = out.logits[0].float().log_softmax(-1) if letters else None
        replies = []
        for row, text in enumerate(texts):
            ended = written[row] < new.shape[1]
            finish: Finish = "stop" if ended or letters else "length"
            usage = Usage(calls=1, prompt_tokens=fresh[row], completion_tokens=written[row])
            named = requests[row].letters
            listed = self._letters(chances[row], named) if chances is not None and named else {}
            replies.append(Reply(text, finish, usage=usage, alternatives=listed))
        return replies

    def _inputs(self, requests: Sequence[Request]) -> tuple[dict[str, Any], list[int]]:
        """Input tensors, and how many tokens of each row are read."""
        import torch

        encoder, device = self.local.encoder, self.local.device
        self._prompts, urls = encoder.render([request.messages for request in requests])
        rests = self._rests(self._prompts)
        if rests is None or not isinstance(encoder, QwenEncoder):
            inputs = encoder.tensors(self._prompts, urls)
            read = inputs["attention_mask"].sum(1).tolist()
            return {name: tensor.to(device) for name, tensor in inputs.items()}, read
        more = encoder.tokenizer(rests, return_tensors="pt", padding=True, add_special_tokens=False)
        ids = torch.cat([self._ids, more["input_ids"].to(device)], 1)
        mask = torch.cat([self._mask, more["attention_mask"].to(device)], 1)
        inputs = {"input_ids": ids, "attention_mask": mask, "past_key_values": self._kv_cache}
        inputs["mm_token_type_ids"] = encoder.kinds(ids)
        return inputs, more["attention_mask"].sum(1).tolist()

    def _rests(self, texts: Sequence[str]) -> list[str] | None:
        """What each row has not read yet; None where one of them does not continue."""
        if self._kv_cache is None or len(texts) != len(self._texts):
            return None
        if not all(text.startswith(said) for text, said in zip(texts, self._texts, strict=True)):
            return None
        return [text[len(said) :] for text, said in zip(texts, self._texts, strict=True)]

    def _keep_cache(
        self, inputs: dict[str, Any], out: Any, written: Sequence[int], texts: Sequence[str]
    ) -> None:
        """Keep what was read and written; what follows a row's end is masked."""
        import torch

        self._texts = [prompt + text for prompt, text in zip(self._prompts, texts, strict=True)]
        self._ids, self._kv_cache = out.sequences, out.past_key_values
        steps = out.sequences.shape[1] - inputs["input_ids"].shape[1]
        counts = torch.tensor(written, device=self.local.device)[:, None]
        kept = torch.arange(steps, device=self.local.device)[None, :] < counts
        self._mask = torch.cat([inputs["attention_mask"], kept.long()], 1)

    def _single_tokens(self, letters: Collection[str]) -> bool:
        tokenizer = self.local.encoder.tokenizer
        return all(len(tokenizer.encode(x, add_special_tokens=False)) == 1 for x in letters)

    def _letters(self, chances: Any, letters: Sequence[str]) -> dict[str, float]:
        """Probability of each letter as the next token."""
        encode = self.local.encoder.tokenizer.encode
        tokens = {letter: encode(letter, add_special_tokens=False)[0] for letter in letters}
        return {letter: math.exp(chances[token]) for letter, token in tokens.items()}

    def _score(self, requests: Sequence[Request]) -> list[Reply]:
        """Exact probabilities of candidates of several tokens: each is read as if written."""
        import torch

        local = self.local
        encoder = local.encoder
        texts, urls = encoder.render([request.messages for request in requests])
        candidates = [(row, x) for row, request in enumerate(requests) for x in request.letters]
        encode = encoder.tokenizer.encode
        tails = [len(encode(letter, add_special_tokens=False)) for _, letter in candidates]
        inputs = encoder.tensors(
            [texts[row] + letter for row, letter in candidates],
            [urls[row] for row, _ in candidates],
        )
        inputs = {name: tensor.to(local.device) for name, tensor in inputs.items()}
        longest = max(tails)
        mask = inputs["attention_mask"]
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        if not isinstance(encoder, QwenEncoder):
            inputs["position_ids"] = positions
        with torch.inference_mode():
            logits = local.model(**inputs, logits_to_keep=longest + 1).logits.float()
        chances = logits[:, :-1].log_softmax(-1)
        tokens = inputs["input_ids"][:, -longest:]
        each = chances.gather(2, tokens[:, :, None])[:, :, 0]
        scores: list[dict[str, float]] = [{} for _ in requests]
        read = [0] * len(requests)
        for i, ((row, letter), tail) in enumerate(zip(candidates, tails, strict=True)):
            scores[row][letter] = math.exp(each[i, longest - tail :].sum())
            read[row] += int(mask[i].sum())
        return [
            Reply("", usage=Usage(calls=1, prompt_tokens=n), alternatives=found)
            for found, n in zip(scores, read, strict=True)
        ]


class _Gumbel:
    """Sampling as greedy choice: the largest of logits / temperature plus Gumbel noise is a sample.

    Each row has a generator of its own, so that its sample depends on its seed alone and not on
    who else is in the batch.
    """

    def __init__(self, seeds: Sequence[int], temperature: float, device: Any) -> None:
        import torch

        self.temperature = temperature
        self.device = device
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        import torch

        noise = torch.empty_like(scores, dtype=torch.float32)
        for row, generator in enumerate(self.generators):
            noise[row].exponential_(generator=generator)
        return scores / self.temperature - noise.clamp_min(1e-20).log()


def _until_end(new: Any, ends: Sequence[int]) -> list[int]:
    """How many tokens each row wrote before its end."""
    counts = []
    for row in new.tolist():
        counts.append(next((i for i, token in enumerate(row) if token in ends), len(row)))
    return counts
