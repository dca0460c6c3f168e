# The pipeline in an image that runs as any user. Data, weights and caches live in /data.
#
#   docker build -t actions .                           for CPUs
#   docker build -t actions --build-arg DEVICE=gpu .    for GPUs: CUDA comes as Python packages, the driver from the host
ARG PYTHON=3.12
FROM python:${PYTHON}-slim-bookworm

# cpu or gpu
ARG DEVICE=cpu

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    KERAS_HOME=/data/.keras \
    XDG_CACHE_HOME=/data/.cache
WORKDIR /app

# the versions of the lock, of the packages that the stages need; the download tools are always the newest
COPY requirements.txt requirements-download.txt requirements-cluster.txt requirements.lock ./
RUN sed -nE 's/^([a-z0-9].*) \\$/\1/p' requirements.lock > /tmp/pins.txt \
    && pip install --no-cache-dir -c /tmp/pins.txt \
        -r requirements.txt -r requirements-download.txt -r requirements-cluster.txt \
    && if [ "$DEVICE" = gpu ]; then pip install --no-cache-dir -c /tmp/pins.txt "tensorflow[and-cuda]"; fi \
    && rm /tmp/pins.txt

RUN install -d -m 1777 /data
COPY . .

# a number, so that clusters that forbid root can tell; `docker run --user` may name another
USER 1000:1000
CMD ["python", "trainer.py", "--help"]
