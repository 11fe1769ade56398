/** One answer of an agent's /api, by its socket. */
import { join } from 'node:path';
import { run } from '../../src/backends/exec.ts';

export async function agentJson(runDir: string, path: string): Promise<unknown> {
  const socket = join(runDir, 'sluice.sock');
  const { stdout } = await run(['curl', '-sS', '--max-time', '20', '--unix-socket', socket, `http://agent${path}`]);
  const parsed: unknown = JSON.parse(stdout);
  return parsed;
}
