# A remote execution service: BuildGrid, the PostgreSQL that it needs, and Redis, which keeps its action cache over a
# restart. Built without network from files that were fetched and checked before; toolchain/images/build.py makes the
# context:
#   system/*.deb  build/*.deb  wheels/*.whl  service.lock
ARG BASE
FROM ${BASE} AS work
ARG WORK
ARG PYTHON
LABEL org.tinyml-toolchain.work=${WORK}
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
COPY system/ /context/system/
COPY build/ /context/build/
COPY wheels/ /context/wheels/
COPY service.lock /context/

# Neither a cluster is made nor a server started by the packages: both belong to the volume of whoever runs the image.
RUN printf '%s\n' \
        'path-exclude=/usr/share/man/*' \
        'path-exclude=/usr/share/info/*' \
        'path-exclude=/usr/share/locale/*' \
        'path-exclude=/usr/share/lintian/*' \
        'path-exclude=/usr/share/doc/*' \
        'path-include=/usr/share/doc/*/copyright' \
        > /etc/dpkg/dpkg.cfg.d/tinyml-toolchain; \
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d; \
    chmod +x /usr/sbin/policy-rc.d; \
    mkdir -p /etc/postgresql-common; \
    echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf; \
    export DEBIAN_FRONTEND=noninteractive; \
    dpkg --force-confold --install /context/system/*.deb; \
    dpkg --install /context/build/*.deb; \
    "python${PYTHON}" -m venv /context/pip; \
    "python${PYTHON}" -m venv --without-pip /opt/venv; \
    /context/pip/bin/pip --python /opt/venv/bin/python install --quiet --no-compile --no-deps --no-index \
        --no-cache-dir --disable-pip-version-check --root-user-action ignore \
        --find-links /context/wheels --require-hashes --requirement /context/service.lock; \
    /context/pip/bin/pip --python /opt/venv/bin/python list --disable-pip-version-check --format freeze \
        > /context/wheels.txt; \
    for package in /context/build/*.deb; do dpkg-deb --field "${package}" Package; done \
        | xargs dpkg --purge

RUN cd "/opt/venv/lib/python${PYTHON}/site-packages"; \
    find . -type d -name tests -prune -exec rm -rf {} +; \
    "python${PYTHON}" -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        /opt/venv "/usr/lib/python${PYTHON}" || true; \
    mkdir -p /usr/share/tinyml-toolchain; cd /usr/share/tinyml-toolchain; \
    dpkg-query --show --showformat '${Package} ${Version} ${Architecture}\n' | LC_ALL=C sort > packages.txt; \
    LC_ALL=C sort /context/wheels.txt >> packages.txt; \
    rm -rf /context /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/* /root/.cache \
        /etc/apt/sources.list /etc/apt/sources.list.d/*; \
    install -d -m 1777 /state; \
    "/usr/lib/postgresql/17/bin/postgres" --version; \
    redis-server --version; \
    /opt/venv/bin/bgd --help > /dev/null

FROM scratch
COPY --from=work / /
ENV PATH=/opt/venv/bin:/usr/lib/postgresql/17/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LC_ALL=C.UTF-8
WORKDIR /state
USER 65534:65534
CMD ["/opt/venv/bin/bgd", "--help"]
