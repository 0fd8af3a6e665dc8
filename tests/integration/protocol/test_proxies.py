"""Behind reverse proxies with their default settings, at the root and below a path.

Streams arrive token by token, a caller who leaves is noticed, and the console can be used: links,
redirects, cookies and files keep the path the proxy shows us under.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import urljoin

import pytest
import requests

from fake_ollama import FakeOllama, Script
from tests.support.process import ADMIN_PASSWORD, Gateway, until
from tests.support.servers import Process, free_port

pytestmark = [pytest.mark.process, pytest.mark.services]

PREFIXES = ("", "/ai")


def nginx(port: int, gateway: int, prefix: str, folder: Path) -> tuple[list[str], str]:
    """Return the command and the configuration of nginx."""
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    shown = f"proxy_set_header X-Forwarded-Prefix {prefix};" if prefix else ""
    return [
        "nginx", "-e", f"{folder}/error.log", "-c", f"{folder}/config", "-g", "daemon off;",
    ], f"""pid {folder}/pid;
events {{}}
http {{
  access_log off;
  {temporary}
  server {{
    listen 127.0.0.1:{port};
    location {prefix}/ {{
      proxy_pass http://127.0.0.1:{gateway}/;
      proxy_http_version 1.1;
      proxy_buffering off;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      {shown}
    }}
  }}
}}
"""  # fmt: skip


def haproxy(port: int, gateway: int, prefix: str, folder: Path) -> tuple[list[str], str]:
    """Return the command and the configuration of HAProxy."""
    shown = (
        f"  http-request set-header X-Forwarded-Prefix {prefix}\n"
        f"  http-request replace-path {prefix}(/.*) \\1\n"
        if prefix
        else ""
    )
    return (
        ["haproxy", "-f", f"{folder}/config"],
        f"""defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  option forwardfor
  option http-no-delay
frontend all
  bind 127.0.0.1:{port}
{shown}  default_backend gateway
backend gateway
  server one 127.0.0.1:{gateway}
""",
    )


def caddy(port: int, gateway: int, prefix: str, folder: Path) -> tuple[list[str], str]:
    """Return the command and the configuration of Caddy."""
    route = f"handle_path {prefix}/*" if prefix else "handle"
    shown = f"header_up X-Forwarded-Prefix {prefix}" if prefix else ""
    return (
        ["caddy", "run", "--adapter", "caddyfile", "--config", f"{folder}/config"],
        f"""{{
  admin off
  auto_https off
}}
http://127.0.0.1:{port} {{
  {route} {{
    reverse_proxy 127.0.0.1:{gateway} {{
      {shown}
    }}
  }}
}}
""",
    )


def caddy_with_tls(port: int, gateway: int, prefix: str, folder: Path) -> tuple[list[str], str]:
    """Return the same with a certificate that Caddy makes."""
    command, config = caddy(port, gateway, prefix, folder)
    config = config.replace(
        "  auto_https off\n",
        "  auto_https disable_redirects\n  skip_install_trust\n"
        f"  storage file_system {folder}/store\n",
    ).replace(f"http://127.0.0.1:{port} {{", f"https://localhost:{port} {{\n  tls internal")
    return command, config


def apache2(port: int, gateway: int, prefix: str, folder: Path) -> tuple[list[str], str]:
    """Return the command and the configuration of Apache."""
    modules = "".join(
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"
        for name in ("mpm_event", "authz_core", "proxy", "proxy_http", "headers")
    )
    shown = f"RequestHeader set X-Forwarded-Prefix {prefix}" if prefix else ""
    return (
        ["apache2", "-D", "FOREGROUND", "-f", f"{folder}/config"],
        f"""{modules}
ServerRoot {folder}
ServerName 127.0.0.1
PidFile {folder}/pid
ErrorLog {folder}/error.log
DefaultRuntimeDir {folder}
Listen 127.0.0.1:{port}
ProxyPreserveHost On
ProxyPass {prefix}/ http://127.0.0.1:{gateway}/ flushpackets=on
{shown}
""",
    )


PROXIES = (nginx, haproxy, caddy, caddy_with_tls, apache2)


@dataclass(frozen=True, slots=True)
class Site:
    """A gateway behind a proxy: its address there, the prefix of its paths, who vouches for it."""

    url: str
    prefix: str
    key: str
    verify: str | bool = True


@pytest.fixture(scope="module")
def gateway(
    shared_ollama: FakeOllama, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("proxied")
    with Gateway(folder, ollama_url=shared_ollama.url, env={"TRUSTED_PROXIES": "1"}) as gateway:
        yield gateway


@pytest.fixture(scope="module", params=PROXIES, ids=lambda proxy: proxy.__name__)
def proxy(request: pytest.FixtureRequest) -> Callable[..., tuple[list[str], str]]:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module", params=PREFIXES, ids=["root", "below a path"])
def site(
    request: pytest.FixtureRequest,
    proxy: Callable[..., tuple[list[str], str]],
    gateway: Gateway,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    folder, port = tmp_path_factory.mktemp("proxy"), free_port()
    command, config = proxy(port, gateway.port, request.param, folder)
    (folder / "config").write_text(config)
    program = shutil.which(command[0], path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip(f"{command[0]} is not installed")
    process = Process([str(program), *command[1:]], None, folder)
    process.start(port)
    try:
        made = Site(f"http://127.0.0.1:{port}{request.param}", request.param, gateway.key)
        if proxy is caddy_with_tls:
            root = str(folder / "store" / "pki" / "authorities" / "local" / "root.crt")
            url = f"https://localhost:{port}{request.param}"
            made = Site(url, request.param, gateway.key, root)
            until(lambda: _answers(made), "the certificate")
        yield made
    finally:
        process.stop(signal.SIGTERM)


def _answers(site: Site) -> bool:
    with contextlib.suppress(OSError):  # it listens before it has a certificate, and its root
        return requests.get(f"{site.url}/healthz", verify=site.verify, timeout=5).ok
    return False


def chat(site: Site) -> requests.Response:
    return requests.post(
        f"{site.url}/v1/chat/completions",
        headers={"Authorization": f"Bearer {site.key}"},
        json={
            "model": "llama3.2",
            "messages": [{"role": "user", "content": "Hello!"}],
            "stream": True,
        },
        stream=True,
        timeout=30,
        verify=site.verify,
    )


def test_a_stream_arrives_token_by_token(site: Site, shared_ollama: FakeOllama) -> None:
    with shared_ollama.hold("llama3.2", at=3) as gate:
        lines = chat(site).iter_lines()
        early = list(islice((line for line in lines if b"content" in line), 2))
        gate.wait_reached()
    rest = list(lines)

    assert len(early) == 2  # while Ollama was still being held
    assert rest[-2:] == [b"data: [DONE]", b""]


def test_a_caller_who_leaves_is_noticed(site: Site, shared_ollama: FakeOllama) -> None:
    """HAProxy and Apache see it when they write, so the answer goes on."""
    shared_ollama.reset()
    shared_ollama.script("llama3.2", Script(content="on and on ", endless=True, delay_s=0.05))
    answer = chat(site)
    next(answer.iter_lines())
    answer.close()
    (gone,) = shared_ollama.wait_disconnect(timeout=5)
    shared_ollama.reset()

    assert gone.path == "/api/chat"


def test_the_console_keeps_the_path_it_is_shown_under(site: Site) -> None:
    browser = requests.Session()
    browser.trust_env = False
    browser.verify = site.verify
    start = browser.get(f"{site.url}/admin/usage?range=7d", timeout=30)
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', start.text)
    target = re.search(r'<form[^>]*action="([^"]+login[^"]*)"', start.text)
    after = browser.post(
        urljoin(start.url, target[1] if target else ""),
        data={
            "csrf_token": token[1] if token else "",
            "username": "admin",
            "password": ADMIN_PASSWORD,
            "next": f"{site.prefix}/admin/usage?range=7d",
        },
        headers={"Origin": re.sub(r"(?<=\d)/.*", "", site.url), "Referer": start.url},
        timeout=30,
    )
    addresses = re.findall(r'(?:href|src|action)="(/[^"]*)"', after.text)

    assert start.url.startswith(f"{site.url}/auth/login")
    assert after.url == f"{site.url}/admin/usage?range=7d"
    assert len(addresses) > 20
    assert [one for one in addresses if not one.startswith(f"{site.prefix}/")] == []
    (cookie,) = browser.cookies
    assert cookie.path == f"{site.prefix}/"
    assert cookie.secure == site.url.startswith("https:")
    assert cookie.name.startswith("__") == cookie.secure
    for address in {one for one in addresses if "/static/" in one or "/bootstrap/" in one}:
        assert browser.get(urljoin(site.url, address), timeout=30).status_code == 200
