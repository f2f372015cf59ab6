#!/bin/sh
# Installs Debian packages when run as root, and says how when not. No daemon is started by it: the lab runs its own
# programs in namespaces of its own, and a Prometheus on the machine's port 9090 is nobody's wish.
set -eu
[ "$#" -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ]; then
  echo "install what is missing and try again: sudo apt-get update && sudo apt-get install --no-install-recommends $*" >&2
  exit 1
fi
command -v apt-get >/dev/null || { echo "install what is missing and try again (Debian's names): $*" >&2; exit 1; }
echo "apt-get install $*" >&2
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT INT TERM
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -y -q --no-install-recommends "$@"; }
# The lists may be there and fresh enough; a machine fresh from an image has none.
install "$@" || { apt-get update -q && install "$@"; }
