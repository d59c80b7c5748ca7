#!/bin/sh
# Puts BuildKit into an image, so that a machine's first boot has nothing to download. Runs as root on an instance of a stock image;
# the archive is unpacked as the guest's own user data would do it (docs/guest.md), which then finds the version and uses it.
# Environment: BUILDKIT_VERSION, ARCHITECTURE (amd64 or arm64), BUILDKIT_SHA256 of the archive.
set -eu
archive=/var/tmp/buildkit.tar.gz
curl --fail --silent --show-error --location --retry 5 --output "$archive" \
  "https://github.com/moby/buildkit/releases/download/v$BUILDKIT_VERSION/buildkit-v$BUILDKIT_VERSION.linux-$ARCHITECTURE.tar.gz"
echo "$BUILDKIT_SHA256  $archive" | sha256sum --check
tar --extract --gzip --file "$archive" --directory /usr/local --no-same-owner bin
rm "$archive"
buildkitd --version
# AWS recommends that KASLR is off where a machine hibernates (EC2 user guide, "Disable KASLR on an instance (Ubuntu only)").
if command -v update-grub && [ -d /etc/default/grub.d ]; then
  echo 'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT nokaslr"' >/etc/default/grub.d/99-hibernation.cfg
  update-grub
fi
# What is this machine's alone must not be in the image: each machine that starts from it makes its own.
rm -rf /etc/buildkit/tls /etc/ssh/ssh_host_*
cloud-init clean --logs
truncate --size 0 /etc/machine-id
sync
