/** Sends real packets between the network namespaces of a lab and tells which arrived: many flows at once, one process for each source. */
import { join } from 'node:path';
import PQueue from 'p-queue';
import { run } from '../../src/backends/exec.ts';
import type { Protocol } from '../../src/cluster/objects.ts';
import type { LabState } from '../../src/lab/run-directory.ts';
import { namespaceOf } from '../../src/lab/exec.ts';
import { familyOf, parseIp } from '../../src/lib/ip.ts';
import type { IpAddress, IpFamily } from '../../src/lib/ip.ts';
import type { PodAnswer } from '../../src/lab/servers.ts';
import { sendSctpInits } from './probe-sctp.ts';
import type { ProbeRequest, ProbeResult } from './probe-worker.ts';

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
  /** `answered`, `seen` (SCTP), `refused` (somebody said no), `timeout`, or an errno. */
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
  const queue = new PQueue({ concurrency: 12 });
  const sources = Map.groupBy(streams, ({ netns }) => netns);
  const answered = await queue.addAll(
    [...sources].map(
      ([netns, group]) =>
        async () =>
          runWorker(netns, group, timeoutMs),
    ),
  );
  const seen = inits.length === 0 ? [] : await sendSctpInits(inits);
  const byId = new Map([...answered.flat(), ...seen].map((result) => [result.id, result]));
  return flows.map((_flow, id) => toFlowResult(byId.get(id)));
}

export interface ResolvedFlow extends ProbeRequest {
  /** Of the sender. */
  readonly netns: string;
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

async function runWorker(
  netns: string,
  requests: readonly ProbeRequest[],
  timeoutMs: number,
): Promise<readonly ProbeResult[]> {
  const worker = join(import.meta.dirname, 'probe-worker.ts');
  const { stdout } = await run(['nsenter', `--net=/run/netns/${netns}`, process.execPath, worker, String(timeoutMs)], {
    input: JSON.stringify(requests),
    timeoutMs: timeoutMs + 60_000,
  });
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by probe-worker.ts
  return JSON.parse(stdout) as readonly ProbeResult[];
}

function toFlowResult(result: ProbeResult | undefined): FlowResult {
  if (result === undefined) throw new Error('a flow was not sent');
  const { detail, body } = result;
  const verdict = detail === 'answered' || detail === 'seen' ? 'allowed' : 'denied';
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the lab's own servers wrote it
  return { verdict, detail, ...(body === undefined ? {} : { answer: JSON.parse(body) as PodAnswer }) };
}
