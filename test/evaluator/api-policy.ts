/**
 * NetworkPolicies as people write them, by the API's own words (networking.k8s.io/v1): what a list that is missing means,
 * what a policy without policyTypes isolates, what protocol a port has that states none. Nothing of src/ is used here, so a
 * mistake where our reader fills these in is a verdict that differs.
 */
import { parseAllDocuments } from 'yaml';
import * as z from 'zod';

const selector = z.strictObject({
  matchLabels: z.record(z.string(), z.string()).nullish(),
  matchExpressions: z
    .array(
      z.strictObject({
        key: z.string(),
        operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']),
        values: z.array(z.string()).nullish(),
      }),
    )
    .nullish(),
});
export type ApiSelector = z.infer<typeof selector>;

const peer = z
  .strictObject({
    podSelector: selector.nullish(),
    namespaceSelector: selector.nullish(),
    ipBlock: z.strictObject({ cidr: z.string(), except: z.array(z.string()).nullish() }).nullish(),
  })
  .refine((one) => Object.values(one).some((part) => part !== null), 'names nobody');
export type ApiPeer = z.infer<typeof peer>;

const port = z
  .strictObject({
    protocol: z.enum(['TCP', 'UDP', 'SCTP']).nullish(),
    port: z.union([z.int().min(1).max(65_535), z.string()]).nullish(),
    endPort: z.int().nullish(),
  })
  .refine((one) => one.endPort == null || (typeof one.port === 'number' && one.endPort >= one.port), 'a bad range');
export type ApiPort = z.infer<typeof port>;

const ports = z.array(port).nullish();
const peers = z.array(peer).nullish();
const policyTypes = z.array(z.enum(['Ingress', 'Egress'])).nullish();
const spec = z.strictObject({
  podSelector: selector.nullish(),
  policyTypes,
  ingress: z.array(z.strictObject({ from: peers, ports })).nullish(),
  egress: z.array(z.strictObject({ to: peers, ports })).nullish(),
});

/** One allow rule of either direction. */
export interface ApiRule {
  readonly peers: readonly ApiPeer[] | null | undefined;
  readonly ports: readonly ApiPort[] | null | undefined;
}

export interface ApiPolicy {
  readonly name: string;
  readonly namespace: string;
  readonly podSelector: ApiSelector;
  readonly isolates: readonly ('Ingress' | 'Egress')[];
  readonly ingress: readonly ApiRule[];
  readonly egress: readonly ApiRule[];
}

/** Every NetworkPolicy of a text of manifests. */
export function policiesIn(text: string): readonly ApiPolicy[] {
  return parseAllDocuments(text).flatMap((document) => {
    const object: unknown = document.toJS();
    const { success, data } = networkPolicy.safeParse(object);
    return success ? (policyOf(data) ?? []) : [];
  });
}

const networkPolicy = z.object({
  kind: z.literal('NetworkPolicy'),
  metadata: z.object({ name: z.string(), namespace: z.string().nullish() }),
  spec: z.record(z.string(), z.unknown()).nullish(),
});

function policyOf({ metadata, spec: stated }: z.infer<typeof networkPolicy>): ApiPolicy | undefined {
  const raw = stated ?? {};
  const read = spec.safeParse(raw);
  const selects = selector.nullish().safeParse(raw['podSelector']);
  // Whom it selects cannot be known: it selects nobody.
  if (!selects.success) return undefined;
  const base = {
    name: metadata.name,
    namespace: metadata.namespace ?? 'default',
    podSelector: selects.data ?? {},
    isolates: isolatedBy(raw),
  };
  // A policy that is wrong in any part isolates, and allows nothing.
  if (!read.success) return { ...base, ingress: [], egress: [] };
  const { ingress, egress } = read.data;
  return {
    ...base,
    ingress: (ingress ?? []).map(({ from, ports: own }) => ({ peers: from, ports: own })),
    egress: (egress ?? []).map(({ to, ports: own }) => ({ peers: to, ports: own })),
  };
}

/**
 * "If this field is not specified, it will default based on the existence of ingress or egress rules; policies that contain an
 * egress section are assumed to affect egress, and all policies are assumed to affect ingress." The API server (defaults.go)
 * takes an empty policyTypes for none, and an empty egress for no section.
 */
function isolatedBy(raw: Readonly<Record<string, unknown>>): ApiPolicy['isolates'] {
  const types = policyTypes.safeParse(raw['policyTypes']);
  if (!types.success) return ['Ingress', 'Egress'];
  if (types.data != null && types.data.length > 0) return types.data;
  const egress = raw['egress'];
  return Array.isArray(egress) && egress.length > 0 ? ['Ingress', 'Egress'] : ['Ingress'];
}
