/** TCP and UDP: one process makes every socket in the namespace that it is to speak from, and asks all at the same time. */
import { join } from 'node:path';
import { run } from '../../src/backends/exec.ts';
import type { Protocol } from '../../src/cluster/objects.ts';

export interface ProbeRequest {
  readonly id: number;
  /** Network namespace of the sender. */
  readonly netns: string;
  readonly address: string;
  readonly port: number;
  readonly protocol: Protocol;
}

export interface ProbeResult {
  readonly id: number;
  readonly detail: string;
  readonly body?: string;
}

/** Number of the system call `setns`, which Perl has no name for. */
const setnsNumbers: Readonly<Record<string, number>> = { x64: 308, arm64: 268 };

export async function askAll(requests: readonly ProbeRequest[], timeoutMs: number): Promise<readonly ProbeResult[]> {
  const setns = setnsNumbers[process.arch];
  if (setns === undefined) throw new Error(`probes know x64 and arm64, not ${process.arch}`);
  const lines = requests.map(
    ({ id, netns, protocol, address, port }) => `${id} ${netns} ${protocol} ${address} ${port}\n`,
  );
  const argv = ['perl', join(import.meta.dirname, 'probe.pl'), String(timeoutMs), String(setns)] as const;
  const { stdout } = await run(argv, { input: lines.join(''), timeoutMs: timeoutMs + 60_000 });
  return stdout.trimEnd().split('\n').map(resultOf);
}

function resultOf(line: string): ProbeResult {
  const [id, detail = '', body = ''] = line.split(' ');
  const result = { id: Number(id), detail };
  return body === '' ? result : { ...result, body: Buffer.from(body, 'hex').toString() };
}
