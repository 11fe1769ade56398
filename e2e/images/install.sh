#!/bin/sh
# Run in a fresh Debian root: what the upstream suites ask of the image that their pods and clients run in.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
apt-get update -qq
apt-get install -y -qq --no-install-recommends bash conntrack curl dnsutils iperf iproute2 netcat-openbsd procps wget >/dev/null
useradd --uid 1000 user-defined-in-image
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* /usr/share/man/* /usr/share/locale/* /usr/share/doc/*
