# The Arm cross compiler and the pinned TensorFlow Lite Micro tree. Built without network from files that
# were fetched and checked before; toolchain/images/build.py makes the context:
#   debs/*.deb  tflm.crate  Makefile
ARG BASE
FROM ${BASE} AS work
ARG WORK
LABEL org.tinyml-toolchain.work=${WORK}
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
COPY debs/ /context/debs/

# All three boards link the libraries of one multilib; of gcc's, newlib's and libstdc++'s others, 2.9 GB,
# nothing is unpacked. dpkg keeps the path options for later installations, of which there are none.
RUN multilib=thumb/v7e-m+fp/hard; \
    printf '%s\n' \
        'path-exclude=/usr/lib/gcc/arm-none-eabi/*.a' \
        'path-exclude=/usr/lib/gcc/arm-none-eabi/*.o' \
        "path-include=/usr/lib/gcc/arm-none-eabi/*/${multilib}/*" \
        'path-exclude=/usr/lib/arm-none-eabi/newlib/*.a' \
        'path-exclude=/usr/lib/arm-none-eabi/newlib/*.o' \
        'path-exclude=/usr/lib/arm-none-eabi/newlib/arm/*' \
        'path-exclude=/usr/lib/arm-none-eabi/newlib/thumb/*' \
        "path-include=/usr/lib/arm-none-eabi/newlib/${multilib%/*}" \
        "path-include=/usr/lib/arm-none-eabi/newlib/${multilib}/*" \
        'path-exclude=/usr/include/newlib/c++/*/arm-none-eabi/*' \
        "path-include=/usr/include/newlib/c++/*/arm-none-eabi/${multilib%%/*}" \
        "path-include=/usr/include/newlib/c++/*/arm-none-eabi/${multilib%/*}" \
        "path-include=/usr/include/newlib/c++/*/arm-none-eabi/${multilib}/*" \
        'path-exclude=/usr/lib/gcc/arm-none-eabi/*/plugin/*' \
        'path-exclude=/usr/lib/gcc/arm-none-eabi/*/install-tools/*' \
        'path-exclude=/usr/bin/arm-none-eabi-lto-dump' \
        'path-exclude=/usr/bin/arm-none-eabi-gcov*' \
        'path-exclude=/usr/bin/arm-none-eabi-gprof' \
        'path-exclude=/usr/share/man/*' \
        'path-exclude=/usr/share/info/*' \
        'path-exclude=/usr/share/locale/*' \
        'path-exclude=/usr/share/lintian/*' \
        'path-exclude=/usr/share/doc/*' \
        'path-include=/usr/share/doc/*/copyright' \
        > /etc/dpkg/dpkg.cfg.d/tinyml-toolchain; \
    DEBIAN_FRONTEND=noninteractive dpkg --install /context/debs/*.deb; \
    find /usr/lib/gcc/arm-none-eabi /usr/lib/arm-none-eabi/newlib /usr/include/newlib -type d -empty -delete; \
    for core in '-mcpu=cortex-m4 -mfpu=fpv4-sp-d16' '-mcpu=cortex-m7 -mfpu=fpv5-sp-d16'; do \
        test "$(arm-none-eabi-gcc ${core} -mthumb -mfloat-abi=hard -print-multi-directory)" = "${multilib}"; \
    done

COPY tflm.crate Makefile /context/
# gen is where make writes by default; whoever the container runs as may do so.
RUN mkdir -p /opt/tflm; \
    tar --extract --gzip --file /context/tflm.crate --directory /opt/tflm --no-same-owner \
        --strip-components=3 --wildcards \
        --exclude '*/downloads/image_recognition_model' '*/submodules/tensorflow/tensorflow'; \
    mkdir -p /usr/share/doc/tflm; \
    tar --extract --gzip --file /context/tflm.crate --to-stdout --wildcards '*/LICENSE-APACHE' \
        > /usr/share/doc/tflm/copyright; \
    install -m 0644 /context/Makefile /opt/tflm/tensorflow/lite/micro/tools/make/Makefile; \
    chmod -R a+rX,go-w /opt/tflm; \
    mkdir -m 1777 /opt/tflm/tensorflow/lite/micro/tools/make/gen

# What the image holds, and a digest over everything that computes the firmware's bytes.
RUN mkdir -p /usr/share/tinyml-toolchain; cd /usr/share/tinyml-toolchain; \
    dpkg-query --show --showformat '${Package} ${Version} ${Architecture}\n' | LC_ALL=C sort > packages.txt; \
    find /usr/bin/arm-none-eabi-* /usr/bin/make /usr/lib/gcc/arm-none-eabi /usr/lib/arm-none-eabi \
        /usr/include/newlib /usr/lib/x86_64-linux-gnu/lib{isl,mpc,mpfr}.so* /opt/tflm -type f -print0 \
        | LC_ALL=C sort -z | xargs -0 sha256sum > content.sha256; \
    rm -rf /context /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/* \
        /etc/apt/sources.list /etc/apt/sources.list.d/*

FROM scratch
COPY --from=work / /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
WORKDIR /opt/tflm
USER 65534:65534
CMD ["/bin/bash"]
