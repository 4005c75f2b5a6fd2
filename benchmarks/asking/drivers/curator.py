"""bespokelabs-curator: its own venv's Python runs this."""

import importlib.util
import os
import pathlib

from prompts import options, prompts

given = options()
# an offline machine cannot download the tokenizer's vocabulary; litellm carries it
carried = pathlib.Path(importlib.util.find_spec("litellm").origin).parent.rglob("9b5ad71b*")
os.environ.update(
    TIKTOKEN_CACHE_DIR=str(next(carried).parent),
    CURATOR_CACHE_DIR=given.work, TELEMETRY_ENABLED="false", OPENAI_API_KEY="x", HF_HUB_OFFLINE="1",
    LITELLM_LOCAL_MODEL_COST_MAP="True", HF_HOME=f"{given.work}/hf", CURATOR_DISABLE_RICH_DISPLAY="1",
)  # fmt: skip
from bespokelabs import curator  # noqa: E402

limits = {"max_requests_per_minute": 10_000_000, "max_tokens_per_minute": 10**12, "max_retries": 3}
backend = {"base_url": given.url, "max_concurrent_requests": given.concurrency, **limits}
curator.LLM(model_name="gpt-4", backend="openai", backend_params=backend)(prompts(given.n))
