FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY cctvsignal cctvsignal
COPY twisted twisted
COPY clients clients
COPY iot/cctvsignal_iot iot/cctvsignal_iot
COPY web web
RUN python -m venv /opt/cctvsignal && /opt/cctvsignal/bin/pip install --no-cache-dir .

FROM python:3.13-slim
COPY --from=build /opt/cctvsignal /opt/cctvsignal
# Nothing is written at run time, so the user owns nothing.
RUN useradd --system --no-create-home --shell /usr/sbin/nologin cctvsignal
USER cctvsignal
WORKDIR /tmp
ENV PATH=/opt/cctvsignal/bin:$PATH PYTHONUNBUFFERED=1 PORT=8080
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["python", "-c", \
  "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['PORT']}/health\", timeout=4)"]
STOPSIGNAL SIGTERM
CMD ["cctvsignal"]
