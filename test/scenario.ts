/** A scenario folder: `manifests.yaml`, `flows.yaml`, and what `sluice render --node node-a` prints for it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import * as z from 'zod';
import type { ClusterStore } from '../src/cluster/state.ts';
import { compileAll } from '../src/compile/compiler.ts';
import type { CompileOptions } from '../src/compile/options.ts';
import { syntheticFacts } from '../src/compile/synthetic-facts.ts';
import { ipSetRestoreText, iptablesRestoreText } from '../src/dataplane/restore-text.ts';
import type { Diagnostic } from '../src/lib/diagnostic.ts';
import { clusterDefaults } from '../src/manifests/defaults.ts';
import { loadManifests } from '../src/manifests/load-manifests.ts';

export const scenariosFolder = join(import.meta.dirname, 'scenarios');
export const scenarioNames: readonly string[] = readdirSync(scenariosFolder).toSorted();
export const goldenNode = 'node-a';

export const scenarioOptions: CompileOptions = {
  nodeName: goldenNode,
  ipFamilies: ['ipv4', 'ipv6'],
  podStart: 'closed',
  established: 'cut',
  hostEgress: 'policed',
  hostEndpointAction: 'return',
  invalidDrop: true,
  interfacePrefixes: [],
};

const Flow = z.strictObject({
  from: z.string(),
  to: z.string(),
  expect: z.enum(['allowed', 'denied']),
  why: z.string().optional(),
});
export type ScenarioFlow = z.infer<typeof Flow>;

export interface Scenario {
  readonly name: string;
  readonly state: ClusterStore;
  readonly diagnostics: readonly Diagnostic[];
  readonly flows: readonly ScenarioFlow[];
}

export async function loadScenario(name: string): Promise<Scenario> {
  const folder = join(scenariosFolder, name);
  const { state, diagnostics } = await loadManifests(join(folder, 'manifests.yaml'), scenarioDefaults);
  const flows = z.array(Flow).parse(parse(readFileSync(join(folder, 'flows.yaml'), 'utf8')));
  return { name, state, diagnostics, flows };
}

export const scenarioDefaults = clusterDefaults({ ipFamilies: ['ipv4', 'ipv6'] });

/** File name to text: the golden files of a scenario. */
export function goldenTexts(state: ClusterStore): Readonly<Record<string, string>> {
  const { dataplane } = compileAll(state, scenarioOptions, syntheticFacts(state, goldenNode));
  return {
    'ipset.txt': ipSetRestoreText(dataplane),
    'restore.v4.txt': iptablesRestoreText(dataplane, 'ipv4'),
    'restore.v6.txt': iptablesRestoreText(dataplane, 'ipv6'),
  };
}
