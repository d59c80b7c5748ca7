/** Where things lie in a guest that runs BuildKit. */

export const CONFIG = "/etc/buildkit/buildkitd.toml";
export const TLS_DIRECTORY = "/etc/buildkit/tls";
/** Private authorities; Go's programs read the folders of SSL_CERT_DIR beside the image's own bundle (crypto/x509). */
export const CA_DIRECTORY = "/etc/buildkit/ca";
export const ENVIRONMENT = "/etc/buildkit/environment";
/** What {@link INSTALL} goes by. */
export const ARCHIVE = "/etc/buildkit/archive.json";
export const CACHE = "/var/lib/buildkit";
export const UNITS = "/etc/systemd/system";
/** The ID of the instance that booted, which cloud-init writes before the network is up (cloud-init, "Boot stages"). */
export const INSTANCE_ID = "/var/lib/cloud/data/instance-id";

const PROGRAMS = "/usr/local/sbin";
export const INSTALL = `${PROGRAMS}/satellites-install`;
export const MAKE_KEY = `${PROGRAMS}/satellites-make-key`;
export const LIMIT = `${PROGRAMS}/satellites-limit`;
export const RUN_BUILD = `${PROGRAMS}/satellites-runc`;
export const KEEP_SPACE = `${PROGRAMS}/satellites-keep-space`;
export const MOUNT_CACHE = `${PROGRAMS}/satellites-mount-cache`;

/** All that builds and BuildKit may take together. */
export const SLICE = "buildkit.slice";
/** The builds within it, so that their end for want of memory or processes is theirs alone. */
export const BUILDS_SLICE = "buildkit-builds.slice";
