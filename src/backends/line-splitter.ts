/** Text that comes in pieces which end anywhere, as whole lines. */
export class LineSplitter {
  readonly #visit: (line: string) => void;
  #rest = '';

  constructor(visit: (line: string) => void) {
    this.#visit = visit;
  }

  take(piece: string): void {
    const text = this.#rest + piece;
    let start = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
      this.#visit(text.slice(start, end));
      start = end + 1;
    }
    this.#rest = text.slice(start);
  }

  /** What came after the last line break, if anything. */
  end(): void {
    const last = this.#rest;
    this.#rest = '';
    if (last !== '') this.#visit(last);
  }
}
