"""evaluate.py against transformers' own loss and against statistics written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from doubles import tiny_llama

from llvq_mini.errors import LLVQError
from llvq_mini.evaluate import evaluate, generate, standard_error
from llvq_mini.models import load_source, output_head, token_fingerprint, token_windows


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    first = load_source(tiny_llama(tmp_path_factory.mktemp("a"), seed=1))
    second = load_source(tiny_llama(tmp_path_factory.mktemp("b"), seed=2))
    return first, second


def random_windows(count: int = 3, context: int = 200) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, context))


def test_perplexity_is_the_models_own_loss(pair):
    windows = random_windows()
    result = evaluate(pair[0].model, windows)
    with torch.inference_mode():
        ids = torch.from_numpy(windows)
        losses = [float(pair[0].model(row[None], labels=row[None]).loss) for row in ids]
    assert result["nats_per_token"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert result["perplexity"] == pytest.approx(np.exp(np.mean(losses)), rel=1e-4)
    assert result["tokens"] == 3 * 199 and result["token_fingerprint"] == token_fingerprint(windows)
    assert "excess" not in result


SMALL = {"vocab_size": 256, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
SMALL |= {"num_attention_heads": 4, "num_key_value_heads": 2, "pad_token_id": 0, "initializer_range": 1.0}


def test_logits_with_a_soft_cap():
    """Gemma 2 bends its logits behind the head; here the cap lies so low that forgetting it would show."""
    config = transformers.Gemma2Config(**SMALL, head_dim=8, final_logit_softcapping=2.0)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    windows = random_windows()
    with torch.inference_mode():
        losses = [float(model(row[None], labels=row[None]).loss) for row in torch.from_numpy(windows)]
    assert evaluate(model, windows)["nats_per_token"] == pytest.approx(np.mean(losses), rel=1e-5)


def test_logits_that_are_no_product_are_refused():
    config = transformers.CohereConfig(**SMALL, logit_scale=0.25)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with pytest.raises(LLVQError, match="CohereForCausalLM are not the product"):
        output_head(model)


def test_excess_kl_and_agreement(pair):
    windows = random_windows()
    result = evaluate(pair[0].model, windows, baseline=pair[1].model)
    alone = evaluate(pair[1].model, windows)
    assert result["baseline_nats_per_token"] == pytest.approx(alone["nats_per_token"])
    assert result["excess"] == pytest.approx(result["nats_per_token"] - alone["nats_per_token"])
    with torch.inference_mode():
        ids = torch.from_numpy(windows)
        p = pair[0].model(ids).logits[:, :-1].double().log_softmax(-1)
        q = pair[1].model(ids).logits[:, :-1].double().log_softmax(-1)
    assert result["kl"] == pytest.approx(float((q.exp() * (q - p)).sum(-1).mean()), rel=1e-3)
    assert result["top1_agreement"] == pytest.approx(float((p.argmax(-1) == q.argmax(-1)).double().mean()))


def test_a_model_equals_itself(pair):
    result = evaluate(pair[0].model, random_windows(), baseline=pair[0].model)
    assert result["excess"] == 0 and result["excess_se"] == 0 and result["top1_agreement"] == 1
    assert result["kl"] == 0


def test_standard_error():
    values = np.random.default_rng(0).standard_normal(128 * 50)
    means = values.reshape(50, 128).mean(1)
    assert standard_error(values, 128) == pytest.approx(means.std(ddof=1) / np.sqrt(50))
    assert standard_error(values[:200], 128) is None


def test_windows_do_not_overlap_and_are_spread(pair):
    tokenizer = pair[0].tokenizer
    text = "".join(chr(ord("a") + i // 40 % 26) for i in range(1000))
    every = token_windows(tokenizer, text, 100)
    assert every.shape == (10, 100)
    assert np.array_equal(every.reshape(-1), tokenizer(text)["input_ids"])
    assert np.array_equal(token_windows(tokenizer, text, 100, 5), every[::2])
    with pytest.raises(LLVQError, match="gives 10 windows of 100 tokens, 11 are needed"):
        token_windows(tokenizer, text, 100, 11)
    with pytest.raises(LLVQError, match="gives 0 windows"):
        token_windows(tokenizer, "", 100)
    with pytest.raises(ValueError, match="'context'"):
        token_windows(tokenizer, text, 1)


def test_fingerprint_depends_on_order_and_shape_of_nothing_else():
    windows = random_windows()
    assert token_fingerprint(windows) == token_fingerprint(windows.astype(np.int32))
    assert token_fingerprint(windows) != token_fingerprint(windows[::-1])


def test_generation_is_reproducible(pair):
    source = pair[0]
    greedy = generate(source.model, source.tokenizer, "abc", 12)
    assert greedy == generate(source.model, source.tokenizer, "abc", 12, seed=9)
    sampled = [
        generate(source.model, source.tokenizer, "abc", 12, temperature=1.5, seed=s) for s in (1, 1, 2)
    ]
    assert sampled[0] == sampled[1] != sampled[2]
    with pytest.raises(ValueError, match="'max_new_tokens'"):
        generate(source.model, source.tokenizer, "abc", 0)
    with pytest.raises(ValueError, match="'temperature'"):
        generate(source.model, source.tokenizer, "abc", 5, temperature=-1.0)
    with pytest.raises(ValueError, match="'prompt'"):
        generate(source.model, source.tokenizer, "", 5)
    with pytest.raises(LLVQError, match="no chat template"):
        generate(source.model, source.tokenizer, "abc", 5, chat=True)


def test_nan_predictions_are_refused(pair, tmp_path):
    model = load_source(tiny_llama(tmp_path / "m", seed=3)).model
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    with pytest.raises(LLVQError, match="NaN or infinite"):
        evaluate(model, random_windows())
