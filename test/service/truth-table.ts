/** Who reaches what, and whom the endpoint sees: kube-proxy.md 1.11, for the tracer and for real packets. */

export type Client = 'pod' | 'node' | 'outside';
export type Frontend = 'clusterIp' | 'nodePort' | 'loadBalancer' | 'externalIp';
export type Policy = 'Cluster' | 'Local';

export interface Configuration {
  /** Something tells the pods of this node from others. */
  readonly hasDetector: boolean;
  readonly masqueradeAll: boolean;
}

export interface Row {
  readonly from: Client;
  readonly frontend: Frontend;
  /** Both the external and the internal one. */
  readonly policy: Policy;
}

export interface Expected {
  /** All endpoints, or those of the node that serves. */
  readonly reaches: 'all' | 'local';
  /** The endpoint sees the node in the place of the client. */
  readonly masquerade: boolean;
}

const clients: readonly Client[] = ['pod', 'node', 'outside'];
const frontends: readonly Frontend[] = ['clusterIp', 'nodePort', 'loadBalancer', 'externalIp'];
const policies: readonly Policy[] = ['Cluster', 'Local'];

export const rows: readonly Row[] = clients.flatMap((from) =>
  frontends.flatMap((frontend) => policies.map((policy) => ({ from, frontend, policy }))),
);

/** Of a Service with an endpoint on the node that serves and one elsewhere. */
export function expectedOf({ from, frontend, policy }: Row, configuration: Configuration): Expected {
  const { hasDetector, masqueradeAll } = configuration;
  if (frontend === 'clusterIp') {
    const masquerade = masqueradeAll || (hasDetector && from !== 'pod');
    return { reaches: policy === 'Local' ? 'local' : 'all', masquerade };
  }
  if (policy === 'Cluster') return { reaches: 'all', masquerade: true };
  if (from === 'node') return { reaches: 'all', masquerade: true };
  if (from === 'pod' && hasDetector) return { reaches: 'all', masquerade: false };
  return { reaches: 'local', masquerade: false };
}
