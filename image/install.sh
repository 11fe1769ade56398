#!/bin/sh
# The one recipe of Sluice's image: turns the root of a Debian 12 in which it runs into the image, in three steps of one
# layer each. The Dockerfile and image/build.ts run it, and nothing else makes files of the image.
#
#   install.sh packages             the kernel's tools
#   install.sh node FILE            Node (FILE: its binary)
#   install.sh program DIRECTORY    Sluice (DIRECTORY: its bundle)
set -eu

# Both iptables variants are in one package; kmod is for the init container that loads modules, where that is asked for.
packages='conntrack ipset iproute2 iptables kmod nftables'

# Programs that Sluice runs: each must be there in the end.
programs='bridge conntrack ip ipset modprobe nft stdbuf
iptables-nft iptables-nft-restore iptables-nft-save ip6tables-nft ip6tables-nft-restore ip6tables-nft-save
iptables-legacy iptables-legacy-restore iptables-legacy-save ip6tables-legacy ip6tables-legacy-restore ip6tables-legacy-save'

install_packages() {
  export DEBIAN_FRONTEND=noninteractive LC_ALL=C
  apt-get update -qq
  # shellcheck disable=SC2086 # a list of words
  apt-get install -y -qq --no-install-recommends $packages >/dev/null
  mkdir -p /usr/share/sluice
  # Which versions they are: mirrors move on, an image does not.
  dpkg-query --show --showformat '${Package} ${Version} ${Architecture}\n' >/usr/share/sluice/packages.txt
  for program in $programs; do
    command -v "$program" >/dev/null || { echo "install.sh: no $program in the packages $packages" >&2; exit 1; }
  done
  # An image is replaced, not updated in place. Licences stay.
  rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/* /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* \
    /var/log/* /usr/share/man/* /usr/share/info/* /usr/share/locale/* /usr/share/lintian /usr/share/bash-completion
  find /usr/share/doc -depth -not -name copyright -not -type d -delete
  find /usr/share/doc -depth -type d -empty -delete
}

install_node() {
  install -m 755 "$1" /usr/local/bin/node
  node --version
}

# scripts/bundle.ts says why; the compile cache holds for one set of flags.
node_flags='--max-semi-space-size=4'

install_program() {
  mkdir -p /opt/sluice
  cp -R "$1"/. /opt/sluice/
  cat >/usr/local/bin/sluice <<EOF
#!/bin/sh
exec /usr/local/bin/node $node_flags /opt/sluice/sluice.mjs "\$@"
EOF
  chmod 755 /usr/local/bin/sluice
  # What a start would compile, compiled: an eighth of its processor time. The image is read-only, so it is now or never.
  # shellcheck disable=SC2086 # a list of words
  node $node_flags --input-type=module --eval '
    import { enableCompileCache } from "node:module";
    import { readdirSync } from "node:fs";
    enableCompileCache("/opt/sluice/compile-cache");
    for (const name of readdirSync("/opt/sluice/chunks")) await import(`/opt/sluice/chunks/${name}`);
  '
  chmod -R u=rwX,go=rX /opt/sluice
  sluice version
}

case "${1-}" in
packages) install_packages ;;
node) install_node "$2" ;;
program) install_program "$2" ;;
*)
  echo "usage: install.sh packages | node FILE | program DIRECTORY" >&2
  exit 2
  ;;
esac
