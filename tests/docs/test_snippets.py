"""Every snippet of the documentation runs, or is checked as far as it can be here.

Shell blocks are of two kinds. Those made of curl and of the gateway's own commands run against a
live gateway. Those that start or install something are looked at: the make targets, files and
options they name must exist. A command nobody knows fails the test.
"""

from __future__ import annotations

import ast
import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from _pytest.mark import ParameterSet

from fake_ollama import FakeOllama
from gateway.cli import COMMANDS
from gateway.config import Settings
from tests.docs.reading import ROOT, Block, blocks, languages
from tests.support.process import Gateway

SHELL, PYTHON, NODE = blocks("bash"), blocks("python"), blocks("js")
BASE = "http://localhost:3000"
COMMAND = "ollama2openai"
LIVE = {"curl", COMMAND, "ID", "TOKEN", "KEY", "echo"}
STARTS = {
    "make", "git", "cd", "cp", "docker", "OLLAMA_URL", "export", "claude", "aider", "alias",
    "pipx", COMMAND,
}  # fmt: skip
KNOWN = {"bash", "python", "js", "json", "yaml", "toml", "nginx", "ini", "text"}
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
PRELUDE = 'set -euo pipefail\ncurl() { command curl --fail-with-body -sS "$@"; }\n'


def first_word(command: list[str]) -> str:
    """Give what a command begins with; of an assignment the name."""
    word = command[0]
    if word == "export" and re.match(r"KEY=", command[1]):
        return "KEY"
    return re.sub(r"=.*", "", word, flags=re.S)


def is_live(block: Block) -> bool:
    """Whether a shell block runs against a gateway."""
    return {first_word(command) for command in block.commands()} <= LIVE


def first(found: list[Block]) -> list[ParameterSet]:
    """Return blocks as parameters; those of later pages run with the slow tests."""
    return [
        pytest.param(block, id=block.id, marks=() if is_early(block) else pytest.mark.slow)
        for block in found
    ]


def is_early(block: Block) -> bool:
    """Whether a block is among those everybody runs."""
    return block.id.startswith(("README.md", "first-steps.md"))


LIVE_BLOCKS = [block for block in SHELL if is_live(block)]
START_BLOCKS = [block for block in SHELL if not is_live(block)]


def filled(text: str, gateway: Gateway) -> str:
    """Put the live gateway's address and key in."""
    return text.replace(BASE, gateway.url).replace("YOUR_KEY", gateway.key)


def run(command: list[str], gateway: Gateway, cwd: Path = ROOT, **env: str) -> str:
    """Run a command with the gateway's environment; give what it printed."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**gateway.environ, "KEY": gateway.key, "PATH": PATH, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_every_language_of_a_block_has_a_test() -> None:
    assert languages() <= KNOWN


def test_there_is_something_to_run() -> None:
    assert len(LIVE_BLOCKS) > 15
    assert len(PYTHON) > 6


@pytest.mark.process
@pytest.mark.parametrize("block", first(LIVE_BLOCKS))
def test_a_shell_block_runs(live: Gateway, block: Block, tmp_path: Path) -> None:
    text = filled(block.text, live).replace("/tmp/gateway", str(tmp_path / "gateway"))
    text = text.replace("account set-password admin ", "account set-password second ")
    done = run(["bash", "-c", f"{_prepared(block)}{PRELUDE}{text}"], live)

    assert done.strip() or "export KEY" in block.text or "--prepare" in block.text
    assert '"error"' not in done


def _prepared(block: Block) -> str:
    """Give what must be there for a block that acts on things made before."""
    if "set-password" in block.text:
        return (
            f"echo 'a long first password' | {COMMAND} account create second "
            "--password-stdin >/dev/null 2>&1 || true\n"
        )
    if "--search laptop" in block.text:
        return f"{COMMAND} key create laptop >/dev/null 2>&1\n"
    if "config import" in block.text:
        return "true\n"
    return ""


@pytest.mark.parametrize("block", START_BLOCKS, ids=[block.id for block in START_BLOCKS])
def test_a_shell_block_names_only_what_exists(block: Block) -> None:
    commands = block.commands()
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)

    for command in commands:
        assert first_word(command) in STARTS, command
        words = command[1:] if re.match(r"[A-Z_]+=", command[0]) else command
        match words:
            case ["make", target]:
                assert target in targets
            case ["docker", "compose", *rest]:
                _check_compose(rest)
            case ["cp", source, _]:
                assert (ROOT / source).is_file()


def _check_compose(words: list[str]) -> None:
    files = [words[place + 1] for place, word in enumerate(words) if word == "-f"]
    assert all((ROOT / file).is_file() for file in files or ["docker-compose.yml"])
    services = yaml.safe_load((ROOT / (files or ["docker-compose.yml"])[0]).read_text())["services"]
    for place, word in enumerate(words):
        if word == "--scale":
            assert words[place + 1].partition("=")[0] in services
    assert "up" in words


@pytest.mark.sdk
@pytest.mark.process
@pytest.mark.parametrize("block", first(PYTHON))
def test_a_python_block_runs(live: Gateway, block: Block, tmp_path: Path) -> None:
    ast.parse(block.text)
    printed = run(
        [sys.executable, "-c", filled(block.text, live)],
        live,
        tmp_path,
        LITELLM_LOCAL_MODEL_COST_MAP="True",
        NO_PROXY="*",
    )

    assert printed.strip()


@pytest.mark.node
@pytest.mark.sdk
@pytest.mark.process
@pytest.mark.parametrize("block", NODE, ids=[block.id for block in NODE])
def test_a_node_block_runs(live: Gateway, block: Block) -> None:
    node = shutil.which("node")
    folder = ROOT / "tests" / "integration" / "clients" / "node"
    if node is None or not (folder / "node_modules").is_dir():
        pytest.skip("Node.js or the packages of tests/integration/clients/node are not installed")
    printed = run([node, "--input-type=module", "-e", filled(block.text, live)], live, folder)

    assert printed.strip()


@pytest.mark.parametrize("block", blocks("json"), ids=[block.id for block in blocks("json")])
def test_a_json_block_is_json(block: Block) -> None:
    assert json.loads(block.text)


@pytest.mark.parametrize("block", blocks("yaml"), ids=[block.id for block in blocks("yaml")])
def test_a_yaml_block_is_yaml(block: Block) -> None:
    assert isinstance(yaml.safe_load(block.text), dict)


@pytest.mark.parametrize("block", blocks("toml"), ids=[block.id for block in blocks("toml")])
def test_a_toml_block_is_toml(block: Block) -> None:
    assert tomllib.loads(block.text)


def test_the_unit_outlives_the_drain_and_starts_the_command() -> None:
    unit = configparser.ConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # keep the case
    unit.read(ROOT / "deploy" / "ollama2openai.service")
    service = unit["Service"]

    assert service["ExecStart"].endswith("/ollama2openai")
    assert int(service["TimeoutStopSec"]) > Settings().graceful_timeout
    assert service["RestartPreventExitStatus"] == "2"


def test_an_override_in_the_documentation_can_be_saved() -> None:
    from gateway.policy.overrides import rules

    named = [block for block in blocks("json") if block.page.name == "parameters.md"]
    inline = re.findall(r"`(\{\"[^`]+\})`", (ROOT / "docs" / "clients.md").read_text())

    assert named
    assert inline
    for text in (*(block.text for block in named), *inline):
        rules.validate(json.loads(text))


def test_nginx_takes_the_server_block(tmp_path: Path) -> None:
    binary = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if binary is None:
        pytest.skip("nginx is not installed: apt-get install nginx")
    (block,) = blocks("nginx")
    server = re.sub(r"^ *(listen|ssl_certificate\w*) .*$", "", block.text, flags=re.M)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in kinds)
    config = tmp_path / "nginx.conf"
    config.write_text(
        f"pid {tmp_path}/pid;\nerror_log {tmp_path}/error.log;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{folders}{server}\n}}\n"
    )
    done = subprocess.run(
        [binary, "-t", "-c", str(config), "-p", str(tmp_path)], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    for needed in ("proxy_http_version 1.1", "proxy_buffering off", "proxy_read_timeout 3600s"):
        assert needed in block.text


def test_every_command_and_option_in_the_documentation_exists() -> None:
    known: dict[str, Any] = {str(command.name): command for command in COMMANDS}
    used = [words for block in (*SHELL, *blocks("text")) for words in _calls(block.text)]

    assert len(used) > 10
    for name, *arguments in used:
        command = known[name]
        if hasattr(command, "commands"):
            command = command.commands[arguments[0]]
        options = {option for param in command.params for option in param.opts}
        assert {word for word in arguments if word.startswith("--")} <= options, name


def _calls(text: str) -> list[list[str]]:
    """Give each call of the command line as its name and arguments."""
    found = re.findall(
        r"(?:^|\$\(|\| |gateway )ollama2openai (?!serve)([a-z][a-z0-9-]+(?: [^\n|)>]+)?)",
        text,
        re.M,
    )
    return [call.split() for call in found]


@pytest.mark.process
def test_a_block_that_fails_is_noticed(live: Gateway, shared_ollama: FakeOllama) -> None:
    text = f"curl {BASE}/v1/models -H 'Authorization: Bearer no-such-key'"
    with pytest.raises(AssertionError):
        run(["bash", "-c", PRELUDE + filled(text, live)], live)
    assert os.environ is not live.environ
