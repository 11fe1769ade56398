/** A body of JSON values, one a line, as a watch sends them: pieces end anywhere, also inside of a character. */

const newline = 0x0a;

/** Every line as text, without its end; empty lines are left out. What is after the last line break is not a line. */
export async function* linesOf(body: AsyncIterable<Buffer>): AsyncGenerator<string, void, void> {
  let open: Buffer[] = [];
  for await (const piece of body) {
    let start = 0;
    for (let end = piece.indexOf(newline); end >= 0; end = piece.indexOf(newline, start)) {
      const last = piece.subarray(start, end);
      // A line is put together once, however many pieces it came in.
      const line = open.length === 0 ? last : Buffer.concat([...open, last]);
      if (line.length > 0) yield line.toString('utf8');
      open = [];
      start = end + 1;
    }
    if (start < piece.length) open.push(piece.subarray(start));
  }
}
