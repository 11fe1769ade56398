/** A Kubernetes cluster, once: what one-shot commands ask about. */
import { lintCluster } from '../cluster/lint.ts';
import type { ClusterStore } from '../cluster/state.ts';
import { ClusterStore as Store } from '../cluster/state.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';
import { failureMessage } from './failure-message.ts';
import type { KubeClient } from './kube-client.ts';
import { KubeApiError } from './kube-api-error.ts';
import { ObjectReader } from './object-reader.ts';
import { Reflector } from './reflector.ts';
import { allResources, pageSize } from './resources.ts';
import type { Resource } from './resources.ts';

export interface LoadedCluster {
  readonly state: ClusterStore;
  readonly diagnostics: readonly Diagnostic[];
}

/** Rejects with KubeApiError where any kind cannot be listed: half a cluster gives wrong answers. */
export async function loadKubeCluster(
  client: Pick<KubeClient, 'json' | 'server'>,
  signal: AbortSignal,
): Promise<LoadedCluster> {
  const state = new Store();
  const found = await Promise.all(allResources.map((resource) => list(resource, client, state, signal)));
  const podCidrs = [...state.nodes.values()].flatMap((node) => node.podCidrs);
  const serviceCidrs = [...state.serviceCidrs.values()].flatMap(({ cidrs }) => cidrs);
  return { state, diagnostics: [...found.flat(), ...lintCluster(state, { podCidrs, serviceCidrs })] };
}

async function list(
  resource: Resource,
  client: Pick<KubeClient, 'json' | 'server'>,
  state: ClusterStore,
  signal: AbortSignal,
): Promise<readonly Diagnostic[]> {
  const reflector = new Reflector(resource.kind);
  const reader = new ObjectReader(resource);
  while (reflector.ask.kind === 'list') {
    const { continueToken } = reflector.ask;
    const query = {
      ...resource.selectors,
      limit: String(pageSize),
      ...(continueToken === undefined ? {} : { continue: continueToken }),
    };
    try {
      const answer = await client.json({ path: resource.path, query }, signal);
      state.apply(reflector.takePage(reader.page(answer)));
    } catch (error) {
      if (!(error instanceof KubeApiError)) throw error;
      if (error.failure === 'absent' && resource.isOptional === true) return [];
      if (error.failure !== 'expired') throw explained(error, resource, client.server);
      reflector.startAgain();
    }
  }
  return reader.diagnostics;
}

function explained(error: KubeApiError, resource: Resource, server: string): KubeApiError {
  const { failure, status } = error;
  const message = failureMessage(error, resource, { server });
  return new KubeApiError(message, { failure, ...(status === undefined ? {} : { status }), cause: error });
}
