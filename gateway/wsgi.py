"""The application gunicorn serves: `gunicorn -c gateway/gunicorn.conf.py gateway.wsgi:app`."""

import sys

from gateway import create_app
from gateway.config import ConfigError, Settings

try:
    app = create_app(Settings.load())
except ConfigError as error:
    sys.stderr.write(f"ollama2openai: {error}\n")
    sys.exit(4)  # gunicorn's APP_LOAD_ERROR: the master stops instead of trying again
