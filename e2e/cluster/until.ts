/** Waiting for a cluster: everything is asked again until it is so, or the time is up. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface Patience {
  readonly timeoutMs: number;
  readonly everyMs?: number;
  /** Why waiting makes no sense any more (a process has ended); undefined: it does. */
  readonly hopeless?: () => string | undefined;
}

/** Returns once `ask` answers true; throws Error with `what` and the last failure when the time is up or hope is gone. */
export async function until(what: string, ask: () => Promise<boolean>, patience: Patience): Promise<void> {
  const deadline = Date.now() + patience.timeoutMs;
  let last = '';
  for (;;) {
    try {
      if (await ask()) return;
    } catch (error) {
      last = `: ${error instanceof Error ? error.message : String(error)}`;
    }
    const cause = patience.hopeless?.();
    if (cause !== undefined) throw new Error(`${what}: ${cause}`);
    if (Date.now() > deadline) throw new Error(`${what}: not within ${patience.timeoutMs / 1000} s${last}`);
    await sleep(patience.everyMs ?? 200);
  }
}
