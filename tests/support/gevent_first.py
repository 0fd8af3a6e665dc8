"""A plugin that patches the standard library before anything else is imported: calls run on gevent,
in tests as in a worker. It needs `python -m pytest`, which can import it before all other plugins.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()
