"""The models on disk, and how a name in a request finds one of them."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable
from typing import Literal

from fake_ollama.exchange import Exchange
from fake_ollama.models import FakeModel
from fake_ollama.names import parse_name, split_source
from fake_ollama.refusals import Refused

CloudState = Literal["on", "disabled", "signed_out", "unreachable", "rate_limited"]

_SIGN_IN = "https://ollama.com/connect?name=fake&key=c3NoLWVkMjU1MTkgZmFrZQ"
_UNREACHABLE = 'Post "https://ollama.com/api/chat": dial tcp: lookup ollama.com: no such host'


class Library:
    """A store of models, safe to change while requests are answered."""

    def __init__(self, models: Iterable[FakeModel], cloud: CloudState) -> None:
        self._lock = threading.Lock()
        self._models = {model.key: model for model in models}
        self.cloud: CloudState = cloud

    def all(self) -> list[FakeModel]:
        """Give every model, the newest first."""
        with self._lock:
            return sorted(self._models.values(), key=lambda model: model.modified_at, reverse=True)

    def find(self, name: str) -> FakeModel | None:
        parsed = parse_name(name)
        with self._lock:
            return None if parsed is None else self._models.get(parsed.key)

    def add(self, model: FakeModel) -> None:
        with self._lock:
            self._models[model.key] = model

    def remove(self, name: str) -> bool:
        parsed = parse_name(name)
        with self._lock:
            return parsed is not None and self._models.pop(parsed.key, None) is not None

    def replace_all(self, models: Iterable[FakeModel]) -> None:
        with self._lock:
            self._models = {model.key: model for model in models}

    def resolve(
        self, name: str, exchange: Exchange, missing: str = "model '{name}' not found"
    ) -> FakeModel:
        """Find the model a request means and let the exchange know. Raises Refused."""
        base, source = _source(name)
        parsed = parse_name(base)
        if parsed is None:
            raise Refused(400, "invalid model name")
        model = self.find(name) or self.find(base)
        exchange.name_model(name, model.key if model else parsed.key)
        if source == "cloud" or (model is not None and model.remote):
            self._check_cloud("remote model is unavailable")
        if model is None or (source == "local" and model.remote):
            shown = base if source == "cloud" else name
            raise Refused(404, missing.format(name=shown))
        return model

    def describe(self, name: str, exchange: Exchange) -> FakeModel:
        """Find a model for ``/api/show``, whose error has the normalised name. Raises Refused."""
        base, source = _source(name)
        parsed = parse_name(base)
        if parsed is None:
            raise Refused(400, "invalid model name")
        model = self.find(name) or self.find(base)
        exchange.name_model(name, model.key if model else parsed.key)
        if source == "cloud" or (model is not None and model.remote):
            self._check_cloud("remote model details are unavailable")
        if model is None:
            raise Refused(404, f"model '{parsed.short}' not found")
        return model

    def _check_cloud(self, what: str) -> None:
        match self.cloud:
            case "disabled":
                raise Refused(403, f"ollama cloud is disabled: {what}")
            case "signed_out":
                raise Refused(401, "unauthorized", extra={"signin_url": _SIGN_IN})
            case "unreachable":
                raise Refused(502, _UNREACHABLE)
            case "rate_limited":
                request = secrets.token_hex(8)
                raise Refused(429, f"too many requests (ref: {request})")


def _source(name: str) -> tuple[str, str]:
    try:
        return split_source(name)
    except ValueError as exc:
        raise Refused(400, str(exc)) from exc
