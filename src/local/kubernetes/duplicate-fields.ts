/** An object or list whose members are being read. */
interface Frame {
  /** Path of the object or list, `spec.items[0]`. */
  readonly path: string;
  /** Names seen so far; undefined for lists. */
  readonly names: Set<string> | undefined;
  /** Index in a list. */
  index: number;
  /** Path of the member whose value comes next. */
  next: string;
}

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s"{}[\]:,]+/gs;

/**
 * The members that occur twice in one object of a JSON text, as `duplicate field "spec.x"`. JSON.parse silently
 * takes the last one; the API server reports them.
 *
 * @param text valid JSON
 */
export function duplicateFields(text: string): string[] {
  const found: string[] = [];
  const frames: Frame[] = [];
  let lastString: string | undefined;
  for (const [token] of text.matchAll(TOKEN)) {
    const frame = frames.at(-1);
    switch (token) {
      case "{":
      case "[":
        frames.push(openFrame(token, frame));
        break;
      case "}":
      case "]":
        frames.pop();
        break;
      case ":":
        noteName(frame, lastString ?? "", found);
        break;
      case ",":
        if (frame !== undefined) {
          frame.index += 1;
        }
        break;
      default:
        lastString = token.startsWith('"') ? (JSON.parse(token) as string) : undefined;
    }
  }
  return found;
}

function openFrame(token: "{" | "[", parent: Frame | undefined): Frame {
  const isListItem = parent !== undefined && parent.names === undefined;
  const path = parent === undefined ? "" : isListItem ? `${parent.path}[${parent.index}]` : parent.next;
  return { path, names: token === "{" ? new Set() : undefined, index: 0, next: path };
}

function noteName(frame: Frame | undefined, name: string, found: string[]): void {
  if (frame?.names === undefined) {
    return;
  }
  frame.next = frame.path === "" ? name : `${frame.path}.${name}`;
  if (frame.names.has(name)) {
    found.push(`duplicate field "${frame.next}"`);
  }
  frame.names.add(name);
}
