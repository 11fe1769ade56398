import { expect, test } from 'vitest';
import { CommandError } from '../../src/backends/exec.ts';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import { describeRefusal } from '../../src/backends/refusals.ts';
import type { Dataplane } from '../../src/dataplane/dataplane.ts';
import { chainOf, dataplaneOf, hookOf, inSet, jumpTo, markIs, ruleOf, setOf } from '../fakes/dataplanes.ts';
import { FakeKernel } from '../fakes/kernel.ts';

const friends = setOf('s:friends', ['10.0.0.1', '10.1.0.0/16']);
const policed = setOf('policed', ['10.0.0.9'], { type: 'hash:ip' });
const accept = ruleOf({ kind: 'set-mark', value: 0x10000, mask: 0x10000 }, inSet(friends.name));
const policy = chainOf('cali-pi-a', accept, ruleOf({ kind: 'return' }, markIs(0x10000)));
const endpoint = chainOf('cali-tw-pod', ruleOf(jumpTo('cali-pi-a')), ruleOf({ kind: 'drop' }));
const forward = chainOf('cali-FORWARD', ruleOf(jumpTo('cali-tw-pod')));
const guard = chainOf('cali-POSTROUTING', ruleOf({ kind: 'drop' }, inSet(policed.name)));
const hooks = [hookOf('FORWARD', 'cali-FORWARD'), hookOf('POSTROUTING', 'cali-POSTROUTING', { table: 'mangle' })];
const wanted = dataplaneOf({
  sets: [friends, policed],
  chains: { filter: [forward, endpoint, policy], mangle: [guard] },
  hooks,
});
const empty = dataplaneOf({});

function setUp(services = false): { kernel: FakeKernel; writer: KernelWriter } {
  const kernel = new FakeKernel();
  const backend = new KernelBackend({ run: kernel.run, variant: 'nft', ownership: { services } });
  return { kernel, writer: new KernelWriter({ backend, retryDelaysMs: [0, 0] }) };
}

/** Names of what was written, in order: sets, chains, hooks, each write a line. */
function history(kernel: FakeKernel): readonly string[] {
  return kernel.writes.map(({ argv, input }) => {
    const table = /^\*(\w+)/.exec(input)?.[1] ?? 'ipset';
    const names = [...input.matchAll(/^(?:create |:|-[IADX] |add |del |destroy |swap )(\S+)/gm)].map(([line]) =>
      line.trim(),
    );
    return `${argv[0].startsWith('ip6') ? 'v6 ' : ''}${table}: ${[...new Set(names)].join(' ')}`;
  });
}

test('first sync: sets, then leaves, then what refers to them, then hooks, the guard last', async () => {
  const { kernel, writer } = setUp();
  await writer.resync(wanted);
  expect(history(kernel)).toEqual([
    'ipset: create cali40s:friends create cali40policed add cali40s:friends add cali40policed',
    'filter: :cali-pi-a :cali-tw-pod :cali-FORWARD -A cali-pi-a -A cali-tw-pod -A cali-FORWARD',
    'mangle: :cali-POSTROUTING -A cali-POSTROUTING',
    'filter: -I FORWARD',
    'mangle: -I POSTROUTING',
  ]);
  expect(kernel.table('ip', 'filter').chain('FORWARD')).toHaveLength(1);
  expect(writer.refusals).toEqual([]);
});

test('a second compare, and one by an agent without memory, write nothing', async () => {
  const { kernel, writer } = setUp();
  await writer.resync(wanted);
  kernel.calls.length = 0;
  expect(await writer.resync(wanted)).toMatchObject({ writes: 0, differenceCount: 0, differences: [] });
  const backend = new KernelBackend({ run: kernel.run, variant: 'nft', ownership: { services: false } });
  expect(await new KernelWriter({ backend }).resync(wanted)).toMatchObject({ writes: 0, differenceCount: 0 });
  expect(kernel.writes).toEqual([]);
});

test('a change writes what it changed, and reads nothing', async () => {
  const { kernel, writer } = setUp();
  await writer.resync(wanted);
  kernel.calls.length = 0;
  const grown = setOf('s:friends', ['10.0.0.1', '10.0.0.2']);
  const drop = chainOf('cali-pi-a', ruleOf({ kind: 'return' }));
  const report = await writer.update(
    {
      ipSets: [{ kind: 'members', set: grown, added: ['10.0.0.2'], removed: ['10.1.0.0/16'] }],
      chains: [{ family: 'ipv4', table: 'filter', name: drop.name, chain: drop }],
      hooks: [],
    },
    dataplaneOf({ sets: [grown, policed], chains: { filter: [forward, endpoint, drop], mangle: [guard] }, hooks }),
  );
  expect(report).toMatchObject({ writes: 3, chainsWritten: 1, setsWritten: 2 });
  // The old rules must not let the new member through.
  expect(kernel.calls.map(({ input }) => input)).toEqual([
    'del cali40s:friends 10.1.0.0/16\n',
    expect.stringMatching(/^\*filter\n:cali-pi-a - -\n-A cali-pi-a .*RETURN\nCOMMIT\n$/),
    'add cali40s:friends 10.0.0.2\n',
  ]);
});

test('a gate lets nobody in before the chains are there, and lets go first', async () => {
  const { kernel, writer } = setUp();
  const gate = setOf('programmed', ['10.0.0.9'], { gate: true });
  const chain = chainOf('cali-FORWARD', ruleOf({ kind: 'drop' }, inSet(gate.name)));
  await writer.resync(dataplaneOf({ sets: [gate], chains: { filter: [chain] }, hooks: hooks.slice(0, 1) }));
  expect(history(kernel)).toEqual([
    'ipset: create cali40programmed',
    'filter: :cali-FORWARD -A cali-FORWARD',
    'ipset: add cali40programmed',
    'filter: -I FORWARD',
  ]);
  kernel.calls.length = 0;
  const other = setOf('programmed', ['10.0.0.8'], { gate: true });
  const changed = chainOf('cali-FORWARD', ...chain.rules, ...chain.rules);
  await writer.update(
    {
      ipSets: [{ kind: 'members', set: other, added: ['10.0.0.8'], removed: ['10.0.0.9'] }],
      chains: [{ family: 'ipv4', table: 'filter', name: chain.name, chain: changed }],
      hooks: [],
    },
    dataplaneOf({ sets: [other], chains: { filter: [changed] }, hooks: hooks.slice(0, 1) }),
  );
  expect(history(kernel)).toEqual([
    'ipset: del cali40programmed',
    'filter: :cali-FORWARD -A cali-FORWARD',
    'ipset: add cali40programmed',
  ]);
});

test('what is not wanted any more goes: guard, hooks, chains, sets; nothing foreign', async () => {
  const { kernel, writer } = setUp();
  const filter = kernel.table('ip', 'filter');
  filter.setChain('DOCKER', ['-j ACCEPT']);
  filter.setChain('FORWARD', ['-j DOCKER', '-s 10.0.0.0/8 -j ACCEPT']);
  kernel.sets.put('foreign', { type: 'hash:ip', family: 'inet', maxElements: 10, members: new Set(['1.2.3.4']) });
  const before = filter.save();
  await writer.resync(wanted);
  kernel.calls.length = 0;
  await writer.resync(empty);
  expect(history(kernel)).toEqual([
    'mangle: -D POSTROUTING',
    'filter: -D FORWARD',
    'mangle: :cali-POSTROUTING -X cali-POSTROUTING',
    'filter: :cali-pi-a :cali-tw-pod :cali-FORWARD -X cali-pi-a -X cali-tw-pod -X cali-FORWARD',
    'ipset: destroy cali40s:friends destroy cali40policed',
  ]);
  expect(filter.save()).toBe(before);
  expect(kernel.sets.names).toEqual(['foreign']);
});

test('cleanup removes everything of ours, and a second one finds nothing to do', async () => {
  const { kernel, writer } = setUp();
  await writer.resync(wanted);
  expect((await writer.cleanup()).writes).toBeGreaterThan(0);
  expect(kernel.sets.names).toEqual([]);
  expect(kernel.table('ip', 'filter').chainNames).toEqual(['INPUT', 'FORWARD', 'OUTPUT']);
  expect((await writer.cleanup()).writes).toBe(0);
});

test('a chain or set that somebody else refers to is left by cleanup, the rest goes', async () => {
  const { kernel, writer } = setUp();
  await writer.resync(wanted);
  kernel
    .table('ip', 'filter')
    .setChain('DOCKER-USER', ['-j cali-pi-a', `-m set --match-set ${friends.name} src -j ACCEPT`]);
  await writer.cleanup();
  expect(kernel.table('ip', 'filter').chainNames).toEqual(['INPUT', 'FORWARD', 'OUTPUT', 'cali-pi-a', 'DOCKER-USER']);
  expect(kernel.sets.names).toEqual([friends.name]);
});

test.each<[string, (kernel: FakeKernel) => void, RegExp]>([
  ['a rule of ours deleted', (kernel) => kernel.table('ip', 'filter').setChain('cali-tw-pod', []), /chain cali-tw-pod/],
  [
    'a rule slipped into a chain of ours',
    (kernel) => {
      const table = kernel.table('ip', 'filter');
      table.setChain('cali-tw-pod', ['-j ACCEPT', ...(table.chain('cali-tw-pod') ?? [])]);
    },
    /chain cali-tw-pod/,
  ],
  ['the jump deleted', (kernel) => kernel.table('ip', 'filter').setChain('FORWARD', []), /hooks in FORWARD/],
  [
    'an accept above the jump',
    (kernel) => {
      const table = kernel.table('ip', 'filter');
      table.setChain('FORWARD', ['-j ACCEPT', ...(table.chain('FORWARD') ?? [])]);
    },
    /hooks in FORWARD/,
  ],
  ['a member deleted', (kernel) => kernel.sets.get(friends.name)?.members.clear(), /ipset cali40s:friends/],
  ['a member added', (kernel) => kernel.sets.get(friends.name)?.members.add('6.6.6.6'), /ipset cali40s:friends/],
])('%s is found and mended', async (_, disturb, place) => {
  const { kernel, writer } = setUp();
  await writer.resync(wanted);
  disturb(kernel);
  const report = await writer.resync(wanted);
  expect(report.differenceCount).toBe(1);
  expect(report.differences[0]?.place).toMatch(place);
  expect(report.differences[0]?.before).not.toBe(report.differences[0]?.after);
  expect((await writer.resync(wanted)).writes).toBe(0);
  expect(kernel.table('ip', 'filter').chain('FORWARD')?.[0]).toContain('cali-FORWARD');
  expect(kernel.sets.get(friends.name)?.members).toEqual(friends.members);
});

test.each<[string, (kernel: FakeKernel) => void]>([
  ['the jump deleted', (kernel) => kernel.table('ip', 'filter').setChain('FORWARD', [])],
  ['an accept above the guard', (kernel) => kernel.table('ip', 'mangle').setChain('POSTROUTING', ['-j ACCEPT'])],
  ['a set flushed', (kernel) => kernel.sets.get(friends.name)?.members.clear()],
])('the cheap look finds %s, and has it mended', async (_, disturb) => {
  const { kernel, writer } = setUp();
  await writer.resync(wanted);
  kernel.calls.length = 0;
  expect(await writer.checkDrift(wanted)).toMatchObject({ writes: 0, differenceCount: 0 });
  expect(kernel.calls.map(({ argv }) => argv.join(' '))).toEqual([
    'ipset list -t',
    'iptables-nft --wait 10 -t mangle -S POSTROUTING',
    'iptables-nft --wait 10 -t filter -S FORWARD',
  ]);
  disturb(kernel);
  expect(await writer.checkDrift(wanted)).toMatchObject({ writes: 1, differenceCount: 1 });
  expect(await writer.checkDrift(wanted)).toMatchObject({ writes: 0 });
});

test('the cheap look counts no members that the agent fills in by itself', async () => {
  const { kernel, writer } = setUp();
  const cut = setOf('cut', [], { type: 'hash:ip,port,ip', dynamic: true });
  await writer.resync(dataplaneOf({ sets: [cut] }));
  kernel.sets.get(cut.name)?.members.add('10.0.0.1,tcp:80,10.0.0.2');
  expect(await writer.checkDrift(dataplaneOf({ sets: [cut] }))).toMatchObject({ differenceCount: 0 });
  kernel.sets.run(['ipset', 'destroy', cut.name], '');
  expect(await writer.checkDrift(dataplaneOf({ sets: [cut] }))).toMatchObject({ differenceCount: 1 });
});

test('a set with another type is made anew; what refers to it is closed for that moment', async () => {
  const { kernel, writer } = setUp();
  await writer.resync(wanted);
  const members = new Set(['10.0.0.1']);
  kernel.table('ip', 'filter').setChain('cali-pi-a', []);
  kernel.sets.run(['ipset', 'destroy', friends.name], '');
  kernel.sets.put(friends.name, { type: 'hash:ip', family: 'inet', maxElements: 65_536, members });
  kernel.table('ip', 'filter').setChain('cali-pi-a', [`-m set --match-set ${friends.name} src -j MARK`]);
  const report = await writer.resync(wanted);
  expect(report.refused).toEqual([]);
  expect(kernel.sets.get(friends.name)).toMatchObject({ type: 'hash:net', members: friends.members });
  expect((await writer.resync(wanted)).writes).toBe(0);
});

test('a set that outgrows the kernel limit is swapped with a larger one', async () => {
  const { kernel, writer } = setUp();
  await writer.resync(wanted);
  kernel.sets.put(friends.name, { type: 'hash:net', family: 'inet', maxElements: 1, members: new Set() });
  await writer.resync(wanted);
  expect(kernel.sets.get(friends.name)).toMatchObject({ maxElements: 65_536, members: friends.members });
  expect(kernel.sets.names).not.toContain('cali4t0');
});

test('a /0 is two /1 in the kernel, and no difference afterwards', async () => {
  const { kernel, writer } = setUp();
  const everybody = setOf('s:all', ['0.0.0.0/0', '10.0.0.1']);
  const six = setOf('s:all', ['::/0'], { family: 'ipv6' });
  const dataplane = dataplaneOf({ sets: [everybody, six] });
  await writer.resync(dataplane);
  expect(kernel.sets.get(everybody.name)?.members).toEqual(new Set(['0.0.0.0/1', '128.0.0.0/1', '10.0.0.1']));
  expect(kernel.sets.get(six.name)?.members).toEqual(new Set(['::/1', '8000::/1']));
  expect((await writer.resync(dataplane)).writes).toBe(0);
});

test('a set that the agent fills itself is made, and its members are left alone', async () => {
  const { kernel, writer } = setUp();
  const cut = setOf('cut', [], { type: 'hash:ip,port,ip', dynamic: true });
  const dataplane = dataplaneOf({ sets: [cut] });
  await writer.resync(dataplane);
  await writer.changeMembers(cut, { add: ['10.0.0.1,tcp:80,10.0.0.2'], remove: [] });
  expect((await writer.resync(dataplane)).writes).toBe(0);
  expect(writer.observed.ipSets.get(cut.name)?.members).toEqual(new Set(['10.0.0.1,tcp:80,10.0.0.2']));
  await writer.changeMembers(cut, { add: [], remove: ['10.0.0.1,tcp:80,10.0.0.2'] });
  expect(kernel.sets.get(cut.name)?.members).toEqual(new Set());
});

test('116, 117: KUBE chains are ours only where Services are served, stale ones go; kubelet keeps its own', async () => {
  const { kernel, writer } = setUp(true);
  const filter = kernel.table('ip', 'filter');
  filter.setChain('KUBE-FIREWALL', ['-s 1.2.3.4 -j DROP']);
  filter.setChain('KUBE-KUBELET-CANARY', []);
  filter.setChain('KUBE-SVC-STALE', []);
  filter.setChain('INPUT', ['-j KUBE-FIREWALL']);
  const service = { ...chainOf('KUBE-SERVICES', ruleOf({ kind: 'reject' })), style: 'kube' } as const;
  const hook = hookOf('INPUT', 'KUBE-SERVICES', { style: 'kube' });
  const dataplane = dataplaneOf({ chains: { filter: [service] }, hooks: [hook] });
  await writer.resync(dataplane);
  expect(filter.chainNames).toEqual([
    'INPUT',
    'FORWARD',
    'OUTPUT',
    'KUBE-FIREWALL',
    'KUBE-KUBELET-CANARY',
    'KUBE-SERVICES',
  ]);
  expect(filter.chain('INPUT')).toEqual(['-j KUBE-SERVICES', '-j KUBE-FIREWALL']);
  expect((await writer.resync(dataplane)).writes).toBe(0);
  await writer.cleanup();
  expect(filter.chainNames).toEqual(['INPUT', 'FORWARD', 'OUTPUT', 'KUBE-FIREWALL', 'KUBE-KUBELET-CANARY']);
  expect(filter.chain('INPUT')).toEqual(['-j KUBE-FIREWALL']);
});

test('both families, each with its own program', async () => {
  const { kernel, writer } = setUp();
  const six = setOf('s:friends', ['fd00::/64'], { family: 'ipv6' });
  const chain = chainOf('cali-FORWARD', ruleOf({ kind: 'drop' }));
  await writer.resync(dataplaneOf({ sets: [six], chains: { filter: [chain] }, families: ['ipv4', 'ipv6'] }));
  expect(kernel.table('ip6', 'filter').chain('cali-FORWARD')).toEqual(
    kernel.table('ip', 'filter').chain('cali-FORWARD'),
  );
});

test('somebody flushed everything between two changes: the next change finds out and mends it all', async () => {
  const { kernel, writer } = setUp();
  await writer.resync(wanted);
  const filter = kernel.table('ip', 'filter');
  for (const name of ['FORWARD', 'cali-FORWARD', 'cali-tw-pod', 'cali-pi-a']) filter.setChain(name, []);
  for (const name of ['cali-FORWARD', 'cali-tw-pod', 'cali-pi-a']) filter.deleteChain(name);
  const more = chainOf('cali-FORWARD', ...forward.rules, ruleOf({ kind: 'drop' }));
  const after = dataplaneOf({
    sets: [friends, policed],
    chains: { filter: [more, endpoint, policy], mangle: [guard] },
    hooks,
  });
  const change = { family: 'ipv4', table: 'filter', name: more.name, chain: more } as const;
  const report = await writer.update({ ipSets: [], chains: [change], hooks: [] }, after);
  expect(report.refused).toEqual([]);
  expect(filter.chain('FORWARD')).toHaveLength(1);
  expect(filter.chain('cali-pi-a')).toHaveLength(2);
});

test('114: a restore that is killed is tried again after a fresh look', async () => {
  const { kernel, writer } = setUp();
  kernel.failNext(/restore/);
  await writer.resync(wanted);
  expect(kernel.table('ip', 'filter').chain('FORWARD')).toHaveLength(1);
  expect((await writer.resync(wanted)).writes).toBe(0);
});

test('a machine that goes on failing is an error; the change is not lost', async () => {
  const { kernel, writer } = setUp();
  await writer.resync(wanted);
  for (let times = 0; times < 4; times += 1) kernel.failNext(/iptables-nft-restore/);
  const drop = chainOf('cali-pi-a');
  const after: Dataplane = dataplaneOf({
    sets: [friends, policed],
    chains: { filter: [forward, endpoint, drop], mangle: [guard] },
    hooks,
  });
  const delta = {
    ipSets: [],
    chains: [{ family: 'ipv4', table: 'filter', name: drop.name, chain: drop }],
    hooks: [],
  } as const;
  await expect(writer.update(delta, after)).rejects.toBeInstanceOf(CommandError);
  await writer.update({ ipSets: [], chains: [], hooks: [] }, after);
  expect(kernel.table('ip', 'filter').chain('cali-pi-a')).toEqual([]);
});

const bad = ruleOf({ kind: 'reject' });
const isBad = (rule: string): boolean => rule.includes('REJECT');

test('a policy that the kernel refuses is closed, and nothing else suffers', async () => {
  const { kernel, writer } = setUp();
  kernel.refuses = isBad;
  const broken = chainOf('cali-pi-a', accept, bad);
  const others = Array.from({ length: 20 }, (_, index) => chainOf(`cali-pi-${index}`, accept));
  const filter = [forward, endpoint, ...others.slice(0, 10), broken, ...others.slice(10)];
  const dataplane = dataplaneOf({ sets: [friends], chains: { filter }, hooks: hooks.slice(0, 1) });
  const report = await writer.resync(dataplane);
  expect(report.refused.map(describeRefusal)).toEqual([
    expect.stringMatching(/^ipv4 filter cali-pi-a: .*Invalid argument/),
  ]);
  expect(report.refused).toMatchObject([{ instead: 'closed', chain: broken }]);
  const table = kernel.table('ip', 'filter');
  expect(table.chain('cali-pi-a')).toEqual([]);
  expect(table.chain('cali-tw-pod')).toHaveLength(2);
  for (const { name } of others) expect(table.chain(name)).toHaveLength(1);
  expect(table.chain('FORWARD')).toHaveLength(1);

  kernel.calls.length = 0;
  expect(await writer.resync(dataplane)).toMatchObject({ writes: 0, refused: [{ chain: broken }] });
  expect(kernel.writes).toEqual([]);
});

test('a refused policy is tried again when it changes', async () => {
  const { kernel, writer } = setUp();
  kernel.refuses = isBad;
  const withPolicy = (chain: typeof policy): Dataplane =>
    dataplaneOf({ sets: [friends], chains: { filter: [forward, endpoint, chain] }, hooks: hooks.slice(0, 1) });
  const change = (chain: typeof policy): Parameters<KernelWriter['update']>[0] => ({
    ipSets: [],
    chains: [{ family: 'ipv4', table: 'filter', name: chain.name, chain }],
    hooks: [],
  });
  await writer.resync(withPolicy(policy));
  const broken = chainOf('cali-pi-a', accept, bad);
  expect((await writer.update(change(broken), withPolicy(broken))).refused).toHaveLength(1);
  expect(kernel.table('ip', 'filter').chain('cali-pi-a')).toEqual([]);
  expect((await writer.update(change(policy), withPolicy(policy))).refused).toEqual([]);
  expect(kernel.table('ip', 'filter').chain('cali-pi-a')).toHaveLength(2);
});

test('a refused workload chain drops; a refused common chain keeps its last good text', async () => {
  const { kernel, writer } = setUp();
  await writer.resync(wanted);
  kernel.refuses = isBad;
  const before = kernel.table('ip', 'filter').chain('cali-FORWARD');
  const dataplane = dataplaneOf({
    sets: [friends, policed],
    chains: { filter: [chainOf('cali-FORWARD', bad), chainOf('cali-tw-pod', bad), policy], mangle: [guard] },
    hooks,
  });
  const report = await writer.resync(dataplane);
  expect(report.refused).toMatchObject([
    { chain: { name: 'cali-FORWARD' }, instead: 'kept' },
    { chain: { name: 'cali-tw-pod' }, instead: 'closed' },
  ]);
  expect(kernel.table('ip', 'filter').chain('cali-FORWARD')).toEqual(before);
  expect(kernel.table('ip', 'filter').chain('cali-tw-pod')).toMatchObject([expect.stringMatching(/--jump DROP$/)]);
});

test('a member that the kernel refuses is left out, the others go in', async () => {
  const { kernel, writer } = setUp();
  const mixed = setOf('s:mixed', ['10.0.0.1', 'fd00::1', '10.0.0.2']);
  const report = await writer.resync(dataplaneOf({ sets: [mixed, friends] }));
  expect(report.refused).toMatchObject([{ kind: 'member', member: 'fd00::1', set: { name: mixed.name } }]);
  expect(kernel.sets.get(mixed.name)?.members).toEqual(new Set(['10.0.0.1', '10.0.0.2']));
  expect(kernel.sets.get(friends.name)?.members).toEqual(friends.members);
  expect(await writer.resync(dataplaneOf({ sets: [mixed, friends] }))).toMatchObject({ writes: 0, refused: [{}] });
});

test('calls are carried out one after the other, in order', async () => {
  const { kernel, writer } = setUp();
  await Promise.all([writer.resync(wanted), writer.resync(empty), writer.resync(wanted)]);
  expect(kernel.table('ip', 'filter').chain('FORWARD')).toHaveLength(1);
  expect((await writer.resync(wanted)).writes).toBe(0);
});

test('a refusal is forgotten with the object, and when the kernel has learnt', async () => {
  const { kernel, writer } = setUp();
  kernel.refuses = isBad;
  const broken = chainOf('cali-pi-a', bad);
  const common = chainOf('cali-FORWARD', bad);
  const dataplane = dataplaneOf({ chains: { filter: [broken, common] }, hooks: hooks.slice(0, 1) });
  expect((await writer.resync(dataplane)).refused).toMatchObject([
    { kind: 'chain', chain: broken, instead: 'closed' },
    { kind: 'chain', chain: common, instead: 'absent' },
    { kind: 'hook', chain: 'FORWARD' },
  ]);
  expect((await writer.resync(dataplane)).refused).toHaveLength(3);
  kernel.refuses = () => false;
  expect((await writer.resync(dataplane)).refused).toMatchObject([{ chain: broken }]);
  expect((await writer.resync(dataplane, { retryRefused: true })).refused).toEqual([]);
  expect(kernel.table('ip', 'filter').chain('cali-pi-a')).toHaveLength(1);

  kernel.refuses = isBad;
  const another = chainOf('cali-pi-b', bad);
  expect((await writer.resync(dataplaneOf({ chains: { filter: [another] } }))).refused).toHaveLength(1);
  expect((await writer.resync(empty)).refused).toEqual([]);
});

test('a refused member is not tried again by a later change of its set', async () => {
  const { kernel, writer } = setUp();
  const withBad = (...members: readonly string[]): ReturnType<typeof setOf> =>
    setOf('s:mixed', ['fd00::1', ...members]);
  await writer.resync(dataplaneOf({ sets: [withBad()] }));
  kernel.calls.length = 0;
  const set = withBad('10.0.0.1');
  const change = { kind: 'members', set, added: ['fd00::1', '10.0.0.1'], removed: [] } as const;
  await writer.update({ ipSets: [change], chains: [], hooks: [] }, dataplaneOf({ sets: [set] }));
  // The part that a refused restore had done was read first.
  expect(kernel.writes.map(({ input }) => input)).toEqual(['add cali40s:mixed 10.0.0.1\n']);
  const later = {
    kind: 'members',
    set: withBad('10.0.0.2'),
    added: ['fd00::1', '10.0.0.2'],
    removed: ['10.0.0.1'],
  } as const;
  kernel.calls.length = 0;
  await writer.update({ ipSets: [later], chains: [], hooks: [] }, dataplaneOf({ sets: [later.set] }));
  expect(kernel.calls.map(({ input }) => input)).toEqual(['del cali40s:mixed 10.0.0.1\nadd cali40s:mixed 10.0.0.2\n']);
});

test('every restore input holds one table, and one that deletes chains does nothing else', async () => {
  const { kernel, writer } = setUp();
  const other = chainOf('cali-pi-b', ruleOf({ kind: 'return' }));
  await writer.resync(wanted);
  const moved = chainOf('cali-tw-pod', ruleOf(jumpTo('cali-pi-b')));
  await writer.resync(dataplaneOf({ chains: { filter: [forward, moved, other], raw: [guard] }, hooks: [] }));
  await writer.resync(empty);
  const inputs = kernel.writes.filter(({ argv }) => argv[0].startsWith('iptables')).map(({ input }) => input);
  const deleting = inputs.filter((input) => /^-X /m.test(input));
  expect(deleting.length).toBeGreaterThanOrEqual(3);
  for (const input of inputs) {
    expect(input.match(/^\*\w+$/gm)).toHaveLength(1);
    expect(input.match(/^COMMIT$/gm)).toHaveLength(1);
  }
  for (const input of deleting) {
    const [declared, deleted] = [/^:(\S+)/gm, /^-X (\S+)$/gm].map((line) =>
      [...input.matchAll(line)].map(([, name]) => name),
    );
    expect(deleted).toEqual(declared);
    expect(input.match(/^-[^X]/m)).toBeNull();
  }
});
