"""Texts that want to be markup, a database full of them, a reader that finds what came alive."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

from fake_ollama.models import FakeModel
from gateway.core.usage import Admission, Settlement
from gateway.store.usage import records
from gateway.web.context import Services
from tests.admin.conftest import ACTOR

NOW = datetime.now(UTC)
PAYLOADS = (
    # elements
    "<script>xss7()</script>",
    "<SCRIPT/SRC=//e.example/xss7.js></SCRIPT>",
    "<img src=x onerror=xss7()>",
    "<img/src/onerror=xss7()//",
    "<svg/onload=xss7()>",
    "<svg><script>xss7()</script></svg>",
    "<svg><animate onbegin=xss7() attributeName=x dur=1s>",
    '<svg><a xlink:href="javascript:xss7()"><text y=20>x</text></a></svg>',
    "<math><mtext><mglyph><style><img src onerror=xss7()>",
    "<body onload=xss7()>",
    '<iframe srcdoc="<script>xss7()</script>">',
    "<iframe src=javascript:xss7()>",
    "<object data=javascript:xss7()>",
    "<embed src=javascript:xss7()>",
    "<base href=//xss7.example/>",
    '<meta http-equiv=refresh content="0;url=//xss7.example">',
    "<link rel=stylesheet href=//xss7.example/x.css>",
    "<style>@import '//xss7.example/x.css';</style>",
    "<form action=javascript:xss7()><button>x</button></form>",
    "<button formaction=javascript:xss7()>x</button>",
    "<input autofocus onfocus=xss7()>",
    "<select autofocus onfocus=xss7()>",
    "<details open ontoggle=xss7()>",
    "<video><source onerror=xss7()>",
    "<audio src=x onerror=xss7()>",
    "<marquee onstart=xss7()>",
    '<a href="javascript:xss7()">x</a>',
    '<a href="data:text/html,<script>xss7()</script>">x</a>',
    "<template><script>xss7()</script></template>",
    '<noscript><p title="</noscript><img src=x onerror=xss7()>">',
    # out of an attribute
    '"><script>xss7()</script>',
    "'><script>xss7()</script>",
    '" onmouseover=xss7() x="',
    "' onmouseover=xss7() x='",
    '" autofocus onfocus=xss7() "',
    "` onmouseover=xss7() `",
    "x onpointerenter=xss7()",
    '"/><img src=x onerror=xss7()>',
    '" style="background:url(//xss7.example)',
    '\\"><svg onload=xss7()>',
    # out of a script or of JSON
    "</script><script>xss7()</script>",
    "</ScRiPt ><img src=x onerror=xss7()>",
    "'-xss7()-'",
    '";xss7();//',
    "\\';xss7();//",
    "${xss7()}",
    "`;xss7()//",
    "\\u003cscript\\u003exss7()\\u003c/script\\u003e",
    "\\x3cimg src=x onerror=xss7()\\x3e",
    "<!--<script>xss7()",
    "]]><script>xss7()</script>",
    "--><script>xss7()</script>",
    # out of an element that holds text
    "</title><script>xss7()</script>",
    "</textarea><script>xss7()</script>",
    "</option></select><img src=x onerror=xss7()>",
    "</pre></code><img src=x onerror=xss7()>",
    "</svg><script>xss7()</script>",
    "</style><script>xss7()</script>",
    # addresses
    "javascript:xss7()",
    "JaVaScRiPt:xss7(1)",
    "java&#115;cript:xss7()",
    "data:text/html;base64,PHNjcmlwdD54c3M3KCk8L3NjcmlwdD4=",
    "//xss7.example/%2e%2e",
    # templates and formats
    "{{71237+1}}xss7",
    "{% raw %}{{71237+1}}xss7",
    "{{''.__class__}}xss7",
    "%(name)s %s %d %% xss7",
    # written otherwise
    "&lt;script&gt;xss7()&lt;/script&gt;",
    "&#60;script&#62;xss7()&#60;/script&#62;",
    "\uff1cscript\uff1exss7()\uff1c/script\uff1e",
    "%3Cscript%3Exss7()%3C/script%3E",
    "<scr<script>ipt>xss7()</scr</script>ipt>",
    "\u202e<script>xss7()</script>",
)
_ADDRESSES = frozenset(
    {"href", "src", "action", "formaction", "data", "xlink:href", "poster", "srcdoc"}
)
_TAME = (
    "/",
    "#",
    "?",
    "https://ollama.com/",
    "https://github.com/MotorBottle/Ollama2OpenAI",
    "otpauth://totp/",
)
_NEVER = frozenset({"iframe", "object", "embed", "base", "math", "marquee", "style"})
_TEMPLATES = frozenset({"question", "picture", "answer", "code", "stopped", "failed"})
"""The ids of the playground's own."""


def models() -> list[FakeModel]:
    """Give models of an upstream whose every free text is hostile; one for each payload."""
    return [
        FakeModel(
            f"m{number}",
            family=text,
            quantization=text[:30],
            parameter_size=text[:30],
            template=text,
            system=text,
            license=text,
        )
        for number, text in enumerate(PAYLOADS)
    ]


def request_id(number: int) -> str:
    """Return the id of the call that carries payload `number`."""
    return f"req_{number:032x}"


def fill(parts: Services) -> None:
    """Put each payload into each place that keeps text."""
    known = {model.name.removesuffix(":latest"): model for model in parts.catalog.models()}
    entries = []
    for number, text in enumerate(PAYLOADS):
        key, _secret = parts.keys.issue(
            {
                "name": text,
                "owner": text,
                "tags": [text[:60]],
                "notes": text,
                "allow": [text],
                "default_params": {"system": text},
            },
            ACTOR,
        )
        model = known[f"m{number}"]
        parts.models.update(model.id, {"display_name": text}, ACTOR)
        parts.models.update(model.id, {"notes": text}, ACTOR)
        parts.models.update(model.id, {"override": {"system": text}}, ACTOR, text)
        entries.append(_entry(number, text, key.id, model.id))
    parts.servers.update(1, {"name": PAYLOADS[0], "tags": [PAYLOADS[2]]}, ACTOR)
    parts.store.write(records.write, entries, worker="w", now=NOW)
    parts.keyring.drop()


def _entry(number: int, text: str, key_id: int, model_id: int) -> records.Entry:
    admission = Admission(
        request_id=request_id(number),
        created_at=NOW - timedelta(seconds=number),
        key_id=key_id,
        key_name=text,
        endpoint=text[:20],
        model_id=model_id,
        model=text,
        requested_model=text,
        streamed=False,
        client_ip=text[:45],
        client_app=text[:60],
        worker="w",
        end_user=text[:60],
    )
    settled = Settlement(
        request_id(number),
        500,
        finish=text[:30],
        error_code=text[:60],
        error_message=text,
        server_name=text,
        route_reason=text[:60],
        explain={
            "params": {text: [text, text], "num_ctx": [text, text]},
            "changes": [[text, text]],
            "sent": {"path": text, "model": text, "messages": {text: 1}},
        },
        request_body=text,
        upstream_body=text,
        response_body=text,
    )
    return records.Entry(admission, settled)


@dataclass
class Alive(HTMLParser):
    """Collects what of a page a browser would run or fetch, besides our own files."""

    found: list[str] = field(default_factory=list)
    seen: int = 0
    _json: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self._json = tag == "script" and values.get("type") == "application/json"
        is_strange = tag == "template" and values.get("id") not in _TEMPLATES
        is_script = tag == "script" and not self._json and not _is_ours(values)
        if tag in _NEVER or is_strange or is_script:
            self.found.append(self.get_starttag_text() or tag)
        if tag == "meta" and "http-equiv" in values:
            self.found.append(self.get_starttag_text() or tag)
        for name, value in attrs:
            is_run = name.startswith("on") or name in {"style", "srcdoc"}
            if is_run or (name in _ADDRESSES and not _is_tame(value or "")):
                self.found.append(f"{tag} {name}={value}")

    def handle_endtag(self, tag: str) -> None:
        self._json = self._json and tag != "script"

    def handle_data(self, data: str) -> None:
        self.seen += data.count("xss7")
        if self._json and ("<" in data or not _is_json(data)):
            self.found.append(data[:200])


def alive(page: str) -> list[str]:
    """Return what came alive in a page; the sum in a template counts as well."""
    reader = Alive()
    reader.feed(page)
    reader.close()
    return reader.found + re.findall(r"71238", page)


def _is_ours(values: dict[str, str | None]) -> bool:
    return (values.get("src") or "").startswith(("/static/", "/bootstrap/"))


def _is_tame(address: str) -> bool:
    return address.startswith(_TAME) and address[:2] != "//"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
