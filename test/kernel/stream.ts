/** A connection that stays: the server says a line every 200 ms, and we note when each came. */
import { CommandError, streamLines } from '../../src/backends/exec.ts';
import type { IpAddress } from '../../src/lib/ip.ts';
import { joinHostPort } from '../../src/lib/ip.ts';

/** A lost packet comes again after 200 ms, then 400 ms: so long without a line, even on a busy machine, is a connection that was held up. */
const longestPauseMs = 1500;

/** What `end` says of a connection that nothing disturbed. */
export const steady = 'steady';

export class Stream {
  readonly #controller = new AbortController();
  readonly #times: number[] = [];
  #failure: string | undefined;

  /** From a network namespace to port 80 of a pod. */
  constructor(netns: string, to: IpAddress) {
    const url = `http://${joinHostPort(to, 80)}/stream`;
    void this.#follow(['nsenter', `--net=/run/netns/${netns}`, 'curl', '-sSN', url]);
  }

  get lines(): number {
    return this.#times.length;
  }

  /** Closes it; what is to be said about it. */
  end(): string {
    if (this.#failure !== undefined) return this.#failure;
    this.#controller.abort();
    const times = [...this.#times, Date.now()];
    const longest = Math.max(...times.map((time, index) => time - (times[index - 1] ?? time)));
    return longest > longestPauseMs ? `a pause of ${longest} ms after ${this.lines} lines` : steady;
  }

  async #follow(argv: readonly [string, ...string[]]): Promise<void> {
    try {
      for await (const line of streamLines(argv, this.#controller.signal))
        if (line !== '') this.#times.push(Date.now());
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      this.#failure = `ended after ${this.lines} lines: ${error.message}`;
    }
  }
}
