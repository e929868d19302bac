# One image for all roles: `rushes up | backend | worker | migrate`.

FROM rust:1.95-bookworm AS build
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    rm -f /etc/apt/apt.conf.d/docker-clean && apt-get update && apt-get install -y --no-install-recommends \
        clang libclang-dev pkg-config cmake \
        libavcodec-dev libavformat-dev libavfilter-dev libavutil-dev libswscale-dev libswresample-dev
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked -p rushes -p media && install -Dt /out target/release/rushes target/release/rushes-media

# Debian 12: LTS until June 2028. It has FFmpeg 5.1; newer versions of Debian have other package names for the libraries.
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
        ca-certificates libavcodec59 libavformat59 libavfilter8 libavutil57 libswscale6 libswresample4 && \
    rm -rf /var/lib/apt/lists/* && \
    useradd --system --uid 10001 --user-group --no-create-home --home-dir /var/lib/rushes --shell /usr/sbin/nologin rushes && \
    install -d -m 0700 -o rushes -g rushes /var/lib/rushes /srv/rushes
COPY --from=build /out/ /usr/local/bin/
COPY deploy/healthcheck /usr/local/bin/healthcheck
COPY LICENSE LICENSE-APACHE LICENSE-MIT /usr/share/doc/rushes/

LABEL org.opencontainers.image.title="Rushes" \
      org.opencontainers.image.description="Self-hosted video processing: upload, transcode, download" \
      org.opencontainers.image.licenses="(Apache-2.0 OR MIT) AND GPL-2.0-or-later"

USER 10001:10001
WORKDIR /var/lib/rushes
# The process writes only below RUSHES_DATA_DIR and /tmp: the rest of the file system can be read-only.
ENV RUSHES_LISTEN=0.0.0.0:8000 RUSHES_DATA_DIR=/var/lib/rushes
VOLUME /var/lib/rushes
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["healthcheck"]
ENTRYPOINT ["rushes"]
CMD ["up"]
