/** The conntrack program: what is tracked now, and the end of some of it. */
import type { IpAddress, IpFamily } from '../../lib/ip.ts';
import type { Argv, Run } from '../exec.ts';
import { CommandError } from '../exec.ts';
import type { Flow } from './flows.ts';
import { LineSplitter } from '../line-splitter.ts';
import { parseFlow } from './flows.ts';

/** Which flows to delete: all that have every property given. */
export interface FlowFilter {
  readonly family: IpFamily;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  /** As the client sent it, before DNAT. */
  readonly originalSource?: IpAddress;
  readonly originalDestination?: IpAddress;
  readonly originalSourcePort?: number;
  readonly originalDestinationPort?: number;
  /** The server after DNAT. */
  readonly replySource?: IpAddress;
  readonly replySourcePort?: number;
}

export class Conntrack {
  readonly #run: Run;

  constructor(run: Run) {
    this.#run = run;
  }

  /** One dump of the table, looked at flow by flow: it may be larger than what is worth keeping. */
  async visitFlows(family: IpFamily, protocol: FlowFilter['protocol'], visit: (flow: Flow) => void): Promise<void> {
    const lines = new LineSplitter((line) => {
      const flow = parseFlow(line);
      if (flow !== undefined) visit(flow);
    });
    const argv: Argv = ['conntrack', '-L', '-o', 'extended', '-f', family, '-p', protocol];
    await this.#run(argv, { onStdout: (piece) => lines.take(piece) });
    lines.end();
  }

  /** How many were deleted. Each call walks the whole table (50 ms at 20,000 entries). */
  async delete(filter: FlowFilter): Promise<number> {
    const argv: Argv = ['conntrack', '-D', '-f', filter.family, '-p', filter.protocol, ...filterArguments(filter)];
    try {
      return deletedCount((await this.#run(argv)).stderr);
    } catch (error) {
      // Nothing found is an exit code of 1.
      if (error instanceof CommandError && deletedCount(error.stderr) === 0) return 0;
      throw error;
    }
  }
}

function filterArguments(filter: FlowFilter): readonly string[] {
  const values = {
    '--orig-src': filter.originalSource,
    '--orig-dst': filter.originalDestination,
    '--orig-port-src': filter.originalSourcePort,
    '--orig-port-dst': filter.originalDestinationPort,
    '--reply-src': filter.replySource,
    '--reply-port-src': filter.replySourcePort,
  };
  return Object.entries(values).flatMap(([option, value]) => (value === undefined ? [] : [option, String(value)]));
}

/** `conntrack v1.4.7 (conntrack-tools): 3 flow entries have been deleted.`; -1 where it says something else. */
function deletedCount(stderr: string): number {
  return Number(/(\d+) flow entries have been deleted/.exec(stderr)?.[1] ?? -1);
}
