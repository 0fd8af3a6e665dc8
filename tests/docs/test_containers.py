"""Container files: what Compose makes of them, and rules the image keeps."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config import VARIABLES, Settings
from gateway.version import VERSION
from tests.docs.dockerfile import Dockerfile
from tests.docs.reading import ROOT

COMPOSE = ("docker-compose.yml", "docker-compose.external.yml", "deploy/compose.scale.yml")
SECRETS = {"SESSION_SECRET": "sixteen characters", "POSTGRES_PASSWORD": "hush"}


def composed(name: str, env: dict[str, str]) -> tuple[int, str, str]:
    """Run Compose's own check on a file; give exit code, document, complaints."""
    return _composed(name, tuple(env.items()))


@cache
def _composed(name: str, env: tuple[tuple[str, str], ...]) -> tuple[int, str, str]:
    command = _compose()
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*command, "-f", str(ROOT / name), "config"],
            cwd=folder,
            env={"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": folder, **dict(env)},
            capture_output=True,
            text=True,
            timeout=60,
        )
    return done.returncode, done.stdout, done.stderr


def _compose() -> list[str]:
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    docker = shutil.which("docker")
    if (
        docker
        and not subprocess.run([docker, "compose", "version"], capture_output=True).returncode
    ):
        return [docker, "compose"]
    pytest.skip("Compose is not installed: apt-get install docker-compose")


def services(name: str, env: dict[str, str]) -> dict[str, Any]:
    """Give the services of a file as Compose reads it."""
    code, document, complaints = composed(name, env)
    assert code == 0, complaints
    return dict(yaml.safe_load(document)["services"])


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_takes_the_file(name: str) -> None:
    gateway = services(name, SECRETS)["gateway"]

    assert set(gateway["environment"]) <= set(VARIABLES)
    assert gateway["read_only"] is True
    assert gateway["cap_drop"] == ["ALL"]
    assert gateway["security_opt"] == ["no-new-privileges:true"]
    grace = gateway["stop_grace_period"]
    assert _seconds(grace) >= Settings().graceful_timeout + 10


def _seconds(text: str) -> int:
    minutes, seconds = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s)?", text).groups()  # type: ignore[union-attr]
    return int(minutes or 0) * 60 + int(seconds or 0)


@pytest.mark.parametrize("name", COMPOSE[:2])
def test_the_quick_start_needs_no_env_file_and_heeds_one(name: str) -> None:
    bare = services(name, {})["gateway"]
    told = services(name, {"PORT": "8080", "OLLAMA_URL": "http://box:1"})["gateway"]

    assert _published(bare) == "3000"
    assert _published(told) == "8080"
    assert told["environment"]["OLLAMA_URL"] == "http://box:1"


def _published(gateway: dict[str, Any]) -> str:
    (port,) = gateway["ports"]
    return str(port["published"]) if isinstance(port, dict) else str(port).split(":")[0]


@pytest.mark.parametrize("missing", sorted(SECRETS))
def test_the_scaled_site_asks_for_its_secrets(missing: str) -> None:
    given = {name: value for name, value in SECRETS.items() if name != missing}
    code, _, complaints = composed("deploy/compose.scale.yml", given)

    assert code != 0
    assert missing in complaints


def test_only_the_gateway_is_published() -> None:
    simple = services("docker-compose.yml", {})
    scaled = services("deploy/compose.scale.yml", SECRETS)

    assert [name for name, service in simple.items() if service.get("ports")] == ["gateway"]
    assert [name for name, service in scaled.items() if service.get("ports")] == ["nginx"]


def example() -> dict[str, str]:
    """Give the values of .env.example that count as it stands."""
    text = (ROOT / ".env.example").read_text()
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", text, re.M))


@pytest.mark.parametrize("name", COMPOSE[:2])
def test_the_example_of_env_copied_as_it_is_changes_nothing(name: str) -> None:
    assert services(name, example()) == services(name, {})


def test_every_variable_in_the_example_of_env_is_one(tmp_path: Path) -> None:
    text = (ROOT / ".env.example").read_text()
    copy = tmp_path / "env"
    copy.write_text(text)
    settings = Settings.load({"DATA_DIR": str(tmp_path / "data")}, copy)
    named = set(re.findall(r"^#? ?([A-Z_]+)=", text, re.M))

    assert settings.port == 3000
    assert len(named) > 5
    assert named - {"POSTGRES_PASSWORD"} <= set(VARIABLES)


@pytest.fixture
def dockerfile() -> Dockerfile:
    return Dockerfile()


def test_the_image_is_small_and_harmless(dockerfile: Dockerfile) -> None:
    final = dockerfile.stages[-1]

    assert len(dockerfile.stages) == 2
    assert all(
        "slim" in stage[0][1] and ":latest" not in stage[0][1] for stage in dockerfile.stages
    )
    assert dockerfile.all("USER") == ["gateway"]
    assert final.index(("USER", "gateway")) > max(
        place for place, (word, _) in enumerate(final) if word == "RUN"
    )
    assert not any("pip" in rest or "apt-get" in rest for rest in dockerfile.all("RUN"))
    assert dockerfile.all("ADD") == []
    assert dockerfile.all("STOPSIGNAL") == ["SIGTERM"]
    assert dockerfile.all("VOLUME") == ["/data"]
    assert dockerfile.all("EXPOSE") == ["3000"]
    assert '"gateway.healthcheck"' in dockerfile.all("HEALTHCHECK")[0]
    assert dockerfile.all("CMD") == ['["ollama2openai"]']


def test_dependencies_are_pinned_and_come_before_the_code(dockerfile: Dockerfile) -> None:
    build = dockerfile.stages[0]
    copies = [rest for word, rest in build if word == "COPY"]
    install = next(place for place, (w, rest) in enumerate(build) if w == "RUN" and "pip" in rest)

    assert "--require-hashes" in build[install][1]
    assert copies[0] == "requirements.txt ./"
    assert build.index(("COPY", "gateway ./gateway")) > install


def test_everything_the_program_needs_is_copied_and_nothing_private(dockerfile: Dockerfile) -> None:
    copied = {source for rest in dockerfile.all("COPY", 0) for source in rest.split()[:-1]}
    ignored = (ROOT / ".dockerignore").read_text().split()

    assert {
        "requirements.txt",
        "pyproject.toml",
        "gateway",
        "templates",
        "static",
        "LICENSE",
    } <= copied
    assert all((ROOT / source).exists() for source in copied)
    assert {".git", ".env", "instance", "tests", ".venv"} <= set(ignored)
    assert not copied & set(ignored)


def test_the_chart_has_the_version_of_the_gateway() -> None:
    chart = yaml.safe_load((ROOT / "deploy" / "helm" / "Chart.yaml").read_text())
    values = yaml.safe_load((ROOT / "deploy" / "helm" / "values.yaml").read_text())

    assert chart["version"] == chart["appVersion"] == VERSION
    assert set(values["env"]) <= set(VARIABLES)
