import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { ConfigError } from '../../src/config/config-error.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { ConfigSources } from '../../src/config/load.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-config-'));
afterAll(() => rmSync(directory, { recursive: true }));

function fileWith(text: string): string {
  const file = join(directory, 'sluice.yaml');
  writeFileSync(file, text);
  return file;
}

function problemsOf(sources: Partial<ConfigSources>): readonly string[] {
  try {
    loadConfig({ flags: {}, environment: {}, ...sources });
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

test('with nothing given, the documented defaults hold', () => {
  expect(loadConfig({ flags: {}, environment: {} })).toEqual({
    ipFamilies: ['ipv4', 'ipv6'],
    iptablesBackend: 'auto',
    podStart: 'closed',
    established: 'cut',
    hostEgress: 'policed',
    hostEndpointAction: 'return',
    invalidDrop: true,
    interfacePrefixes: [],
    serviceProxy: false,
    clusterCidrs: [],
    natOutgoing: false,
    nodePortAddresses: [],
    localhostNodePorts: true,
    externalIps: true,
    masqueradeAll: false,
    localTrafficDetector: 'clusterCidr',
    httpPort: 9840,
    proxyHealthPort: 10_256,
    proxyModePort: 10_249,
    apiPort: 9841,
    runDir: '/run/sluice',
    driftCheckSeconds: 2,
    resyncSeconds: 90,
    logLevel: 'info',
  });
});

describe('flag > environment > file > default', () => {
  const file = (): string => fileWith('resyncSeconds: 30\n');
  const environment = { SLUICE_RESYNC_SECONDS: '40' };
  test.each([
    ['default', {}, 90],
    ['file', { file: file() }, 30],
    ['environment', { environment, file: file() }, 40],
    ['flag', { flags: { resyncSeconds: '50' }, environment, file: file() }, 50],
  ])('%s', (_name, sources, expected) => {
    file();
    expect(loadConfig({ flags: {}, environment: {}, ...sources }).resyncSeconds).toBe(expected);
  });

  test("the lab's own variable is no setting", () => {
    expect(loadConfig({ flags: {}, environment: { SLUICE_LAB_RUN_DIR: '/tmp/labs' } }).runDir).toBe('/run/sluice');
  });

  test('SLUICE_CONFIG names the file where --config does not', () => {
    expect(loadConfig({ flags: {}, environment: { SLUICE_CONFIG: file() } }).resyncSeconds).toBe(30);
  });
});

test.each([
  ['list', { ipFamilies: 'ipv6,ipv4' }, { ipFamilies: ['ipv6', 'ipv4'] }],
  ['list with spaces', { interfacePrefixes: 'cali, veth' }, { interfacePrefixes: ['cali', 'veth'] }],
  ['empty list', { clusterCidrs: '' }, { clusterCidrs: [] }],
  [
    'CIDR, host bits cleared',
    { clusterCidrs: '10.88.3.4/16' },
    { clusterCidrs: [{ family: 'ipv4', address: '10.88.0.0', prefixLength: 16 }] },
  ],
  ['flag without a value', { serviceProxy: true }, { serviceProxy: true }],
  ['false', { invalidDrop: 'false' }, { invalidDrop: false }],
  ['port 0', { httpPort: '0' }, { httpPort: 0 }],
])('text becomes a value: %s', (_name, flags, expected) => {
  expect(loadConfig({ flags, environment: {} })).toMatchObject(expected);
});

test.each([
  [{ flags: { resyncSeconds: '4' } }, '--resync-seconds: expected a number >=5, got 4'],
  [{ flags: { resyncSeconds: 'soon' } }, '--resync-seconds: expected number, received string, got "soon"'],
  [{ flags: { podStart: 'ajar' } }, '--pod-start: expected closed or open, got "ajar"'],
  [{ flags: { ipFamilies: 'ipv4,ipx' } }, '--ip-families: expected a list of ipv4 or ipv6, got "ipx"'],
  [{ environment: { SLUICE_INVALID_DROP: 'yes' } }, 'SLUICE_INVALID_DROP: expected true or false, got "yes"'],
  [
    { flags: { nodePortAddresses: 'primary,secondary' } },
    '--node-port-addresses: expected a CIDR such as 192.0.2.0/24, or primary, got "secondary"',
  ],
  [{ flags: { clusterCidrs: '10.0.0.0' } }, '--cluster-cidrs: expected a CIDR such as 10.244.0.0/16, got "10.0.0.0"'],
  [
    { flags: { manifests: 'a', kubeconfig: 'b' } },
    'manifests and kubeconfig: both are given, expected one source of the cluster',
  ],
  [
    { flags: { localTrafficDetector: 'interfacePrefix' } },
    'localTrafficDetector: interfacePrefix needs interfacePrefixes, got none',
  ],
  [
    { flags: { natOutgoing: true } },
    'natOutgoing: needs clusterCidrs, to know what is outside of the cluster, got none',
  ],
])('%j is refused', (sources, problem) => {
  expect(problemsOf(sources)).toEqual([problem]);
});

test('an unknown variable is refused and named', () => {
  expect(problemsOf({ environment: { SLUICE_RESYNC: '5' } })[0]).toMatch(/^SLUICE_RESYNC: unknown setting; known are /);
});

test('variables that kubelet makes of Services called sluice are no settings', () => {
  const environment = {
    SLUICE_SERVICE_HOST: '10.96.0.7',
    SLUICE_SERVICE_PORT_METRICS: '9840',
    SLUICE_PORT: 'tcp://10.96.0.7:9840',
    SLUICE_HTTP_PORT: 'tcp://10.96.0.8:80',
    SLUICE_PORT_9840_TCP_ADDR: '10.96.0.7',
  };
  expect(loadConfig({ flags: {}, environment }).httpPort).toBe(9840);
});

test('every problem of a file is told with its line', () => {
  const file = fileWith('logLevel: loud\nnodename: a\nhttpPort: 70000\n');
  const problems = problemsOf({ file });
  expect(problems).toHaveLength(3);
  expect(problems).toContain(`${file}:1: logLevel: expected trace or debug or info or warn or error, got "loud"`);
  expect(problems).toContain(`${file}:3: httpPort: expected a number <=65535, got 70000`);
  expect(problems.some((problem) => problem.startsWith(`${file}:2: nodename: unknown setting`))).toBe(true);
});

test('a mistake counts even where something else overrides it', () => {
  const file = fileWith('logLevel: loud\n');
  expect(problemsOf({ file, flags: { logLevel: 'info' } })).toHaveLength(1);
});

test.each([
  ['- a\n', /:1: expected a mapping of settings/],
  ['a: [\n', /:\d+: /],
])('a file that is no mapping is refused: %j', (text, expected) => {
  expect(problemsOf({ file: fileWith(text) })[0]).toMatch(expected);
});

test('a file that is not there is named', () => {
  expect(problemsOf({ file: join(directory, 'none.yaml') })[0]).toMatch(/none\.yaml: cannot be read: ENOENT/);
});
