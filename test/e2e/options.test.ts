import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { programFile } from '../../e2e/build/cache.ts';
import { readOptions } from '../../e2e/options.ts';
import { suites } from '../../e2e/suites/table.ts';
import { choiceOf } from '../../e2e/suites/upstream.ts';
import { cniConflist, kubeletConfig } from '../../e2e/cluster/node-config.ts';
import { planTopology } from '../../e2e/cluster/topology.ts';

describe('the command line', () => {
  test('nothing said: the fixed part of every suite, on both CNIs', () => {
    expect(readOptions([])).toEqual({
      command: 'test',
      isFull: false,
      suites: suites.map(({ name }) => name),
      cnis: ['ptp', 'bridge'],
      keep: false,
      proxy: 'sluice',
      processes: 2,
    });
  });

  test('what is said counts', () => {
    const args = [
      '--full',
      '--suite',
      'netpol',
      '--cni',
      'bridge',
      '--focus',
      'deny',
      '--keep',
      '--proxy',
      'kube-proxy',
      '--processes',
      '3',
      '--json',
      'x.json',
    ];
    expect(readOptions(args)).toEqual({
      command: 'test',
      isFull: true,
      suites: ['netpol'],
      cnis: ['bridge'],
      focus: 'deny',
      keep: true,
      proxy: 'kube-proxy',
      processes: 3,
      json: 'x.json',
    });
  });

  test.each([
    [['--suite', 'nix'], '--suite nix: expected own, beside, netpol, service'],
    [['--cni', 'flannel'], '--cni flannel: expected ptp, bridge'],
    [['sideways'], 'command sideways: expected test, up, down'],
    [['up', 'now'], 'unexpected argument now'],
    [['--processes', '0'], '--processes 0: expected a number from 1 to 9'],
    [['--nix'], "Unknown option '--nix'"],
  ])('%j is refused', (args, message) => {
    expect(() => readOptions(args)).toThrow(message);
  });
});

test.each([
  ['netpol', 15],
  ['service', 20],
])('the fixed list of %s has %i different specs, none part of another', (name, count) => {
  const file = join(import.meta.dirname, '..', '..', 'e2e', 'suites', `${name}.txt`);
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  expect(choiceOf(file).count).toBe(count);
  for (const line of lines) expect(lines.filter((other) => other.includes(line))).toEqual([line]);
  const focus = new RegExp(choiceOf(file).focus);
  for (const line of lines)
    expect([line, `x ${line} [Tag]`, `${line} too`].map((spec) => focus.test(spec))).toEqual([true, true, false]);
  expect(focus.test('[sig-network] Services should be something else')).toBe(false);
});

test('a program lies where its module and version say, so that another version is another file', () => {
  const folder = (name: 'kubelet' | 'kube-proxy' | 'runc'): string => join(programFile(name), '..');
  expect(folder('kubelet')).toBe(folder('kube-proxy'));
  expect(folder('kubelet')).toMatch(/\/e2e\/kubernetes-[0-9a-f]{12}\/bin$/);
  expect(folder('runc')).not.toBe(folder('kubelet'));
});

test('every module fixes its versions', () => {
  const modules = join(import.meta.dirname, '..', '..', 'e2e', 'build', 'modules');
  const folders = globSync('*', { cwd: modules });
  expect(folders.length).toBeGreaterThan(4);
  for (const folder of folders) {
    expect(readFileSync(join(modules, folder, 'go.mod'), 'utf8')).toMatch(/^module sluice\.invalid\/e2e\//m);
    expect(readFileSync(join(modules, folder, 'go.sum'), 'utf8').length).toBeGreaterThan(1000);
  }
});

test('nodes differ in names, addresses and pod CIDRs; their files say so', () => {
  const topology = planTopology('slc-e2e', 2);
  const [one, two] = topology.nodes;
  expect(one).toEqual({ name: 'node-1', netns: 'slc-e2e-node-1', address: '172.30.0.11', podCidr: '10.244.1.0/24' });
  expect(two).toEqual({ name: 'node-2', netns: 'slc-e2e-node-2', address: '172.30.0.12', podCidr: '10.244.2.0/24' });
  if (two === undefined) throw new Error('two nodes were asked for');
  expect(JSON.parse(cniConflist('ptp', two))).toMatchObject({ plugins: [{ type: 'ptp' }, { type: 'portmap' }] });
  expect(cniConflist('bridge', two)).toContain('"subnet": "10.244.2.0/24"');
  expect(JSON.parse(kubeletConfig(topology, two, two.netns))).toMatchObject({
    address: '172.30.0.12',
    cgroupRoot: '/slc-e2e-node-2',
    clusterDNS: ['10.96.0.10'],
  });
});
