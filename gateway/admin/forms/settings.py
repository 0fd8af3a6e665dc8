"""The settings in words people can decide by: one form a tab, made from the fields of `Behaviour`.

`_TABS` says which setting stands where, how it is called, and what it does; types, choices and
defaults come from the value itself, so a setting without words fails a test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from typing import Any, Literal, get_args, get_origin, get_type_hints

from flask_bootstrap import SwitchField
from flask_wtf import FlaskForm
from wtforms import Field, IntegerField, SelectField, StringField, SubmitField
from wtforms.validators import InputRequired, Length, NumberRange, Optional, Regexp

from gateway.admin.forms.fields import Zone, chosen_from
from gateway.core.behaviour import Behaviour
from gateway.policy.overrides import settings_rules
from gateway.web.words import _l

Words = tuple[str, str]

TABS: Mapping[str, str] = {
    "general": _l("General"),
    "api": _l("API behaviour"),
    "privacy": _l("Privacy and retention"),
    "limits": _l("Limits"),
}

WORDS: Mapping[str, Mapping[str, Words]] = {
    "general": {
        "public_url": (
            _l("Public address"),
            _l(
                "How clients reach the gateway, such as https://ai.example.org. Used in snippets; "
                "empty takes the address you are using now."
            ),
        ),
        "display_timezone": (
            _l("Time zone of the gateway"),
            _l("For budgets of new keys and for reports. You always see times in your own zone."),
        ),
        "enable_new_models": (
            _l("Enable new models"),
            _l("Models that appear on a server can be called at once."),
        ),
        "fallback_model": (
            _l("Fallback model"),
            _l(
                "Answers when a client asks for a model that does not exist. Empty: such calls "
                "get an error."
            ),
        ),
        "allow_cloud_models": (
            _l("Allow cloud models"),
            _l("Models that Ollama forwards to its cloud leave this machine. Off keeps all local."),
        ),
        "prefix_affinity": (
            _l("Keep conversations together"),
            _l("Sends turns of one conversation to the server that still has them in its cache."),
        ),
        "server_header": (
            _l("Tell clients which server answered"),
            _l("Adds the server's name as the header x-gateway-server."),
        ),
        "drain_s": (
            _l("Grace time when stopping (s)"),
            _l("Running answers may finish for this long when the gateway stops."),
        ),
    },
    "api": {
        "reasoning_field": (
            _l("Name of the thinking field"),
            _l("How chat answers call what the model thought: reasoning_content is read by most."),
        ),
        "parse_think_tags": (
            _l("Take think tags out of answers"),
            _l("Text between think tags becomes thinking. For models that Ollama cannot parse."),
        ),
        "anthropic_default_think": (
            _l("Thinking in Messages calls that do not say"),
            _l("Anthropic's own models do not think unless asked."),
        ),
        "anthropic_system_reminders": (
            _l("System messages inside a conversation"),
            _l("Keep them where they stand, or move them to the top: on all APIs."),
        ),
        "strip_attribution_header": (
            _l("Drop changing attribution lines"),
            _l("Some coding agents add a line that differs in every call and spoils the cache."),
        ),
        "forced_tool_choice": (
            _l("When a client demands a tool call"),
            _l("Ollama cannot force one. Emulate makes sure of it, with one more call if needed."),
        ),
        "tools_with_format": (
            _l("Tools together with a JSON schema"),
            _l("Ollama lets the schema win. Two passes: tools first, then the schema."),
        ),
        "stop_mode": (
            _l("Who watches for stop words"),
            _l("The gateway can match them exactly where a model thinks or calls tools."),
        ),
        "completions_raw": (
            _l("Raw prompts in Completions"),
            _l("Raw leaves the model's template out. Automatic decides by the request."),
        ),
        "usage_on_finish_chunk": (
            _l("Usage on the last piece of a stream"),
            _l("Some clients look for it there, even if they did not ask."),
        ),
        "sse_keepalive": (
            _l("While a stream is silent"),
            _l("What is sent so that nobody on the way hangs up."),
        ),
        "sse_comment_interval_s": (_l("Comment every (s)"), ""),
        "sse_chunk_interval_s": (_l("Empty piece every (s)"), ""),
        "stream_commit_ms": (
            _l("Wait for an early error (ms)"),
            _l("Within this time a failure still gets a true status instead of an error event."),
        ),
        "allow_remote_images": (
            _l("Fetch images by address"),
            _l("The gateway downloads pictures that a request names by URL."),
        ),
        "allow_private_image_urls": (
            _l("Also from private addresses"),
            _l("Lets callers make the gateway read from your own network. Leave off if unsure."),
        ),
        "allow_client_keep_alive": (
            _l("Clients may set keep_alive"),
            _l("How long a model stays in memory after their call."),
        ),
        "allow_client_runner_options": (
            _l("Clients may set runner options"),
            _l("Such as num_ctx and num_gpu, which make Ollama load the model again."),
        ),
        "allow_unverified_options": (
            _l("Pass on unknown options"),
            _l("Options this version does not know are sent to Ollama as they are."),
        ),
        "responses_store": (
            _l("Keep responses for follow-ups"),
            _l("Needed for previous_response_id in the Responses API."),
        ),
        "responses_store_ttl_days": (_l("Keep them for (days)"), ""),
        "responses_store_max_rows": (_l("Keep at most"), ""),
        "responses_store_key_mb": (
            _l("Of one key at most (MB)"),
            _l("Then its oldest responses are forgotten."),
        ),
        "responses_store_mb": (_l("Of all keys at most (MB)"), ""),
        "cors_allow_origins": (
            _l("Web pages that may call the API"),
            _l("* for all, or addresses such as https://chat.example.org, separated by spaces."),
        ),
        "request_timeout_ms": (
            _l("Whole call at most (ms)"),
            _l("Of a stream only the wait for its first word. 0 is no limit."),
        ),
        "connect_timeout_s": (_l("Connecting at most (s)"), ""),
        "idle_timeout_s": (
            _l("Silence of Ollama at most (s)"),
            _l("Counted from its first word: not while it loads the model or reads the prompt."),
        ),
        "client_write_timeout_s": (
            _l("Client that does not read (s)"),
            _l("Its call is ended after this time."),
        ),
    },
    "privacy": {
        "log_bodies": (
            _l("Keep prompts and answers"),
            _l("Off by default. Each key can say otherwise."),
        ),
        "body_max_kb": (_l("Keep at most (KB each)"), _l("Longer texts are cut.")),
        "body_retention_days": (_l("Delete texts after (days)"), ""),
        "usage_retention_days": (
            _l("Delete request records after (days)"),
            _l("Hourly and daily sums stay. 0 keeps all."),
        ),
        "usage_max_rows": (
            _l("Request records at most"),
            _l("The oldest go first. 0 is no limit."),
        ),
        "audit_retention_days": (
            _l("Delete the audit log after (days)"),
            _l("0 keeps all."),
        ),
    },
    "limits": {
        "default_key_concurrency": (
            _l("Calls at once per key"),
            _l("For keys without a limit of their own. 0 is no limit."),
        ),
        "queue_max_waiting": (
            _l("Calls that may wait per model"),
            _l("More are refused at once as busy."),
        ),
        "queue_max_wait_s": (_l("Longest wait (s)"), ""),
        "max_body_mb": (_l("Request size (MB)"), ""),
        "max_messages": (_l("Messages in a request"), ""),
        "max_tools": (_l("Tools in a request"), ""),
        "max_images": (
            _l("Images in a request"),
            _l("Of more, the newest are sent and the model is told that older ones are missing."),
        ),
        "max_image_mb": (_l("Size of an image (MB)"), ""),
        "max_embedding_inputs": (_l("Texts in an embeddings request"), ""),
        "max_n": (_l("Answers in one request (n)"), ""),
    },
}

HEADINGS: Mapping[str, str] = {
    "reasoning_field": _l("Thinking"),
    "strip_attribution_header": _l("Coding agents"),
    "forced_tool_choice": _l("Tools and formats"),
    "completions_raw": _l("Completions"),
    "usage_on_finish_chunk": _l("Streams"),
    "allow_remote_images": _l("Images"),
    "allow_client_keep_alive": _l("What clients may set"),
    "responses_store": _l("Responses API"),
    "cors_allow_origins": _l("Web pages"),
    "request_timeout_ms": _l("Time limits"),
    "default_key_concurrency": _l("Queue"),
    "max_body_mb": _l("Size of a request"),
    "log_bodies": _l("Texts"),
    "usage_retention_days": _l("Records"),
}
"""What stands above a setting: the beginning of a group, up to the next one."""

_CHOICES: Mapping[str, str] = {
    "emulate": _l("Emulate: make sure of it"),
    "best_effort": _l("Ask the model, take what comes"),
    "reject": _l("Refuse the request"),
    "two_pass": _l("Two passes"),
    "tools_only": _l("Tools only"),
    "both": _l("Send both"),
    "auto": _l("Automatic"),
    "always": _l("Always"),
    "never": _l("Never"),
    "off": _l("Off"),
    "upstream": _l("Ollama"),
    "gateway": _l("The gateway"),
    "comments_and_chunks": _l("Comments, and empty pieces now and then"),
    "comments": _l("Comments only"),
    "false": _l("Do not think"),
    "true": _l("Think"),
    "none": _l("As the model does by itself"),
    "inline": _l("Keep in place"),
    "hoist": _l("Move to the top"),
}
_BOTH_FIELDS = _l("Both names")

_URL = Regexp(
    r"^https?://[^\s/?#\\]+(/[^\s?#\\]*)?$",
    message=_l("An address such as https://ai.example.org."),
)


def settings_form(tab: str, behaviour: Behaviour) -> FlaskForm:
    """Return the form of one tab, filled with the settings in force."""
    hints = get_type_hints(Behaviour)
    defaults = {field.name: field.default for field in fields(Behaviour)}
    members: dict[str, Any] = {
        name: _field(name, hints[name], defaults[name], words) for name, words in WORDS[tab].items()
    }
    members["submit"] = SubmitField(_l("Save"))
    made = type("SettingsForm", (FlaskForm,), members)
    return made(obj=behaviour, prefix="")


def changes(form: FlaskForm, tab: str, behaviour: Behaviour) -> dict[str, Any]:
    """Return the settings of a valid form that differ from those in force."""
    given = {name: form[name].data for name in WORDS[tab]}
    given = {name: "" if value is None else value for name, value in given.items()}
    return {name: value for name, value in given.items() if value != getattr(behaviour, name)}


def _field(name: str, hint: Any, default: Any, words: Words) -> Field:
    label, text = words
    if hint is bool:
        return SwitchField(label, description=text)
    if hint is int:
        low, high = settings_rules.RANGES[name]
        checks = [InputRequired(_l("Type a number.")), NumberRange(low, high)]
        kw = {"min": low, "max": high, "placeholder": str(default)}
        return IntegerField(label, description=text, validators=checks, render_kw=kw)
    if get_origin(hint) is Literal:
        choices = chosen_from((value, _choice(name, value)) for value in get_args(hint))
        return SelectField(label, description=text, choices=choices)
    return _TEXTS.get(name, partial(StringField, validators=[Length(max=1_000)]))(
        label, description=text
    )


def _choice(name: str, value: str) -> str:
    if name == "reasoning_field":
        return _BOTH_FIELDS if value == "both" else value
    return _CHOICES.get(value, value)


def _zone_field(label: str, description: str) -> Field:
    return StringField(
        label,
        description=description,
        validators=[InputRequired(_l("Name a time zone.")), Zone()],
        render_kw={"list": "zones", "autocomplete": "off"},
    )


_TEXTS: Mapping[str, Callable[..., Field]] = {
    "display_timezone": _zone_field,
    "public_url": partial(
        StringField,
        validators=[Optional(), Length(max=500), _URL],
        render_kw={"placeholder": "https://ai.example.org", "inputmode": "url"},
    ),
    "fallback_model": partial(
        StringField,
        validators=[Length(max=256)],
        render_kw={"list": "models", "autocomplete": "off"},
    ),
}
