/** Content of an element: text, child elements, or undefined for an element that is left out. */
export type XmlValue = string | number | boolean | Date | XmlNode | readonly XmlValue[] | undefined;

/** Child elements by name; an array is written as EC2 writes lists, one `<item>` each. */
export interface XmlNode {
  readonly [name: string]: XmlValue;
}

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&apos;",
};

function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? character);
}

function writeContent(value: Exclude<XmlValue, undefined>): string {
  if (value instanceof Date) {
    return value.toISOString();
  }
  if (Array.isArray(value)) {
    return (value as readonly XmlValue[]).map((item) => writeElement("item", item)).join("");
  }
  if (typeof value === "object") {
    return Object.entries(value)
      .map(([name, child]) => writeElement(name, child))
      .join("");
  }
  return escapeText(String(value));
}

function writeElement(name: string, value: XmlValue): string {
  return value === undefined ? "" : `<${name}>${writeContent(value)}</${name}>`;
}

const DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n';

/** The answer to `action`, in the namespace of the API version that the SDK speaks. */
export function writeResponse(action: string, requestId: string, content: XmlNode): string {
  const inner = writeContent({ requestId, ...content });
  return `${DECLARATION}<${action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">${inner}</${action}Response>`;
}

/** An error answer (EC2 API reference, "Error responses"). */
export function writeError(code: string, message: string, requestId: string): string {
  return (
    `${DECLARATION}<Response><Errors><Error><Code>${escapeText(code)}</Code>` +
    `<Message>${escapeText(message)}</Message></Error></Errors><RequestID>${requestId}</RequestID></Response>`
  );
}
