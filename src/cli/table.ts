/**
 * A Table as the API server makes it for `kubectl get` (meta.k8s.io/v1, "Receiving resources as Tables").
 */
export interface Table {
  readonly columnDefinitions?: readonly TableColumn[] | null;
  readonly rows?: readonly TableRow[] | null;
  readonly metadata?: { readonly resourceVersion?: string };
}

/** A column; a priority above 0 shows it only where a wide table is asked for. */
export interface TableColumn {
  readonly name: string;
  readonly priority?: number;
}

/** One object's row. */
export interface TableRow {
  readonly cells: readonly unknown[];
  readonly object?: { readonly metadata?: { readonly name?: string; readonly namespace?: string } };
}

/** `Accept` of a request for a Table; a server that makes none is heard to say so. */
export const TABLE_ACCEPT = "application/json;as=Table;v=v1;g=meta.k8s.io";

/** Spaces between columns, as kubectl has them. */
const GAP = "   ";

/** Lays text out in columns and remembers their widths, so that later rows of a watch stand under the first ones. */
export class Columns {
  readonly #widths: number[] = [];

  /** Lines without trailing spaces, each ended by a newline. */
  render(lines: readonly (readonly string[])[]): string {
    for (const line of lines) {
      for (const [index, cell] of line.entries()) {
        this.#widths[index] = Math.max(this.#widths[index] ?? 0, cell.length);
      }
    }
    return lines.map((line) => `${this.#line(line).trimEnd()}\n`).join("");
  }

  #line(line: readonly string[]): string {
    return line.map((cell, index) => cell.padEnd(this.#widths[index] ?? 0)).join(GAP);
  }
}

/** How a Table is shown. */
export interface TableView {
  readonly isWide: boolean;
  /** Begins with the namespace of each. */
  readonly hasNamespace: boolean;
}

/** Names of the columns that are shown, in capitals. */
export function headerOf(columns: readonly TableColumn[], view: TableView): string[] {
  const names = shown(columns, view).map(({ name }) => name.toUpperCase());
  return view.hasNamespace ? ["NAMESPACE", ...names] : names;
}

/** Cells of one row that are shown. What is absent is empty, and only the first line of a cell is shown, as in kubectl. */
export function cellsOf(
  { cells, object }: TableRow,
  columns: readonly TableColumn[],
  view: TableView,
): string[] {
  const texts = cells.filter((_cell, index) => isShown(columns[index], view)).map(cellText);
  return view.hasNamespace ? [object?.metadata?.namespace ?? "", ...texts] : texts;
}

function shown(columns: readonly TableColumn[], view: TableView): TableColumn[] {
  return columns.filter((column) => isShown(column, view));
}

function isShown(column: TableColumn | undefined, { isWide }: TableView): boolean {
  return isWide || (column?.priority ?? 0) === 0;
}

function cellText(cell: unknown): string {
  if (typeof cell !== "string") {
    return cell === null || cell === undefined ? "" : JSON.stringify(cell);
  }
  const [line = "", ...others] = cell.split(/[\f\n\r]/);
  return others.length > 0 ? `${line}...` : line;
}
