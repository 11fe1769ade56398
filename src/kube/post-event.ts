/** Writes one Event; a refusal is an answer here, for Events are nobody's first need. */
import type { KubeClient } from './kube-client.ts';
import { KubeApiError, KubeConfigError } from './kube-api-error.ts';
import type { ObjectEvent } from './object-event.ts';

/** Undefined: it is there. Else why it is not, or that `signal` aborted. */
export async function postEvent(
  client: Pick<KubeClient, 'json'>,
  { path, body }: ObjectEvent,
  signal: AbortSignal,
): Promise<Error | undefined> {
  try {
    await client.json({ method: 'POST', path, body: { type: 'application/json', text: JSON.stringify(body) } }, signal);
    return undefined;
  } catch (error) {
    if (!(error instanceof KubeApiError || error instanceof KubeConfigError || signal.aborted)) throw error;
    if (error instanceof KubeApiError && error.status === 409) return undefined;
    return error instanceof Error ? error : new Error(String(error));
  }
}
