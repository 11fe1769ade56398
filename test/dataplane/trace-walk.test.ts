import { expect, test } from 'vitest';
import { ruleHashes } from '../../src/dataplane/hash.ts';
import type { Hook, Rule, TableName } from '../../src/dataplane/rule.ts';
import { packetOf } from '../../src/dataplane/trace/packet.ts';
import { stepHash } from '../../src/dataplane/trace/step.ts';
import { NodeTracer } from '../../src/dataplane/trace/tracer.ts';
import {
  accept,
  back,
  dataplane,
  drop,
  dst,
  goto,
  hasMark,
  hook,
  host,
  ip,
  jump,
  mark,
  rule,
  src,
} from './hand-made.ts';

const packet = packetOf({ source: ip('10.0.0.5'), destination: ip('10.0.0.6'), destinationPort: 80 });
const forward = (chains: Readonly<Record<string, readonly Rule[]>>, ...rules: Rule[]) =>
  new NodeTracer(
    dataplane({ chains: { filter: chains }, hooks: rules.map((own) => hook('filter', 'FORWARD', own)) }),
    host(),
  ).traceHook('FORWARD', packet, { record: true });

test('no rule at all: the policy is ACCEPT', () => {
  expect(forward({}).verdict).toBe('accept');
});

test('the first verdict wins', () => {
  expect(forward({}, rule([], accept), rule([], drop)).verdict).toBe('accept');
  expect(forward({}, rule([], { kind: 'reject' }), rule([], accept)).verdict).toBe('reject');
});

test('RETURN leaves a chain; the caller goes on behind its jump', () => {
  const chains = { 'cali-a': [rule([], back), rule([], accept)] };
  expect(forward(chains, rule([], jump('cali-a')), rule([], drop)).verdict).toBe('drop');
});

test('RETURN in a chain of the kernel is its policy', () => {
  expect(forward({}, rule([], back), rule([], drop)).verdict).toBe('accept');
});

test('a chain that was gone to returns to the caller of its caller', () => {
  const chains = { 'cali-a': [rule([], goto('cali-b')), rule([], accept)], 'cali-b': [] };
  expect(forward(chains, rule([], jump('cali-a')), rule([], drop)).verdict).toBe('drop');
  expect(forward(chains, rule([], goto('cali-a')), rule([], drop)).verdict).toBe('accept');
});

test('marks stay on the packet from chain to chain', () => {
  const chains = { 'cali-a': [rule([], mark(0x10000))] };
  const trace = forward(chains, rule([], jump('cali-a')), rule([hasMark(0x10000)], drop));
  expect(trace.verdict).toBe('drop');
  expect(trace.packet.mark).toBe(0x10000);
});

test('set-mark clears its mask, xor-mark flips, the highest bit stays positive', () => {
  const trace = forward({}, rule([], mark(0x80010000, 0xffff0000)), rule([], { kind: 'xor-mark', value: 0x10000 }));
  expect(trace.packet.mark).toBe(0x80000000);
});

test('a rule without a target only counts', () => {
  expect(forward({}, rule([], { kind: 'none' }), rule([], drop)).verdict).toBe('drop');
});

test('steps say what matched, in order, and where a chain ended without a word', () => {
  const chains = { 'cali-a': [rule([dst('10.0.0.9/32')], drop), rule([src('10.0.0.5/32')], mark(0x10000))] };
  const trace = forward(chains, rule([], jump('cali-a')), rule([hasMark(0x10000)], accept));
  expect(trace.path.map((step) => [step.kind, step.chain, step.kind === 'rule' ? step.index : undefined])).toEqual([
    ['rule', 'FORWARD', 0],
    ['rule', 'cali-a', 1],
    ['end', 'cali-a', undefined],
    ['rule', 'FORWARD', 1],
  ]);
});

test('a step knows its hash: of the chain, and of our hooks in a chain of the kernel', () => {
  const chain = [rule([dst('10.0.0.9/32')], drop), rule([], mark(0x10000))];
  const kube: Hook = {
    table: 'filter',
    chain: 'FORWARD',
    position: 'first',
    style: 'kube',
    rule: rule([], jump('KUBE-FORWARD')),
  };
  const cali = rule([], jump('cali-a'));
  const last = rule([hasMark(0x10000)], accept);
  const hooks = [kube, hook('filter', 'FORWARD', cali), hook('filter', 'FORWARD', last, 'last')];
  const tracer = new NodeTracer(
    dataplane({ chains: { filter: { 'cali-a': chain, 'KUBE-FORWARD': [] } }, hooks }),
    host(),
  );
  const steps = tracer.traceHook('FORWARD', packet, { record: true }).path.filter((step) => step.kind === 'rule');
  expect(steps.map(stepHash)).toEqual([
    undefined,
    ruleHashes('FORWARD', [cali])[0],
    ruleHashes('cali-a', chain)[1],
    ruleHashes('FORWARD', [last])[0],
  ]);
});

test('rules found by lookup match as a walk through all of them would', () => {
  const hosts = Array.from({ length: 40 }, (_, index) => `10.0.0.${index}/32`);
  const chains = {
    'cali-a': [
      ...hosts.slice(0, 20).map((text) => rule([dst(text)], mark(0x10000))),
      rule([hasMark(0x10000)], mark(0x20000)),
      ...hosts.slice(20).map((text) => rule([dst(text)], mark(0x40000))),
      rule([dst('10.0.0.0/8')], mark(0x80000)),
    ],
  };
  expect(forward(chains, rule([], jump('cali-a'))).packet.mark).toBe(0xb0000);
});

test('a jump to a chain that does not exist is a bug', () => {
  expect(() => forward({}, rule([], jump('cali-gone')))).toThrow('chain cali-gone, which does not exist');
});

test('chains that lead back to themselves are a bug', () => {
  expect(() => forward({ 'cali-a': [rule([], jump('cali-a'))] }, rule([], jump('cali-a')))).toThrow('lead back');
});

test('a changed chain of a live dataplane is seen at once', () => {
  const chains = new Map(dataplane({ chains: { filter: { 'cali-a': [] } } }).tables.ipv4.chains.filter);
  const base = dataplane({ hooks: [hook('filter', 'FORWARD', rule([], jump('cali-a')))] });
  const ipv4 = { ...base.tables.ipv4, chains: { ...base.tables.ipv4.chains, filter: chains } };
  const tracer = new NodeTracer({ ipSets: new Map(), tables: { ...base.tables, ipv4 } }, host());
  expect(tracer.traceHook('FORWARD', packet).verdict).toBe('accept');
  for (const [name, chain] of chains) chains.set(name, { ...chain, rules: [rule([], drop)] });
  expect(tracer.traceHook('FORWARD', packet).verdict).toBe('drop');
});

test.each<[string, 'receive' | 'send', string, readonly string[]]>([
  [
    'forwarded',
    'receive',
    '10.0.0.6',
    [
      'raw PREROUTING',
      'mangle PREROUTING',
      'nat PREROUTING',
      'mangle FORWARD',
      'filter FORWARD',
      'mangle POSTROUTING',
      'nat POSTROUTING',
    ],
  ],
  [
    'to the node',
    'receive',
    '192.0.2.1',
    ['raw PREROUTING', 'mangle PREROUTING', 'nat PREROUTING', 'mangle INPUT', 'filter INPUT', 'nat INPUT'],
  ],
  [
    'from the node',
    'send',
    '10.0.0.6',
    ['raw OUTPUT', 'mangle OUTPUT', 'nat OUTPUT', 'filter OUTPUT', 'mangle POSTROUTING', 'nat POSTROUTING'],
  ],
  [
    'from the node to itself: nat is asked once for each side',
    'send',
    '127.0.0.1',
    [
      'raw OUTPUT',
      'mangle OUTPUT',
      'nat OUTPUT',
      'filter OUTPUT',
      'mangle POSTROUTING',
      'nat POSTROUTING',
      'raw PREROUTING',
      'mangle PREROUTING',
      'mangle INPUT',
      'filter INPUT',
    ],
  ],
])('tables in the kernel’s order: %s', (_name, way, destination, expected) => {
  const names: readonly TableName[] = ['filter', 'nat', 'mangle', 'raw'];
  const places = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'] as const;
  const hooks = names.flatMap((table) => places.map((chain) => hook(table, chain, rule([], { kind: 'none' }))));
  const tracer = new NodeTracer(dataplane({ hooks }), host());
  const trace = tracer[way]({ ...packet, destination: ip(destination) }, { record: true });
  const visited = trace.path.filter((step) => step.kind === 'rule').map((step) => `${step.table} ${step.hook}`);
  expect(visited).toEqual(expected);
});
