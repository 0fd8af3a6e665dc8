"""The own second factor: on with a QR code, off after the password, and its recovery codes."""

from __future__ import annotations

import segno
from flask import render_template, request
from flask_login import current_user
from flask_wtf import FlaskForm
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse
from wtforms import SubmitField

from gateway.admin import bp
from gateway.admin.answers import sent
from gateway.errors import InvalidRequest, Message
from gateway.management.two_factor import address_of
from gateway.web.context import actor, services
from gateway.web.one_time_secret import given, hand_over
from gateway.web.passwords import code_field, known_password
from gateway.web.security import to_page
from gateway.web.words import _, _l

_SLOT = "recovery_codes"
_QUIET_ZONE = 4
"""White modules around a QR code (ISO/IEC 18004)."""


class TwoFactorForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF ships no types
    """Prove that the authenticator works."""

    code = code_field(_l("Code of your authenticator"), inputmode="numeric")
    submit = SubmitField(_l("Enable"))


class ProofForm(FlaskForm):  # type: ignore[misc]  # as above
    """The own password once more, before something that weakens the account."""

    current = known_password(_l("Your password"))
    submit = SubmitField(_l("Disable"))


class NewCodesForm(FlaskForm):  # type: ignore[misc]  # as above
    """The own password once more, before new recovery codes."""

    current = known_password(_l("Your password"))
    submit = SubmitField(_l("Make new codes"))


@bp.route("/settings/security/two-factor", methods=["GET", "POST"])
def two_factor() -> AnyResponse | str:
    """Switch the second factor on, or off after the password."""
    if current_user.admin.totp_enabled:
        return _off()
    form, service = TwoFactorForm(), services().admins.two_factor
    codes = sent(form, lambda: service.confirm(current_user.id, form.code.data, actor()))
    if codes is not None:
        return _show_once(codes)
    secret = current_user.admin.totp_secret
    if request.method == "GET" or not secret:
        secret, address = service.begin(current_user.id)
    else:
        address = address_of(current_user.username, secret)
    return render_template(
        "admin/settings/two_factor.html",
        form=form,
        secret=secret,
        address=address,
        picture=qr_code(address),
    )


@bp.route("/settings/security/recovery-codes/new", methods=["GET", "POST"])
def recovery_codes_new() -> AnyResponse | str:
    """Make new recovery codes in the place of those before."""
    form, service = NewCodesForm(), services().admins.two_factor

    def make() -> tuple[str, ...]:
        _check_password(form.current.data)
        return service.new_codes(current_user.id, actor())

    codes = sent(form, make)
    if codes is not None:
        return _show_once(codes)
    return render_template(
        "admin/settings/account.html",
        form=form,
        heading=_("New recovery codes"),
        lead=_("The codes you have stop working."),
    )


@bp.get("/settings/security/recovery-codes/<token>")
def recovery_codes(token: str) -> AnyResponse | str:
    """Show new recovery codes, once."""
    found = given(_SLOT, token)
    if found is None:
        words = _("Recovery codes are shown only once. Make new ones if they were not copied.")
        return to_page("admin.settings_security", words, "warning")
    return render_template("admin/settings/recovery_codes.html", codes=found[1].split())


def qr_code(text: str) -> Markup:
    """Return a QR code as an inline SVG element, black on white in both themes."""
    code = segno.make(text, error="m", micro=False)
    svg = code.svg_inline(
        border=_QUIET_ZONE, light="#fff", dark="#000", omitsize=True, svgclass="qr", lineclass=None
    )
    return Markup(svg)  # made of coordinates; the text is in none of its attributes


def _off() -> AnyResponse | str:
    form = ProofForm()

    def disable() -> bool:
        _check_password(form.current.data)
        services().admins.two_factor.disable(current_user.id, actor())
        return True

    if sent(form, disable):
        return to_page("admin.settings_security", _("No code is asked any more."))
    return render_template(
        "admin/settings/account.html",
        form=form,
        heading=_("Disable two-factor authentication"),
        lead=_("Without it, your password alone opens the console."),
    )


def _check_password(password: str) -> None:
    if not services().admins.is_password_of(current_user.admin, password):
        raise InvalidRequest(Message("The password is wrong."), param="current")


def _show_once(codes: tuple[str, ...]) -> AnyResponse:
    token = hand_over(_SLOT, " ".join(codes))
    return to_page("admin.recovery_codes", token=token)
