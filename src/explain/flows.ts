/** Expected flows against a model: what the tracer says, and whether that is what was written down. */
import type { IpAddress, IpFamily } from '../lib/ip.ts';
import { joinHostPort } from '../lib/ip.ts';
import type { ClusterModel } from './cluster-model.ts';
import type { Flow } from './flow-file.ts';
import type { Answer, InvestigatedBranch, Investigation } from './investigate.ts';
import { investigate } from './investigate.ts';
import type { NameContext, Party } from './names.ts';
import { parseParty, parseTarget } from './names.ts';
import { outcomeText, ownerText } from './outcome-text.ts';
import { parseQuestion } from './question.ts';

export interface FlowResult {
  /** 1-based, as people count. */
  readonly number: number;
  readonly flow: Flow;
  readonly passed: boolean;
  /** Absent: the names could not be read. */
  readonly verdict?: Answer;
  /** Why it failed; empty where it passed. */
  readonly reason: string;
  readonly investigation?: Investigation;
}

/** `namespace`: of names without one. `family`: to ask about; absent: each destination's first that both ends have. */
export function checkFlows(
  model: ClusterModel,
  flows: readonly Flow[],
  { namespace = 'default', family }: { readonly namespace?: string; readonly family?: IpFamily } = {},
): readonly FlowResult[] {
  const names: NameContext = { state: model.state, namespace, ...(family === undefined ? {} : { family }) };
  return flows.map((flow, index) => checkFlow(model, flow, index + 1, names));
}

function checkFlow(model: ClusterModel, flow: Flow, number: number, names: NameContext): FlowResult {
  const question = parseQuestion(flow.from, flow.to, names);
  if (!question.ok) return { number, flow, passed: false, reason: question.message };
  const investigation = investigate(model, question.value);
  const { verdict } = investigation;
  const reason =
    verdict === flow.expect
      ? (arrivalProblem(model, flow, investigation, names) ?? sourceProblem(model, flow, investigation, names) ?? '')
      : `expected ${flow.expect}, is ${verdict}: ${whyText(model, investigation)}`;
  return { number, flow, passed: reason === '', verdict, reason, investigation };
}

/** Of the branch that decided. */
function whyText(model: ClusterModel, { verdict, branches, impossible }: Investigation): string {
  if (impossible !== undefined) return impossible.reason;
  const branch = branches.find((one) => one.verdict === verdict);
  return branch === undefined ? '' : outcomeText(model, branch);
}

function arrivalProblem(
  model: ClusterModel,
  { dnat }: Flow,
  { branches }: Investigation,
  names: NameContext,
): string | undefined {
  if (dnat === undefined) return undefined;
  const expected = new Set<string>();
  for (const text of dnat) {
    const target = parseTarget(text, names);
    if (!target.ok) return `dnat: ${target.message}`;
    const { party, port } = target.value;
    for (const address of addressesOf(model, party)) expected.add(joinHostPort(address, port));
  }
  const wrong = branches.map(arrival).find((reached) => !expected.has(reached.text));
  if (wrong === undefined) return undefined;
  return `expected to reach ${dnat.join(' or ')}, goes to ${wrong.text} (${ownerText(model, wrong.address)})`;
}

function arrival({ journey }: InvestigatedBranch): { readonly text: string; readonly address: IpAddress } {
  const { destination, destinationPort } = journey.outcome.packet;
  return { text: joinHostPort(destination, destinationPort ?? 0), address: destination };
}

function sourceProblem(
  model: ClusterModel,
  { source }: Flow,
  { branches }: Investigation,
  names: NameContext,
): string | undefined {
  if (source === undefined) return undefined;
  const party = parseParty(source, names);
  if (!party.ok) return `source: ${party.message}`;
  const expected = addressesOf(model, party.value);
  const wrong = branches.map(({ journey }) => journey.outcome.packet.source).find((seen) => !expected.includes(seen));
  return wrong === undefined
    ? undefined
    : `expected the server to see ${source}, it sees ${wrong} (${ownerText(model, wrong)})`;
}

function addressesOf(model: ClusterModel, party: Party): readonly IpAddress[] {
  switch (party.kind) {
    case 'pod':
      return party.pod.ips;
    case 'service':
      return party.service.clusterIps;
    case 'node':
      return model.node(party.name).addresses;
    case 'outside':
      return model.outside;
    default:
      return [party.address];
  }
}

/** `default/web -> default/db:80/TCP`: how a flow is called. */
export function flowName({ from, to }: Flow): string {
  return `${from} -> ${to}`;
}
