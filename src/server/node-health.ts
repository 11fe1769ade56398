/**
 * What load balancers of a cloud are told about the node as a whole, in kube-proxy's words (kube-proxy.md 2.6), on
 * kube-proxy's port 10256 too (`proxyHealthPort`).
 */
export interface NodeHealth {
  /** What was decided about Services is in the kernel, or has not been waiting for long. */
  readonly healthy: boolean;
  /** The Node is there, and is not about to be taken away. */
  readonly nodeEligible: boolean;
  /** `ipv4`, `ipv6`. */
  readonly families: readonly string[];
  /** ISO 8601 of the last write; absent: there was none. */
  readonly lastUpdated?: string;
}

/** Says in the answer that it is ours: another agent that looks for a kube-proxy must not take us for one. */
export const ownWord = 'sluice';

const familyNames: Readonly<Record<string, string>> = { ipv4: 'IPv4', ipv6: 'IPv6' };

/** 200 where balancers may send connections here, else 503. */
export function nodeHealthResponse(health: NodeHealth, now: Date): Response {
  const { healthy, nodeEligible, families } = health;
  const currentTime = now.toISOString();
  // A healthy node is as new as the question: that nothing changed is no reason to doubt it.
  const lastUpdated = healthy ? currentTime : (health.lastUpdated ?? '');
  const status = Object.fromEntries(
    families.map((family) => [familyNames[family] ?? family, { lastUpdated, healthy }]),
  );
  return new Response(JSON.stringify({ lastUpdated, currentTime, nodeEligible, healthy, servedBy: ownWord, status }), {
    status: healthy && nodeEligible ? 200 : 503,
    headers: { 'content-type': 'application/json', 'x-content-type-options': 'nosniff' },
  });
}
