import { expect, test } from 'vitest';
import { CommandError } from '../../src/backends/exec.ts';
import { OwnProcesses, RuleEventReader } from '../../src/backends/iptables/rule-events.ts';
import { watchRules } from '../../src/backends/iptables/watch-rules.ts';
import type { TableName } from '../../src/dataplane/rule.ts';

/** As `nft monitor` (1.0.6) prints it. */
const lines = [
  'add table ip filter',
  'create chain ip filter DOCKER',
  'add rule ip filter DOCKER counter packets 0 bytes 0 accept',
  '# new generation 2 by process 12 (iptables-nft-re)',
  'insert rule ip filter FORWARD counter packets 0 bytes 0 accept',
  '# new generation 3 by process 13 (iptables-nft)',
  'delete rule ip6 raw cali-PREROUTING handle 5',
  'delete rule ip6 mangle cali-POSTROUTING handle 6',
  '# new generation 4 by process 14 (nft)',
  'add rule inet filter cali-x accept',
  'add rule ip other cali-x accept',
  '# new generation 5 by process 15 (nft)',
  'delete table ip nat',
  '# new generation 6 by process 16 (nft)',
];

test.each([
  [
    false,
    [
      [13, ['filter']],
      [14, ['raw', 'mangle']],
      [16, ['nat']],
    ],
  ],
  [
    true,
    [
      [13, ['filter']],
      [14, ['raw', 'mangle']],
      [16, ['nat']],
    ],
  ],
])('changes of our chains and of built-in ones, by whom (Services: %s)', (services, expected) => {
  const reader = new RuleEventReader({ services });
  const changes = lines.flatMap((line) => reader.read(line) ?? []);
  expect(changes.map(({ pid, tables }) => [pid, tables])).toEqual(expected);
});

test('KUBE chains count where they are ours', () => {
  const event = ['add rule ip nat KUBE-SERVICES accept', '# new generation 7 by process 17 (iptables-nft-re)'];
  const [alone, serving] = [false, true].map((services) => {
    const reader = new RuleEventReader({ services });
    return event.flatMap((line) => reader.read(line)?.tables ?? []);
  });
  expect(alone).toEqual([]);
  expect(serving).toEqual(['nat']);
});

async function firstYields(
  count: number,
  answers: readonly (readonly string[] | CommandError)[],
): Promise<readonly (readonly TableName[])[]> {
  const controller = new AbortController();
  const own = new OwnProcesses();
  await own.remembering((_, options) => {
    options?.onStart?.(13);
    return Promise.resolve({ stdout: '', stderr: '', durationMs: 0 });
  })(['iptables-nft-restore']);
  let start = 0;
  const follow = async function* (): AsyncGenerator<string> {
    const answer = answers[start] ?? new CommandError({ argv: ['nft'], exitCode: 1 });
    start += 1;
    if (answer instanceof CommandError) throw answer;
    yield* answer;
    throw new CommandError({ argv: ['nft'], exitCode: 1 });
  };
  const yields: (readonly TableName[])[] = [];
  for await (const tables of watchRules(controller.signal, {
    ownership: { services: false },
    own,
    restartMs: 0,
    lines: follow,
  })) {
    yields.push(tables);
    if (yields.length === count) controller.abort();
  }
  return yields;
}

const everything = ['raw', 'mangle', 'nat', 'filter'];

test('our own programs are passed over; a monitor that ended has lost events', async () => {
  expect(await firstYields(3, [lines])).toEqual([['raw', 'mangle'], ['nat'], everything]);
  expect(await firstYields(2, [['# ERROR: We lost some netlink events!'], lines])).toEqual([everything, everything]);
});

test('without the program there are no events, and that is told', async () => {
  await expect(firstYields(1, [new CommandError({ argv: ['stdbuf'], code: 'ENOENT' })])).rejects.toMatchObject({
    isMissing: true,
  });
});

test('process ids come round again: only the latest 256 are ours, and one that stays counts anew with all it does', () => {
  const own = new OwnProcesses();
  for (let pid = 1; pid <= 256; pid += 1) own.add(pid);
  expect([own.has(1), own.has(256)]).toEqual([true, true]);
  own.add(1);
  own.add(257);
  expect([own.has(1), own.has(2), own.has(3), own.has(257)]).toEqual([true, false, true, true]);
});

test('a table that is made is no change; one that goes is, and numbers may be long', () => {
  const reader = new RuleEventReader({ services: false });
  const tablesAfter = (line: string) => {
    reader.read(line);
    return reader.read('# new generation 1234 by process 5678 (nft)');
  };
  expect(tablesAfter('create table ip filter')).toBeUndefined();
  expect(tablesAfter('add table ip filter')).toBeUndefined();
  expect(tablesAfter('add chain ip filter DOCKER')).toBeUndefined();
  expect(tablesAfter('say add rule ip filter FORWARD')).toBeUndefined();
  expect(tablesAfter('delete table ip filter')).toEqual({ pid: 5678, tables: ['filter'] });
});

test('an id that was ours a while ago may be somebody else’s now; one that stays is ours as long as it does something', () => {
  let now = 0;
  const own = new OwnProcesses(() => now);
  own.add(7);
  own.add(8);
  now = 100_000;
  own.add(8);
  expect([own.has(7), own.has(8), own.has(9)]).toEqual([true, true, false]);
  now = 130_000;
  expect([own.has(7), own.has(8)]).toEqual([false, true]);
});
