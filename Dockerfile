# One image for every component of Airflow and for the local Domino.
# Any Debian-like base with Python 3.11 to 3.14 and its venv module will do.
ARG BASE_IMAGE=python:3.12.12-slim-bookworm

FROM ${BASE_IMAGE} AS build
ARG UV_VERSION=0.13.8
# Where packages come from, if not from PyPI. This stage is thrown away, so nothing of it is left in the image.
ARG PIP_INDEX_URL=
# Compiled here, since nobody may write it later: without that each process compiles what it imports.
ENV VIRTUAL_ENV=/opt/venv \
    PATH=/opt/venv/bin:$PATH \
    UV_COMPILE_BYTECODE=1 \
    UV_NO_CACHE=1
WORKDIR /build
RUN python3 -m venv /opt/venv && pip install --no-cache-dir --quiet "uv==${UV_VERSION}"
# requirements.txt also pins what only the tests need, so it is used to choose versions, not as a list.
COPY requirements.txt pyproject.toml docker/postgres.txt docker/celery.txt ./
RUN uv pip install ${PIP_INDEX_URL:+--default-index "$PIP_INDEX_URL"} \
        --constraint requirements.txt -r postgres.txt -r pyproject.toml --extra local --extra samples
# LocalExecutor, or CeleryExecutor for workers of their own.
ARG EXECUTOR=LocalExecutor
# What else DAGs and Luigi pipelines import: names or requirements, with spaces between.
ARG EXTRA_PACKAGES=
RUN if [ "$EXECUTOR" = CeleryExecutor ]; then celery="-r celery.txt"; fi \
    && uv pip install ${PIP_INDEX_URL:+--default-index "$PIP_INDEX_URL"} \
        --constraint requirements.txt -r postgres.txt ${celery-} ${EXTRA_PACKAGES}
COPY hatch_build.py README.md LICENSE ./
COPY airflow_domino airflow_domino
RUN uv pip install ${PIP_INDEX_URL:+--default-index "$PIP_INDEX_URL"} \
        --no-deps --build-constraint requirements.txt . \
    && uv pip uninstall uv

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
