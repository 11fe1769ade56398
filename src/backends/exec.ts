/** Every program that Sluice runs is run here: argument arrays, text on stdin, a timeout, never a shell. */
import type { WriteStream } from 'node:fs';
import { accessSync, constants as fileModes, createWriteStream, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { constants } from 'node:os';
import { delimiter, join } from 'node:path';
import { execa } from 'execa';
import { LineSplitter } from './line-splitter.ts';

export type Argv = readonly [program: string, ...args: string[]];

export interface RunOptions {
  /** Text for the program's standard input. */
  readonly input?: string;
  /** Default 60 s: a restore of a large table takes many seconds, a hanging one must not stop the agent. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Takes standard output (ASCII) piece by piece as it comes, for answers too large to keep; the result's `stdout` is empty then. */
  readonly onStdout?: (piece: string) => void;
  /** Told the process id as soon as there is one: the kernel's own events name it. */
  readonly onStart?: (pid: number) => void;
}

export interface CommandResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly durationMs: number;
}

/** How backends run programs: `run`, or something in front of it (a network namespace, a fault). */
export type Run = (argv: Argv, options?: RunOptions) => Promise<CommandResult>;

/** Where a spawned program's output goes: nowhere, to ours, or to the end of a file (written by the program itself, so it outlives us). */
export type ProcessOutput = 'ignore' | 'inherit' | { readonly file: string };

export interface SpawnOptions {
  /** Default `ignore`. */
  readonly stdin?: 'ignore' | 'inherit';
  /** Default `inherit`. */
  readonly stdout?: ProcessOutput;
  /** Default `inherit`. */
  readonly stderr?: ProcessOutput;
  /** Added to our own environment; undefined takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Own session: it lives on when we end, and keeps no event loop waiting. */
  readonly detached?: boolean;
  /** Opens a channel for messages; the program must be a Node program. */
  readonly ipc?: boolean;
  readonly signal?: AbortSignal;
}

export interface ProcessExit {
  /** Absent when a signal ended it. */
  readonly exitCode?: number;
  readonly signal?: string;
}

export interface RunningProcess {
  readonly pid: number;
  /** Never rejects. */
  readonly exited: Promise<ProcessExit>;
  kill(signal?: NodeJS.Signals): boolean;
  /** Messages that the program sends by `process.send`, where `ipc` was asked for, and the socket that came with one. */
  onMessage(listener: (message: unknown, socket?: unknown) => void): void;
  /** Closes the channel of `ipc`: the program sees its `disconnect` event. */
  disconnect(): void;
}

/** A program that is given text and answers in lines, for as long as it lives. It keeps no event loop waiting. */
export interface Conversation {
  readonly pid: number;
  /** Never rejects. */
  readonly exited: Promise<ProcessExit>;
  /** Text for a program that has ended goes nowhere. */
  write(text: string): void;
  kill(): void;
}

/** How backends talk to programs: `converse`, or something in front of it. `onLine` hears standard output. */
export type Converse = (argv: Argv, onLine: (line: string) => void) => Conversation;

export interface CommandFailure {
  readonly argv: Argv;
  readonly exitCode?: number;
  readonly stdout?: string;
  readonly stderr?: string;
  readonly signal?: string;
  readonly timedOut?: boolean;
  /** errno of a program that could not be started. */
  readonly code?: string;
}

/** A program we ran (iptables-restore, ipset, conntrack) failed. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly argv: Argv;
  readonly exitCode: number | undefined;
  /** What it printed before it failed. */
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
  /** The program is not on this machine, or not for this user: a PATH with a folder that he may not read gives EACCES. */
  readonly isMissing: boolean;

  constructor(failure: CommandFailure, options?: ErrorOptions) {
    super(describeFailure(failure), options);
    this.argv = failure.argv;
    this.exitCode = failure.exitCode;
    this.stdout = failure.stdout ?? '';
    this.stderr = failure.stderr ?? '';
    this.timedOut = failure.timedOut ?? false;
    this.isMissing = isNoProgram(failure.code);
  }

  /** Legacy iptables exits with 4 when another process holds the xtables lock; the nf_tables variant uses 4 for a refusal by the kernel. */
  get isLockContention(): boolean {
    return this.exitCode === 4 && this.stderr.includes('xtables lock');
  }
}

/** Whether a program could be run, without running it. */
export function isOnPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), fileModes.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Runs a program to its end; throws CommandError unless it exits with 0. */
export async function run(argv: Argv, options: RunOptions = {}): Promise<CommandResult> {
  const [program, ...args] = argv;
  const { input, timeoutMs = 60_000, signal, onStdout, onStart } = options;
  const subprocess = execa(program, args, {
    ...(onStdout === undefined ? {} : { buffer: { stdout: false } }),
    ...(input === undefined ? { stdin: 'ignore' } : { input }),
    ...(signal === undefined ? {} : { cancelSignal: signal }),
    timeout: timeoutMs,
    maxBuffer: 1_000_000_000,
    stripFinalNewline: false,
    reject: false,
  });
  if (onStdout !== undefined) subprocess.stdout?.setEncoding('latin1').on('data', onStdout);
  if (subprocess.pid !== undefined) onStart?.(subprocess.pid);
  const result = await subprocess;
  if (result.failed) throw new CommandError(failureOf(argv, result), { cause: result.cause });
  return { stdout: result.stdout ?? '', stderr: result.stderr, durationMs: result.durationMs };
}

/**
 * Lines of a program that runs until `signal` aborts (a monitor). Throws CommandError when it ends by itself, whatever its
 * exit code: a monitor that ended has lost events.
 */
export async function* streamLines(argv: Argv, signal: AbortSignal): AsyncGenerator<string, void, undefined> {
  const [program, ...args] = argv;
  const subprocess = execa(program, args, {
    stdin: 'ignore',
    buffer: false,
    lines: true,
    cancelSignal: signal,
    reject: false,
  });
  yield* subprocess.iterable();
  const result = await subprocess;
  if (!signal.aborted) throw new CommandError(failureOf(argv, result));
}

/** Starts a program that reads our text until it is killed or we end; throws CommandError when it cannot be started. */
export function converse(
  argv: Argv,
  onLine: (line: string) => void,
  heard: 'stdout' | 'stderr' = 'stdout',
): Conversation {
  const [program, ...args] = argv;
  const subprocess = execa(program, args, {
    stdin: 'pipe',
    stdout: heard === 'stdout' ? 'pipe' : 'ignore',
    stderr: heard === 'stderr' ? 'pipe' : 'ignore',
    buffer: false,
    cleanup: false,
    reject: false,
  });
  const { pid, stdin, nodeChildProcess } = subprocess;
  const output = subprocess[heard];
  if (pid === undefined || output === null) throw new CommandError({ argv, code: 'ENOENT' });
  // The end of a program shows in `exited`; that its input is closed then is no news.
  stdin.on('error', () => undefined);
  const lines = new LineSplitter(onLine);
  output.setEncoding('utf8').on('data', (piece: string) => lines.take(piece));
  output.on('end', () => lines.end());
  nodeChildProcess.unref();
  for (const pipe of [stdin, output]) if (pipe instanceof Socket) pipe.unref();
  return {
    pid,
    exited: subprocess.then(exitOf),
    write: (text) => void stdin.write(text),
    kill: () => void nodeChildProcess.kill('SIGKILL'),
  };
}

/** Starts a program and returns at once; throws CommandError when it cannot be started. */
export function spawnProcess(argv: Argv, options: SpawnOptions = {}): RunningProcess {
  const [program, ...args] = argv;
  const { stdin = 'ignore', env = {}, detached = false, ipc = false } = options;
  const [stdout, stderr] = [nativeOutput(options.stdout), nativeOutput(options.stderr)];
  const subprocess = execa(program, args, {
    stdin,
    stdout,
    stderr,
    env,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
    ipc,
    detached,
    cleanup: !detached,
    buffer: false,
    reject: false,
  });
  const { pid, nodeChildProcess } = subprocess;
  if (pid === undefined) throw new CommandError({ argv, code: 'ENOENT' });
  if (detached) nodeChildProcess.unref();
  // The program has its own copies of the files by now.
  for (const output of [stdout, stderr]) if (typeof output !== 'string') output.destroy();
  return {
    pid,
    exited: subprocess.then(exitOf),
    kill: (name = 'SIGTERM') => nodeChildProcess.kill(name),
    onMessage: (listener) => {
      nodeChildProcess.on('message', listener);
    },
    disconnect: () => {
      if (nodeChildProcess.connected) nodeChildProcess.disconnect();
    },
  };
}

/** Runs a program on our own terminal; its exit code, 128 + signal number where a signal ended it. */
export async function attach(argv: Argv): Promise<number> {
  const { exitCode, signal } = await spawnProcess(argv, { stdin: 'inherit' }).exited;
  const numbers: Readonly<Record<string, number>> = constants.signals;
  return exitCode ?? 128 + (numbers[signal ?? ''] ?? 0);
}

interface EndedCommand {
  readonly exitCode?: number | undefined;
  readonly signal?: string | undefined;
  readonly timedOut: boolean;
  readonly stdout?: unknown;
  readonly stderr?: unknown;
  readonly code?: string | undefined;
}

function failureOf(argv: Argv, result: EndedCommand): CommandFailure {
  const { exitCode, signal, timedOut, stdout, stderr, code } = result;
  return {
    argv,
    timedOut,
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(signal === undefined ? {} : { signal }),
    ...(typeof stdout === 'string' ? { stdout } : {}),
    ...(typeof stderr === 'string' ? { stderr } : {}),
    ...(code === undefined ? {} : { code }),
  };
}

function isNoProgram(code: string | undefined): boolean {
  return code === 'ENOENT' || code === 'EACCES';
}

function describeFailure({ argv, exitCode, signal, timedOut, stderr = '', code }: CommandFailure): string {
  const program = argv.slice(0, 6).join(' ');
  const detail = stderr.trim() === '' ? '' : `: ${stderr.trim()}`;
  if (isNoProgram(code))
    return `program not found: ${argv[0]}${code === 'EACCES' ? ', or this user may not run it' : ''}`;
  if (timedOut === true) return `${program} did not end in time${detail}`;
  if (exitCode === undefined) return `${program} was ended by ${signal ?? code ?? 'an unknown cause'}${detail}`;
  return `${program} failed with exit code ${exitCode}${detail}`;
}

/** A stream on an open file is handed over as it is; execa's own file option would pipe through us. */
function nativeOutput(output: ProcessOutput = 'inherit'): 'ignore' | 'inherit' | WriteStream {
  return typeof output === 'string' ? output : createWriteStream(output.file, { fd: openSync(output.file, 'a') });
}

function exitOf({ exitCode, signal }: EndedCommand): ProcessExit {
  return {
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(signal === undefined ? {} : { signal }),
  };
}
