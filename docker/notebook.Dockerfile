# Jupyter on top of the train image. Built without network from files that were fetched and checked before;
# toolchain/images/build.py makes the context:
#   build/*.deb  wheels/*.whl  notebook.lock
# It has an environment of its own, which sees the train image's packages, so that the train image stays as it is.
ARG BASE
FROM ${BASE} AS work
ARG WORK
ARG PYTHON
LABEL org.tinyml-toolchain.work=${WORK}
USER 0:0
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
COPY build/ /context/build/
COPY wheels/ /context/wheels/
COPY notebook.lock /context/

# Left out: tests, and the sources of JupyterLab's own build, which nothing here runs. JupyterLab's news are off:
# it would ask for them at the first start, and there is no network.
RUN export DEBIAN_FRONTEND=noninteractive; \
    dpkg --install /context/build/*.deb; \
    "python${PYTHON}" -m venv /context/pip; \
    "python${PYTHON}" -m venv --without-pip /opt/notebook; \
    packages="lib/python${PYTHON}/site-packages"; \
    echo "/opt/venv/${packages}" > "/opt/notebook/${packages}/train.pth"; \
    /context/pip/bin/pip --python /opt/notebook/bin/python install --quiet --no-compile --no-deps --no-index \
        --no-cache-dir --disable-pip-version-check --root-user-action ignore \
        --find-links /context/wheels --require-hashes --requirement /context/notebook.lock; \
    rm -rf /opt/notebook/share/jupyter/lab/staging; \
    mkdir -p /opt/notebook/etc/jupyter/labconfig; \
    printf '%s\n' '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}' \
        > /opt/notebook/etc/jupyter/labconfig/page_config.json; \
    find "/opt/notebook/${packages}" -type d -name tests -prune -exec rm -rf {} +; \
    "python${PYTHON}" -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/notebook || true; \
    /context/pip/bin/pip --python /opt/notebook/bin/python list --disable-pip-version-check --format freeze \
        | LC_ALL=C sort > /context/wheels.txt

FROM ${BASE}
COPY --from=work /opt/notebook /opt/notebook
COPY --from=work /context/wheels.txt /usr/share/tinyml-toolchain/notebook-packages.txt
ENV PATH=/opt/notebook/bin:/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["/opt/notebook/bin/python"]
