# A development container: the tools of the train and the cross image in one, with a user and git, for --engine host.
# Built without network from files that were fetched before; toolchain/images/devcontainer.py makes the context:
#   debs/*.deb
ARG BASE
ARG CROSS
FROM ${CROSS} AS cross
FROM ${BASE}
ARG WORK
LABEL org.tinyml-toolchain.work=${WORK}
USER 0:0
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
COPY debs/ /context/debs/
RUN export DEBIAN_FRONTEND=noninteractive; \
    dpkg --install /context/debs/*.deb; \
    rm -rf /context; \
    useradd --create-home --shell /bin/bash dev
# What computes the firmware's bytes, as [content] of pins.toml names it, and the pinned tree.
COPY --from=cross /usr/bin/ /opt/cross/bin/
COPY --from=cross /usr/lib/gcc/arm-none-eabi/ /usr/lib/gcc/arm-none-eabi/
COPY --from=cross /usr/lib/arm-none-eabi/ /usr/lib/arm-none-eabi/
COPY --from=cross /usr/include/newlib/ /usr/include/newlib/
COPY --from=cross /usr/lib/x86_64-linux-gnu/ /opt/cross/lib/
COPY --from=cross /opt/tflm/ /opt/tflm/
COPY --from=cross /usr/share/doc/ /opt/cross/doc/
COPY --from=cross /etc/alternatives/ /opt/cross/alternatives/
RUN mv /opt/cross/bin/arm-none-eabi-* /opt/cross/bin/make /usr/bin/; \
    mv /opt/cross/lib/lib{isl,mpc,mpfr}.so* /usr/lib/x86_64-linux-gnu/; \
    mv /opt/cross/alternatives/gcc-arm-none-eabi-* /etc/alternatives/; \
    cp --recursive --no-clobber /opt/cross/doc/. /usr/share/doc/; \
    rm -rf /opt/cross; \
    ldconfig; \
    arm-none-eabi-gcc --version
USER dev
ENV HOME=/home/dev
WORKDIR /home/dev
CMD ["/bin/bash"]
