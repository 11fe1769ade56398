/** The examples of the Service chapters in a lab of three nodes, by real packets: who is reached, and whom the server sees. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../../src/backends/exec.ts';
import { loadModel } from '../../src/cli/model.ts';
import { parseFlows } from '../../src/explain/flow-file.ts';
import type { Flow } from '../../src/explain/flow-file.ts';
import { namespaceOf } from '../../src/lab/exec.ts';
import { clusterDefaults } from '../../src/manifests/defaults.ts';
import { loadManifests } from '../../src/manifests/load-manifests.ts';
import type { TestLab } from './lab-fixture.ts';
import { agentReport, testLab, untilTrue } from './lab-fixture.ts';
import { describeKernel } from './netns.ts';
import { labObjects, wrongFlows } from './service-flows.ts';

const folder = join(import.meta.dirname, '..', '..', 'examples');
const examples = [
  'clusterip',
  'nodeport',
  'traffic-policy-cluster',
  'traffic-policy-local',
  'loadbalancer',
  'headless',
  'externalips',
];

describeKernel('examples of Services', () => {
  let lab: TestLab;
  let present: readonly string[] = [];

  beforeAll(async () => {
    lab = await testLab(filesOf('clusterip'));
    present = Object.keys(filesOf('clusterip'));
  });
  afterAll(() => lab.down());

  test.each(examples)('%s', async (name) => {
    await change(name);
    const state = await lab.readState();
    const model = await loadModel({ state: await labObjects(state), diagnostics: [] });
    expect(await wrongFlows(state, model, flowsOf(name))).toEqual([]);
  });

  test('loadbalancer: the nodes with a pod are healthy, and the balancer follows the pods', async () => {
    await change('loadbalancer');
    expect(await health('node1')).toEqual(['200', 1]);
    expect(await health('node2')).toEqual(['503', 0]);
    expect(await health('node3')).toEqual(['200', 1]);
    const pods = filesOf('loadbalancer')['pods.yaml'] ?? '';
    await lab.write('pods.yaml', pods.replace('nodeName: node1', 'nodeName: node2').replace('webapp-0', 'webapp-2'));
    await untilTrue('node1 is left out', async () => (await health('node1'))[0] === '503');
    await untilTrue('node2 is taken', async () => (await health('node2'))[0] === '200');
    const answer = { from: 'outside', to: '203.0.113.10:80', expect: 'allowed', dnat: ['webapp-2:80'] } as const;
    await untilTrue('the balancer sends to node2', async () => {
      const state = await lab.readState();
      if (!state.pods.some(({ key }) => key === 'default/webapp-2')) return false;
      const model = await loadModel({ state: await labObjects(state), diagnostics: [] });
      return (await wrongFlows(state, model, [{ ...answer, source: 'outside', line: 1 }])).length === 0;
    });
  });

  /** Answers the status and `localEndpoints`. */
  async function health(node: string): Promise<readonly [string, number]> {
    const state = await lab.readState();
    const address = state.nodes.find(({ name }) => name === node)?.addresses[0] ?? '';
    const argv = ['curl', '-sS', '--max-time', '5', '-w', '\n%{http_code}', `http://${address}:32000/`] as const;
    const { stdout } = await run(['ip', 'netns', 'exec', namespaceOf(state, 'outside'), ...argv]);
    const [body = '', status = ''] = stdout.split(/\n(?=\d+$)/);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what kube-proxy answers too
    const { localEndpoints } = JSON.parse(body) as { localEndpoints: number };
    return [status, localEndpoints];
  }

  /** Puts one example in the place of another. */
  async function change(name: string): Promise<void> {
    const files = filesOf(name);
    for (const file of present) if (!(file in files)) await lab.remove(file);
    for (const [file, text] of Object.entries(files)) await lab.write(file, text);
    present = Object.keys(files);
    const { state } = await loadManifests(join(folder, name, 'manifests'), clusterDefaults({}));
    const wanted = [state.services, state.endpointSlices].map((objects) => [...objects.keys()].toSorted().join());
    await untilTrue(`${name} is what the lab has`, async () => {
      const { services, endpointSlices, pods } = await labObjects(lab.state);
      const found = [services, endpointSlices].map((objects) => [...objects.keys()].toSorted().join());
      return found.join(';') === wanted.join(';') && [...pods.keys()].join() === [...state.pods.keys()].join();
    });
    await lab.untilProgrammed('Pod', state.pods.size);
    await lab.untilProgrammed('Service', state.services.size);
    await untilTrue(`${name} is in the kernels`, async () => {
      const reports = await Promise.all(lab.state.nodes.map((node) => agentReport(lab.state, node.name)));
      return reports.every(({ status }) => status.ready && status.revision === status.appliedRevision);
    });
  }
});

function filesOf(name: string): Readonly<Record<string, string>> {
  const manifests = join(folder, name, 'manifests');
  return Object.fromEntries(readdirSync(manifests).map((file) => [file, readFileSync(join(manifests, file), 'utf8')]));
}

function flowsOf(name: string): readonly Flow[] {
  const file = join(folder, name, 'flows.yaml');
  const { flows, diagnostics } = parseFlows(readFileSync(file, 'utf8'), file);
  expect(diagnostics).toEqual([]);
  return flows;
}
