/** Hears what the upstream test program prints, and tells a line for each spec that ends. */
export class SpecTeller {
  readonly #progress: (line: string) => void;
  #rest = '';
  #current: string | undefined;

  constructor(progress: (line: string) => void) {
    this.#progress = progress;
  }

  hear(piece: string): void {
    const lines = `${this.#rest}${piece}`.split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#line(line);
  }

  #line(line: string): void {
    // A spec's name comes when it begins; when it ends, "• [12.3 seconds]" or "• [FAILED] [12.3 seconds]".
    if (line.startsWith('[sig-')) this.#current = line.trim();
    const [, kind = 'passed', seconds] = /^\S+ (?:\[(\w+)\] )?\[(\d+\.\d+) seconds\]/.exec(line) ?? [];
    if (seconds === undefined || this.#current === undefined) return;
    this.#progress(`${kind.toLowerCase()} ${Math.round(Number(seconds))} s: ${this.#current}`);
    this.#current = undefined;
  }
}
