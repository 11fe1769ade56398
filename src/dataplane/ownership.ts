/** How a restarted agent knows its own: by name and by comment, never by memory. */

/** kube-proxy.md 1.1. kubelet's own (KUBE-KUBELET-CANARY, KUBE-IPTABLES-HINT, KUBE-MARK-DROP) are not among them. */
const kubeChains: ReadonlySet<string> = new Set([
  'KUBE-SERVICES',
  'KUBE-NODEPORTS',
  'KUBE-POSTROUTING',
  'KUBE-MARK-MASQ',
  'KUBE-FORWARD',
  'KUBE-EXTERNAL-SERVICES',
  'KUBE-PROXY-FIREWALL',
  'KUBE-FIREWALL',
  'KUBE-PROXY-CANARY',
]);
/** Per service port and endpoint, and our own parts of the dispatch chains. */
const kubePrefix = /^KUBE-(?:SVC|SEP|SVL|EXT|FW|SERVICES|NODEPORTS|EXTERNAL|PROXY-FW)-/;

/** Chains of ours by their name; the KUBE chains only where Services are served here. */
export function ownsChain(name: string, { services }: { readonly services: boolean }): boolean {
  if (name.startsWith('cali-')) return true;
  return services && name.startsWith('KUBE-') && (kubeChains.has(name) || kubePrefix.test(name));
}

/** kubelet makes it too: it is written where wanted, and never taken away. */
export function isSharedChain(name: string): boolean {
  return name === 'KUBE-FIREWALL';
}

/** Sets of ours by their name, temporary ones included. */
export function ownsIpSet(name: string): boolean {
  return /^cali[46][0t]/.test(name);
}
