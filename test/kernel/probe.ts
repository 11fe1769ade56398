/** Sends real packets between the network namespaces of a lab and tells which arrived: many flows at once. */
import type { Protocol } from '../../src/cluster/objects.ts';
import type { LabState } from '../../src/lab/run-directory.ts';
import { namespaceOf } from '../../src/lab/exec.ts';
import { familyOf, parseIp } from '../../src/lib/ip.ts';
import type { IpAddress, IpFamily } from '../../src/lib/ip.ts';
import type { PodAnswer } from '../../src/lab/servers.ts';
import { sendSctpInits } from './probe-sctp.ts';
import { askAll } from './probe-streams.ts';
import type { ProbeRequest, ProbeResult } from './probe-streams.ts';

export interface Flow {
  /** `NS/NAME`, `NAME`, `node/NAME` or `outside`. */
  readonly from: string;
  /** The same, or an address. */
  readonly to: string;
  readonly port: number;
  readonly protocol: Protocol;
  /** Family of the address of `to`, where it has two. Default IPv4. */
  readonly family?: IpFamily;
}

export interface FlowResult {
  readonly verdict: 'allowed' | 'denied';
  /** `answered`, `seen` (SCTP), `refused` (somebody said no), `timeout`, `no-answer` or `closed` (after connecting), or an errno. */
  readonly detail: string;
  /** Who answered, and as whom it saw us. */
  readonly answer?: PodAnswer;
}

/** Long enough for one retransmission of a SYN, which comes after a second. */
export const probeTimeoutMs = 1300;

/** One flow. For many use `probeAll`, which costs hardly more. */
export async function probe(lab: LabState, flow: Flow, timeoutMs = probeTimeoutMs): Promise<FlowResult> {
  const [result] = await probeAll(lab, [flow], timeoutMs);
  if (result === undefined) throw new Error('no result for one flow');
  return result;
}

/** Results in the order of the flows. */
export async function probeAll(
  lab: LabState,
  flows: readonly Flow[],
  timeoutMs = probeTimeoutMs,
): Promise<readonly FlowResult[]> {
  const requests = flows.map((flow, id) => requestOf(lab, flow, id));
  const streams = requests.filter(({ protocol }) => protocol !== 'SCTP');
  const inits = requests.filter(({ protocol }) => protocol === 'SCTP');
  const answered = streams.length === 0 ? [] : await askAll(streams, timeoutMs);
  const seen = inits.length === 0 ? [] : await sendSctpInits(inits);
  const byId = new Map([...answered, ...seen].map((result) => [result.id, result]));
  return flows.map((_flow, id) => toFlowResult(byId.get(id)));
}

export interface ResolvedFlow extends ProbeRequest {
  /** Where the address lives. Absent: nowhere in the lab, such as a Service's address. */
  readonly receiver?: string;
}

function requestOf(lab: LabState, flow: Flow, id: number): ResolvedFlow {
  const address = addressFor(lab, flow);
  const receiver = ownerOf(lab, address);
  return {
    id,
    netns: namespaceOf(lab, flow.from),
    address,
    port: flow.port,
    protocol: flow.protocol,
    ...(receiver === undefined ? {} : { receiver }),
  };
}

function addressFor(lab: LabState, { to, family = 'ipv4' }: Flow): string {
  const literal = parseIp(to);
  if (literal !== undefined) return literal;
  const netns = namespaceOf(lab, to);
  const address = machinesOf(lab)
    .find((machine) => machine.netns === netns)
    ?.addresses.find((candidate) => familyOf(candidate) === family);
  if (address === undefined) throw new Error(`${to} has no ${family} address in lab ${lab.name}`);
  return address;
}

/** Nodes come first: a pod of the host network shares its node's address. */
function ownerOf(lab: LabState, address: string): string | undefined {
  return machinesOf(lab).find(({ addresses }) => addresses.some((candidate) => candidate === address))?.netns;
}

function machinesOf(lab: LabState): readonly { readonly netns: string; readonly addresses: readonly IpAddress[] }[] {
  return [...lab.nodes, ...lab.pods, ...(lab.outside === undefined ? [] : [lab.outside])];
}

function toFlowResult(result: ProbeResult | undefined): FlowResult {
  if (result === undefined) throw new Error('a flow was not sent');
  const { detail, body } = result;
  const verdict = detail === 'answered' || detail === 'seen' ? 'allowed' : 'denied';
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the lab's own servers wrote it
  return { verdict, detail, ...(body === undefined ? {} : { answer: JSON.parse(body) as PodAnswer }) };
}
