/** The configuration files of one node: containerd's, the CNI's and the kubelet's. */
import type { NodePlace, Topology } from './topology.ts';

export type CniKind = 'ptp' | 'bridge';

/** Image that holds every pod's namespaces. */
export const sandboxImage = 'registry.k8s.io/pause:3.10.2';

export interface ContainerdPaths {
  readonly runc: string;
  readonly cniPlugins: string;
}

/** containerd's config.toml (version 3). Without CAP_SYS_RESOURCE no process may lower its out-of-memory score. */
export function containerdConfig({ runc, cniPlugins }: ContainerdPaths): string {
  return `version = 3
root = '/var/lib/containerd'
state = '/run/containerd'

[grpc]
address = '/run/containerd/containerd.sock'

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = '${sandboxImage}'

[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ['${cniPlugins}']
conf_dir = '/etc/cni/net.d'

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = '${runc}'
SystemdCgroup = false
`;
}

/** The node's CNI conflist: a routed veth for each pod, or one bridge for all of them (as flannel makes it). */
export function cniConflist(kind: CniKind, { podCidr }: NodePlace): string {
  const ipam = { type: 'host-local', ranges: [[{ subnet: podCidr }]], routes: [{ dst: '0.0.0.0/0' }] };
  const main =
    kind === 'ptp'
      ? { type: 'ptp', ipMasq: false, ipam }
      : {
          type: 'bridge',
          bridge: 'cni0',
          isGateway: true,
          hairpinMode: true,
          ipMasq: false,
          ipam,
        };
  const portmap = { type: 'portmap', capabilities: { portMappings: true } };
  return json({ cniVersion: '1.0.0', name: 'pods', plugins: [main, portmap] });
}

/** The kubelet's configuration file. JSON is YAML. */
export function kubeletConfig(topology: Topology, node: NodePlace, cgroup: string): string {
  return json({
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: node.address,
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: 'AlwaysAllow' },
    containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
    clusterDomain: 'cluster.local',
    clusterDNS: [topology.dnsAddress],
    resolvConf: '/etc/sluice-e2e/resolv.conf',
    failCgroupV1: false,
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${cgroup}`,
    cgroupsPerQOS: false,
    enforceNodeAllocatable: [],
    oomScoreAdj: 0,
    // A full disk of the machine is not what is tested.
    evictionHard: {
      'memory.available': '100Mi',
      'nodefs.available': '0%',
      'imagefs.available': '0%',
      'nodefs.inodesFree': '0%',
    },
    imageGCHighThresholdPercent: 100,
    localStorageCapacityIsolation: false,
    // Without a registry, one pull that hangs would block every later one.
    serializeImagePulls: false,
    nodeStatusUpdateFrequency: '5s',
    syncFrequency: '10s',
    maxPods: 200,
    volumePluginDir: '/var/lib/kubelet/volume-plugins',
    healthzBindAddress: '127.0.0.1',
  });
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
