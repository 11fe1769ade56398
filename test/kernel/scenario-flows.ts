/** All scenarios in one lab: their manifests joined, their flows made into packets, and what came of each. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { ClusterModel } from '../../src/explain/cluster-model.ts';
import { investigate } from '../../src/explain/investigate.ts';
import { parseQuestion, resolveQuestion } from '../../src/explain/question.ts';
import { judgeQuestion } from '../evaluator/judge-question.ts';
import type { ScenarioFlow } from '../scenario.ts';
import { loadScenario, scenarioNames, scenariosFolder } from '../scenario.ts';
import type { Flow } from './probe.ts';

export interface JoinedManifests {
  /** Everything but policies; the Nodes, which every scenario begins with, once. */
  readonly objects: string;
  readonly policies: string;
  readonly policyCount: number;
}

/** The scenarios' namespaces are disjoint, so that they do not meet. */
export function joinScenarios(): JoinedManifests {
  const documents = new Map<string, string>();
  for (const name of scenarioNames) {
    const text = readFileSync(join(scenariosFolder, name, 'manifests.yaml'), 'utf8');
    for (const part of text.split(/^---$/m)) {
      const key = objectName(part);
      const known = documents.get(key);
      if (known !== undefined && parts(known) !== parts(part)) throw new Error(`${name}: another ${key} is there`);
      documents.set(key, part.trim());
    }
  }
  const isPolicy = ([key]: readonly [string, string]): boolean => key.startsWith('NetworkPolicy ');
  const entries = [...documents];
  const policies = entries.filter(isPolicy);
  const textOf = (some: typeof entries): string => some.map(([, text]) => text).join('\n---\n');
  return {
    objects: textOf(entries.filter((entry) => !isPolicy(entry))),
    policies: textOf(policies),
    policyCount: policies.length,
  };
}

function objectName(text: string): string {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- our own scenarios
  const { kind, metadata } = parse(text) as { kind: string; metadata: { name: string; namespace?: string } };
  return `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;
}

/** To compare two objects by what they say. */
function parts(text: string): string {
  return JSON.stringify(parse(text));
}

/** A flow of a scenario and what there is to send; `skipped` says why there is nothing. */
export interface PreparedFlow {
  readonly scenario: string;
  readonly flow: ScenarioFlow;
  readonly evaluator: 'allowed' | 'denied';
  readonly tracer: 'allowed' | 'denied';
  readonly packet?: Flow;
  readonly skipped?: string;
}

/** Every flow of every scenario, judged over the whole cluster that the model holds. */
export async function prepareFlows(model: ClusterModel): Promise<readonly PreparedFlow[]> {
  const scenarios = await Promise.all(scenarioNames.map(loadScenario));
  return scenarios.flatMap(({ name, flows }) => flows.map((flow) => prepare(model, name, flow)));
}

function prepare(model: ClusterModel, scenario: string, flow: ScenarioFlow): PreparedFlow {
  const question = parseQuestion(flow.from, flow.to, { state: model.state });
  if (!question.ok) throw new Error(`${scenario}: ${question.message}`);
  const judged = {
    scenario,
    flow,
    evaluator: judgeQuestion(model.state, question.value),
    tracer: investigate(model, question.value).verdict,
  };
  const resolved = resolveQuestion(model, question.value);
  if (resolved.kind === 'impossible') return { ...judged, skipped: resolved.reason };
  const [connection] = resolved.connections;
  if (connection === undefined) throw new Error(`${scenario}: ${flow.to} has no address`);
  const { to, port, protocol } = connection;
  return { ...judged, packet: { from: flow.from, to, port, protocol } };
}
