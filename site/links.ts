/** What becomes of links, which are written for a code host, on the site. */
import { globSync, statSync } from "node:fs";
import { extname, join, normalize } from "node:path";

/** Folders whose files the site holds as they are, since pages tell people to apply them. */
export const COPIED: readonly string[] = ["bench/results", "crds", "docs/argocd", "examples"];

/**
 * Endings of the copied files, without the dot: the theme takes what it does not know for a page.
 *
 * @param root of the repository
 */
export function copiedKinds(root: string): string[] {
  const files = COPIED.flatMap((folder) => globSync(`${folder}/**`, { cwd: root }));
  return [...new Set(files.map((file) => extname(file).slice(1)))].filter((kind) => kind !== "").toSorted();
}

/** An address as it is, or undefined where the site has nothing to lead to: then the words stay, without a link. */
export type Target = string | undefined;

/**
 * Where a link leads on the site.
 *
 * @param root of the repository
 * @param folder of the page, from the root
 * @param href as it is written
 * @param sources address of the sources on a code host, such as `https://host/owner/name/blob/main`, if any
 */
export function targetOf(root: string, folder: string, href: string, sources: string | undefined): Target {
  if (/^(?:[a-z]+:|#)/.test(href)) return href;
  const [path = "", anchor] = href.split("#");
  const file = normalize(join(folder, path));
  if (file === "README.md") return href.replace("README.md", "index.md");
  if (file.replace(/\/$/, "") === "docs/decisions") return href.replace(/\/?$/, "/index.md");
  const isFolder = statSync(join(root, file)).isDirectory();
  if (path.endsWith(".md") && !isFolder) return href;
  const isCopied = COPIED.some((copied) => file.startsWith(`${copied}/`));
  // The theme takes what does not end like a page for a file; a folder has nothing to show.
  if (isCopied && !isFolder) return href;
  return sources === undefined ? undefined : `${sources}/${file}${anchor === undefined ? "" : `#${anchor}`}`;
}

/** The anchor of a heading as code hosts make it, so that links hold in both places. */
export function anchorOf(heading: string): string {
  return heading
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}
