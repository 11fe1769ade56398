/** A program that stays and is given one transaction after the other: a process for each costs more than most transactions. */
import type { Argv, Conversation, Converse } from './exec.ts';
import { CommandError } from './exec.ts';

/** A process that stays, as it begins something: the kernel's own events name its id. */
export interface StandingProcess {
  readonly pid: number;
  readonly program: string;
}

export interface StandingProgramOptions {
  readonly converse: Converse;
  readonly argv: Argv;
  /** Given to each new process before anything else, and answered with `line`. */
  readonly opening?: { readonly text: string; readonly line: string };
  /** Told before each transaction. */
  readonly onTransaction?: (process: StandingProcess) => void;
  readonly startTimeoutMs?: number;
  readonly timeoutMs?: number;
}

/** After processes that never answered: what they are asked for is not to be had from this program. */
const pauseMs = 60_000;
/** Without an opening the first text may itself be at fault. */
const muteLimit = 3;

export class StandingProgram {
  readonly #options: StandingProgramOptions;
  #process: TalkingProcess | undefined;
  #notBefore = 0;
  #muteProcesses = 0;

  constructor(options: StandingProgramOptions) {
    this.#options = options;
  }

  /**
   * Sends text that the program answers with `line` once it has carried it out. False: it is not known whether it has, and the
   * process is gone; give the same text to a process of its own. One call at a time.
   */
  async send(text: string, line: string): Promise<boolean> {
    const { argv, onTransaction, timeoutMs = 60_000 } = this.#options;
    const process = await this.#running();
    if (process === undefined) return false;
    onTransaction?.({ pid: process.pid, program: argv[0] });
    const isDone = await process.send(text, line, timeoutMs);
    if (!isDone) this.#discard(process);
    return isDone;
  }

  async #running(): Promise<TalkingProcess | undefined> {
    if (this.#process?.isAlive === true) return this.#process;
    this.#process = undefined;
    if (performance.now() < this.#notBefore) return undefined;
    const { opening, startTimeoutMs = 2_000 } = this.#options;
    const process = TalkingProcess.start(this.#options);
    const isReady =
      process !== undefined &&
      (opening === undefined || (await process.send(opening.text, opening.line, startTimeoutMs)));
    if (isReady) this.#process = process;
    else this.#discard(process);
    return this.#process;
  }

  #discard(process: TalkingProcess | undefined): void {
    this.#process = undefined;
    this.#muteProcesses = process?.hasAnswered === true ? 0 : this.#muteProcesses + 1;
    const isHopeless = process === undefined || this.#options.opening !== undefined;
    if (this.#muteProcesses >= (isHopeless ? 1 : muteLimit)) this.#notBefore = performance.now() + pauseMs;
  }
}

class TalkingProcess {
  readonly #conversation: Conversation;
  #isAlive = true;
  #hasAnswered = false;
  #waiting: { readonly line: string; readonly settle: (isDone: boolean) => void } | undefined;

  private constructor({ converse, argv }: StandingProgramOptions) {
    // Its output is a pipe, and would come in blocks.
    this.#conversation = converse(['stdbuf', '-oL', ...argv], (line) => {
      if (line === this.#waiting?.line) this.#settle(true);
    });
    void this.#conversation.exited.then(() => {
      this.#isAlive = false;
      this.#settle(false);
      return undefined;
    });
  }

  /** Undefined where the program cannot be started. */
  static start(options: StandingProgramOptions): TalkingProcess | undefined {
    try {
      return new TalkingProcess(options);
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

  get hasAnswered(): boolean {
    return this.#hasAnswered;
  }

  /** False: it ended, or did not answer in time and was ended. */
  async send(text: string, line: string, timeoutMs: number): Promise<boolean> {
    if (!this.#isAlive) return false;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#waiting = { line, settle: resolve };
    // Not before it is gone may anybody try again: its transaction could come second.
    const timer = setTimeout(() => this.#conversation.kill(), timeoutMs);
    this.#conversation.write(text);
    const isDone = await promise;
    clearTimeout(timer);
    return isDone;
  }

  #settle(isDone: boolean): void {
    this.#hasAnswered ||= isDone;
    this.#waiting?.settle(isDone);
    this.#waiting = undefined;
  }
}
