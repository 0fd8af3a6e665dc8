# syntax=docker/dockerfile:1
# Stage 1: build the virtual environment; compilers and pip stay here.
FROM python:3.12-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
COPY requirements.txt ./
RUN python -m venv .venv && .venv/bin/pip install --require-hashes -r requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY gateway ./gateway
COPY templates ./templates
COPY static ./static
RUN .venv/bin/pip install --no-deps . && .venv/bin/pip uninstall -y setuptools pip
# What the gateway never reads: dates of other languages, an older Bootstrap, a second build of zstd (together 50 MB).
RUN cd .venv/lib/python3*/site-packages \
    && find babel/locale-data -name '*.dat' ! -name 'root.dat' ! -name 'en*.dat' ! -name 'zh*.dat' -delete \
    && rm -rf flask_bootstrap/static/bootstrap4 zstandard/_cffi*

# Stage 2: what runs.
FROM python:3.12-slim-bookworm
LABEL org.opencontainers.image.title="Ollama2OpenAI" \
      org.opencontainers.image.licenses="MIT"
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DATA_DIR=/data \
    PORT=3000 \
    GRACEFUL_TIMEOUT=16
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin gateway \
    && install -d -o gateway -g gateway -m 0700 /data
WORKDIR /data
COPY --from=build /app/.venv /app/.venv
USER gateway
VOLUME /data
EXPOSE 3000
# `docker stop` waits 10 s: running calls may finish for 6 (GRACEFUL_TIMEOUT - 10), then end with an error event and a whole record.
# Compose waits longer: see stop_grace_period in docker-compose.yml.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-m", "gateway.healthcheck"]
CMD ["ollama2openai"]
