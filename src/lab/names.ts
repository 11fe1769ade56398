/** Names of the network namespaces of a lab: all under one prefix, so that leftovers are found without memory. */
import { createHash } from 'node:crypto';

/** A file name under /run/netns has at most 255 bytes; room is left for the tools' own suffixes. */
const nameLimit = 200;

/** No lab's prefix begins another lab's: names of labs hold no dot. */
export function namespacePrefix(lab: string): string {
  return `sluice-lab.${lab}.`;
}

/** The lab that a network namespace belongs to, or undefined. */
export function labOfNamespace(netns: string): string | undefined {
  return /^sluice-lab\.([a-z0-9-]+)\./.exec(netns)?.[1];
}

export function isLabName(name: string): boolean {
  return /^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/.test(name);
}

export function underlayNamespace(lab: string): string {
  return `${namespacePrefix(lab)}underlay`;
}

export function outsideNamespace(lab: string): string {
  return `${namespacePrefix(lab)}outside`;
}

export function nodeNamespace(lab: string, node: string): string {
  return limited(`${namespacePrefix(lab)}node.${node}`);
}

/** The namespace of a pod; for a pod of the host network a second name of its node's. */
export function podNamespace(lab: string, namespace: string, pod: string): string {
  return limited(`${namespacePrefix(lab)}pod.${namespace}.${pod}`);
}

function limited(name: string): string {
  if (name.length <= nameLimit) return name;
  const digest = createHash('sha256').update(name).digest('hex').slice(0, 16);
  return `${name.slice(0, nameLimit - 17)}.${digest}`;
}
