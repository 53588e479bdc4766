# The native compiler and its sanitizers on top of the cross image, to build the pinned tree for the machine
# itself; and the boards' functions of float, compiled for it. Built without network from files that were fetched and checked before; toolchain/images/build.py makes
# the context:
#   debs/*.deb
ARG BASE
FROM ${BASE} AS work
ARG WORK
LABEL org.tinyml-toolchain.work=${WORK}
USER 0:0
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
COPY debs/ /context/debs/

# Left out: link-time optimisation, the sanitizers' static libraries, those that are not used, and libraries for
# languages and processors other than these.
RUN library=/usr/lib/gcc/x86_64-linux-gnu/*; \
    printf '%s\n' \
        "path-exclude=${library}/lib*.a" \
        "path-include=${library}/libgcc*.a" \
        "path-include=${library}/libstdc++.a" \
        "path-exclude=${library}/plugin/*" \
        'path-exclude=/usr/libexec/gcc/x86_64-linux-gnu/*/lto1' \
        'path-exclude=/usr/libexec/gcc/x86_64-linux-gnu/*/g++-mapper-server' \
        'path-exclude=/usr/bin/x86_64-linux-gnu-gcov*' \
        'path-exclude=/usr/bin/*gprof*' \
        'path-exclude=/usr/bin/x86_64-linux-gnu-lto-dump*' \
        'path-exclude=/usr/bin/x86_64-linux-gnu-dwp' \
        'path-exclude=/usr/lib/x86_64-linux-gnu/gprofng/*' \
        'path-exclude=/usr/lib/x86_64-linux-gnu/libgprofng*' \
        'path-exclude=/usr/lib/x86_64-linux-gnu/libhwasan.so*' \
        'path-exclude=/usr/lib/x86_64-linux-gnu/liblsan.so*' \
        'path-exclude=/usr/lib/x86_64-linux-gnu/libtsan.so*' \
        'path-exclude=/usr/lib/linux/uapi/*' \
        'path-include=/usr/lib/linux/uapi/x86*' \
        'path-exclude=/usr/src/*' \
        'path-exclude=/usr/share/gcc/*' \
        'path-exclude=/usr/share/gdb/*' \
        > /etc/dpkg/dpkg.cfg.d/tinyml-toolchain-host; \
    DEBIAN_FRONTEND=noninteractive dpkg --install /context/debs/*.deb; \
    echo 'int main() { return 0; }' > /context/checked.cc; \
    x86_64-linux-gnu-g++ -static /context/checked.cc -o /context/checked; \
    /context/checked; \
    x86_64-linux-gnu-g++ -fsanitize=address,undefined /context/checked.cc -o /context/checked; \
    /context/checked

# Each C library rounds these functions in its own way, so that the judge takes those of the boards. Newlib's are
# compiled here as they were for a processor with fused multiply-add, where the compiler chooses which sums are
# fused; it is the same version of it, and tests/containers/test_host_math.py compares the results.
RUN mkdir /context/source /context/objects; \
    dpkg-deb --fsys-tarfile /context/debs/newlib-source_*.deb \
        | tar --extract --to-stdout --wildcards './usr/src/newlib/newlib-*.tar.xz' \
        | tar --extract --xz --directory /context/source --strip-components=3 --wildcards '*/newlib/libm/*'; \
    for part in common/{math_errf,sf_expm1,sf_finite,sf_fmax,sf_fmin,sf_fpclassify,sf_nan,sf_scalbn} \
        math/{ef_exp,ef_log,ef_rem_pio2,kf_cos,kf_rem_pio2,kf_sin,sf_cos,sf_fabs,sf_floor,sf_sin,sf_tanh} \
        math/{wf_exp,wf_log}; do \
        x86_64-linux-gnu-gcc -O2 -mfma -ffp-contract=fast -ffile-prefix-map=/context/source=. \
            -D__OBSOLETE_MATH=1 -D__errno=__errno_location -nostdinc \
            -isystem "$(x86_64-linux-gnu-gcc -print-file-name=include)" -isystem /usr/include/newlib \
            -I /context/source/common -c "/context/source/${part}.c" -o "/context/objects/${part##*/}.o"; \
    done; \
    mkdir -p /opt/newlib/lib; \
    x86_64-linux-gnu-ar qcsD /opt/newlib/lib/libm.a /context/objects/*.o; \
    chmod -R a+rX,go-w /opt/newlib

# What came, as one folder, so that the cross image's files are not in the engine twice; and the record of the
# cross image, with these.
RUN cd /; \
    for package in /context/debs/*.deb; do dpkg-deb --field "${package}" Package; done \
        | xargs dpkg-query --listfiles | sort -u > /context/listed; \
    while read -r path; do \
        if [[ -L ${path} || -f ${path} ]]; then echo "${path#/}"; fi; \
    done < /context/listed > /context/files; \
    find opt/newlib etc/dpkg/dpkg.cfg.d/tinyml-toolchain-host etc/ld.so.cache var/lib/dpkg -type f \
        >> /context/files; \
    cd /usr/share/tinyml-toolchain; \
    dpkg-query --show --showformat '${Package} ${Version} ${Architecture}\n' | LC_ALL=C sort > packages.txt; \
    cd /; \
    { cat usr/share/tinyml-toolchain/content.sha256; \
      grep -E '^(usr|opt)/' /context/files | while read -r path; do if [[ ! -L ${path} ]]; then echo "/${path}"; fi; done \
        | LC_ALL=C sort | xargs -d '\n' sha256sum; } > /context/content.sha256; \
    mv /context/content.sha256 usr/share/tinyml-toolchain/content.sha256; \
    echo usr/share/tinyml-toolchain/content.sha256 >> /context/files; \
    echo usr/share/tinyml-toolchain/packages.txt >> /context/files; \
    mkdir /layer; \
    tar --create --no-recursion --files-from /context/files | tar --extract --directory /layer --same-owner

FROM ${BASE}
COPY --from=work /layer /
