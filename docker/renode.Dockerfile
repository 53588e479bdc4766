# Renode for --simulator renode. Not one of the images of toolchain/images: nothing that is built depends on it,
# and its archive is in no package registry. Build it where the archive's site answers, by
#   ./invoke images --renode
# which gives the arguments from pins.toml.
ARG BASE
FROM ${BASE} AS archive
ARG RENODE_ARCHIVE
ARG RENODE_SHA256
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
RUN apt-get update; \
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ca-certificates curl; \
    curl --fail --location --silent --show-error --proto '=https' --retry 3 --output /renode.tar.gz \
        "${RENODE_ARCHIVE}"; \
    echo "${RENODE_SHA256}  /renode.tar.gz" | sha256sum --check; \
    mkdir /opt/renode; \
    tar --extract --gzip --file /renode.tar.gz --directory /opt/renode --strip-components=1 --no-same-owner; \
    chmod -R a+rX,go-w /opt/renode

FROM ${BASE}
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# .NET ends at once without ICU, and its mode that does without has no culture but its own, which IronPython may ask
# for. OpenSSL is loaded when a program is: .NET has no other way to the digest that Renode keeps of it.
RUN apt-get update; \
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        libgcc-s1 libicu76 libssl3t64 libstdc++6 zlib1g; \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/*; \
    useradd --uid 1000 --create-home --home-dir /home/renode renode
COPY --from=archive /opt/renode /opt/renode
# .NET needs a folder of its own to unpack to: the user may be any.
ENV DOTNET_BUNDLE_EXTRACT_BASE_DIR=/tmp/dotnet \
    HOME=/tmp
USER 1000:1000
ENTRYPOINT ["/opt/renode/renode"]
