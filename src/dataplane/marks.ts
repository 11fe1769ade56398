/** Packet mark bits (felix.md 2.1, Calico <= v3.28; kube-proxy.md 1.3). */

/** A policy or profile accepted the packet. */
export const acceptMark = 0x10000;
/** Skip the rest of this tier; Kubernetes policies never set it, the endpoint chains test it. */
export const passMark = 0x20000;
/** Used inside one rule's match blocks only. */
export const scratchMark = 0x40000;
export const scratchMark1 = 0x80000;
/** Every bit that is ours. */
export const allCaliMarks = 0xf0000;
/** kube-proxy: masquerade in POSTROUTING. */
export const masqueradeMark = 0x4000;
