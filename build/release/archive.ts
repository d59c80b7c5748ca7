/** Archives that hold the same bytes for the same files: names in order, owner 0, one time for all. */
import { execFileSync } from "node:child_process";

/**
 * Packs the content of a folder with GNU tar.
 *
 * @param seconds time of all entries, in seconds since 1970
 * @param prefix folder within the archive
 */
export function packFolder(folder: string, target: string, seconds: number, prefix = "."): void {
  execFileSync("tar", [
    "--create",
    `--file=${target}`,
    "--format=ustar",
    "--sort=name",
    `--mtime=@${seconds}`,
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    "--mode=u+rwX,go+rX,go-w",
    ...(prefix === "." ? [] : [`--transform=s,^\\.,${prefix},`]),
    `--directory=${folder}`,
    ".",
  ]);
}
