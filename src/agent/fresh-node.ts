/** Whether there is anything of an earlier agent that a wrong start could open. */
import type { Backend } from '../backends/backend.ts';
import { CommandError } from '../backends/exec.ts';
import type { IpFamily } from '../lib/ip.ts';

/** False also where it cannot be told. */
export async function isFreshNode(
  backend: Pick<Backend, 'readHooks'>,
  families: readonly IpFamily[],
): Promise<boolean> {
  try {
    const hooks = families.map((family) => backend.readHooks({ family, table: 'filter', chain: 'FORWARD' }));
    return (await Promise.all(hooks)).every((found) => found.length === 0);
  } catch (error) {
    if (error instanceof CommandError) return false;
    throw error;
  }
}
