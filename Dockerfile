# Nilas in a container: compose.yaml shows how it is run, docs/operations.md what to do with it.
#   docker build -t nilas .
#   docker compose up -d
# The folder that is mounted at /var/lib/nilas has to belong to user 990; the ledger and the products lie there.

FROM node:22-bookworm-slim AS viewer
COPY viewer /viewer
RUN cd /viewer && npm ci --no-fund --no-audit && npm run build

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
# Packages and libtorch depend on this one file only; the layer stays when the code changes.
COPY dev ./
RUN ./dev setup
COPY . .
COPY --from=viewer /viewer/dist viewer/dist
# The crates' sources and what was compiled before stay in caches of the builder and do not become part of the image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    ./dev package && mkdir /out && tar -C /out --strip-components=1 -xzf target/package/nilas-*.tar.gz

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libgdal32 libnetcdf19 \
    && rm -rf /var/lib/apt/lists/*
# A fixed number, so that the owner of a mounted folder can be set before.
RUN groupadd --system --gid 990 nilas \
    && useradd --system --uid 990 --gid nilas --home-dir /var/lib/nilas --shell /usr/sbin/nologin nilas \
    && install -d -o nilas -g nilas /var/lib/nilas /var/lib/nilas/products /var/cache/nilas
COPY --from=build /out/ /usr/local/
# The configuration's relative paths are meant from its own folder; the models stay where the package has put them. The loopback of a
# container is nobody else's: who may reach the status page is said where its port is published.
RUN install -d /etc/nilas \
    && cp -r /usr/local/share/nilas/config/nilas.toml /usr/local/share/nilas/config/grids /usr/local/share/nilas/config/regions /etc/nilas/ \
    && sed -i \
        -e 's|^checkpoint = "\.\./models/|checkpoint = "/usr/local/share/nilas/models/|' \
        -e 's|^listen = "127\.0\.0\.1:|listen = "0.0.0.0:|' \
        /etc/nilas/nilas.toml
# Where compose puts secrets is where Nilas looks for credentials that are named in the configuration.
ENV CREDENTIALS_DIRECTORY=/run/secrets

USER nilas
# An image that cannot do this is no use to anyone: the whole chain, as the user that it will run as.
RUN nilas demo --out /tmp/demo && rm -rf /tmp/demo
WORKDIR /var/lib/nilas
EXPOSE 8460
# The first start reads the checkpoint and the whole ledger.
HEALTHCHECK --interval=1m --timeout=15s --start-period=5m --retries=3 CMD ["nilas", "health"]
ENTRYPOINT ["nilas"]
CMD ["run"]
