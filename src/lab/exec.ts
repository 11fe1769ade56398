/** Runs a command inside a lab, as kubectl exec does. */
import { constants } from 'node:os';
import { spawnProcess } from '../backends/exec.ts';
import { LabError } from './lab-error.ts';
import type { LabState } from './run-directory.ts';
import { readState } from './run-directory.ts';

/** Runs `argv` in a pod (or `node/NAME`, or `outside`) with our own standard streams; its exit code. */
export async function labExec(name: string, target: string, argv: readonly [string, ...string[]]): Promise<number> {
  if (argv[0] === '') throw new LabError('input', 'expected a command: sluice lab exec POD -- COMMAND');
  const netns = namespaceOf(await requireState(name), target);
  const child = spawnProcess(['ip', 'netns', 'exec', netns, ...argv], { stdin: 'inherit' });
  // Ctrl-C goes to the command as well: what it does about it is its own affair, and we answer with its exit code.
  const ignore = (): void => undefined;
  const passOn = (): boolean => child.kill('SIGTERM');
  process.on('SIGINT', ignore).on('SIGTERM', passOn);
  try {
    const { exitCode, signal } = await child.exited;
    return exitCode ?? 128 + signalNumber(signal);
  } finally {
    process.off('SIGINT', ignore).off('SIGTERM', passOn);
  }
}

/** As a shell counts a command that a signal ended. */
function signalNumber(name: string | undefined): number {
  return Object.entries(constants.signals).find(([signal]) => signal === name)?.[1] ?? 0;
}

/** The state of a lab that is up; throws where there is none. */
export async function requireState(name: string): Promise<LabState> {
  const state = await readState(name);
  if (state === undefined) throw new LabError('absent', `no lab named ${name}: sluice lab up DIR --name ${name}`);
  return state;
}

/** `NS/NAME` or `NAME`: a pod, or the first pod of a Deployment; `node/NAME`; `outside`. */
export function namespaceOf(state: LabState, target: string): string {
  if (target === 'outside' && state.outside !== undefined) return state.outside.netns;
  const node = state.nodes.find(({ name }) => target === `node/${name}`);
  if (node !== undefined) return node.netns;
  const key = target.includes('/') ? target : `default/${target}`;
  const pods = [...state.pods].sort((left, right) => (left.key < right.key ? -1 : 1));
  const pod =
    pods.find((candidate) => candidate.key === key) ??
    pods.find(({ key: podKey, deployment }) => `${podKey.split('/')[0] ?? ''}/${deployment ?? ''}` === key);
  if (pod !== undefined) return pod.netns;
  const known = pods.slice(0, 8).map((candidate) => candidate.key);
  const more = pods.length > known.length ? ', ...' : '';
  throw new LabError('input', `no pod ${key} in lab ${state.name}; its pods are ${known.join(', ')}${more}`);
}
