import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { PreparedNode } from '../../src/agent/prepared-node.ts';
import { SysctlMemory } from '../../src/agent/sysctl-memory.ts';
import { ensureSysctls } from '../../src/backends/links/sysctls.ts';
import type { SysctlAccess } from '../../src/backends/links/sysctls.ts';
import type { EndpointBinding } from '../../src/dataplane/endpoint-binding.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { Readiness } from '../../src/telemetry/readiness.ts';
import { ip } from '../policy/objects.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-node-'));
afterAll(() => rmSync(directory, { recursive: true }));

const forward = 'net.ipv4.ip_forward';
const bridgeNames = ['call-iptables', 'call-ip6tables', 'filter-vlan-tagged'].map(
  (name) => `net.bridge.bridge-nf-${name}`,
);

let run = 0;
let values: Map<string, string>;
let readOnly: ReadonlySet<string>;
let hairpins: string[];
let binding: EndpointBinding;
let log: string[];

beforeEach(() => {
  run += 1;
  values = new Map([[forward, '0'], ...bridgeNames.map((name) => [name, '0'] as const)]);
  readOnly = new Set();
  hairpins = [];
  log = [];
  binding = { kind: 'routed', interface: 'cali1' };
});

const access: SysctlAccess = {
  read: (name) => Promise.resolve(values.get(name)),
  write: async (name, value) => {
    await Promise.resolve();
    if (readOnly.has(name)) throw new Error('EROFS: read-only file system');
    values.set(name, value);
  },
};

function prepare() {
  const readiness = new Readiness(['sysctls']);
  const memory = new SysctlMemory(join(directory, String(run)));
  const node = new PreparedNode({
    links: {
      read: () =>
        Promise.resolve({ bindings: new Map([[ip('10.9.0.2'), binding]]), nodeAddresses: [], conntrackLiberal: false }),
      changes: async function* () {
        await Promise.resolve();
        yield undefined;
      },
      setHairpin: async (ports) => {
        await Promise.resolve();
        hairpins.push(...ports);
        return ports;
      },
    },
    ensureSysctls: (needs) => ensureSysctls(needs, access),
    memory,
    families: ['ipv4'],
    logger: createLogger('info', { write: (line) => void log.push(line) }),
    readiness,
  });
  return { node, readiness, memory };
}

test('a setting that somebody else changes is set again without any change of links, and missed where it cannot be', async () => {
  binding = { kind: 'bridged', bridge: 'cni0', port: 'veth1' };
  const { node, readiness } = prepare();
  await node.checkSettings();
  expect(values.get(forward)).toBe('0');
  await node.read([]);
  for (const name of bridgeNames) values.set(name, '0');
  await node.checkSettings();
  expect(bridgeNames.map((name) => values.get(name))).toEqual(['1', '1', '1']);
  const [first = ''] = bridgeNames;
  values.set(first, '0');
  readOnly = new Set(bridgeNames);
  await node.checkSettings();
  expect(readiness.isReady).toBe(false);
  readOnly = new Set();
  await node.checkSettings();
  expect(readiness.isReady).toBe(true);
});

test('settings that are found wrong twice at the same time are remembered', async () => {
  const memory = new SysctlMemory(join(directory, String(run)));
  const changes = [forward, ...bridgeNames].map((name) => ({ name, before: '0', after: '1' }));
  const failures = await Promise.all(changes.map((change) => memory.remember([change])));
  expect(failures).toEqual(changes.map(() => undefined));
  expect(Object.keys(await memory.read()).toSorted()).toEqual([forward, ...bridgeNames].toSorted());
});

describe('routed pods', () => {
  test('forwarding is switched on, logged, and remembered as it was', async () => {
    const { node, readiness, memory } = prepare();
    await node.read([]);
    expect(values.get(forward)).toBe('1');
    expect(readiness.isReady).toBe(true);
    expect(log).toHaveLength(1);
    expect(log[0]).toContain('"sysctl":"net.ipv4.ip_forward","before":"0","after":"1","msg":"sysctl was set"');
    expect(await memory.read()).toEqual({ [forward]: '0' });
  });

  test('what is right already is neither written nor logged', async () => {
    values.set(forward, '1');
    const { node, memory } = prepare();
    await node.read([]);
    expect(log).toEqual([]);
    expect(await memory.read()).toEqual({});
  });

  test('settings of bridges are left alone', async () => {
    await prepare().node.read([]);
    expect(bridgeNames.map((name) => values.get(name))).toEqual(['0', '0', '0']);
  });

  test('what cannot be set keeps the agent unready, and is named', async () => {
    readOnly = new Set([forward]);
    const { node, readiness } = prepare();
    await node.read([]);
    const problem = `sysctl ${forward} cannot be set to 1: EROFS: read-only file system`;
    expect(readiness.parts[0]?.reason).toBe(problem);
    for (let look = 0; look < 3; look += 1) await node.checkSettings();
    expect(log.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { level: 'error', message: problem, msg: 'sysctl was not set' },
    ]);
    readOnly = new Set();
    await node.read([]);
    expect(readiness.isReady).toBe(true);
  });

  test('the first value before ours is the one that is remembered', async () => {
    const { node, memory } = prepare();
    await node.read([]);
    values.set(forward, '2');
    await node.read([]);
    expect(await memory.read()).toEqual({ [forward]: '0' });
  });
});

describe('pods behind a bridge', () => {
  beforeEach(() => {
    binding = { kind: 'bridged', bridge: 'cni0', port: 'veth1' };
  });

  test('frames of the bridge pass iptables, and ports get hairpin mode once', async () => {
    const { node } = prepare();
    await node.read([]);
    await node.read([]);
    expect(bridgeNames.map((name) => values.get(name))).toEqual(['1', '1', '1']);
    expect(hairpins).toEqual(['veth1']);
  });

  test('where an administrator had set them, the ports are left as they are', async () => {
    for (const name of bridgeNames) values.set(name, '1');
    await prepare().node.read([]);
    expect(hairpins).toEqual([]);
  });

  test('a kernel without the module is not ready', async () => {
    for (const name of bridgeNames) values.delete(name);
    const { node, readiness } = prepare();
    await node.read([]);
    expect(readiness.parts[0]?.reason).toContain('br_netfilter');
  });
});

test('a disk that is full stops nobody: the old value is remembered when there is room again', async () => {
  const { node, memory, readiness } = prepare();
  // Not even root can make a directory where a file is.
  const place = join(directory, String(run));
  writeFileSync(place, '');
  await node.read([]);
  expect(readiness.isReady).toBe(true);
  expect(log.join('')).toContain('old values of settings were not remembered');
  rmSync(place);
  values.set('net.bridge.bridge-nf-call-iptables', '0');
  binding = { kind: 'bridged', bridge: 'br0', port: 'cali1' };
  await node.read([]);
  expect(await memory.read()).toMatchObject({ [forward]: '0', 'net.bridge.bridge-nf-call-iptables': '0' });
});
