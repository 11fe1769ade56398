/** Asks the running agent through its socket. */
import { request } from 'node:http';
import { join } from 'node:path';
import type { CommandIo } from './io.ts';
import { CliError, exitCodes } from './exit-code.ts';

const defaultRunDirectory = '/run/sluice';

/** Path of the agent's socket: `--run-dir`, SLUICE_RUN_DIR, or the usual place. */
export function socketPath(runDirectory: string | undefined, io: CommandIo): string {
  return join(runDirectory ?? io.environment.SLUICE_RUN_DIR ?? defaultRunDirectory, 'sluice.sock');
}

/** The parsed body, or undefined where nobody answers on the socket. */
export async function askAgent(socket: string, path: string): Promise<unknown> {
  const answer = await get(socket, path);
  if (answer === undefined) return undefined;
  if (answer.status !== 200) {
    throw new CliError(exitCodes.unreachable, `the agent at ${socket} answered ${answer.status} to ${path}`);
  }
  return JSON.parse(answer.body);
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

const noAgent = new Set(['ENOENT', 'ECONNREFUSED', 'ENOTSOCK']);

function get(socket: string, path: string): Promise<Answer | undefined> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath: socket, path, timeout: 10_000 }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    sent.on('timeout', () => sent.destroy(new Error('no answer within 10 s')));
    sent.on('error', (error: NodeJS.ErrnoException) => {
      if (noAgent.has(error.code ?? '')) return resolve(undefined);
      const reason = error.code === 'EACCES' ? 'permission denied; the socket is for root alone' : error.message;
      return reject(new CliError(exitCodes.unreachable, `the agent at ${socket} cannot be asked: ${reason}`));
    });
    sent.end();
  });
}
