# One target a role: api, courier, consumer, and consumer-lite, which has no torch.
# Builds with BuildKit and with the classic builder; docs/deployment.md tells what to choose.
#
#   docker build --target consumer -t darkroom/consumer .

ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS packages
WORKDIR /build
COPY constraints.txt pyproject.toml docker/install ./
RUN python3 -m venv --without-pip /opt/venv

FROM packages AS code
WORKDIR /app
COPY start.sh uwsgi.ini ./
COPY api api
COPY common common
COPY consumer consumer
COPY engine engine
COPY modeltools modeltools
COPY courier courier
COPY models models
RUN python3 -m compileall -q --invalidation-mode unchecked-hash .

FROM ${PYTHON_IMAGE} AS role
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Darkroom" \
      org.opencontainers.image.description="Image classification behind HTTP that loses no job" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}"
RUN groupadd --gid 10001 darkroom \
 && useradd --uid 10001 --gid darkroom --no-create-home --home-dir /tmp --shell /usr/sbin/nologin darkroom \
 && install -d -o darkroom -g darkroom /var/lib/darkroom /var/lib/darkroom/weights
WORKDIR /app
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DARKROOM_STATE_DIR=/var/lib/darkroom \
    DARKROOM_PULSE_FILE=/tmp/pulse \
    DARKROOM_LOG_FORMAT=json
USER darkroom
# Reaps, and hands signals on to the role alone: an engine is its parent's to stop.
ENTRYPOINT ["dumb-init", "--single-child", "--"]

FROM packages AS api-packages
RUN ./install container api

FROM role AS api
COPY --from=api-packages /opt/venv /opt/venv
COPY --from=code /app/start.sh /app/uwsgi.ini ./
COPY --from=code /app/common common
COPY --from=code /app/api api
# The page offers their samples.
COPY --from=code /app/models models
ENV DARKROOM_API_BIND=0.0.0.0:8081 DARKROOM_API_HEALTH_BIND=127.0.0.1:8082
EXPOSE 8081
HEALTHCHECK --interval=10s --timeout=8s --start-period=30s CMD ["./start.sh", "healthy", "api"]
CMD ["./start.sh", "api"]

FROM packages AS courier-packages
RUN ./install container courier

FROM role AS courier
COPY --from=courier-packages /opt/venv /opt/venv
COPY --from=code /app/start.sh ./
COPY --from=code /app/common common
COPY --from=code /app/courier courier
HEALTHCHECK --interval=10s --timeout=8s --start-period=30s CMD ["./start.sh", "healthy", "courier"]
CMD ["./start.sh", "courier"]

FROM packages AS consumer-packages
# Empty: torch comes from where pip gets everything else.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN if [ -n "$TORCH_INDEX" ]; then \
      pip --python /opt/venv/bin/python install --no-cache-dir --no-compile -q --no-deps \
        -c constraints.txt --index-url "$TORCH_INDEX" torch torchvision; \
    fi \
 && ./install container consumer heic torch

FROM role AS consumer
COPY --from=consumer-packages /opt/venv /opt/venv
COPY --from=code /app/start.sh ./
COPY --from=code /app/common common
COPY --from=code /app/consumer consumer
COPY --from=code /app/engine engine
COPY --from=code /app/modeltools modeltools
COPY --from=code /app/models models
HEALTHCHECK --interval=10s --timeout=8s --start-period=120s CMD ["./start.sh", "healthy", "consumer"]
CMD ["./start.sh", "consumer"]

# The models of consumer-lite are exported while its image is built, and are all that it has.
FROM consumer AS exports
ARG MODELS=photos,digits
ENV DARKROOM_MODELS=${MODELS}
RUN ./start.sh model fetch --all

FROM packages AS consumer-lite-packages
RUN ./install container consumer heic

FROM role AS consumer-lite
COPY --from=consumer-lite-packages /opt/venv /opt/venv
COPY --from=code /app/start.sh ./
COPY --from=code /app/common common
COPY --from=code /app/consumer consumer
COPY --from=code /app/engine engine
COPY --from=code /app/modeltools modeltools
COPY --from=code /app/models models
COPY --from=exports /var/lib/darkroom/weights/exports /var/lib/darkroom/weights/exports
ARG MODELS=photos,digits
ENV DARKROOM_MODELS=${MODELS}
HEALTHCHECK --interval=10s --timeout=8s --start-period=120s CMD ["./start.sh", "healthy", "consumer"]
CMD ["./start.sh", "consumer"]
