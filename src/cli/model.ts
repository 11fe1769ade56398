/** The cluster as packets meet it, for explain, matrix and test. */
import { loadConfig } from '../config/load.ts';
import { compileOptions, primaryCidrs } from '../agent/compile-options.ts';
import type { ClusterState } from '../cluster/state.ts';
import type { CompileOptions } from '../compile/options.ts';
import type { NodeFacts } from '../dataplane/endpoint-binding.ts';
import type { ClusterModel } from '../explain/cluster-model.ts';
import type { ModelSource } from '../explain/compile-node.ts';
import { modelOf } from '../explain/compile-node.ts';
import type { Cidr } from '../lib/ip.ts';
import { formatCidr, gatewayOf } from '../lib/ip.ts';
import { decodeCompilerInput } from '../server/state-codec.ts';
import { clusterDefaults } from '../manifests/defaults.ts';
import type { ServiceOptions } from '../service/options.ts';
import { askAgent } from './agent-client.ts';
import type { LoadedCluster } from './cluster.ts';

/** Of manifests as a lab would run them; of an agent with its own settings and with the interfaces that it found. */
export async function loadModel(cluster: LoadedCluster): Promise<ClusterModel> {
  return modelOf(await modelSource(cluster));
}

/** By node: what each one's agent would be configured with, and knows of it. */
export async function modelSource({ state, socket, isLab = false }: LoadedCluster): Promise<ModelSource> {
  const input = socket === undefined ? undefined : decodeCompilerInput(await askAgent(socket, '/api/compiler'));
  if (input !== undefined) {
    const { options, facts } = input;
    const optionsOf: ModelSource['optionsOf'] = (nodeName, own) => optionsElsewhere(options, state, nodeName, own);
    const { podCidrs = [] } = state.nodes.get(options.nodeName) ?? {};
    // One CNI wires all nodes.
    const hasPodGateways = podCidrs.some((cidr) => facts.nodeAddresses.includes(gatewayOf(cidr)));
    return { state, optionsOf, facts: new Map([[options.nodeName, facts]]), hasPodGateways };
  }
  const config = loadConfig({ flags: { ipFamilies: 'ipv4,ipv6' }, environment: {} });
  const optionsOf: ModelSource['optionsOf'] = (nodeName, facts) => compileOptions(config, nodeName, state, facts);
  if (!isLab) return { state, optionsOf };
  return { state, optionsOf, hasPodGateways: true, serviceCidrs: Object.values(clusterDefaults().serviceCidr) };
}

/** Of one agent's settings those of another node's: what is the node's own is another's there. */
export function optionsElsewhere(
  options: CompileOptions,
  state: ClusterState,
  nodeName: string,
  { nodeAddresses, conntrackLiberal }: NodeFacts,
): CompileOptions {
  const { services } = options;
  if (nodeName === options.nodeName || services === undefined) return { ...options, nodeName };
  const { detector } = services;
  const cidrs = state.nodes.get(nodeName)?.podCidrs ?? [];
  const own = { nodeName, nodeAddresses, conntrackLiberal };
  return {
    ...options,
    nodeName,
    services: {
      ...services,
      ...own,
      detector: detector.kind === 'nodeCidr' ? { ...detector, cidrs } : detector,
      nodePortAddresses: nodePortAddressesElsewhere(services, state, nodeName),
    },
  };
}

/** What is the Node's own primary address for the one (`primary`) is another node's own there. */
function nodePortAddressesElsewhere(
  { nodeName, nodePortAddresses }: ServiceOptions,
  state: ClusterState,
  elsewhere: string,
): readonly Cidr[] {
  const [own, others] = [nodeName, elsewhere].map((name) => primaryCidrs(state.nodes.get(name)?.addresses ?? []));
  const owned = new Set(own?.map(formatCidr));
  return nodePortAddresses.flatMap((cidr) =>
    owned.has(formatCidr(cidr)) ? (others ?? []).filter(({ family }) => family === cidr.family) : [cidr],
  );
}
