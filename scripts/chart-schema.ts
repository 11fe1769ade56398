/** charts/sluice/values.schema.json: the agent's own schema under `config`, and around it what the templates read. */
import { z } from 'zod';
import { configSchema } from '../src/config/schema.ts';

const words = z.record(z.string(), z.string());
const objects = z.array(z.looseObject({}));
const anything = z.looseObject({});
const count = z.union([z.int().min(1), z.string().regex(/^[1-9]\d?%$|^100%$/)]);

/** Where the chart itself says what it is: the node by the pod's own, the cluster by its service account. */
const setByChart = { nodeName: true, kubeconfig: true, manifests: true } as const;

export const chartValues = z.strictObject({
  image: z.strictObject({
    repository: z.string().min(1),
    tag: z.string(),
    digest: z.union([z.literal(''), z.string().regex(/^sha256:[0-9a-f]{64}$/)]),
    pullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']),
    pullSecrets: objects,
  }),
  config: configSchema.omit(setByChart),
  serviceProxy: z.strictObject({ enabled: z.boolean() }),
  apiServer: z.strictObject({ host: z.string(), port: z.int().min(1).max(65_535) }),
  kernelModules: z.strictObject({ load: z.array(z.string().regex(/^[\w-]+$/)) }),
  cleanup: z.strictObject({ enabled: z.boolean() }),
  updateStrategy: z.strictObject({
    type: z.enum(['RollingUpdate', 'OnDelete']),
    rollingUpdate: z.strictObject({ maxUnavailable: count }),
  }),
  priorityClassName: z.string(),
  resources: z.strictObject({
    requests: z.record(z.string(), z.union([z.string(), z.number()])).optional(),
    limits: z.record(z.string(), z.union([z.string(), z.number()])).optional(),
  }),
  nodeSelector: words,
  affinity: anything,
  tolerations: objects,
  podAnnotations: words,
  podLabels: words,
  seLinuxOptions: words,
  terminationGracePeriodSeconds: z.int().min(0),
  serviceAccount: z.strictObject({ create: z.boolean(), name: z.string(), annotations: words }),
  rbac: z.strictObject({ create: z.boolean() }),
  podMonitor: z.strictObject({ enabled: z.boolean(), interval: z.string().regex(/^\d+(ms|s|m|h)$/), labels: words }),
  prometheusRule: z.strictObject({ enabled: z.boolean(), labels: words }),
  dashboard: z.strictObject({ enabled: z.boolean(), labels: words, annotations: words }),
  nameOverride: z.string(),
  fullnameOverride: z.string(),
  // Helm gives it to every chart that another one contains.
  global: anything.optional(),
});

/** The text of values.schema.json, in the dialect that every Helm 3 reads. */
export function chartSchema(): string {
  const schema = z.toJSONSchema(chartValues, { io: 'input', target: 'draft-7' });
  return `${JSON.stringify({ title: 'Values of the chart sluice', ...schema }, null, 2)}\n`;
}
