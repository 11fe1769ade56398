/** Takes a protection away for a moment, to show that a test would see it missing. */
import { isAlive } from '../../src/lab/run-directory.ts';
import type { TestLab } from './lab-fixture.ts';
import { inside } from './raw-packets.ts';

export interface NodeKernel {
  readonly netns: string;
  readonly variant: 'nft' | 'legacy';
}

export interface ChosenRules {
  readonly table: 'raw' | 'mangle' | 'filter';
  /** By its line of `iptables-save`. */
  readonly isChosen: (rule: string) => boolean;
}

/** Runs `act` while the lab's agents stand still and so mend nothing. */
export async function whileFrozen<T>(lab: TestLab, act: () => Promise<T>): Promise<T> {
  const { processes } = await lab.readState();
  for (const process of processes) if (!(await isAlive(process))) throw new Error(`${process.what} is not alive`);
  for (const { pid } of processes) process.kill(pid, 'SIGSTOP');
  try {
    return await act();
  } finally {
    for (const { pid } of processes) process.kill(pid, 'SIGCONT');
  }
}

/** Runs `act` without some rules of both families, then puts them back where they were. Throws where there are none: nothing would be shown. */
export async function withoutRules<T>(node: NodeKernel, chosen: ChosenRules, act: () => Promise<T>): Promise<T> {
  const programs = ['iptables', 'ip6tables'] as const;
  const found = new Map<string, readonly FoundRule[]>();
  for (const program of programs) found.set(program, await findRules(node, program, chosen));
  if ([...found.values()].every((rules) => rules.length === 0))
    throw new Error(`no rule was chosen in ${chosen.table}`);
  for (const [program, rules] of found) {
    const deletions = rules.toReversed().map(({ chain, position }) => `-D ${chain} ${position}`);
    await restore(node, program, chosen.table, deletions);
  }
  try {
    return await act();
  } finally {
    for (const [program, rules] of found) {
      const insertions = rules.map(({ chain, position, text }) => `-I ${chain} ${position} ${text}`);
      await restore(node, program, chosen.table, insertions);
    }
  }
}

interface FoundRule {
  readonly chain: string;
  /** From 1. */
  readonly position: number;
  readonly text: string;
}

async function findRules(
  { netns, variant }: NodeKernel,
  program: string,
  { table, isChosen }: ChosenRules,
): Promise<readonly FoundRule[]> {
  const saved = await inside(netns, [`${program}-${variant}-save`, '-t', table]);
  const positions = new Map<string, number>();
  return saved.split('\n').flatMap((line): readonly FoundRule[] => {
    const [, chain = '', text = ''] = /^-A (\S+) (.*)$/.exec(line) ?? [];
    if (chain === '') return [];
    const position = (positions.get(chain) ?? 0) + 1;
    positions.set(chain, position);
    return isChosen(line) ? [{ chain, position, text }] : [];
  });
}

async function restore(
  { netns, variant }: NodeKernel,
  program: string,
  table: string,
  lines: readonly string[],
): Promise<void> {
  if (lines.length === 0) return;
  await inside(netns, [`${program}-${variant}-restore`, '--noflush'], `*${table}\n${lines.join('\n')}\nCOMMIT\n`);
}
