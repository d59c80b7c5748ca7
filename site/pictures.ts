/** Pictures of pages that have one for light and one for dark, in the HTML that code hosts understand. */

/** Addresses of such a picture, relative to its page. */
export interface ThemedPicture {
  readonly light: string;
  readonly dark: string;
  readonly alt: string;
}

/**
 * Reads a block `<picture>`: a `<source>` for dark and an `<img>`.
 *
 * @returns undefined where the text is anything else
 */
export function readPicture(html: string): ThemedPicture | undefined {
  const found =
    /^<picture>\s*<source media="\(prefers-color-scheme: dark\)" srcset="(?<dark>[^"]+)">\s*<img src="(?<light>[^"]+)"[^>]* alt="(?<alt>[^"]*)">\s*<\/picture>$/.exec(
      html.trim(),
    );
  const { light = "", dark = "", alt = "" } = found?.groups ?? {};
  return found === null ? undefined : { light, dark, alt };
}

/**
 * The picture as the site has it: both, of which the style sheet shows the one of the reader's choice, since that is a switch
 * of the site and not the browser's wish alone.
 */
export function themedHtml({ light, dark, alt }: ThemedPicture): string {
  const image = (src: string, theme: string): string =>
    `<img class="only-${theme}" src="./${src}" alt="${alt}" loading="lazy">`;
  return `<p>${image(light, "light")}${image(dark, "dark")}</p>\n`;
}
