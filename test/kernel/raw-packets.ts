/** Sends frames out of a namespace and tells what arrived in another, before any rule of it. */
import { join } from 'node:path';
import { run } from '../../src/backends/exec.ts';
import { pause } from '../../src/lab/run-directory.ts';

/** Long enough for frames that need no neighbour to be resolved. */
const settleMs = 250;
const table = 'inet sluice_arrivals';

export async function sendFrames(netns: string, device: string, frames: readonly Buffer[]): Promise<void> {
  const { index } = await linkOf(netns, device);
  const lines = frames.map((frame) => `${index} ${frame.toString('hex')}\n`);
  await inside(netns, ['perl', join(import.meta.dirname, 'send-frames.pl')], lines.join(''));
}

export interface Arrivals {
  /** Destination ports of UDP datagrams. */
  readonly ports: ReadonlySet<number>;
  /** Types of ICMPv6 messages. */
  readonly types: ReadonlySet<number>;
}

/** What reached a hook of a namespace while `act` ran. */
export async function arrivalsWhile(
  netns: string,
  hook: 'prerouting' | 'input',
  act: () => Promise<void>,
): Promise<Arrivals> {
  const script = [
    `add table ${table}`,
    `add set ${table} ports { type inet_service; flags dynamic; }`,
    `add set ${table} types { type icmpv6_type; flags dynamic; }`,
    `add chain ${table} arrivals { type filter hook ${hook} priority -400; }`,
    `add rule ${table} arrivals meta l4proto udp add @ports { udp dport }`,
    `add rule ${table} arrivals meta l4proto icmpv6 add @types { icmpv6 type }`,
  ];
  await inside(netns, ['nft', '-f', '-'], `${script.join('\n')}\n`);
  try {
    await act();
    await pause(settleMs);
    return { ports: await elementsOf(netns, 'ports'), types: await elementsOf(netns, 'types') };
  } finally {
    await inside(netns, ['nft', 'delete', 'table', ...table.split(' ')]);
  }
}

export interface Link {
  readonly index: number;
  readonly mac: string;
}

export async function linkOf(netns: string, device: string): Promise<Link> {
  const text = await inside(netns, ['ip', '-json', 'link', 'show', 'dev', device]);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- iproute2 wrote it
  const [link] = JSON.parse(text) as { readonly ifindex: number; readonly address: string }[];
  if (link === undefined) throw new Error(`no ${device} in ${netns}`);
  return { index: link.ifindex, mac: link.address };
}

/** Runs a program in a namespace; its standard output. */
export async function inside(netns: string, argv: readonly string[], input?: string): Promise<string> {
  const options = input === undefined ? {} : { input };
  return (await run(['nsenter', `--net=/run/netns/${netns}`, ...argv], options)).stdout;
}

async function elementsOf(netns: string, set: string): Promise<ReadonlySet<number>> {
  const listed = await inside(netns, ['nft', '-n', '-j', 'list', 'set', ...table.split(' '), set]);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- nft wrote it
  const { nftables } = JSON.parse(listed) as { readonly nftables: readonly { set?: { elem?: readonly number[] } }[] };
  return new Set(nftables.flatMap((part) => part.set?.elem ?? []).map(Number));
}
