# syntax=docker/dockerfile:1
# A small image that runs as nobody in particular. Built so that a change in src/ compiles only the program, not its
# dependencies: once with an empty program (kept as a layer while Cargo.toml and Cargo.lock stay), then with the real one.

ARG RUST_VERSION=1.95
ARG DEBIAN=bookworm

FROM node:22-slim AS libraries
WORKDIR /build/web
COPY web/package.json web/package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund

FROM rust:${RUST_VERSION}-slim-${DEBIAN} AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
# Cargo wants a file for every target that Cargo.toml names.
RUN mkdir -p src tests/it benches/dispatch benches/peers \
 && printf '//! Empty.\nfn main() {}\n' \
    | tee src/main.rs tests/it/main.rs tests/architecture.rs benches/dispatch/main.rs benches/peers/main.rs > /dev/null \
 && echo '//! Empty.' > src/lib.rs \
 && cargo build --profile dist --locked --lib --bins \
 && rm -rf src
COPY config config
COPY data data
COPY migrations migrations
COPY templates templates
COPY web web
COPY --from=libraries /build/web/node_modules web/node_modules
COPY src src
COPY build.rs build.rs
# The empty program is newer than the sources it stood in for.
RUN find src -name '*.rs' -exec touch {} + \
 && cargo build --profile dist --locked --bin grannpost \
 && strip target/dist/grannpost

FROM debian:${DEBIAN}-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --system --gid 10001 grannpost \
 && useradd --system --uid 10001 --gid 10001 --home-dir /data --shell /usr/sbin/nologin grannpost \
 && install --directory --owner=10001 --group=10001 --mode=0750 /data
COPY --from=build /build/target/dist/grannpost /usr/local/bin/grannpost
USER 10001:10001
# Only /data is written to: the root may be mounted read-only (docker run --read-only).
WORKDIR /data
VOLUME /data
ENV GRANNPOST__SERVER__LISTEN=0.0.0.0:8080 \
    GRANNPOST__DATABASE__URL=sqlite:/data/grannpost.db \
    GRANNPOST__LOG__FORMAT=json \
    MIMALLOC_ALLOW_THP=0
EXPOSE 8080
STOPSIGNAL SIGTERM
# Health, not readiness: a paused daemon is healthy and must not be restarted for it.
HEALTHCHECK --interval=15s --timeout=3s --start-period=30s --retries=3 \
  CMD ["/bin/bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3 && IFS= read -r line <&3 && [[ $line == *' 200 '* ]]"]
ENTRYPOINT ["/usr/local/bin/grannpost"]
CMD ["serve"]
