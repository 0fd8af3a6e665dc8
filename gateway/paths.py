"""Where the files beside the code are: in a checkout in its top folders, installed in the package.

The data folder is `DATA_DIR`, else `instance` in a checkout, else where the platform keeps a
user's data.
"""

from __future__ import annotations

from pathlib import Path

import platformdirs

_PACKAGE = Path(__file__).resolve().parent
_IN_CHECKOUT = (_PACKAGE.parent / "pyproject.toml").is_file()

RESOURCES = _PACKAGE.parent if _IN_CHECKOUT else _PACKAGE
"""The folder of `templates` and `static`."""


def default_data_dir() -> Path:
    """Return the data folder where `DATA_DIR` is not set."""
    if _IN_CHECKOUT:
        return RESOURCES / "instance"
    return platformdirs.user_data_path("ollama2openai", appauthor=False)
