/** Splits a stream of bytes into the JSON values that stand on its lines. */
export async function* jsonLines(stream: AsyncIterable<Uint8Array>): AsyncGenerator {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const searchFrom = rest.length;
    rest += decoder.decode(chunk, { stream: true });
    let start = 0;
    let end = rest.indexOf("\n", searchFrom);
    while (end >= 0) {
      const line = rest.slice(start, end);
      if (line.trim() !== "") {
        yield JSON.parse(line);
      }
      start = end + 1;
      end = rest.indexOf("\n", start);
    }
    rest = rest.slice(start);
  }
  if (rest.trim() !== "") {
    throw new SyntaxError("the stream ended in the middle of a line");
  }
}
