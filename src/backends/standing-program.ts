/** A program that stays and is given one transaction after the other: a process for each costs more than most transactions. */
import PQueue from 'p-queue';
import type { Argv, Conversation, Converse } from './exec.ts';
import { CommandError } from './exec.ts';

/** A process that stays, as it begins something: the kernel's own events name its id. */
export interface StandingProcess {
  readonly pid: number;
  readonly program: string;
}

export interface Question {
  readonly text: string;
  /** Shown each line of the answer: whether it is the last one. */
  readonly isLast: (line: string) => boolean;
}

export interface StandingProgramOptions {
  readonly converse: Converse;
  readonly argv: Argv;
  /** Given to each new process before anything else. */
  readonly opening?: Question;
  /** Told before each transaction. */
  readonly onTransaction?: (process: StandingProcess) => void;
  readonly startTimeoutMs?: number;
  readonly timeoutMs?: number;
}

/** `untried`: there is no process to be had. `unknown`: it ended, or did not answer in time; what it was given may have been carried out. */
export type Sent = 'done' | 'unknown' | 'untried';

/** After processes that never answered: what they are asked for is not to be had from this program. */
const pauseMs = 60_000;
/** Without an opening the first text may itself be at fault. */
const muteLimit = 3;

export class StandingProgram {
  readonly #options: StandingProgramOptions;
  /** It has one output: what it says belongs to one text at a time. */
  readonly #queue = new PQueue({ concurrency: 1 });
  #process: TalkingProcess | undefined;
  #notBefore = 0;
  #muteProcesses = 0;

  constructor(options: StandingProgramOptions) {
    this.#options = options;
  }

  /** Sends text that the program answers once it has carried it out. A trial leaves nothing behind, and `onTransaction` is not told. */
  async send(transaction: Question, { isTrial = false } = {}): Promise<Sent> {
    const { argv, onTransaction } = this.#options;
    return this.#queue.add(async () => {
      const process = await this.#running();
      if (process === undefined) return 'untried';
      if (!isTrial) onTransaction?.({ pid: process.pid, program: argv[0] });
      return (await this.#exchange(process, transaction)) === undefined ? 'unknown' : 'done';
    });
  }

  /** Text that changes nothing: the answer, line by line. Undefined: there was none. */
  async ask(question: Question): Promise<readonly string[] | undefined> {
    return this.#queue.add(async () => {
      const process = await this.#running();
      return process === undefined ? undefined : this.#exchange(process, question);
    });
  }

  async #exchange(process: TalkingProcess, question: Question): Promise<readonly string[] | undefined> {
    const answer = await process.exchange(question, this.#options.timeoutMs ?? 60_000);
    if (answer === undefined) this.#discard(process);
    return answer;
  }

  async #running(): Promise<TalkingProcess | undefined> {
    if (this.#process?.isAlive === true) return this.#process;
    this.#process = undefined;
    if (performance.now() < this.#notBefore) return undefined;
    const { opening, startTimeoutMs = 2_000 } = this.#options;
    const process = TalkingProcess.start(this.#options);
    const isReady =
      process !== undefined &&
      (opening === undefined || (await process.exchange(opening, startTimeoutMs)) !== undefined);
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

interface Waiting {
  readonly isLast: Question['isLast'];
  readonly answer: string[];
  readonly settle: (answer: readonly string[] | undefined) => void;
}

class TalkingProcess {
  readonly #conversation: Conversation;
  #isAlive = true;
  #hasAnswered = false;
  #waiting: Waiting | undefined;

  private constructor({ converse, argv }: StandingProgramOptions) {
    // Its output is a pipe, and would come in blocks.
    this.#conversation = converse(['stdbuf', '-oL', ...argv], (line) => {
      const waiting = this.#waiting;
      waiting?.answer.push(line);
      if (waiting?.isLast(line) === true) this.#settle(waiting.answer);
    });
    void this.#conversation.exited.then(() => {
      this.#isAlive = false;
      this.#settle(undefined);
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

  /** Its answer. Undefined: it ended, or did not answer in time and was ended. */
  async exchange({ text, isLast }: Question, timeoutMs: number): Promise<readonly string[] | undefined> {
    if (!this.#isAlive) return undefined;
    const { promise, resolve } = Promise.withResolvers<readonly string[] | undefined>();
    this.#waiting = { isLast, answer: [], settle: resolve };
    // Not before it is gone may anybody try again: its transaction could come second.
    const timer = setTimeout(() => this.#conversation.kill(), timeoutMs);
    this.#conversation.write(text);
    const answer = await promise;
    clearTimeout(timer);
    return answer;
  }

  #settle(answer: readonly string[] | undefined): void {
    this.#hasAnswered ||= answer !== undefined;
    this.#waiting?.settle(answer);
    this.#waiting = undefined;
  }
}
