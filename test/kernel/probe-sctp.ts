/** SCTP without SCTP sockets: an INIT made by hand goes out of a raw socket, and a set of nftables at the other end remembers that it came. */
import { join } from 'node:path';
import { run } from '../../src/backends/exec.ts';
import type { ResolvedFlow } from './probe.ts';
import type { ProbeResult } from './probe-streams.ts';

const table = 'inet sluice_probe';
/** Long enough for packets and for a neighbour to be resolved; nothing sends an INIT again. */
const settleMs = 400;
const firstSourcePort = 20_000;

/** Sends all of them twice; `seen` where one arrived in the receiver's namespace (before any rule of it), else `timeout`. */
export async function sendSctpInits(flows: readonly ResolvedFlow[]): Promise<readonly ProbeResult[]> {
  const numbered = flows.map((flow, index) => ({ ...flow, sourcePort: firstSourcePort + index }));
  const receivers = [...new Set(numbered.flatMap(({ receiver }) => receiver ?? []))];
  await Promise.all(receivers.map(startCounting));
  try {
    for (let round = 0; round < 2; round += 1) {
      const senders = Map.groupBy(numbered, ({ netns }) => netns);
      await Promise.all([...senders].map(([netns, group]) => sendFrom(netns, group)));
      await new Promise((resolve) => {
        setTimeout(resolve, settleMs);
      });
    }
    const seen = new Map(await Promise.all(receivers.map(async (netns) => [netns, await portsSeen(netns)] as const)));
    return numbered.map(({ id, receiver = '', sourcePort, port }) => ({
      id,
      detail: seen.get(receiver)?.has(`${sourcePort}-${port}`) === true ? 'seen' : 'timeout',
    }));
  } finally {
    await Promise.all(receivers.map((netns) => nft(netns, `delete table ${table}`)));
  }
}

interface NumberedFlow extends ResolvedFlow {
  readonly sourcePort: number;
}

async function sendFrom(netns: string, flows: readonly NumberedFlow[]): Promise<void> {
  const lines = flows.map(({ address, sourcePort, port }) => `${address} ${sourcePort} ${port}`);
  await run(['nsenter', `--net=/run/netns/${netns}`, 'perl', join(import.meta.dirname, 'sctp-init.pl')], {
    input: `${lines.join('\n')}\n`,
  });
}

/** The pair of ports names the flow: the source address may have been translated on the way. */
async function startCounting(netns: string): Promise<void> {
  await nft(
    netns,
    [
      `add table ${table}`,
      `add set ${table} seen { type inet_service . inet_service; flags dynamic; }`,
      `add chain ${table} arrivals { type filter hook prerouting priority -400; }`,
      `add rule ${table} arrivals meta l4proto sctp add @seen { sctp sport . sctp dport }`,
    ].join('\n'),
  );
}

async function portsSeen(netns: string): Promise<ReadonlySet<string>> {
  const { stdout } = await run([
    'nsenter',
    `--net=/run/netns/${netns}`,
    'nft',
    '-n',
    'list',
    'set',
    ...table.split(' '),
    'seen',
  ]);
  return new Set([...stdout.matchAll(/(\d+) \. (\d+)/g)].map(([, source, destination]) => `${source}-${destination}`));
}

async function nft(netns: string, script: string): Promise<void> {
  await run(['nsenter', `--net=/run/netns/${netns}`, 'nft', '-f', '-'], { input: `${script}\n` });
}
