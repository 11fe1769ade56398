/** Network namespaces for tests against the real kernel: made, used and removed here; the machine's own namespace is never touched. */
import { existsSync } from 'node:fs';
import { describe } from 'vitest';
import type { Argv, CommandResult, Run } from '../../src/backends/exec.ts';
import { run } from '../../src/backends/exec.ts';

export interface Netns {
  readonly name: string;
  /** Runs programs inside, as a backend's `run`. */
  readonly run: Run;
  /** Runs words split at spaces (`ip link set lo up`), or an argument array; answers standard output. */
  exec(command: string | Argv, input?: string): Promise<string>;
  destroy(): Promise<void>;
}

/** Why kernel tests cannot run here, or undefined. */
export const kernelSkipReason: string | undefined = findSkipReason();

/** As `describe`; without privilege the tests are skipped and the name says why. */
export function describeKernel(name: string, body: () => void): void {
  if (kernelSkipReason === undefined) describe(name, body);
  else describe.skip(`${name} (skipped: ${kernelSkipReason})`, body);
}

let count = 0;

/** A new namespace with `lo` up. `label` is at most a few letters: the name also carries our process id. */
export async function createNetns(label = 'a'): Promise<Netns> {
  count += 1;
  const name = `sltest-${process.pid}-${count}${label}`;
  await run(['ip', 'netns', 'add', name]);
  const netns = netnsOf(name);
  await netns.exec('ip link set lo up');
  return netns;
}

/** Joins two namespaces by a veth pair, both ends up. Addresses are `10.0.0.1/24` or IPv6 (no duplicate detection). */
export async function connectNetns(first: NetnsEnd, second: NetnsEnd): Promise<void> {
  const temporary = `sv${process.pid % 100_000}x${(count += 1)}`;
  await run([
    'ip',
    'link',
    'add',
    temporary,
    'netns',
    first.netns.name,
    'type',
    'veth',
    'peer',
    'name',
    second.device,
    'netns',
    second.netns.name,
  ]);
  await first.netns.exec(['ip', 'link', 'set', temporary, 'name', first.device]);
  for (const { netns, device, addresses = [] } of [first, second]) {
    for (const address of addresses) {
      await netns.exec(['ip', 'address', 'add', address, 'dev', device, ...(address.includes(':') ? ['nodad'] : [])]);
    }
    await netns.exec(['ip', 'link', 'set', device, 'up']);
  }
}

export interface NetnsEnd {
  readonly netns: Netns;
  readonly device: string;
  readonly addresses?: readonly string[];
}

function netnsOf(name: string): Netns {
  const inside: Run = (argv, options) => run(['ip', 'netns', 'exec', name, ...argv], options);
  return {
    name,
    run: inside,
    exec: async (command, input) => {
      const argv = typeof command === 'string' ? words(command) : command;
      const result: CommandResult = await inside(argv, input === undefined ? {} : { input });
      return result.stdout;
    },
    destroy: async () => {
      await run(['ip', 'netns', 'del', name]);
    },
  };
}

function words(command: string): Argv {
  const [program = '', ...args] = command.trim().split(/\s+/);
  return [program, ...args];
}

function findSkipReason(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  const missing = ['ip', 'ipset', 'iptables-nft-restore', 'iptables-legacy-restore'].find(
    (program) => !onPath(program),
  );
  return missing === undefined ? undefined : `needs ${missing}`;
}

function onPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(`${folder}/${program}`));
}
