/** Every example with a flows.yaml: the manifests are without fault, and the tracer agrees with every line. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadModel } from '../src/cli/model.ts';
import { parseFlows } from '../src/explain/flow-file.ts';
import { checkFlows } from '../src/explain/flows.ts';
import { clusterDefaults } from '../src/manifests/defaults.ts';
import { loadManifests } from '../src/manifests/load-manifests.ts';

const examplesFolder = join(import.meta.dirname, '..', 'examples');
const examples = readdirSync(examplesFolder).filter((name) => existsSync(join(examplesFolder, name, 'flows.yaml')));

test('the chapters on Services have an example each', () => {
  expect(examples).toEqual(
    expect.arrayContaining([
      'clusterip',
      'externalips',
      'headless',
      'loadbalancer',
      'nodeport',
      'traffic-policy-cluster',
      'traffic-policy-local',
    ]),
  );
});

test.each(examples)('%s', async (name) => {
  const folder = join(examplesFolder, name);
  const { state, diagnostics } = await loadManifests(join(folder, 'manifests'), clusterDefaults({}));
  const { flows, diagnostics: mistakes } = parseFlows(readFileSync(join(folder, 'flows.yaml'), 'utf8'), 'flows.yaml');
  expect([...diagnostics, ...mistakes]).toEqual([]);
  const results = checkFlows(await loadModel({ state, diagnostics }), flows);
  expect(results.length).toBeGreaterThan(2);
  expect(results.filter(({ passed }) => !passed).map(({ flow, reason }) => [flow.line, reason])).toEqual([]);
});
