/** Every setting of the agent, once: flags, environment, file, JSON schema and docs are all made from this. */
import { z } from 'zod';
import { parseCidr } from '../lib/ip.ts';
import type { Cidr } from '../lib/ip.ts';

const cidr = z.string().transform((text, context): Cidr => {
  const parsed = parseCidr(text);
  if (parsed !== undefined) return parsed;
  context.addIssue({ code: 'custom', message: 'expected a CIDR such as 10.244.0.0/16' });
  return z.NEVER;
});

/** By the addresses that the Node object has: they are known only when the cluster is. */
export const primaryAddresses = 'primary';

const nodePortAddress = z.string().transform((text, context): Cidr | typeof primaryAddresses => {
  const parsed = text === primaryAddresses ? text : parseCidr(text);
  if (parsed !== undefined) return parsed;
  context.addIssue({ code: 'custom', message: 'expected a CIDR such as 192.0.2.0/24, or primary' });
  return z.NEVER;
});

/** An interface name has at most 15 characters; a prefix needs room for one more. */
const interfacePrefix = z
  .string()
  .regex(/^[\w.-]{1,14}$/, 'expected the beginning of an interface name, at most 14 characters');

const port = z.number().int().min(0).max(65_535);

export const configSchema = z.strictObject({
  nodeName: z.string().min(1).optional().describe('The Node this agent runs on. Default: the host name.'),
  kubeconfig: z
    .string()
    .min(1)
    .optional()
    .describe('Kubeconfig file of the cluster to follow. Default: the cluster whose pod the agent is.'),
  manifests: z.string().min(1).optional().describe('Directory of manifests to follow instead of a cluster.'),
  ipFamilies: z
    .array(z.enum(['ipv4', 'ipv6']))
    .min(1)
    .default(['ipv4', 'ipv6'])
    .describe('IP families to program.'),
  iptablesBackend: z
    .enum(['auto', 'nft', 'legacy'])
    .default('auto')
    .describe('Which iptables variant to write. `auto` takes the one that kubelet uses; without a hint, nft.'),
  podStart: z
    .enum(['closed', 'open'])
    .default('closed')
    .describe('Whether a pod that is not programmed yet is cut off. `closed` needs the pod CIDR of the Node.'),
  established: z
    .enum(['cut', 'keep'])
    .default('cut')
    .describe('What becomes of open connections that a policy change denies.'),
  hostEgress: z
    .enum(['policed', 'allowed'])
    .default('policed')
    .describe("Whether egress policy applies to a pod's traffic to its own node."),
  hostEndpointAction: z
    .enum(['return', 'drop'])
    .default('return')
    .describe("What follows for a pod's allowed traffic to its own node: other rules decide, or drop."),
  invalidDrop: z
    .boolean()
    .default(true)
    .describe('Whether packets that conntrack calls INVALID are dropped. Off by itself where conntrack is liberal.'),
  interfacePrefixes: z
    .array(interfacePrefix)
    .default([])
    .describe('Interface prefixes that belong to pods alone: an unknown interface with one is cut off.'),
  serviceProxy: z.boolean().default(false).describe('Whether to serve Services, in the place of kube-proxy.'),
  clusterCidrs: z.array(cidr).prefault([]).describe('Pod networks of the whole cluster.'),
  natOutgoing: z
    .boolean()
    .default(false)
    .describe("Whether pods' traffic to addresses outside clusterCidrs gets the node's address."),
  nodePortAddresses: z
    .array(nodePortAddress)
    .prefault([])
    .describe('Node addresses that answer on node ports, as CIDRs; `primary`: those of the Node. Empty: all of them.'),
  localhostNodePorts: z
    .boolean()
    .default(true)
    .describe('Whether node ports answer on 127.0.0.1 too, where nodePortAddresses has it; sets route_localnet.'),
  externalIps: z
    .boolean()
    .default(true)
    .describe("Whether Services answer at their spec.externalIPs; kube-proxy's AllowServiceExternalIPs."),
  masqueradeAll: z.boolean().default(false).describe("Whether all traffic to cluster IPs gets the node's address."),
  localTrafficDetector: z
    .enum(['clusterCidr', 'nodeCidr', 'bridge', 'interfacePrefix', 'localPods', 'none'])
    .default('clusterCidr')
    .describe(
      'How traffic of local pods is told from other traffic, for Services. Without clusterCidrs, or with several of a family (or several interfacePrefixes): localPods.',
    ),
  httpAddress: z
    .union([z.ipv4(), z.ipv6()])
    .optional()
    .describe(
      'Address for health and metrics. Default: every address of the node (0.0.0.0 or ::); of the chart, the one that the Node has.',
    ),
  httpPort: port.default(9840).describe('Port for /healthz, /livez, /readyz and /metrics. 0: off.'),
  proxyHealthPort: port
    .default(10_256)
    .describe(
      'Port on every address for /healthz as load balancers ask kube-proxy for it. With serviceProxy alone. 0: off.',
    ),
  proxyModePort: port
    .default(10_249)
    .describe('Loopback port for /proxyMode as kube-proxy answers it. With serviceProxy alone. 0: off.'),
  apiPort: port.default(9841).describe('Loopback port for the read-only /api. 0: off; the socket stays.'),
  runDir: z.string().min(1).default('/run/sluice').describe('Directory for the socket and for state.'),
  driftCheckSeconds: z
    .number()
    .int()
    .min(1)
    .default(2)
    .describe('How often to look whether our rules are still in place.'),
  resyncSeconds: z.number().int().min(5).default(90).describe('How often to compare everything in the kernel.'),
  logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('info').describe('Least level to log.'),
});

export type Config = z.infer<typeof configSchema>;
export type ConfigKey = keyof typeof configSchema.shape;

/** All keys, in the order of the documentation. */
export const configKeys: readonly ConfigKey[] = configSchema.keyof().options;

export type OptionKind = 'boolean' | 'integer' | 'list' | 'string';

/** What is known of one setting; derived from the schema. */
export interface OptionShape {
  readonly key: ConfigKey;
  readonly kind: OptionKind;
  readonly description: string;
  readonly defaultValue: unknown;
  /** The values it may take, or of its items; empty where the text is free. */
  readonly choices: readonly string[];
}

export function optionShapes(): readonly OptionShape[] {
  return configKeys.map(optionShape);
}

export function optionShape(key: ConfigKey): OptionShape {
  const schema = z.toJSONSchema(configSchema.shape[key], { io: 'input' });
  const item = schema.type === 'array' && typeof schema.items === 'object' ? firstOf(schema.items) : schema;
  return {
    key,
    kind: kindOf(schema.type),
    description: schema.description ?? '',
    defaultValue: schema.default,
    choices: (item.enum ?? []).map(String),
  };
}

/** JSON schema of the configuration file. */
export function configJsonSchema(): object {
  return { title: 'Configuration of the Sluice agent', ...z.toJSONSchema(configSchema, { io: 'input' }) };
}

type JsonSchema = z.core.JSONSchema.JSONSchema;

function firstOf(items: JsonSchema | boolean | readonly (JsonSchema | boolean)[]): JsonSchema {
  return typeof items === 'object' && 'type' in items ? items : {};
}

function kindOf(type: JsonSchema['type']): OptionKind {
  if (type === 'boolean' || type === 'integer') return type;
  return type === 'array' ? 'list' : 'string';
}
