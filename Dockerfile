# One image for the web process and the worker: `triage serve` (default) or `triage worker`. See docs/operations.md.
FROM python:3.11-slim

# An index that has PyTorch's CPU wheels: the usual ones for Linux bring gigabytes of GPU libraries that nothing here uses.
ARG EXTRA_INDEX=""

ENV PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    HF_HUB_OFFLINE=1 \
    TRIAGE_HOST=0.0.0.0

RUN useradd --system --uid 10001 --create-home triage \
 && install -d -o triage -g triage -m 0750 /data

# Dependencies first: this layer, by far the largest, changes only with these two files.
WORKDIR /src
COPY pyproject.toml constraints.txt ./
RUN python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' > requirements.txt \
 && pip install -c constraints.txt ${EXTRA_INDEX:+--extra-index-url "$EXTRA_INDEX"} -r requirements.txt

COPY README.md LICENSE ./
COPY connectors connectors
COPY scoring scoring
COPY service service
RUN pip install --no-deps .

# Here `.triage` lives, unless TRIAGE_DATABASE_URL names a server.
USER triage
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f\"http://127.0.0.1:{os.environ.get('TRIAGE_PORT', '8000')}/health\", timeout=3)"]
ENTRYPOINT ["triage"]
CMD ["serve"]
