/** Which objects are read, which are known and passed over, and which are probably a mistake. */

export const readKinds = {
  Namespace: { apiVersion: 'v1', namespaced: false, name: 'label' },
  Node: { apiVersion: 'v1', namespaced: false, name: 'subdomain' },
  Pod: { apiVersion: 'v1', namespaced: true, name: 'subdomain' },
  Service: { apiVersion: 'v1', namespaced: true, name: 'label' },
  Deployment: { apiVersion: 'apps/v1', namespaced: true, name: 'subdomain' },
  EndpointSlice: { apiVersion: 'discovery.k8s.io/v1', namespaced: true, name: 'subdomain' },
  NetworkPolicy: { apiVersion: 'networking.k8s.io/v1', namespaced: true, name: 'subdomain' },
  ServiceCIDR: { apiVersion: 'networking.k8s.io/v1', namespaced: false, name: 'subdomain' },
} as const;

export type ReadKind = keyof typeof readKinds;

/** How an object that is not read is treated. */
export type PassedOver =
  | { readonly kind: 'silently' }
  | { readonly kind: 'warning'; readonly message: string }
  | { readonly kind: 'error'; readonly message: string };

const coreKinds: readonly string[] =
  `Binding ComponentStatus ConfigMap Endpoints Event LimitRange PersistentVolume PersistentVolumeClaim PodTemplate
  ResourceQuota Secret ServiceAccount`.split(/\s+/);

/** Kinds of the groups that we read from, that say nothing about packets. */
const silentKinds: Readonly<Record<string, readonly string[]>> = {
  '': coreKinds,
  apps: ['ControllerRevision'],
  'networking.k8s.io': ['Ingress', 'IngressClass', 'IPAddress'],
  'discovery.k8s.io': [],
};

/** Kinds whose pods a cluster would make and we do not. */
const podMakers = ['StatefulSet', 'DaemonSet', 'ReplicaSet', 'ReplicationController', 'Job', 'CronJob'];

export function isReadKind(kind: string): kind is ReadKind {
  return Object.hasOwn(readKinds, kind);
}

/** Old and mistaken homes of NetworkPolicy: meant as the real one, so it is malformed and not somebody else's object. */
export function isMeantAsNetworkPolicy(kind: string, apiVersion: string): boolean {
  const group = groupOf(apiVersion);
  return kind === 'NetworkPolicy' && (!group.includes('.') || group === 'networking.k8s.io');
}

export function passOver(kind: string, apiVersion: string): PassedOver {
  if (podMakers.includes(kind)) {
    return {
      kind: 'warning',
      message: `${kind} is not read and its pods do not exist here, expected Pod or Deployment`,
    };
  }
  if (kind.endsWith('NetworkPolicy') && kind !== 'NetworkPolicy') {
    return { kind: 'warning', message: `${kind} is not enforced, expected NetworkPolicy of networking.k8s.io/v1` };
  }
  if (isReadKind(kind)) {
    return { kind: 'warning', message: `${kind} of ${apiVersion} is not read, expected ${readKinds[kind].apiVersion}` };
  }
  const silent = silentKinds[groupOf(apiVersion)];
  if (silent === undefined || silent.includes(kind)) return { kind: 'silently' };
  const message = `unknown kind ${kind} of ${apiVersion}, expected ${Object.keys(readKinds).join(', ')}`;
  // A misspelt policy would leave its pods open in silence.
  return { kind: groupOf(apiVersion) === 'networking.k8s.io' ? 'error' : 'warning', message };
}

function groupOf(apiVersion: string): string {
  const slash = apiVersion.indexOf('/');
  return slash < 0 ? '' : apiVersion.slice(0, slash);
}
