# pullgate in an image of its own: one static program and the certificate authorities of the web; no shell, no libc, not root.
#
#   docker build -t pullgate .
#   docker run -v ./config:/etc/pullgate:ro -v pullgate:/var/lib/pullgate -p 5050:5050 pullgate
#
# A port is given to the container's own address, so pullgate.yaml needs `listen: 0.0.0.0:5050` for that, and `admin: 0.0.0.0:5051`
# for probes from outside; both are loopback's where it says nothing.
#
# The program is linked statically against glibc, with the toolchain that builds it everywhere else; the resolver's `files` and
# `dns` sources are part of that since glibc 2.34. `.ci/run` builds the last stage from its own binary and runs it.

FROM docker.io/library/rust:1.95-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src ./src
# Given a target, cargo keeps the flags away from build scripts and procedural macros, which cannot be static. Fifty thousand
# relocations are made at each start; packed they take a hundredth of the room, and are made sooner.
ENV RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs"
RUN set -eu; \
    target="$(rustc --print host-tuple)"; \
    cargo build --release --locked --target "$target"; \
    install -D "target/$target/release/pullgate" /rootfs/usr/bin/pullgate; \
    install -D -m 0644 /etc/ssl/certs/ca-certificates.crt /rootfs/etc/ssl/certs/ca-certificates.crt; \
    install -d -m 0755 /rootfs/etc/pullgate; \
    install -d -m 0700 -o 65532 -g 65532 /rootfs/var/lib/pullgate

FROM scratch
COPY --from=build /rootfs/ /
USER 65532:65532
# Clients; livez, readyz and metrics.
EXPOSE 5050 5051
VOLUME ["/var/lib/pullgate"]
# SIGTERM drains: running pulls are finished, new connections refused. It takes up to `limits.drain` (30 s), so stop with more time
# than that: `docker stop -t 60`, `terminationGracePeriodSeconds: 60`.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/pullgate"]
CMD ["serve", "--config", "/etc/pullgate/pullgate.yaml"]
