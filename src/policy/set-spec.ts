/** What an ip set of the policy half holds, as a question about pods. Two specs with one name are the same question. */
import type { LabelSelector, NetworkPolicy } from '../cluster/objects.ts';
import { everything, isEmptySelector } from '../cluster/selector.ts';
import type { IpSetName } from '../dataplane/names.ts';
import { namedPortSetName, selectorSetName } from '../dataplane/names.ts';
import type { TransportProtocol } from '../dataplane/rule.ts';
import type { IpFamily } from '../lib/ip.ts';
import type { PodsPeer } from './selector-text.ts';
import { namespaceSelectorText, normalText, peerSelectorText, subjectSelectorText } from './selector-text.ts';

/** Which namespaces' pods. */
export type NamespaceScope =
  | { readonly kind: 'all' }
  | { readonly kind: 'one'; readonly name: string }
  /** `text` is the selector's normal form: scopes with one text are the same. */
  | { readonly kind: 'selected'; readonly selector: LabelSelector; readonly text: string };

/** Pods by namespace and label. */
export interface PodSelection {
  readonly namespaces: NamespaceScope;
  readonly pods: LabelSelector;
  /** Normal form: what the set's name is hashed from. */
  readonly text: string;
}

export interface NamedPort {
  readonly protocol: TransportProtocol;
  readonly name: string;
}

export interface SetSpec {
  readonly names: Readonly<Record<IpFamily, IpSetName>>;
  readonly selection: PodSelection;
  /** Present: members are (address, protocol:port) of the pods that have a port of this name; absent: addresses. */
  readonly port?: NamedPort;
}

/** Every pod of the cluster. */
export const allPods: PodSelection = {
  namespaces: { kind: 'all' },
  pods: everything,
  text: normalText({ kind: 'all' }),
};

/** The pods of a policy's peer. */
export function peerSelection(namespace: string, peer: PodsPeer): PodSelection {
  return {
    namespaces: scopeOf(namespace, peer.namespaceSelector),
    pods: peer.podSelector ?? everything,
    text: peerSelectorText(namespace, peer),
  };
}

/** The pods that a policy selects. */
export function subjectSelection(policy: NetworkPolicy): PodSelection {
  return {
    namespaces: { kind: 'one', name: policy.namespace },
    pods: policy.podSelector,
    text: subjectSelectorText(policy),
  };
}

export function addressSet(selection: PodSelection): SetSpec {
  const { text } = selection;
  return { selection, names: { ipv4: selectorSetName(text, 'ipv4'), ipv6: selectorSetName(text, 'ipv6') } };
}

export function namedPortSet(selection: PodSelection, port: NamedPort): SetSpec {
  const nameIn = (family: IpFamily) => namedPortSetName(selection.text, port.protocol, port.name, family);
  return { selection, port, names: { ipv4: nameIn('ipv4'), ipv6: nameIn('ipv6') } };
}

function scopeOf(namespace: string, selector: LabelSelector | undefined): NamespaceScope {
  if (selector === undefined) return { kind: 'one', name: namespace };
  return isEmptySelector(selector)
    ? { kind: 'all' }
    : { kind: 'selected', selector, text: namespaceSelectorText(selector) };
}
