import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

export const ROOT = join(import.meta.dirname, "../..");

/** Pages for people, by path from the root. */
export const PAGES: readonly string[] = globSync("{*.md,docs/**/*.md,charts/**/*.md,test/**/*.md}", {
  cwd: ROOT,
}).toSorted();

export const read = (file: string): string => readFileSync(join(ROOT, file), "utf8");

/** A heading as code hosts make an anchor of it. */
export function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}

export function headingsOf(page: string): string[] {
  return [...read(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => heading.replaceAll("`", ""));
}

/** Links within the repository that lead to no file or to no section, as "page: link". */
export function deadLinks(pages: readonly string[] = PAGES): string[] {
  return pages.flatMap((page) =>
    [...read(page).matchAll(/\]\((?!https?:|mailto:)(?<path>[^)#\s]*)(?:#(?<anchor>[^)\s]*))?\)/g)]
      .filter(({ groups }) => {
        const path = groups?.["path"] ?? "";
        const target = path === "" ? page : join(dirname(page), path);
        const anchor = groups?.["anchor"];
        return (
          !existsSync(join(ROOT, target)) ||
          (anchor !== undefined && !headingsOf(target).map(anchorOf).includes(anchor))
        );
      })
      .map(([link]) => `${page}: ${link}`),
  );
}
