/** A live Felix is found by any of the ways it shows; an earlier one's chains, ours, and strangers are not taken for one. */
import { expect, test } from 'vitest';
import { felixRefusal, findFelix } from '../../src/agent/other-felix.ts';
import type { FelixSurroundings } from '../../src/agent/other-felix.ts';
import type { Run } from '../../src/backends/exec.ts';
import { iptablesRestoreText } from '../../src/dataplane/restore-text.ts';
import { routed, testNode } from '../compile/node.ts';
import { pod } from '../policy/objects.ts';
import { neighboursOfEachTest } from './neighbours.ts';

const neighbours = neighboursOfEachTest();

const { dataplane } = testNode([{ pod: pod('a/x', { ips: ['10.9.0.7'] }), binding: routed('cali1') }], []);
const ours = iptablesRestoreText(dataplane, 'ipv4');
const felixs =
  '*filter\n:FORWARD ACCEPT [0:0]\n:cali-FORWARD - [0:0]\n:cali-cidr-block - [0:0]\n:cali-failsafe-in - [0:0]\nCOMMIT\n';

function find(around: Partial<FelixSurroundings>, saved = ''): Promise<string | undefined> {
  const run: Run = (argv) => {
    expect(argv).toEqual(['iptables-nft-save', '-t', 'filter']);
    return Promise.resolve({ stdout: saved, stderr: '', durationMs: 1 });
  };
  return findFelix(
    { run, variant: 'nft' },
    { healthPort: 1, metricsPort: 1, procDirectory: neighbours.procDirectory, ...around },
  );
}

test('nobody is there, whatever chains there are', async () => {
  expect(await find({}, felixs)).toBeUndefined();
  expect(await find({}, ours)).toBeUndefined();
});

test.each([
  ['calico-felix', []],
  ['calico-node', ['-felix']],
])('%s %j runs in this network namespace', async (comm, args) => {
  neighbours.run('4711', comm, 'net:[1]', args);
  expect(await find({})).toBe('process 4711');
});

test("calico-node's other halves, and one of another network namespace", async () => {
  neighbours.run('4711', 'calico-node', 'net:[1]', ['-confd']);
  neighbours.run('4712', 'calico-node', 'net:[2]', ['-felix']);
  neighbours.run('4713', 'calico-node-like', 'net:[1]', ['-felix']);
  expect(await find({})).toBeUndefined();
});

test('its metrics', async () => {
  const metricsPort = await neighbours.answering('# HELP x\nfelix_active_local_endpoints 3\n');
  expect(await find({ metricsPort })).toBe(`it answers on 127.0.0.1:${metricsPort}/metrics`);
});

test.each([200, 204, 503])('its health port answers %i, and its own chains are there', async (status) => {
  const healthPort = await neighbours.answering('', status);
  expect(await find({ healthPort }, felixs)).toBe(
    `it answers on 127.0.0.1:${healthPort}/liveness, and its chain cali-cidr-block is in table filter`,
  );
});

test('others answer on its ports, also beside chains of ours', async () => {
  const [healthPort, metricsPort] = [await neighbours.answering('ok'), await neighbours.answering('go_goroutines 7\n')];
  expect(ours).toContain(':cali-FORWARD ');
  expect(await find({ healthPort, metricsPort }, ours)).toBeUndefined();
  expect(await find({ healthPort: await neighbours.answering('', 404) }, felixs)).toBeUndefined();
});

test('the refusal says what was seen and what to do', () => {
  expect(felixRefusal('process 4711')).toMatch(
    /\(process 4711\).*delete daemonset calico-node.*delete installation default/,
  );
});
