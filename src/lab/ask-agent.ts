/** Asks a node's agent, through its socket, which pods are programmed. */
import { request } from 'node:http';
import { join } from 'node:path';
import type { AgentStatus, EndpointList } from '../telemetry/status.ts';

export interface AgentReport {
  readonly status: AgentStatus;
  readonly endpoints: EndpointList;
}

/** Undefined while nobody answers. */
export async function askAgent(runDirectory: string): Promise<AgentReport | undefined> {
  const socketPath = join(runDirectory, 'sluice.sock');
  const [status, endpoints] = await Promise.all([get(socketPath, '/api/status'), get(socketPath, '/api/endpoints')]);
  if (status === undefined || endpoints === undefined) return undefined;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- an agent of this very source tree answers
  return { status: status as AgentStatus, endpoints: endpoints as EndpointList };
}

function get(socketPath: string, path: string): Promise<unknown> {
  return new Promise((resolve) => {
    const sent = request({ socketPath, path, timeout: 5000 }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => {
        resolve(response.statusCode === 200 ? parsed(body) : undefined);
      });
    });
    sent.on('timeout', () => sent.destroy());
    sent.on('error', () => {
      resolve(undefined);
    });
    sent.end();
  });
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
