"""Images, sounds and files inside a request: which of them reach the model.

    the user's newest turn   is refused where something in it cannot be used: the user can act
    everything before it     becomes a note the model can read, and is told in `x-gateway-ignored`

Agents repeat their history with every call, so a refusal of something in it would end the session.
For the same reason a turn that follows a tool result directly is not the user's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from gateway.core.catalog import Model
from gateway.core.chat import ChatRequest, CompletionRequest, Media, Message, Request, Unreadable
from gateway.errors import CapabilityMissing, InvalidRequest
from gateway.schemas.settings import RuntimeSettings

_SENSES = {"image": ("vision", "cannot see images"), "audio": ("audio", "cannot hear sounds")}
_NOT_TAKEN = {"image": "Could not process image: the", "audio": "The"}
"""The vendor's words for images: coding agents that read them take the image out by themselves."""


def all_media(request: Request) -> tuple[Media, ...]:
    """Return every image, sound and file of a request in order."""
    if isinstance(request, ChatRequest):
        return tuple(item for message in request.messages for item in message.media)
    return request.media


def newest_turn(messages: Sequence[Message]) -> int:
    """Return where the user's newest turn begins; `len(messages)` where there is none.

    It is the run of user messages at the end. After a tool result it is not the user's own.
    """
    at = len(messages)
    while at and messages[at - 1].role in ("user", "system"):
        at -= 1
    return len(messages) if at and messages[at - 1].role == "tool" else at


def settle(
    request: Request, model: Model, behaviour: RuntimeSettings
) -> tuple[Request, tuple[str, ...]]:
    """Return the request with the media the model can use, and the paths left out. Raises
    InvalidRequest and CapabilityMissing for what the user's newest turn holds."""
    if isinstance(request, CompletionRequest):
        if request.media:
            _check_count(request.media, behaviour.max_images)
            for item in request.media:
                problem = _problem(item, model, behaviour, "images")
                if problem is not None:
                    raise problem.error
        return request, ()
    for message in request.messages:
        if message.media or message.unreadable:
            break
    else:
        return request, ()
    newest = newest_turn(request.messages)
    most = behaviour.max_images
    _check_count([item for turn in request.messages[newest:] for item in turn.media], most)
    surplus = -most
    for item in all_media(request):
        surplus += _problem(item, model, behaviour, request.media_param) is None
    left_out: list[str] = []
    messages: list[Message] = []
    for at, message in enumerate(request.messages):
        problems = list(message.unreadable)
        kept: list[Media] = []
        for item in message.media:
            problem = _problem(item, model, behaviour, request.media_param)
            if problem is None and surplus > 0:
                error = InvalidRequest(f"At most {most} images are allowed.", param=item.param)
                problem = _omitted(item, error, f"only the newest {most} are kept")
                surplus -= 1
            if problem is None:
                kept.append(item)
            else:
                problems.append(problem)
        if problems:
            if at >= newest:
                raise problems[0].error
            left_out += [problem.path for problem in problems]
            message = _with_notes(replace(message, media=tuple(kept)), problems)
        if message != Message("user"):  # where nothing is left of it
            messages.append(message)
    return replace(request, messages=tuple(messages)), tuple(left_out)


def fill(request: Request, load: Callable[[Media], str]) -> tuple[Request, tuple[str, ...]]:
    """Return the request with the data of every medium that is still a URL, as `load` returns it,
    and the paths of those that could not be loaded.

    What `load` returns for a file is text and joins the text of its message. What it raises for
    the user's newest turn goes through.
    """
    if not any(item.url for item in all_media(request)):
        return request, ()
    if isinstance(request, CompletionRequest):
        return replace(request, media=tuple(_loaded(item, load) for item in request.media)), ()
    newest = newest_turn(request.messages)
    left_out: list[str] = []
    messages = []
    for at, message in enumerate(request.messages):
        if any(item.url for item in message.media):
            message, problems = _filled(message, load, at >= newest)
            left_out += [problem.path for problem in problems]
        messages.append(message)
    return replace(request, messages=tuple(messages)), tuple(left_out)


def _filled(
    message: Message, load: Callable[[Media], str], must_load: bool
) -> tuple[Message, list[Unreadable]]:
    files: list[tuple[int, str]] = []
    kept: list[Media] = []
    problems: list[Unreadable] = []
    for item in message.media:
        try:
            loaded = _loaded(item, load)
        except InvalidRequest as error:
            if must_load:
                raise
            note = f"[{item.kind} omitted: it could not be fetched]"
            problems.append(Unreadable(error, note, item.param or item.kind))
            continue
        if item.kind == "file":
            files.append((item.at, loaded.data))
        else:
            kept.append(loaded)
    content = _with_files(message.content, files)
    changed = replace(message, content=content, media=tuple(kept))
    return _with_notes(changed, problems), problems


def _loaded(item: Media, load: Callable[[Media], str]) -> Media:
    return replace(item, data=load(item), url="") if item.url else item


def _with_files(content: str, files: Sequence[tuple[int, str]]) -> str:
    """Put files where they stood among the texts, which are joined by newlines."""
    for at, text in reversed(files):
        after = content[at + 1 :] if at else content
        content = "\n".join(filter(None, (content[:at], text, after)))
    return content


def _with_notes(message: Message, problems: Sequence[Unreadable]) -> Message:
    """Return the message with a note for what is missing; the assistant is not made to say what it
    did not, since it would go on to say it."""
    notes = [problem.note for problem in problems if message.role != "assistant"]
    content = "\n".join(filter(None, (message.content, *dict.fromkeys(notes))))
    return replace(message, content=content, unreadable=())


def _check_count(found: Sequence[Media], most: int) -> None:
    if len(found) > most:
        raise InvalidRequest(
            f"The request holds {len(found)} images; at most {most} are allowed.",
            param=found[most].param,
        )


def _problem(
    item: Media, model: Model, behaviour: RuntimeSettings, param: str
) -> Unreadable | None:
    """Return why a medium cannot reach the model; None where it can."""
    capability, what = _SENSES.get(item.kind, ("", ""))
    if capability and model.can(capability) is False:
        missing = CapabilityMissing(
            f"{_NOT_TAKEN[item.kind]} model '{model.display_name}' {what}.",
            code=f"{capability}_not_supported",
            param=param,
        )
        return _omitted(item, missing, f"this model {what}")
    most_mb = behaviour.max_image_mb
    if len(item.data) * 3 // 4 > most_mb << 20:
        large = InvalidRequest(
            f"The {item.kind} is larger than {most_mb} MB.",
            param=item.param,
            code="image_too_large" if item.kind == "image" else "invalid_value",
        )
        return _omitted(item, large, f"larger than {most_mb} MB")
    return None


def _omitted(item: Media, error: InvalidRequest, why: str) -> Unreadable:
    return Unreadable(error, f"[{item.kind} omitted: {why}]", item.param or item.kind)
