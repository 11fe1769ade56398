/** All scenarios in one lab: their manifests joined, their flows made into packets, and what came of each. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { ClusterState } from '../../src/cluster/state.ts';
import { syntheticFacts } from '../../src/compile/synthetic-facts.ts';
import type { EndpointBinding, NodeFacts } from '../../src/dataplane/endpoint-binding.ts';
import type { ClusterModel } from '../../src/explain/cluster-model.ts';
import { modelOf } from '../../src/explain/compile-node.ts';
import { investigate } from '../../src/explain/investigate.ts';
import type { Party } from '../../src/explain/names.ts';
import { parseQuestion, resolveQuestion } from '../../src/explain/question.ts';
import type { IpAddress } from '../../src/lib/ip.ts';
import { familyOf } from '../../src/lib/ip.ts';
import type { ApiPolicy } from '../evaluator/api-policy.ts';
import { judgeQuestion } from '../evaluator/judge-question.ts';
import type { ScenarioFlow } from '../scenario.ts';
import { loadScenario, scenarioNames, scenarioOptions, scenariosFolder } from '../scenario.ts';
import type { Flow, FlowResult } from './probe.ts';

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
  /** A flow of the file once more, over the other family. */
  readonly isOther?: true;
  readonly packet?: Flow;
  readonly skipped?: string;
}

/** Every flow of every scenario, judged over the whole cluster that the model holds. */
export async function prepareFlows(
  model: ClusterModel,
  policies: readonly ApiPolicy[],
): Promise<readonly PreparedFlow[]> {
  const scenarios = await Promise.all(scenarioNames.map(loadScenario));
  const judges = { model, policies };
  return scenarios.flatMap(({ name, flows }) =>
    flows.flatMap((flow) => {
      const prepared = prepare(judges, name, flow);
      return [prepared, ...inOtherFamily(judges, prepared)];
    }),
  );
}

interface Judges {
  readonly model: ClusterModel;
  readonly policies: readonly ApiPolicy[];
}

/**
 * The same between the addresses of the other family, where both ends have one. What is expected is then the evaluator's word, for
 * an ipBlock has one family; a Service's name leads to the family that its flow has.
 */
function inOtherFamily({ model, policies }: Judges, { scenario, flow, packet }: PreparedFlow): readonly PreparedFlow[] {
  if (packet === undefined) return [];
  const question = parseQuestion(flow.from, flow.to, { state: model.state });
  if (!question.ok) throw new Error(`${scenario}: ${question.message}`);
  const { from, to } = question.value;
  const family = packet.to.includes(':') ? 'ipv4' : 'ipv6';
  const address = addressesOf(model, to.party).find((own) => familyOf(own) === family);
  if (address === undefined) return [];
  const other = { from, to: { ...to, party: { kind: 'address', address } as const } };
  if (resolveQuestion(model, other).kind === 'impossible') return [];
  const evaluator = judgeQuestion({ state: model.state, policies }, other);
  return [
    {
      scenario,
      flow: { ...flow, to: `${flow.to} over ${family}`, expect: evaluator },
      evaluator,
      tracer: investigate(model, other).verdict,
      isOther: true,
      packet: { ...packet, to: address },
    },
  ];
}

function addressesOf({ state, outside }: ClusterModel, party: Party): readonly IpAddress[] {
  if (party.kind === 'node') return state.nodes.get(party.name)?.addresses ?? [];
  if (party.kind === 'outside') return outside;
  if (party.kind !== 'pod') return [];
  const { pod } = party;
  return pod.hostNetwork ? (state.nodes.get(pod.nodeName ?? '')?.addresses ?? []) : pod.ips;
}

function prepare({ model, policies }: Judges, scenario: string, flow: ScenarioFlow): PreparedFlow {
  const question = parseQuestion(flow.from, flow.to, { state: model.state });
  if (!question.ok) throw new Error(`${scenario}: ${question.message}`);
  const judged = {
    scenario,
    flow,
    evaluator: judgeQuestion({ state: model.state, policies }, question.value),
    tracer: investigate(model, question.value).verdict,
  };
  const resolved = resolveQuestion(model, question.value);
  if (resolved.kind === 'impossible') return { ...judged, skipped: resolved.reason };
  const [connection] = resolved.connections;
  if (connection === undefined) throw new Error(`${scenario}: ${flow.to} has no address`);
  const { to, port, protocol } = connection;
  return { ...judged, packet: { from: flow.from, to, port, protocol } };
}

/** The cluster as the agents of a lab see it: pods behind veths of their own, or behind the ports of a bridge. */
export function labModel(state: ClusterState, cni: 'ptp' | 'bridge'): ClusterModel {
  const facts = new Map([...state.nodes.keys()].map((node) => [node, labFacts(state, node, cni)]));
  return modelOf({ state, facts, optionsOf: (nodeName) => ({ ...scenarioOptions, nodeName }) });
}

function labFacts(state: ClusterState, node: string, cni: 'ptp' | 'bridge'): NodeFacts {
  const facts = syntheticFacts(state, node);
  return cni === 'ptp' ? facts : { ...facts, bindings: new Map([...facts.bindings].map(behindBridge)) };
}

function behindBridge<Key>([address, binding]: readonly [Key, EndpointBinding]): readonly [Key, EndpointBinding] {
  if (binding.kind !== 'routed') throw new Error('made facts route every pod');
  return [address, { kind: 'bridged', bridge: 'cni0', port: binding.interface }];
}

/** A flow and what became of its packets; undefined where there is no result. */
export interface TriedFlow extends PreparedFlow {
  /** While there was no policy. */
  readonly open: FlowResult | undefined;
  readonly policed: FlowResult | undefined;
  /** After the policies were taken away again; absent where that was not asked. */
  readonly removed?: FlowResult | undefined;
}

/** Everything about a flow that is not as its file says, one line each: that a packet has no result is one too. */
export function mistakesOf(tried: TriedFlow): readonly string[] {
  const { flow, evaluator, tracer, packet } = tried;
  const judged = [
    ['evaluator', evaluator, flow.expect],
    ['tracer', tracer, flow.expect],
    ...(packet === undefined ? [] : sentOf(tried)),
  ] as const;
  const name = `${flow.from} -> ${flow.to}`;
  return judged
    .filter(([, found, expected]) => !found.startsWith(expected))
    .map(([who, found, expected]) => `${name}: ${who}: ${found}, expected ${expected}`);
}

function sentOf(tried: TriedFlow): readonly (readonly [string, string, string])[] {
  const { flow, open, policed, removed } = tried;
  return [
    ['packet without policies', spoken(open), 'allowed'],
    ['packet', spoken(policed), flow.expect],
    ...('removed' in tried ? [['packet after the policies were removed', spoken(removed), 'allowed'] as const] : []),
  ];
}

function spoken(result: FlowResult | undefined): string {
  return result === undefined ? 'no result' : `${result.verdict} (${result.detail})`;
}

/** Scenarios, flows and how each flow was checked; those that were not sent with their reason. */
export function tableOf(title: string, tried: readonly TriedFlow[]): string {
  const sent = tried.filter(({ policed }) => policed !== undefined);
  const denied = sent.filter(({ policed }) => policed?.verdict === 'denied');
  const rows = [
    ['scenarios', new Set(tried.map(({ scenario }) => scenario)).size],
    ['flows', tried.length],
    ['  of which of a file, once more over its other family', tried.filter(({ isOther }) => isOther).length],
    ['checked by evaluator', tried.length],
    ['checked by tracer', tried.length],
    ['checked by packet', sent.length],
    ['  of which over IPv6', sent.filter(({ packet }) => packet?.to.includes(':')).length],
    [
      '  of which denied, and allowed without policies',
      denied.filter(({ open }) => open?.verdict === 'allowed').length,
    ],
    ['skipped', tried.length - sent.length],
  ] as const;
  return [
    title,
    ...rows.map(([what, count]) => `  ${what.padEnd(50)}${String(count).padStart(5)}`),
    ...tried.flatMap(({ flow, skipped }) =>
      skipped === undefined ? [] : [`  skipped ${flow.from} -> ${flow.to}: ${skipped}`],
    ),
  ].join('\n');
}
