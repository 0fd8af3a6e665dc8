"""Every snippet the console can show works, for every kind of key and for an admin token.

Programs run against a live gateway; set-ups of apps are read as their format, and every address in
them is called with the key.
"""

from __future__ import annotations

import html
import json
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from gateway.policy.clients.kit import KIT
from gateway.policy.clients.snippets import Snippet, call_snippets
from gateway.reports.connect import connection
from tests.docs.reading import ROOT
from tests.docs.test_snippets import PRELUDE, run
from tests.support.process import ADMIN_PASSWORD, Gateway

pytestmark = [pytest.mark.process, pytest.mark.sdk]

KEYS: dict[str, dict[str, Any]] = {
    "every model": {},
    "one model": {"allow": ["qwen3:8b"]},
    "embeddings only": {"scopes": ["embeddings"]},
    "an embedding model": {"allow": ["nomic-embed-text"]},
    "messages only": {"scopes": ["messages"]},
    "responses only": {"scopes": ["responses"]},
    "completions only": {"scopes": ["completions"]},
    "models only": {"scopes": ["models"]},
}
NODE_FOLDER = ROOT / "tests" / "integration" / "clients" / "node"
_ADDRESS = re.compile(r"https?://[^\s\"'\\,]+")
_NOT_CALLED = {"ollamacli", "vscodeollama"}
"""What sends no key."""


def pieces_of(gateway: Gateway, rules: dict[str, Any]) -> tuple[str, tuple[Snippet, ...]]:
    """Make a key and return it with what the console shows for it."""
    secret = gateway.issue_key("snippets", **rules)
    with gateway.parts() as parts:
        key = parts.keyring.find(secret)
        models, views = parts.catalog.models(), parts.scheduler.views()
        return secret, connection(key, secret, gateway.url, models, views).pieces


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param(rules, id=name, marks=() if rules else pytest.mark.slow)
        for name, rules in KEYS.items()
    ],
)
def test_the_snippets_for_a_key_work(live: Gateway, rules: dict[str, Any], tmp_path: Path) -> None:
    secret, pieces = pieces_of(live, rules)
    may_list = "models" in rules.get("scopes", ["models"])

    assert pieces
    for piece in pieces:
        if "import" in piece.text or piece.text.startswith("curl"):
            is_shown_elsewhere = rules != {} and piece.group == "code" and piece.id in _LATER
            if not is_shown_elsewhere:
                assert ran(piece, live, tmp_path).strip(), piece.id
        else:
            read(piece, secret)
            if may_list and piece.id not in _NOT_CALLED:
                called(piece, live, secret)


_LATER = set(KIT) - {"curl", "python", "node", "anthropic"}
"""Libraries that run with the key for every model only: they differ in nothing but the key."""


def ran(piece: Snippet, gateway: Gateway, folder: Path) -> str:
    """Run a program; return what it printed. Raises AssertionError where it failed."""
    if piece.text.startswith("curl"):
        printed = run(["bash", "-c", PRELUDE + piece.text], gateway)
        assert re.search(r'"error": ?[{"]', printed) is None
        return printed
    if 'from "' not in piece.text:
        env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "*"}
        return run([sys.executable, "-c", piece.text], gateway, folder, **env)
    node = shutil.which("node")
    packages = re.findall(r'from "([^"]+)"', piece.text)
    if node is None or not all((NODE_FOLDER / "node_modules" / one).is_dir() for one in packages):
        return "Node.js or the packages of tests/integration/clients/node are not installed"
    return run([node, "--input-type=module", "-e", piece.text], gateway, NODE_FOLDER)


def read(piece: Snippet, secret: str) -> None:
    """Read the set-up of an app as its format. Raises whatever is wrong with it."""
    readers: dict[str, Callable[[str], Any]] = {
        ".yaml": yaml.safe_load,
        ".toml": tomllib.loads,
        ".json": json.loads,
    }
    for ending, reader in readers.items():
        if ending in piece.place:
            assert reader(piece.text)
    if piece.text.startswith(("export", "docker")):
        words = shlex.split(piece.text.replace("\\\n", " "), comments=True)
        assert words
    assert secret in piece.text or "GATEWAY_API_KEY" in piece.place or piece.id in _NOT_CALLED


def called(piece: Snippet, gateway: Gateway, secret: str) -> None:
    """Call every address of a set-up with its key. Raises AssertionError where one is wrong."""
    headers = {"Authorization": f"Bearer {secret}"}
    addresses = {
        found.replace("host.docker.internal", "127.0.0.1") for found in _ADDRESS.findall(piece.text)
    }

    assert addresses
    for address in addresses:
        assert address.startswith(gateway.url), piece.id
        path = address.removeprefix(gateway.url)
        if path == "/v1/chat/completions":
            continue  # the curl snippet calls it
        wanted = {"": "/v1/models", "/v1": "/v1/models"}.get(path, path)
        answer = requests.get(gateway.url + wanted, headers=headers, timeout=30)
        assert answer.status_code == 200, piece.id


def test_the_playgrounds_code_works(live: Gateway, tmp_path: Path) -> None:
    body: dict[str, Any] = {
        "model": "llama3.2",
        "messages": [{"role": "user", "content": 'It\'s "quoted", $HOME'}],
        "options": {"seed": 1},
        "stream": True,
    }
    for name, text in call_snippets(body, live.url).items():
        piece = Snippet("code", name, name, "", text.replace("YOUR_KEY", live.key))
        assert ran(piece, live, tmp_path).strip(), name


def test_what_is_shown_with_a_new_token_works(live: Gateway, tmp_path: Path) -> None:
    with requests.Session() as session:
        page = session.get(f"{live.url}/auth/login", timeout=30).text
        fields = {"username": "admin", "password": ADMIN_PASSWORD, "csrf_token": token_of(page)}
        session.post(f"{live.url}/auth/login", data=fields, timeout=30)
        page = session.get(f"{live.url}/admin/settings/security/tokens/new", timeout=30).text
        fields = {"name": "snippets", "role": "owner", "csrf_token": token_of(page)}
        fields |= {"lifetime": "30"}
        shown = session.post(
            f"{live.url}/admin/settings/security/tokens/new", data=fields, timeout=30
        ).text
    commands = [
        html.unescape(text)
        for text in re.findall(r"<pre[^>]*><code>(.*?)</code>", shown, re.DOTALL)
    ]

    assert len(commands) == 1
    for command in commands:
        assert ran(Snippet("code", "curl", "curl", "", command), live, tmp_path).strip()


def token_of(page: str) -> str:
    """Return the token of a page's forms."""
    found = re.search(r'name="csrf-token" content="([^"]+)"', page)
    assert found is not None
    return found[1]
