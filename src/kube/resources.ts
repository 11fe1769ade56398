/** The kinds that are followed: where they lie in the API, and how an object of each is read. */
import type { ClusterObject, ObjectKind } from '../cluster/objects.ts';
import type { ApiObject } from './api-object.ts';
import { readEndpointSlice } from './read-endpoint-slice.ts';
import { readNetworkPolicy } from './read-network-policy.ts';
import { readNamespace, readNode, readServiceCidr } from './read-node.ts';
import { readPod } from './read-pod.ts';
import { readService } from './read-service.ts';
import type { Reading } from './reading.ts';

/** Objects of one answer to a list. */
export const pageSize = 500;

export interface Resource {
  readonly kind: ObjectKind;
  /** Of the API, empty for core. */
  readonly group: string;
  /** `/api/v1/pods` */
  readonly path: string;
  /** As RBAC names it. */
  readonly plural: string;
  /** What the API server leaves out for us. */
  readonly selectors?: { readonly fieldSelector?: string; readonly labelSelector?: string };
  /** An API server that is too old to have the kind has none of it. */
  readonly isOptional?: boolean;
  /** Undefined where the object is of no use; the reading says why. */
  readonly read: (object: ApiObject, reading: Reading, nodeName?: string) => ClusterObject | undefined;
}

const policyResources: readonly Resource[] = [
  { kind: 'Namespace', group: '', path: '/api/v1/namespaces', plural: 'namespaces', read: readNamespace },
  { kind: 'Node', group: '', path: '/api/v1/nodes', plural: 'nodes', read: readNode },
  {
    kind: 'Pod',
    group: '',
    path: '/api/v1/pods',
    plural: 'pods',
    // A finished pod's address may be another pod's by now; to a watch with this selector it is deleted when it ends.
    selectors: { fieldSelector: 'status.phase!=Succeeded,status.phase!=Failed' },
    read: readPod,
  },
  {
    kind: 'NetworkPolicy',
    group: 'networking.k8s.io',
    path: '/apis/networking.k8s.io/v1/networkpolicies',
    plural: 'networkpolicies',
    read: readNetworkPolicy,
  },
];

const serviceResources: readonly Resource[] = [
  { kind: 'Service', group: '', path: '/api/v1/services', plural: 'services', read: readService },
  {
    kind: 'EndpointSlice',
    group: 'discovery.k8s.io',
    path: '/apis/discovery.k8s.io/v1/endpointslices',
    plural: 'endpointslices',
    // As kube-proxy asks: slices of headless Services, and of Services that another proxy serves, say nothing to a proxy.
    selectors: { labelSelector: '!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name' },
    read: readEndpointSlice,
  },
  {
    kind: 'ServiceCIDR',
    group: 'networking.k8s.io',
    path: '/apis/networking.k8s.io/v1/servicecidrs',
    plural: 'servicecidrs',
    isOptional: true,
    read: readServiceCidr,
  },
];

/** All kinds that Sluice uses. */
export const allResources: readonly Resource[] = [...policyResources, ...serviceResources];
