"""Where a teacher's questions go: the provider's own endpoint, or one that the user names.

It is named by ``-T api_base=URL``, or by one of the environment variables that litellm and the
providers' own packages look at. Either counts alike: a model of the same name may be another one
there, so it is part of the fingerprint. A variable is said on stderr, since it is easily forgotten.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from lvlm2p.teachers.errors import ConfigError
from lvlm2p.teachers.models.hosted import addresses
from lvlm2p.teachers.models.hosted.api_keys import scrub
from lvlm2p.teachers.progress import say

LOCAL_SERVER = "http://127.0.0.1:8000/v1"

_OPENAI = ("OPENAI_BASE_URL", "OPENAI_API_BASE")
_AZURE = ("AZURE_API_BASE", "AZURE_OPENAI_ENDPOINT")
_VERTEX = ("VERTEXAI_API_BASE", "VERTEX_API_BASE")

IRREGULAR: Mapping[str, tuple[str, ...]] = {
    "openai": _OPENAI,
    "custom_openai": _OPENAI,
    "text-completion-openai": _OPENAI,
    "anthropic": ("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"),
    "anthropic_text": ("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"),
    "azure": _AZURE,
    "azure_text": _AZURE,
    "azure_ai": ("AZURE_AI_API_BASE", "AZURE_API_BASE"),
    "bedrock": ("AWS_BEDROCK_RUNTIME_ENDPOINT", "ANTHROPIC_AWS_BASE_URL", "ANTHROPIC_AWS_API_BASE"),
    "bedrock_converse": ("AWS_BEDROCK_RUNTIME_ENDPOINT",),
    "chatgpt": ("CHATGPT_API_BASE", "OPENAI_CHATGPT_API_BASE"),
    "cohere_chat": ("COHERE_API_BASE",),
    "dashscope": ("DASHSCOPE_API_BASE", "QWEN_AI_PLATFORM_API_BASE", "QWENCLOUD_API_BASE"),
    "datarobot": ("DATAROBOT_ENDPOINT",),
    "featherless_ai": ("FEATHERLESS_AI_API_BASE", "FEATHERLESS_API_BASE"),
    "fireworks_ai": ("FIREWORKS_API_BASE",),
    "friendliai": ("FRIENDLI_API_BASE",),
    "gradient_ai": ("GRADIENT_AI_AGENT_ENDPOINT",),
    "huggingface": ("HF_API_BASE", "HUGGINGFACE_API_BASE"),
    "lambda_ai": ("LAMBDA_API_BASE",),
    "meta_llama": ("LLAMA_API_BASE",),
    "mistral": ("MISTRAL_AZURE_API_BASE", "MISTRAL_API_BASE"),
    "ollama_chat": ("OLLAMA_API_BASE",),
    "text-completion-codestral": ("CODESTRAL_API_BASE",),
    "vertex_ai": _VERTEX,
    "vertex_ai_beta": _VERTEX,
    "volcengine": ("VOLCENGINE_API_BASE", "ARK_API_BASE"),
    "watsonx": ("WATSONX_API_BASE", "WATSONX_URL", "WX_URL", "WML_URL"),
    "watsonx_text": ("WATSONX_API_BASE", "WATSONX_URL", "WX_URL", "WML_URL"),
    "xai": ("XAI_API_BASE", "XAI_OAUTH_API_BASE"),
}
"""litellm's provider -> the variables that name its endpoint, the first one that is set counts. Any
other provider has one: its name in capitals, and ``_API_BASE``."""


def variables_of(prefix: str) -> tuple[str, ...]:
    """The variables that name the endpoint of a provider, ``prefix`` being litellm's for it.

    ``USE_LITELLM_PROXY`` makes litellm send everything to a gateway.
    """
    if os.environ.get("USE_LITELLM_PROXY", "").strip().lower() == "true":
        return ("LITELLM_PROXY_API_BASE",)
    provider = prefix.rstrip("/")
    regular = f"{re.sub(r'[^A-Z0-9]', '_', provider.upper())}_API_BASE"
    return IRREGULAR.get(provider, (regular,))


def named_in_environment(name: str, prefix: str, home: str | None) -> str | None:
    """The endpoint that the environment names for the teacher ``name``, which is said on stderr.

    Args:
        prefix: litellm's name of the provider, with its slash.
        home: the provider's own endpoint; naming that one changes nothing.

    Raises:
        ConfigError: it is no URL.
    """
    for variable in variables_of(prefix):
        url = os.environ.get(variable, "").strip()
        if not url:
            continue
        if home is not None and url.rstrip("/") == home:
            return None
        checked = check_url(f"teacher {name!r}, environment variable {variable}", url)
        shown = addresses.public(checked)
        say(f"teacher {name!r} asks {shown}, as {variable} says")
        return checked
    return None


def check_url(what: str, url: str) -> str:
    """``url`` without a slash at the end of its path and without a fragment.

    Raises:
        ConfigError: it is no URL that could be asked; ``what`` says whose it is.
    """
    parts = addresses.split_url(url)
    if parts is None:
        shown = scrub(re.sub("//.*@", "//***@", url), ())
        raise ConfigError(f"{what}={shown!r}: write a URL such as {LOCAL_SERVER}")
    return parts._replace(path=parts.path.rstrip("/"), fragment="").geturl()
