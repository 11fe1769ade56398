/** The chains that every node has, whatever its policies. Calico's names where Calico has such a chain. */
import { chainName } from '../../dataplane/names.ts';

export const forwardChain = chainName('cali-FORWARD');
export const inputChain = chainName('cali-INPUT');
export const workloadToHostChain = chainName('cali-wl-to-host');
/** Pods that reach themselves through a Service. */
export const selfChain = chainName('cali-self');

/** Packets from pods: by interface, then by bridge port, then by source address. */
export const fromDispatchChain = chainName('cali-from-wl-dispatch');
export const fromOtherChain = chainName('cali-from-wl-other');
export const fromPortChain = chainName('cali-from-wl-port');
export const fromAddressChain = chainName('cali-from-wl-address');

/** Packets to pods: by interface, then by destination address. */
export const toDispatchChain = chainName('cali-to-wl-dispatch');
export const toOtherChain = chainName('cali-to-wl-other');
export const toAddressChain = chainName('cali-to-wl-address');

/** raw: a pod's source addresses. */
export const preroutingChain = chainName('cali-PREROUTING');
export const rawDispatchChain = chainName('cali-raw-dispatch');
export const rawPortChain = chainName('cali-raw-port');
export const rawNeighbourChain = chainName('cali-raw-nd');
export const rawRouterChain = chainName('cali-raw-router');

/** nat: what leaves the cluster. */
export const natOutgoingChain = chainName('cali-nat-outgoing');

/** mangle: the guard; nat: what leaves the cluster. */
export const postroutingChain = chainName('cali-POSTROUTING');
