import { expect, test } from 'vitest';
import { Conntrack } from '../../src/backends/conntrack/conntrack.ts';
import type { Flow } from '../../src/backends/conntrack/flows.ts';
import { parseFlow } from '../../src/backends/conntrack/flows.ts';
import type { Argv } from '../../src/backends/exec.ts';
import { CommandError } from '../../src/backends/exec.ts';
import { parseIp } from '../../src/lib/ip.ts';

/** As conntrack 1.4.7 printed them. */
const listing = `ipv4     2 tcp      6 431999 ESTABLISHED src=10.9.0.10 dst=10.96.0.1 sport=40000 dport=80 src=10.9.0.11 dst=10.9.0.10 sport=8080 dport=40000 [ASSURED] mark=0 use=1
ipv4     2 udp      17 29 src=127.0.0.1 dst=127.0.0.1 sport=42650 dport=9 [UNREPLIED] src=127.0.0.1 dst=127.0.0.1 sport=9 dport=42650 mark=0 use=1
ipv4     2 icmp     1 29 src=10.9.0.10 dst=10.9.0.1 type=8 code=0 id=7 src=10.9.0.1 dst=10.9.0.10 type=0 code=0 id=7 mark=0 use=1
ipv6     10 udp      17 29 src=fd00::1 dst=fd00:0:0::2 sport=42569 dport=53 [UNREPLIED] src=fd00::2 dst=fd00::1 sport=53 dport=42569 mark=0 use=1
something else
`;

test.each([1, 7, 4096])(
  'tracked flows, in pieces of %i: both directions, the server after DNAT in the reply',
  async (length) => {
    const pieces = listing.match(new RegExp(`[^]{1,${length}}`, 'g')) ?? [];
    const conntrack = new Conntrack((_argv, { onStdout } = {}) => {
      for (const piece of pieces) onStdout?.(piece);
      return Promise.resolve({ stdout: '', stderr: '', durationMs: 1 });
    });
    const flows: Flow[] = [];
    await conntrack.visitFlows('ipv4', 'udp', (flow) => flows.push(flow));
    expect(flows).toEqual([
      {
        family: 'ipv4',
        protocol: 'tcp',
        original: { source: '10.9.0.10', destination: '10.96.0.1', sourcePort: 40_000, destinationPort: 80 },
        reply: { source: '10.9.0.11', destination: '10.9.0.10', sourcePort: 8080, destinationPort: 40_000 },
      },
      {
        family: 'ipv4',
        protocol: 'udp',
        original: { source: '127.0.0.1', destination: '127.0.0.1', sourcePort: 42_650, destinationPort: 9 },
        reply: { source: '127.0.0.1', destination: '127.0.0.1', sourcePort: 9, destinationPort: 42_650 },
      },
      {
        family: 'ipv4',
        protocol: 'icmp',
        original: { source: '10.9.0.10', destination: '10.9.0.1' },
        reply: { source: '10.9.0.1', destination: '10.9.0.10' },
      },
      {
        family: 'ipv6',
        protocol: 'udp',
        original: { source: 'fd00::1', destination: 'fd00::2', sourcePort: 42_569, destinationPort: 53 },
        reply: { source: 'fd00::2', destination: 'fd00::1', sourcePort: 53, destinationPort: 42_569 },
      },
    ]);
  },
);

function answering(exitCode: number, stderr: string): { conntrack: Conntrack; calls: Argv[] } {
  const calls: Argv[] = [];
  const conntrack = new Conntrack((argv) => {
    calls.push(argv);
    if (exitCode === 0) return Promise.resolve({ stdout: listing, stderr, durationMs: 1 });
    return Promise.reject(new CommandError({ argv, exitCode, stderr }));
  });
  return { conntrack, calls };
}

test('flows are deleted by what they have in common; nothing found is no failure', async () => {
  const [server, service] = [parseIp('10.9.0.11'), parseIp('10.96.0.1')];
  if (server === undefined || service === undefined) throw new Error('not an address');
  const filter = {
    family: 'ipv4',
    protocol: 'udp',
    originalDestination: service,
    replySource: server,
    replySourcePort: 53,
  } as const;
  const some = answering(0, 'conntrack v1.4.7 (conntrack-tools): 3 flow entries have been deleted.\n');
  expect(await some.conntrack.delete(filter)).toBe(3);
  expect(some.calls[0]?.join(' ')).toBe(
    'conntrack -D -f ipv4 -p udp --orig-dst 10.96.0.1 --reply-src 10.9.0.11 --reply-port-src 53',
  );
  const none = answering(1, 'conntrack v1.4.7 (conntrack-tools): 0 flow entries have been deleted.\n');
  expect(await none.conntrack.delete(filter)).toBe(0);
  await expect(answering(1, 'Operation not permitted').conntrack.delete(filter)).rejects.toBeInstanceOf(CommandError);
});

test.each([
  'ipv4 2 udp 17 29 src=10.0.0.1 dst=10.0.0.2 sport=4 dport=53 mark=0',
  'ipv4 2 udp 17 29 src=here dst=10.0.0.2 sport=4 dport=53 src=10.0.0.2 dst=10.0.0.1 sport=53 dport=4',
  'ipv4 2 udp 17 29 src=10.0.0.1 dst=there sport=4 dport=53 src=10.0.0.2 dst=10.0.0.1 sport=53 dport=4',
  'ipv4 2 udp 17 29 src=10.0.0.1 dst=10.0.0.2 sport=4 dport=53 src=there dst=10.0.0.1 sport=53 dport=4',
  'ipv4 2 udp 17 29 src=10.0.0.1 dst=10.0.0.2 sport=4 dport=53 src=10.0.0.2 sport=53 dport=4',
  'udp 17 29 src=10.0.0.1 dst=10.0.0.2 sport=4 dport=53 src=10.0.0.2 dst=10.0.0.1 sport=53 dport=4',
])('%s is no flow', (line) => {
  expect(parseFlow(line)).toBeUndefined();
});

test('each tuple has its own addresses and ports; one that lacks them is not given the other’s', () => {
  const line = 'ipv4 2 sctp 132 29 src=10.0.0.1 dst=10.0.0.2 src=10.0.0.2 dst=10.0.0.1 sport=53 dport=4';
  expect(parseFlow(line)).toEqual({
    family: 'ipv4',
    protocol: 'sctp',
    original: { source: '10.0.0.1', destination: '10.0.0.2' },
    reply: { source: '10.0.0.2', destination: '10.0.0.1', sourcePort: 53, destinationPort: 4 },
  });
});

test('a whole table may be listed and deleted: a last line without its end, and a number of many digits', async () => {
  const last = listing.split('\n')[0] ?? '';
  const argvs: Argv[] = [];
  const conntrack = new Conntrack((argv, { onStdout } = {}) => {
    argvs.push(argv);
    onStdout?.(last);
    return Promise.resolve({ stdout: '', stderr: '1234 flow entries have been deleted.\n', durationMs: 1 });
  });
  const flows: Flow[] = [];
  await conntrack.visitFlows('ipv4', 'tcp', (flow) => void flows.push(flow));
  expect(flows).toHaveLength(1);
  expect(await conntrack.delete({ family: 'ipv6', protocol: 'udp' })).toBe(1234);
  expect(argvs.map((argv) => argv.join(' '))).toEqual([
    'conntrack -L -o extended -f ipv4 -p tcp',
    'conntrack -D -f ipv6 -p udp',
  ]);
});
