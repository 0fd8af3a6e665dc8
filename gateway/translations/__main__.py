"""Brings the catalogues up to date and says what is missing."""

from __future__ import annotations

import sys

from gateway.translations import LANGUAGES, update

for language in LANGUAGES:
    texts, missing = update(language)
    sys.stdout.write(f"{language}: {texts} texts, {missing} without a translation\n")
