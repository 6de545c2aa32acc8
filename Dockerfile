# One image, several commands: `serve` is the front end, `worker` runs jobs, `doctor` checks the installation.

FROM docker.io/library/python:3.13-slim-trixie AS build
RUN pip install --no-cache-dir --disable-pip-version-check uv==0.13.8
ENV UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1
WORKDIR /src
COPY pyproject.toml requirements.lock ./
# /build has the whole lock, including the build back end; /opt/offloop has the dependencies of the extra [all], without
# test tools. The lock pins the versions and hashes of both.
RUN uv venv -q /build && uv venv -q /opt/offloop \
 && uv pip sync -q --python /build/bin/python --require-hashes requirements.lock \
 && uv pip install -q --python /opt/offloop/bin/python --require-hashes --constraints requirements.lock \
      --requirements pyproject.toml --extra all
COPY . .
RUN /build/bin/hatchling build --target wheel --directory /wheel \
 && uv pip install -q --python /opt/offloop/bin/python --no-deps /wheel/*.whl

FROM docker.io/library/python:3.13-slim-trixie
# More fonts for PDFs, such as "fonts-noto-core fonts-noto-cjk fonts-noto-color-emoji" (80 MB) for all writing systems.
ARG FONTS=""
# Pango: text layout for WeasyPrint; it crashes without a font.
RUN apt-get update -qq \
 && apt-get install -qq -y --no-install-recommends \
      libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fontconfig fonts-dejavu-core $FONTS \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --user-group --no-create-home --home-dir /var/lib/offloop offloop \
 && install -d -o offloop -g offloop -m 700 /var/lib/offloop /var/cache/offloop
COPY --from=build /opt/offloop /opt/offloop
# Fontconfig writes its cache below XDG_CACHE_HOME; a volume at /var/lib/offloop inherits the user's ownership.
ENV PATH=/opt/offloop/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    XDG_CACHE_HOME=/var/cache/offloop \
    OFFLOOP_STATE_DIR=/var/lib/offloop
USER offloop
WORKDIR /var/lib/offloop
EXPOSE 8750
ENTRYPOINT ["offloop"]
CMD ["--help"]
