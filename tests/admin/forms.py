"""Forms of a page as a browser sees them: their fields, what is chosen, what is disabled."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

_FIELDS = frozenset({"input", "select", "textarea", "button"})
_VOID = frozenset({"input", "br", "img", "hr", "meta", "link", "use", "path", "rect"})


@dataclass(eq=False)
class Form:
    """A form: what would be sent, and the names of fields that could be changed or pressed."""

    action: str
    method: str
    values: dict[str, list[str]] = field(default_factory=dict)
    enabled: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.by_id: dict[str, Form] = {}
        self.others: list[tuple[str, str]] = []
        self.open: list[tuple[str, bool]] = []
        self.form: Form | None = None
        self.select = self.textarea = ""
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.form = Form(values.get("action", ""), values.get("method", "get").lower())
            self.forms.append(self.form)
            self.by_id[values.get("id", "")] = self.form
        if tag == "fieldset":
            self.open.append((tag, "disabled" in values))
        if tag in _FIELDS:
            self._field(tag, values)
        if tag == "option" and self.form is not None and "selected" in values:
            self.form.values.setdefault(self.select, []).append(values.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.form = None
        if tag == "fieldset":
            self.open.pop()
        if tag == "textarea" and self.textarea and self.form is not None:
            text = "".join(self.text)
            self.form.values[self.textarea] = [text.removeprefix("\r\n").removeprefix("\n")]
            self.textarea = ""

    def handle_data(self, data: str) -> None:
        if self.textarea:
            self.text.append(data)

    def _field(self, tag: str, values: dict[str, str]) -> None:
        name, kind = values.get("name", ""), values.get("type", "")
        is_disabled = "disabled" in values or any(disabled for _, disabled in self.open)
        if "form" in values and not is_disabled and kind != "hidden":
            self.others.append((values["form"], name or tag))
        if self.form is None:
            return
        if not is_disabled and kind != "hidden":
            self.form.enabled.append(name or tag)
        self.select = name if tag == "select" else self.select
        if tag == "textarea":
            self.textarea, self.text = name, []
        is_chosen = kind not in {"checkbox", "radio"} or "checked" in values
        if tag == "input" and name and is_chosen and not is_disabled and kind != "file":
            self.form.values.setdefault(name, []).append(values.get("value", ""))


def forms_of(page: str) -> list[Form]:
    """Return the forms of a page."""
    reader = _Reader()
    reader.feed(page)
    for form_id, name in reader.others:
        if form_id in reader.by_id:
            reader.by_id[form_id].enabled.append(name)
    return reader.forms


def form_with(page: str, name: str) -> Form:
    """Return the first form of a page that has a field of this name."""
    return next(form for form in forms_of(page) if name in form.values or name in form.enabled)
