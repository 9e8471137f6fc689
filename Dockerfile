# Builds the wheel and an environment from hashed pins; the image contains only the environment, with what exports
# traces.
FROM python:3.11-slim-bookworm AS build
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements.txt requirements-build.txt requirements-otel.txt ./
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --require-hashes -r requirements-build.txt \
 && python -m venv /opt/app \
 && /opt/app/bin/pip install --require-hashes -r requirements.txt -r requirements-otel.txt
COPY pyproject.toml README.md LICENSE alembic.ini ./
COPY alembic alembic
COPY src src
RUN /opt/build/bin/hatchling build -t wheel -d /dist \
 && /opt/app/bin/pip install --no-deps --no-index /dist/*.whl

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --home-dir /data event-trigger \
 && install -d -o event-trigger -g event-trigger -m 0700 /data
COPY --from=build /opt/app /opt/app
USER event-trigger
WORKDIR /data
# without DATABASE_URL, the database is in /data: mount a volume there
ENV PATH=/opt/app/bin:$PATH PYTHONUNBUFFERED=1 HOST=0.0.0.0 PORT=8000 EVENT_TRIGGER_DATA_DIR=/data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/healthz', timeout=2)"]
ENTRYPOINT ["event-trigger"]
CMD ["serve"]
