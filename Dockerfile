# The digits service as an image: `docker build -t digits:cpu .`, or with the libraries of CUDA
# `docker build -t digits:gpu --build-arg VARIANT=gpu .`: VARIANT is the name of a lock file in requirements/.
# It runs as a user without a name, and on a read-only root with a tmpfs on /tmp, where Envoy's sockets are.

# The newest Python that every package in the lock files has a wheel for, on x86-64 and ARM; it has Python as a shared
# library, which Envoy needs. 3.15 waits for onnxruntime's.
ARG BASE=python:3.14-slim-trixie

FROM ${BASE} AS build
ARG VARIANT=cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 DEBIAN_FRONTEND=noninteractive
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends binutils >/dev/null
RUN python -m venv /opt/digits
# By the lock file first: this layer is made anew only when a dependency changes.
COPY requirements/${VARIANT}.txt /src/requirements.txt
RUN /opt/digits/bin/pip install --no-compile --require-hashes -r /src/requirements.txt
COPY . /src
RUN /opt/digits/bin/pip install --no-compile --no-deps --no-build-isolation /src/client /src \
    && /opt/digits/bin/pip uninstall --quiet --yes setuptools pip \
    && sh /src/deploy/image/slim.sh /opt/digits

FROM ${BASE}
COPY --from=build /opt/digits /opt/digits
COPY models /models
COPY deploy/image/sbom.py /opt/digits/share/sbom.py
# It listens on all addresses of its container, and its models have a fixed place, over which a folder can be
# mounted. Empty variables are as if unset.
ENV PATH=/opt/digits/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    DIGITS_HOST=0.0.0.0 DIGITS_MODELS=/models DIGITS_FRONT=envoy DIGITS_WORKERS=auto
RUN python /opt/digits/share/sbom.py > /opt/digits/share/sbom.cdx.json
ARG BASE
ARG VARIANT=cpu
ARG REVISION=unknown
LABEL org.opencontainers.image.title="digits" \
      org.opencontainers.image.description="Handwritten digits in, class scores out: a scikit-learn MLPClassifier over gRPC on onnxruntime" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}" \
      digits.variant="${VARIANT}"
WORKDIR /tmp
USER 10001:10001
EXPOSE 8001 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["digits", "health"]
ENTRYPOINT ["digits"]
CMD ["serve"]
