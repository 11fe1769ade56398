/** route_localnet (kube-proxy.md 2.8, scenarios 30 and 31): set where node ports answer on localhost, and only once the chains are in. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Localnet } from '../../src/agent/localnet.ts';
import { ensureSysctls, type SysctlChange } from '../../src/backends/links/sysctls.ts';
import type { IpFamily } from '../../src/lib/ip.ts';
import type { NodePortOptions } from '../../src/service/nodeport-addresses.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { ManualClock, settle } from '../fakes/manual-clock.ts';
import { cidr, options } from '../service/fixtures.ts';

const name = 'net.ipv4.conf.all.route_localnet';

let values: Map<string, string>;
let isReadOnly: boolean;
let remembered: SysctlChange[];
let clock: ManualClock;
let abort: AbortController;
let ended: Promise<void>;

beforeEach(() => {
  values = new Map([[name, '0']]);
  isReadOnly = false;
  remembered = [];
  clock = new ManualClock();
  abort = new AbortController();
});
afterEach(async () => {
  abort.abort();
  await ended;
});

function start(families: readonly IpFamily[] = ['ipv4']): Localnet {
  const access = {
    read: (key: string) => Promise.resolve(values.get(key)),
    write: async (key: string, value: string) => {
      await Promise.resolve();
      if (isReadOnly) throw new Error('EROFS: read-only file system');
      values.set(key, value);
    },
  };
  const localnet = new Localnet({
    families,
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
  ended = localnet.run(abort.signal);
  return localnet;
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
  const localnet = start([family]);
  await pass();
  expect(values.get(name)).toBe('0');
  localnet.written({ ...options, ...choice });
  await pass();
  expect(values.get(name)).toBe(expected);
  expect(remembered).toEqual(expected === '1' ? [{ name, before: '0', after: '1' }] : []);
});

test('where it cannot be set people are told, and it is tried again', async () => {
  isReadOnly = true;
  const localnet = start();
  localnet.written(options);
  await pass();
  expect(localnet.diagnostics).toEqual([
    {
      severity: 'warning',
      object: '',
      message: `node ports do not answer on 127.0.0.1: sysctl ${name} cannot be set to 1: EROFS: read-only file system`,
    },
  ]);
  isReadOnly = false;
  await pass(1000);
  expect(localnet.diagnostics).toEqual([]);
  expect(values.get(name)).toBe('1');
});

test('somebody sets it back: the next change sets it again', async () => {
  const localnet = start();
  localnet.written(options);
  await pass();
  values.set(name, '0');
  localnet.written(options);
  await pass();
  expect(values.get(name)).toBe('1');
});
