/** A scenario folder: `manifests.yaml`, `flows.yaml`, at need `options.yaml`, and what `sluice render --node node-a` prints for it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
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
import { parseCidr } from '../src/lib/ip.ts';
import { loadManifests } from '../src/manifests/load-manifests.ts';
import type { ApiPolicy } from './evaluator/api-policy.ts';
import { policiesIn } from './evaluator/api-policy.ts';

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

const Pool = z.string().transform((text) => {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw new Error(`not a CIDR: ${text}`);
  return cidr;
});

/** What an administrator would set for the scenario. */
const Options = z.strictObject({ natOutgoing: z.array(Pool) });

export interface Scenario {
  readonly name: string;
  readonly options: CompileOptions;
  readonly state: ClusterStore;
  readonly diagnostics: readonly Diagnostic[];
  /** As they are written, for the evaluator. */
  readonly policies: readonly ApiPolicy[];
  readonly flows: readonly ScenarioFlow[];
}

export async function loadScenario(name: string): Promise<Scenario> {
  const folder = join(scenariosFolder, name);
  const file = join(folder, 'manifests.yaml');
  const { state, diagnostics } = await loadManifests(file, scenarioDefaults);
  const policies = policiesIn(readFileSync(file, 'utf8'));
  const flows = z.array(Flow).parse(parse(readFileSync(join(folder, 'flows.yaml'), 'utf8')));
  return { name, options: optionsOf(folder), state, diagnostics, policies, flows };
}

function optionsOf(folder: string): CompileOptions {
  const file = join(folder, 'options.yaml');
  if (!existsSync(file)) return scenarioOptions;
  return { ...scenarioOptions, ...Options.parse(parse(readFileSync(file, 'utf8'))) };
}

export const scenarioDefaults = clusterDefaults({ ipFamilies: ['ipv4', 'ipv6'] });

/** File name to text: the golden files of a scenario. */
export function goldenTexts({ state, options }: Pick<Scenario, 'state' | 'options'>): Readonly<Record<string, string>> {
  const { dataplane } = compileAll(state, options, syntheticFacts(state, goldenNode));
  return {
    'ipset.txt': ipSetRestoreText(dataplane),
    'restore.v4.txt': iptablesRestoreText(dataplane, 'ipv4'),
    'restore.v6.txt': iptablesRestoreText(dataplane, 'ipv6'),
  };
}
