/** The terminal and the process around a command; commands take it as an argument. */
import type { ExitCode } from './exit-code.ts';

export interface CommandIo {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Standard output shows colours. */
  readonly colour: boolean;
  /** Aborts on Ctrl-C and SIGTERM, once a command asked for it: until then Ctrl-C ends the process. */
  takeInterrupts(): AbortSignal;
  /** Signal that ended the command, if any. */
  readonly interruptedBy: NodeJS.Signals | undefined;
  out(text: string): void;
  error(text: string): void;
  exitCode: ExitCode;
  /** Exit code of a program that ran for us (`lab exec`); it is ours then. */
  passedExitCode: number | undefined;
}

/** Of this process. */
export function processIo(): CommandIo {
  const abort = new AbortController();
  let taken = false;
  let interruptedBy: NodeJS.Signals | undefined;
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      interruptedBy ??= name;
      if (taken) abort.abort();
      else process.exit(name === 'SIGINT' ? 130 : 143);
    });
  }
  // `sluice get | head` is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  return {
    environment: process.env,
    colour: hasColour(process.env, process.stdout.isTTY),
    takeInterrupts() {
      taken = true;
      return abort.signal;
    },
    get interruptedBy() {
      return interruptedBy;
    },
    out: (text) => void process.stdout.write(text),
    error: (text) => void process.stderr.write(text),
    exitCode: 0,
    passedExitCode: undefined,
  };
}

function hasColour(environment: CommandIo['environment'], isTerminal: boolean): boolean {
  return isTerminal && (environment.NO_COLOR ?? '') === '' && environment.TERM !== 'dumb';
}
