/** A conntrack table as data: flows are looked at, and deleted by what they have in common. */
import type { FlowFilter } from '../../src/backends/conntrack/conntrack.ts';
import type { Flow } from '../../src/backends/conntrack/flows.ts';
import { CommandError } from '../../src/backends/exec.ts';
import type { IpFamily } from '../../src/lib/ip.ts';
import { familyOf, parseIp } from '../../src/lib/ip.ts';

export class TrackedFlows {
  flows: readonly Flow[] = [];
  isBroken = false;
  dumps = 0;
  deletions = 0;

  /** `udp 10.0.0.7 10.96.0.1:53 -> 10.0.1.1:5353` */
  add(...texts: readonly string[]): void {
    this.flows = [...this.flows, ...texts.map(flowOf)];
  }

  get texts(): readonly string[] {
    return this.flows.map(
      ({ protocol, original, reply }) =>
        `${protocol} ${original.source} ${original.destination}:${original.destinationPort} -> ${reply.source}:${reply.sourcePort}`,
    );
  }

  async visitFlows(family: IpFamily, protocol: string, visit: (flow: Flow) => void): Promise<void> {
    await Promise.resolve();
    this.dumps += 1;
    if (this.isBroken) throw new CommandError({ argv: ['conntrack'], exitCode: 1, stderr: 'Operation failed' });
    for (const flow of this.flows) if (flow.family === family && flow.protocol === protocol) visit(flow);
  }

  async delete(filter: FlowFilter): Promise<number> {
    await Promise.resolve();
    this.deletions += 1;
    const kept = this.flows.filter((flow) => !isMeant(flow, filter));
    const deleted = this.flows.length - kept.length;
    this.flows = kept;
    return deleted;
  }
}

function isMeant({ family, protocol, original, reply }: Flow, filter: FlowFilter): boolean {
  const pairs = [
    [filter.family, family],
    [filter.protocol, protocol],
    [filter.originalSource, original.source],
    [filter.originalDestination, original.destination],
    [filter.originalSourcePort, original.sourcePort],
    [filter.originalDestinationPort, original.destinationPort],
    [filter.replySource, reply.source],
    [filter.replySourcePort, reply.sourcePort],
  ];
  return pairs.every(([wanted, found]) => wanted === undefined || wanted === found);
}

function flowOf(text: string): Flow {
  const [protocol = '', client = '', asked = '', , reached = ''] = text.split(' ');
  const source = addressOf(client);
  const [destination, destinationPort] = endOf(asked);
  const [server, serverPort] = endOf(reached);
  return {
    family: familyOf(source),
    protocol,
    original: { source, destination, sourcePort: 40_000, destinationPort },
    reply: { source: server, destination: source, sourcePort: serverPort, destinationPort: 40_000 },
  };
}

function endOf(text: string) {
  const colon = text.lastIndexOf(':');
  return [addressOf(text.slice(0, colon).replaceAll(/[[\]]/g, '')), Number(text.slice(colon + 1))] as const;
}

function addressOf(text: string) {
  const address = parseIp(text);
  if (address === undefined) throw new Error(`not an address: ${text}`);
  return address;
}
