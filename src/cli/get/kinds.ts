/** What `sluice get` can show, and how people call it. */
export type GetKind = 'networkpolicy' | 'workloadendpoint' | 'ipset' | 'service' | 'diagnostic';

const names: Readonly<Record<GetKind, readonly string[]>> = {
  networkpolicy: ['networkpolicy', 'networkpolicies', 'netpol', 'np'],
  workloadendpoint: ['workloadendpoint', 'workloadendpoints', 'wep', 'weps'],
  ipset: ['ipset', 'ipsets'],
  service: ['service', 'services', 'svc'],
  diagnostic: ['diagnostic', 'diagnostics', 'diag'],
};

export const getKinds: readonly GetKind[] = ['networkpolicy', 'workloadendpoint', 'ipset', 'service', 'diagnostic'];

/** Singular, plural, short, in any case. */
export function getKindOf(text: string): GetKind | undefined {
  return getKinds.find((kind) => names[kind].includes(text.toLowerCase()));
}
