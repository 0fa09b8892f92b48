# One image for worker, beat, flower and the web page, and for the two scripts. Build: docker compose build
# To pin the base image by digest, put @sha256:… behind its tag (docs/scaling.md, Pinning).

# What browsers run models with; its checksums are in fer_core/web/assets.py.
FROM node:22-slim AS npm
RUN npm pack --silent @litertjs/core@2.5.3 @litertjs/wasm-utils@2.5.3

FROM python:3.11-slim-bookworm

# What opencv-python is linked to.
RUN apt-get update \
    && apt-get install --no-install-recommends --yes libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    FER_CACHE_DIR=/var/cache/fer

WORKDIR /srv/fer
# For a worker with NVIDIA GPUs: docker compose build --build-arg TENSORFLOW_EXTRA=and-cuda (docs/scaling.md).
ARG TENSORFLOW_EXTRA=
# Without the tools of tests and development. The locks have hashes: pip takes no other files.
COPY requirements-image.lock requirements-image-and-cuda.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check \
    -r "requirements-image${TENSORFLOW_EXTRA:+-$TENSORFLOW_EXTRA}.lock"

COPY train_emotion_model.py realtime_emotion_detector.py LICENSE NOTICE README.md ./
COPY fer_core fer_core
COPY jobs jobs
COPY models/shipped models/shipped

COPY --from=npm /litertjs-core-2.5.3.tgz /litertjs-wasm-utils-2.5.3.tgz /tmp/web/
RUN FER_CACHE_DIR=/tmp python -m fer_core.web.assets && rm -r /tmp/web

# The compose file runs the services as whoever owns models/; the cache's volume must be open to any of them.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin fer \
    && mkdir -p history data "$FER_CACHE_DIR" \
    && chown -R fer: models history \
    && chmod 1777 "$FER_CACHE_DIR"
USER fer

CMD ["celery", "-A", "jobs", "worker", "--loglevel", "INFO", "--without-gossip", "--without-mingle"]
