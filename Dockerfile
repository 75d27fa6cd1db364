# One image for every component of Airflow and for the local Domino.
# Any Debian-like base with Python 3.11 to 3.14 and its venv module will do.
ARG BASE_IMAGE=python:3.12.12-slim-bookworm

FROM ${BASE_IMAGE} AS build
# LocalExecutor, or CeleryExecutor for workers of their own.
ARG EXECUTOR=LocalExecutor
ARG UV_VERSION=0.13.8
# Where packages come from, if not from PyPI. This stage is thrown away, so nothing of it is left in the image.
ARG PIP_INDEX_URL=
# What else DAGs and Luigi pipelines import: names or requirements, with spaces between.
ARG EXTRA_PACKAGES=
WORKDIR /build
RUN python3 -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir --quiet "uv==${UV_VERSION}"
COPY requirements.txt docker/postgres.txt docker/celery.txt ./
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY airflow_domino airflow_domino
# requirements.txt also pins what only the tests need, so it is used to choose versions, not as a list.
RUN extra="" && if [ "$EXECUTOR" = CeleryExecutor ]; then extra="-r celery.txt"; fi \
    && /opt/venv/bin/uv pip install --no-cache --compile-bytecode --python /opt/venv/bin/python \
        ${PIP_INDEX_URL:+--default-index "$PIP_INDEX_URL"} \
        --constraint requirements.txt --build-constraint requirements.txt -r postgres.txt $extra \
        ".[local,samples]" $EXTRA_PACKAGES \
    && /opt/venv/bin/uv pip uninstall --python /opt/venv/bin/python uv

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="airflow-domino" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --uid 50000 --gid 0 --home-dir /opt/airflow --no-create-home --shell /usr/sbin/nologin airflow \
    && install -d -o airflow -g 0 -m 0775 /opt/airflow /opt/airflow/logs /opt/airflow/data /opt/airflow/auth /opt/domino
COPY --from=build /opt/venv /opt/venv
COPY docker/prepare.py docker/health.py /opt/
ENV PATH=/opt/venv/bin:$PATH \
    AIRFLOW_HOME=/opt/airflow \
    PYTHONUNBUFFERED=1
USER airflow
WORKDIR /opt/airflow
CMD ["airflow", "version"]
