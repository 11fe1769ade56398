/** Network namespaces for the benches that write to a kernel: made, used and removed here; the machine's own namespace is never touched. */
import type { Argv, Run } from '../src/backends/exec.ts';
import { isOnPath, run } from '../src/backends/exec.ts';

export interface Netns {
  readonly name: string;
  /** Runs programs inside, as a backend's `run`. */
  readonly run: Run;
  /** A program with its arguments, to be run inside. */
  readonly inside: (argv: Argv) => Argv;
}

/** Runs `body` with one new namespace for each label, `lo` up; takes them away whatever happens. */
export async function withNetns<Label extends string, Result>(
  labels: readonly Label[],
  body: (netns: Readonly<Record<Label, Netns>>) => Promise<Result>,
): Promise<Result> {
  const made: string[] = [];
  try {
    const entries: (readonly [Label, Netns])[] = [];
    for (const label of labels) {
      const name = `slbench-${process.pid}-${label}`;
      await run(['ip', 'netns', 'add', name]);
      made.push(name);
      await run(['ip', '-n', name, 'link', 'set', 'lo', 'up']);
      entries.push([label, netnsOf(name)]);
    }
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- an entry for each label
    return await body(Object.fromEntries(entries) as Record<Label, Netns>);
  } finally {
    for (const name of made) await run(['ip', 'netns', 'del', name]);
  }
}

/** Why benches cannot write to a kernel here; undefined: they can. */
export function whyNoKernel(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root, for network namespaces';
  const needed = ['ip', 'nsenter', 'ipset', 'nft', 'iptables-nft-restore', 'iptables-legacy-restore'];
  const missing = needed.find((program) => !isOnPath(program));
  return missing === undefined ? undefined : `needs ${missing}`;
}

/** `lines` of `ip -batch`, in a namespace. */
export async function ipBatch(netns: Netns, lines: readonly string[]): Promise<void> {
  await run(['ip', '-n', netns.name, '-batch', '-'], { input: lines.map((line) => `${line}\n`).join('') });
}

function netnsOf(name: string): Netns {
  const inside = (argv: Argv): Argv => ['nsenter', `--net=/run/netns/${name}`, ...argv];
  return { name, inside, run: (argv, options) => run(inside(argv), options) };
}
