import { expect, test } from 'vitest';
import { ConversationReader, ConversationTable, conntrackFile } from '../../src/backends/conntrack/conversations.ts';
import type { Run } from '../../src/backends/exec.ts';
import { CommandError, run } from '../../src/backends/exec.ts';
import { conversationMember, parseConversationMember } from '../../src/dataplane/conversation.ts';
import type { IpAddress } from '../../src/lib/ip.ts';
import { ip } from '../lab/cluster.ts';

const toService =
  'tcp      6 86399 ESTABLISHED src=10.88.0.26 dst=10.96.0.7 sport=40000 dport=80 src=10.88.1.27 dst=10.88.0.26 sport=8080 dport=40000 [ASSURED] mark=0 use=1\n';
const again = toService.replaceAll('40000', '40001');
const dns =
  'udp      17 29 src=10.88.0.26 dst=10.96.0.10 sport=5353 dport=53 [UNREPLIED] src=10.88.2.2 dst=172.31.255.1 sport=53 dport=5353 mark=0 use=1\n';
const sctp =
  'sctp     132 209 ESTABLISHED src=10.88.1.27 dst=10.88.0.26 sport=9 dport=7777 src=10.88.0.26 dst=10.88.1.27 sport=7777 dport=9 [ASSURED] mark=0 use=1\n';
const ping =
  'icmp     1 29 src=10.88.0.26 dst=10.88.1.27 type=8 code=0 id=4711 src=10.88.1.27 dst=10.88.0.26 type=0 code=0 id=4711 mark=0 use=1\n';
const timestamp = ping.replace('type=8', 'type=13').replace('type=0', 'type=14');
const elsewhere = toService.replaceAll('10.88.0.26', '10.88.3.3');
const gre =
  'gre      47 179 src=10.88.0.26 dst=10.88.1.27 srckey=0x0 dstkey=0x0 src=10.88.1.27 dst=10.88.0.26 mark=0 use=1\n';
const ping6 =
  'icmpv6   58 29 src=fd00::26 dst=fd00::27 type=128 code=0 id=9 src=fd00::27 dst=fd00::26 type=129 code=0 id=9 mark=0 use=1\n';
const tcp6 =
  'tcp      6 5 CLOSE src=fd00::26 dst=fd00::1:27 sport=1 dport=80 src=fd00::1:27 dst=fd00::26 sport=80 dport=1 mark=0 use=1\n';

const local = new Set<IpAddress>([ip('10.88.0.26'), ip('fd00::26')]);

function read(...pieces: readonly string[]) {
  const reader = new ConversationReader(local);
  for (const piece of pieces) reader.read(piece);
  return [...reader.end()].map(([member, { connections }]) => `${member} ${connections}`);
}

test.each([
  ['the server and its port are those after DNAT', toService, ['10.88.0.26,tcp:8080,10.88.1.27 1']],
  [
    'connections of one conversation are counted',
    toService + dns + again,
    ['10.88.0.26,tcp:8080,10.88.1.27 2', '10.88.0.26,udp:53,10.88.2.2 1'],
  ],
  [
    'a client that is masqueraded is the one that asked, and needs no answer yet',
    dns,
    ['10.88.0.26,udp:53,10.88.2.2 1'],
  ],
  ['a local server counts as a local client does', sctp, ['10.88.1.27,sctp:7777,10.88.0.26 1']],
  ['a ping is known by its question', ping, ['10.88.0.26,icmp:echo-request,10.88.1.27 1']],
  ['IPv6', tcp6 + ping6, ['fd00::26,tcp:80,fd00::1:27 1', 'fd00::26,ipv6-icmp:echo-request,fd00::27 1']],
  ['nothing local, no port, other ICMP, other text', `${elsewhere}${gre}${timestamp}\nconntrack says hello\n`, []],
])('%s', (_, text, expected) => {
  expect(read(text)).toEqual(expected);
});

test('pieces may end anywhere', () => {
  const text = toService + ping + dns + tcp6.trimEnd();
  const whole = read(text);
  expect(whole).toHaveLength(4);
  for (let cut = 0; cut <= text.length; cut += 1) expect(read(text.slice(0, cut), text.slice(cut))).toEqual(whole);
});

test('a set member and the conversation it stands for', () => {
  for (const member of ['10.0.0.1,tcp:80,10.0.0.2', 'fd00::1,sctp:9,fd00::2', '10.0.0.1,icmp:echo-request,10.0.0.2']) {
    const conversation = parseConversationMember(member);
    expect(conversation === undefined ? undefined : conversationMember(conversation)).toBe(member);
  }
  for (const text of [
    '',
    '10.0.0.1',
    '10.0.0.1,tcp:80',
    '10.0.0.1,47:0,10.0.0.2',
    '10.0.0.1,tcp:http,10.0.0.2',
    'x,tcp:1,y',
  ]) {
    expect(parseConversationMember(text)).toBeUndefined();
  }
});

test('the kernel prints it in its own way, with IPv6 addresses in full', () => {
  const inFull = (line: string): string =>
    line
      .replaceAll('fd00::26', 'fd00:0000:0000:0000:0000:0000:0000:0026')
      .replaceAll('fd00::', 'fd00:0000:0000:0000:0000:0000:0000:00');
  const own = [
    ...[toService, dns, ping, timestamp, gre].map((line) => `ipv4     2 ${line}`),
    ...[tcp6.replaceAll('fd00::1:27', 'fd00::27'), ping6].map((line) => `ipv6     10 ${inFull(line)}`),
  ];
  expect(own.at(-1)).toContain(
    'src=fd00:0000:0000:0000:0000:0000:0000:0026 dst=fd00:0000:0000:0000:0000:0000:0000:0027 type=128',
  );
  expect(read(own.join(''))).toEqual([
    '10.88.0.26,tcp:8080,10.88.1.27 1',
    '10.88.0.26,udp:53,10.88.2.2 1',
    '10.88.0.26,icmp:echo-request,10.88.1.27 1',
    'fd00::26,tcp:80,fd00::27 1',
    'fd00::26,ipv6-icmp:echo-request,fd00::27 1',
  ]);
});

/** A conntrack that prints these lines, and notes what it was asked; `fileError`: what `cat` says instead. */
function tableOf(lines: readonly string[], fileError?: string, short?: string) {
  const asked: string[] = [];
  const answer: Run = (argv, options) => {
    asked.push(argv.join(' '));
    if (argv[0] === 'cat' && fileError !== undefined)
      throw new CommandError({ argv, exitCode: 1, stderr: `cat: ${conntrackFile}: ${fileError}` });
    return run(['cat'], { ...options, input: lines.join('') });
  };
  return { asked, table: new ConversationTable(answer, () => Promise.resolve(short)) };
}

const manyLines = Array.from({ length: 5000 }, (_, port) => toService.replaceAll('8080', String(port + 1)));

test('one read serves both families, and all that is printed is read', async () => {
  const { asked, table } = tableOf(manyLines);
  expect((await table.read(local)).size).toBe(5000);
  expect(asked).toEqual([`cat ${conntrackFile}`]);
});

test('a short table needs no program', async () => {
  const { asked, table } = tableOf([], undefined, manyLines.slice(0, 20).join(''));
  expect((await table.read(local)).size).toBe(20);
  expect(asked).toEqual([]);
});

test('a kernel without the file is asked by the conntrack program, for the families that matter', async () => {
  const { asked, table } = tableOf(manyLines, 'No such file or directory');
  expect((await table.read(local)).size).toBe(5000);
  expect((await table.read(new Set([ip('10.88.0.26')]))).size).toBe(5000);
  expect(asked).toEqual([
    `cat ${conntrackFile}`,
    'conntrack -L -f ipv4',
    'conntrack -L -f ipv6',
    'conntrack -L -f ipv4',
  ]);
});

test('a file that cannot be read for a moment is tried again', async () => {
  const { asked, table } = tableOf(manyLines, 'Cannot allocate memory');
  for (const _ of [1, 2]) expect((await table.read(new Set([ip('10.88.0.26')]))).size).toBe(5000);
  expect(asked.filter((argv) => argv.startsWith('cat'))).toHaveLength(2);
});

test('100,000 entries are read in well under half a second', () => {
  const lines = Array.from({ length: 100_000 }, (_, index) =>
    toService.replaceAll('40000', String(1024 + (index % 50_000))).replaceAll('8080', String(index % 3000)),
  );
  const text = lines.join('');
  const reader = new ConversationReader(local);
  const before = process.cpuUsage();
  reader.read(text);
  expect(reader.end().size).toBe(3000);
  const { user, system } = process.cpuUsage(before);
  expect((user + system) / 1000).toBeLessThan(500);
});
