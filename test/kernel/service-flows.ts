/** Flows of a flows.yaml as real packets: who answered, and as whom it saw the client. */
import { run } from '../../src/backends/exec.ts';
import type { ClusterStore } from '../../src/cluster/state.ts';
import type { ClusterModel } from '../../src/explain/cluster-model.ts';
import type { Flow } from '../../src/explain/flow-file.ts';
import { parseParty, parseTarget } from '../../src/explain/names.ts';
import { parseQuestion, resolveQuestion } from '../../src/explain/question.ts';
import type { LabState } from '../../src/lab/run-directory.ts';
import { runDirectory } from '../../src/lab/run-directory.ts';
import { clusterDefaults } from '../../src/manifests/defaults.ts';
import { loadManifests } from '../../src/manifests/load-manifests.ts';
import type { Flow as ProbeFlow, FlowResult } from './probe.ts';
import { probeAll } from './probe.ts';

/** Of two endpoints one is missed by chance once in a million times. */
const connectionsPerFlow = 20;

/** The objects as the lab's agents have them: addresses that manifests leave out are in them. */
export async function labObjects(lab: LabState): Promise<ClusterStore> {
  return (await loadManifests(runDirectory(lab.name).cluster, clusterDefaults({ ipFamilies: lab.ipFamilies }))).state;
}

/** Everything that is not as the flows say, one line each; empty: all is well. */
export async function wrongFlows(
  lab: LabState,
  model: ClusterModel,
  flows: readonly Flow[],
): Promise<readonly string[]> {
  const packets = flows.flatMap((flow) => packetsOf(model, flow).map((packet) => ({ flow, packet })));
  const results = await probeAll(
    lab,
    packets.map(({ packet }) => packet),
  );
  const own = new Map<string, readonly string[]>();
  for (const { name, netns } of lab.nodes) own.set(name, await addressesInside(netns));
  const sent = packets.map(({ flow }, index) => ({ flow, result: results[index] }));
  return flows.flatMap((flow) => {
    const answers = sent.flatMap((one) => (one.flow === flow && one.result !== undefined ? [one.result] : []));
    return mistakesOf(flow, answers, { lab, model, own }).map((text) => `${flow.from} -> ${flow.to}: ${text}`);
  });
}

interface Surroundings {
  readonly lab: LabState;
  readonly model: ClusterModel;
  /** All addresses of a node, gateways of its pods included: what masquerade may give. */
  readonly own: ReadonlyMap<string, readonly string[]>;
}

/** Empty where no packet can be sent, as for a name that only DNS knows. */
function packetsOf(model: ClusterModel, flow: Flow): readonly ProbeFlow[] {
  const question = parseQuestion(flow.from, flow.to, { state: model.state });
  if (!question.ok) throw new Error(question.message);
  const resolved = resolveQuestion(model, question.value);
  if (resolved.kind === 'impossible') return [];
  // One that is refused is refused again: the second tells nothing.
  const times = flow.expect === 'allowed' ? Math.ceil(connectionsPerFlow / resolved.connections.length) : 1;
  return resolved.connections.flatMap(({ to, port, protocol }) =>
    Array.from({ length: times }, () => ({ from: flow.from, to, port, protocol })),
  );
}

function mistakesOf(flow: Flow, answers: readonly FlowResult[], around: Surroundings): readonly string[] {
  const wrong = answers.filter(({ verdict }) => verdict !== flow.expect);
  if (wrong.length > 0) {
    return [
      `expected ${flow.expect}, ${wrong.length} of ${answers.length} were not: ${distinct(wrong.map(({ detail }) => detail))}`,
    ];
  }
  return [...arrivalMistakes(flow, answers, around), ...sourceMistakes(flow, answers, around)];
}

/** Every endpoint is reached, and nobody else. */
function arrivalMistakes({ dnat }: Flow, answers: readonly FlowResult[], { model }: Surroundings): readonly string[] {
  if (dnat === undefined) return [];
  const expected = dnat.map((text) => {
    const target = parseTarget(text, { state: model.state });
    if (!target.ok || target.value.party.kind !== 'pod') throw new Error(`dnat: ${text} is not a pod and its port`);
    const { party, port } = target.value;
    return `${party.pod.namespace}/${party.pod.name}:${port}`;
  });
  const reached = answers.map(({ answer }) => `${answer?.namespace}/${answer?.pod}:${answer?.port}`);
  return distinct(reached) === distinct(expected)
    ? []
    : [`expected to reach ${distinct(expected)}, reached ${distinct(reached)}`];
}

function sourceMistakes({ source }: Flow, answers: readonly FlowResult[], around: Surroundings): readonly string[] {
  if (source === undefined) return [];
  const allowed = sourceAddresses(source, around);
  const seen = answers.map(({ answer }) => answer?.client ?? 'nobody');
  const wrong = seen.filter((client) => !allowed.includes(client));
  return wrong.length === 0 ? [] : [`expected the server to see ${source}, it saw ${distinct(wrong)}`];
}

function sourceAddresses(source: string, { lab, model, own }: Surroundings): readonly string[] {
  const party = parseParty(source, { state: model.state });
  if (!party.ok) throw new Error(`source: ${party.message}`);
  switch (party.value.kind) {
    case 'pod':
      return party.value.pod.ips;
    case 'node':
      return own.get(party.value.name) ?? [];
    case 'outside':
      return lab.outside?.addresses ?? [];
    case 'address':
      return [party.value.address];
    default:
      throw new Error(`source: ${source} sends nothing`);
  }
}

/** Of every interface, in both families. */
export async function addressesInside(netns: string): Promise<readonly string[]> {
  const { stdout } = await run(['ip', '-n', netns, '-o', 'address', 'show']);
  return [...stdout.matchAll(/ inet6? ([^/ ]+)/g)].flatMap(([, address]) => address ?? []);
}

function distinct(texts: readonly string[]): string {
  return [...new Set(texts)].toSorted().join(', ');
}
