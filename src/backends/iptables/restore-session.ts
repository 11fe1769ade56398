/**
 * One iptables-nft-restore that stays and takes transaction after transaction. A process for each costs its start and, worse, its end:
 * the kernel lets go of its netlink socket only after a grace period of RCU, about 10 ms. In a session a small transaction takes 0.5 ms.
 */
import type { Argv, Conversation, Converse } from '../exec.ts';
import { CommandError } from '../exec.ts';

export interface RestoreSessionOptions {
  readonly converse: Converse;
  /** An iptables-restore with --noflush, without --verbose. */
  readonly argv: Argv;
  /** Told of the process before each transaction: the kernel's own events name it. */
  readonly onTransaction?: (process: { readonly pid: number; readonly program: string }) => void;
  readonly startTimeoutMs?: number;
  readonly commitTimeoutMs?: number;
}

/**
 * With --noflush it keeps the first 64 kB of its input until it has seen them all, to learn which caches it needs; from then on it
 * takes line by line. Comments fill that space; with --verbose it repeats comments, which tells how far it has come.
 */
const filling = `#${'-'.repeat(1022)}\n`.repeat(66);
/** After a start that failed; until then every transaction has its own process. */
const pauseMs = 60_000;

export class RestoreSession {
  readonly #options: RestoreSessionOptions;
  #open: OpenSession | undefined;
  #notBefore = 0;

  constructor(options: RestoreSessionOptions) {
    this.#options = options;
  }

  /** True: it is in the kernel. False: that is not known, and the session is over; give the same text to a process of its own. */
  async commit(text: string): Promise<boolean> {
    const session = await this.#session();
    if (session === undefined) return false;
    const { argv, onTransaction, commitTimeoutMs = 60_000 } = this.#options;
    onTransaction?.({ pid: session.pid, program: argv[0] });
    const isDone = await session.send(text, commitTimeoutMs);
    if (!isDone) this.#open = undefined;
    return isDone;
  }

  async #session(): Promise<OpenSession | undefined> {
    if (this.#open?.isAlive === true) return this.#open;
    this.#open = undefined;
    if (performance.now() < this.#notBefore) return undefined;
    const session = OpenSession.start(this.#options);
    if (session !== undefined && (await session.send(filling, this.#options.startTimeoutMs ?? 2_000))) {
      this.#open = session;
      return session;
    }
    this.#notBefore = performance.now() + pauseMs;
    return undefined;
  }
}

/** One process. */
class OpenSession {
  readonly #conversation: Conversation;
  #isAlive = true;
  #sent = 0;
  /** What waits for an answer, and for which. */
  #waiting: { readonly mark: string; readonly done: (isDone: boolean) => void } | undefined;

  private constructor({ converse, argv }: RestoreSessionOptions) {
    // Its output is a pipe, and would come in blocks.
    this.#conversation = converse(['stdbuf', '-oL', ...argv, '--verbose'], (line) => {
      if (line === this.#waiting?.mark) this.#settle(true);
    });
    void this.#conversation.exited.then(() => {
      this.#isAlive = false;
      this.#settle(false);
      return undefined;
    });
  }

  /** Undefined where the program cannot be started. */
  static start(options: RestoreSessionOptions): OpenSession | undefined {
    try {
      return new OpenSession(options);
    } catch (error) {
      if (error instanceof CommandError) return undefined;
      throw error;
    }
  }

  get pid(): number {
    return this.#conversation.pid;
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** False: it ended, or did not answer in time and was ended. One call at a time. */
  async send(text: string, timeoutMs: number): Promise<boolean> {
    if (!this.#isAlive) return false;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const mark = `# ${(this.#sent += 1)} done`;
    this.#waiting = { mark, done: resolve };
    // Not before it is gone may anybody try again: its transaction could come second.
    const timer = setTimeout(() => this.#conversation.kill(), timeoutMs);
    this.#conversation.write(`${text}${mark}\n`);
    const isDone = await promise;
    clearTimeout(timer);
    return isDone;
  }

  #settle(isDone: boolean): void {
    this.#waiting?.done(isDone);
    this.#waiting = undefined;
  }
}
