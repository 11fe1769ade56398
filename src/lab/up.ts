/** Brings a lab up: in this process, or in one of its own that stays. */
import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { spawnProcess } from '../backends/exec.ts';
import { removeLeftovers } from './down.ts';
import type { LabControl, LabProgress } from './lab.ts';
import { Lab } from './lab.ts';
import type { LabProblem } from './lab-error.ts';
import { LabError } from './lab-error.ts';
import { checkMachine } from './machine.ts';
import { isLabName } from './names.ts';
import type { LabOptions } from './options.ts';
import type { LabState } from './run-directory.ts';
import { claimRunDirectory, lockHolder, runDirectory } from './run-directory.ts';

/** What the lab's process says to the one that started it. */
export type LabMessage =
  | { readonly type: 'progress'; readonly progress: LabProgress }
  | { readonly type: 'ready'; readonly state: LabState }
  | { readonly type: 'failed'; readonly problem: LabProblem; readonly message: string };

export interface UpControl {
  readonly onProgress?: (progress: LabProgress) => void;
  /** Aborted (Ctrl-C): the lab is taken away again, and the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Brings a lab up in the background; resolves when every pod is programmed. Its process goes on following the manifests. */
export async function labUp(options: LabOptions, control: UpControl = {}): Promise<LabState> {
  const { signal } = control;
  const checked = await prepare(options);
  signal?.throwIfAborted();
  const log = runDirectory(options.name).log('lab');
  await mkdir(dirname(log), { recursive: true });
  const child = spawnProcess([process.execPath, join(import.meta.dirname, 'lab-process.ts'), JSON.stringify(checked)], {
    stdout: { file: log },
    stderr: { file: log },
    detached: true,
    ipc: true,
  });
  // A detached child keeps nobody waiting; we do wait for it.
  const waiting = setInterval(() => undefined, 60_000);
  const onAbort = (): boolean => child.kill('SIGTERM');
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    const result = new Promise<LabState>((fulfil, reject) => {
      child.onMessage((received) => {
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- sent by lab-process.ts
        const message = received as LabMessage;
        if (message.type === 'progress') control.onProgress?.(message.progress);
        else if (message.type === 'ready') fulfil(message.state);
        else reject(new LabError(message.problem, message.message));
      });
      void child.exited.then(async ({ exitCode }) => {
        const text = await readFile(log, 'utf8').catch(() => '');
        const tail = text.trim().split('\n').slice(-5).join('\n');
        reject(new LabError('failure', `the lab's process ended with ${exitCode ?? 'a signal'}\n${tail}`.trim()));
      });
    });
    return await result;
  } catch (error) {
    await child.exited;
    signal?.throwIfAborted();
    throw error;
  } finally {
    clearInterval(waiting);
    signal?.removeEventListener('abort', onAbort);
    child.disconnect();
  }
}

/** Runs a lab in this process until the signal aborts; then it is gone. */
export async function labForeground(options: LabOptions, control: LabControl): Promise<void> {
  await holdLab(await prepare(options), control);
}

/** The lab itself, and its end: whatever happens, what was made is taken away. */
export async function holdLab(options: LabOptions, control: LabControl): Promise<void> {
  if (!(await claimRunDirectory(options.name))) throw await taken(options.name);
  const lab = new Lab(options, control);
  try {
    await lab.run();
  } catch (error) {
    if (!control.signal.aborted) throw error;
  } finally {
    await lab.stop();
    await removeLeftovers(options.name);
  }
}

/** Checks what can be checked without making anything, and removes what a dead lab of this name left. */
async function prepare(options: LabOptions): Promise<LabOptions> {
  const { name, nodes } = options;
  if (!isLabName(name)) {
    throw new LabError('input', `--name ${name}: expected lower-case letters, digits and dashes, at most 32`);
  }
  if (nodes !== undefined && (!Number.isInteger(nodes) || nodes < 1 || nodes > 200)) {
    throw new LabError('input', `--nodes ${nodes}: expected a number from 1 to 200`);
  }
  await checkMachine();
  if ((await lockHolder(name)) !== undefined) throw await taken(name);
  await removeLeftovers(name);
  return { ...options, directory: resolve(options.directory) };
}

async function taken(name: string): Promise<LabError> {
  const holder = await lockHolder(name);
  const who = holder === undefined ? '' : ` (process ${holder.pid})`;
  return new LabError(
    'input',
    `a lab named ${name} is up${who}: sluice lab down --name ${name}, or take another --name`,
  );
}
