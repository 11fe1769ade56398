/** Kernel settings of Services (kube-proxy.md 2.8, scenarios 30, 31, 123): set once the chains are in, route_localnet only where node ports answer on localhost. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ServiceSysctls } from '../../src/agent/service-sysctls.ts';
import { ensureSysctls, type SysctlChange } from '../../src/backends/links/sysctls.ts';
import type { IpFamily } from '../../src/lib/ip.ts';
import type { NodePortOptions } from '../../src/service/nodeport-addresses.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { ManualClock, settle } from '../fakes/manual-clock.ts';
import { cidr, options } from '../service/fixtures.ts';

const name = 'net.ipv4.conf.all.route_localnet';
const closeWait = 'net.netfilter.nf_conntrack_tcp_timeout_close_wait';
const room = 'net.netfilter.nf_conntrack_max';
const buckets = 'net.netfilter.nf_conntrack_buckets';
const timeouts: readonly (readonly [string, string])[] = [
  [closeWait, '60'],
  ['net.netfilter.nf_conntrack_tcp_timeout_established', '432000'],
];

let values: Map<string, string>;
let isReadOnly: boolean;
/** Settings of the whole machine, seen from another network namespace than its own. */
let isElsewhere: boolean;
let remembered: SysctlChange[];
let clock: ManualClock;
let abort: AbortController;
let ended: Promise<void>;

beforeEach(() => {
  values = new Map([[name, '0'], ...timeouts]);
  isReadOnly = false;
  isElsewhere = false;
  remembered = [];
  clock = new ManualClock();
  abort = new AbortController();
});
afterEach(async () => {
  abort.abort();
  await ended;
});

function start(families: readonly IpFamily[] = ['ipv4'], cpus = 2): ServiceSysctls {
  const access = {
    read: (key: string) => Promise.resolve(values.get(key)),
    write: async (key: string, value: string) => {
      await Promise.resolve();
      if (isReadOnly) throw new Error('EROFS: read-only file system');
      if (isElsewhere && (key === room || key === buckets)) {
        throw Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' });
      }
      values.set(key, value);
    },
  };
  const sysctls = new ServiceSysctls({
    families,
    cpus,
    ensureSysctls: (needs) => ensureSysctls(needs, access),
    memory: {
      remember: async (changes) => {
        await Promise.resolve();
        remembered.push(...changes);
      },
    },
    clock,
    logger: createLogger('info', { write: () => undefined }),
  });
  ended = sysctls.run(abort.signal);
  return sysctls;
}

async function pass(milliseconds = 1): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await settle();
  await clock.advance(milliseconds);
  for (let turn = 0; turn < 10; turn += 1) await settle();
}

const rows: readonly (readonly [string, Partial<NodePortOptions>, IpFamily, '0' | '1'])[] = [
  ['30: on by default', {}, 'ipv4', '1'],
  ['30: loopback is among the addresses', { nodePortAddresses: [cidr('127.0.0.0/8')] }, 'ipv4', '1'],
  ['30: every address is', { nodePortAddresses: [cidr('0.0.0.0/0')] }, 'ipv4', '1'],
  ['31: switched off', { localhostNodePorts: false }, 'ipv4', '0'],
  ['31: not among the addresses', { nodePortAddresses: [cidr('192.168.0.0/24')] }, 'ipv4', '0'],
  ['32: no IPv4', {}, 'ipv6', '0'],
];

test.each(rows)('%s', async (_, choice, family, expected) => {
  const sysctls = start([family]);
  await pass();
  expect(values.get(name)).toBe('0');
  sysctls.written({ ...options, ...choice });
  await pass();
  expect(values.get(name)).toBe(expected);
  const before = remembered.filter((change) => change.name === name);
  expect(before).toEqual(expected === '1' ? [{ name, before: '0', after: '1' }] : []);
});

test('123: conntrack keeps half-closed connections for an hour, quiet ones for a day', async () => {
  const sysctls = start();
  sysctls.written({ ...options, localhostNodePorts: false });
  await pass();
  expect(Object.fromEntries(values)).toEqual({
    [name]: '0',
    [closeWait]: '3600',
    'net.netfilter.nf_conntrack_tcp_timeout_established': '86400',
  });
  expect(remembered.map(({ before }) => before)).toEqual(['60', '432000']);
});

const rooms: readonly (readonly [string, number, readonly [string, string], readonly [string, string]])[] = [
  ['131,072 at least', 2, ['65536', '16384'], ['131072', '32768']],
  ['32,768 for each CPU', 16, ['262144', '65536'], ['524288', '131072']],
  ['a million at most', 64, ['262144', '262144'], ['1048576', '262144']],
  ['never less than somebody has set', 2, ['200000', '8192'], ['200000', '32768']],
  ['nothing where all is well', 2, ['262144', '262144'], ['262144', '262144']],
];

test.each(rooms)('room for connections as kube-proxy makes it: %s', async (_, cpus, [max, hash], expected) => {
  values.set(room, max).set(buckets, hash);
  const sysctls = start(['ipv4'], cpus);
  sysctls.written(options);
  await pass();
  expect([values.get(room), values.get(buckets)]).toEqual(expected);
  const changed = [max, hash].filter((before, index) => before !== expected[index]);
  const ofConntrack = remembered.filter((change) => [room, buckets].includes(change.name));
  expect(ofConntrack.map(({ before }) => before)).toEqual(changed);
  expect(sysctls.diagnostics).toEqual([]);
});

test('room for connections is the machine’s: in a network namespace of one’s own nothing is to be set, and nothing is said', async () => {
  values.set(room, '1024').set(buckets, '1024');
  isElsewhere = true;
  const sysctls = start();
  sysctls.written(options);
  await pass();
  expect([values.get(room), sysctls.diagnostics]).toEqual(['1024', []]);
  isElsewhere = false;
  isReadOnly = true;
  sysctls.written(options);
  await pass();
  expect(sysctls.diagnostics.map(({ message }) => message).join()).toContain(`sysctl ${room} cannot be set to 131072`);
});

test('what cannot be set is told, and tried again', async () => {
  isReadOnly = true;
  const sysctls = start();
  sysctls.written(options);
  await pass();
  expect(sysctls.diagnostics).toHaveLength(3);
  expect(sysctls.diagnostics[0]).toEqual({
    severity: 'warning',
    object: '',
    message: `Services are served, but not wholly as kube-proxy does: sysctl ${name} cannot be set to 1: EROFS: read-only file system`,
  });
  isReadOnly = false;
  await pass(1000);
  expect(sysctls.diagnostics).toEqual([]);
  expect(values.get(name)).toBe('1');
});

test('somebody sets it back: the next change sets it again', async () => {
  const sysctls = start();
  sysctls.written(options);
  await pass();
  values.set(name, '0');
  sysctls.written(options);
  await pass();
  expect(values.get(name)).toBe('1');
});

test('what somebody else changes is set again by the next look, and nothing is before the chains are in', async () => {
  const sysctls = start();
  sysctls.check();
  await pass();
  expect(values.get(name)).toBe('0');
  sysctls.written(options);
  await pass();
  values.set(closeWait, '60');
  sysctls.check();
  await pass();
  expect([values.get(name), values.get(closeWait)]).toEqual(['1', '3600']);
});
