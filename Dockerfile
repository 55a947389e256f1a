# The service on Python 3.12. As built here torch is the registry's own build, which carries CUDA; a builder who wants the
# smaller CPU build names an index that has it:  docker build --build-arg PIP_EXTRA_INDEX_URL=... -t augserve .
# It writes nothing and needs no privilege (SECURITY.md has the rest: tokens, TLS, limits):
#   docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges --publish 8000:8000 augserve
FROM python:3.12-slim-bookworm AS build
ARG PIP_EXTRA_INDEX_URL=""
ENV PIP_CONSTRAINT=/source/constraints.txt \
    PIP_BUILD_CONSTRAINT=/source/constraints.txt \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /source
RUN python -m venv /opt/augserve
# torch alone is most of the image: its layer is built again only when the pins change.
COPY constraints.txt ./
RUN /opt/augserve/bin/pip install torch
COPY . ./
RUN /opt/augserve/bin/pip install ".[server]"

FROM python:3.12-slim-bookworm
ENV PATH=/opt/augserve/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
COPY --from=build /opt/augserve /opt/augserve
WORKDIR /srv
USER 65532:65532
EXPOSE 8000
# Over TLS where that is set by environment; with other ways to set it, and with tls_client_ca, give a --health-cmd.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, ssl, urllib.request as u; u.urlopen(('https' if 'AUGSERVE_TLS_CERTIFICATE' in os.environ else 'http') + '://127.0.0.1:8000/healthz', timeout=2, context=ssl._create_unverified_context())"]
# In exec form, so that SIGTERM reaches the server, which then answers what it has accepted and stops.
ENTRYPOINT ["augserve"]
CMD ["serve", "--host", "0.0.0.0"]
