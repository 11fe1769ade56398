/** Calico's text of selectors: the normal form that set names are hashed from, and the form that calicoctl shows (felix.md 1.4). */
import type { LabelRequirement, LabelSelector, NetworkPolicy, PolicyPeer } from '../cluster/objects.ts';
import { isEmptySelector } from '../cluster/selector.ts';
import { unreachable } from '../lib/unreachable.ts';

export type PodsPeer = Extract<PolicyPeer, { kind: 'pods' }>;

/** A selector of Calico's language. */
export type SelectorNode =
  | { readonly kind: 'all' }
  | { readonly kind: 'global' }
  | { readonly kind: 'has'; readonly label: string }
  | {
      readonly kind: 'compare';
      readonly label: string;
      readonly operator: '==' | '!=' | 'contains' | 'starts with' | 'ends with';
      readonly value: string;
    }
  | {
      readonly kind: 'member';
      readonly label: string;
      readonly operator: 'in' | 'not in';
      readonly values: readonly string[];
    }
  | { readonly kind: 'not'; readonly operand: SelectorNode }
  | { readonly kind: 'and' | 'or'; readonly operands: readonly SelectorNode[] };

const namespaceLabel = 'projectcalico.org/namespace';
/** Namespace labels reach a pod under this prefix, through its profile `kns.<namespace>`. */
const namespacePrefix = 'pcns.';
const ofKubernetes: SelectorNode = {
  kind: 'compare',
  label: 'projectcalico.org/orchestrator',
  operator: '==',
  value: 'k8s',
};

/** `(projectcalico.org/namespace == "ns" && (projectcalico.org/orchestrator == "k8s" && app == "db"))` */
export function peerSelectorText(namespace: string, peer: PodsPeer): string {
  return normalText(and([namespaceNode(namespace, peer.namespaceSelector), podNode(peer.podSelector)]));
}

/** The pods that a policy selects. Its two parts stand in the opposite order to a peer's. */
export function subjectSelectorText(policy: NetworkPolicy): string {
  return normalText(and([podNode(policy.podSelector), inNamespace(policy.namespace)]));
}

/** The labels that a non-empty namespaceSelector asks for, as a peer's first part has them. */
export function namespaceSelectorText(selector: LabelSelector): string {
  return normalText(and(termsOf(selector, namespacePrefix)));
}

/** The normal form: double quotes, values sorted, every && and || in one pair of parentheses, nothing flattened. */
export function normalText(node: SelectorNode): string {
  switch (node.kind) {
    case 'all':
      return 'all()';
    case 'global':
      return 'global()';
    case 'has':
      return `has(${node.label})`;
    case 'compare':
      return `${node.label} ${node.operator} ${quote(node.value)}`;
    case 'member':
      return `${node.label} ${node.operator} {${[...new Set(node.values)].sort().map(quote).join(', ')}}`;
    case 'not':
      return node.operand.kind === 'not' ? normalText(node.operand.operand) : `!${normalText(node.operand)}`;
    case 'and':
    case 'or':
      return joinOperands(node.operands.map(normalText), node.kind === 'and' ? ' && ' : ' || ');
    default:
      return unreachable(node);
  }
}

/** As `calicoctl get networkPolicy -o yaml` shows it: `projectcalico.org/orchestrator == 'k8s' && app == 'db'`. */
export function calicoSelectorText(selector: LabelSelector, of: 'pods' | 'namespaces'): string {
  const terms = termsOf(selector, '').map(calicoTerm);
  if (of === 'pods') return [calicoTerm(ofKubernetes), ...terms].join(' && ');
  return terms.length === 0 ? 'all()' : terms.join(' && ');
}

function namespaceNode(namespace: string, selector: LabelSelector | undefined): SelectorNode {
  if (selector === undefined) return inNamespace(namespace);
  if (isEmptySelector(selector)) return { kind: 'has', label: namespaceLabel };
  return and(termsOf(selector, namespacePrefix));
}

function podNode(selector: LabelSelector | undefined): SelectorNode {
  return and([ofKubernetes, ...(selector === undefined ? [] : termsOf(selector, ''))]);
}

function inNamespace(namespace: string): SelectorNode {
  return { kind: 'compare', label: namespaceLabel, operator: '==', value: namespace };
}

function and(operands: readonly SelectorNode[]): SelectorNode {
  return { kind: 'and', operands };
}

/** Labels sorted by key, then the expressions in their order. */
function termsOf(selector: LabelSelector, prefix: string): readonly SelectorNode[] {
  const keys = Object.keys(selector.matchLabels).sort();
  const labels = keys.map((key): SelectorNode => {
    return { kind: 'compare', label: prefix + key, operator: '==', value: selector.matchLabels[key] ?? '' };
  });
  return [...labels, ...selector.matchExpressions.map((requirement) => requirementNode(requirement, prefix))];
}

function requirementNode(requirement: LabelRequirement, prefix: string): SelectorNode {
  const label = prefix + requirement.key;
  switch (requirement.operator) {
    case 'In':
      return { kind: 'member', label, operator: 'in', values: requirement.values };
    case 'NotIn':
      return { kind: 'member', label, operator: 'not in', values: requirement.values };
    case 'Exists':
      return { kind: 'has', label };
    case 'DoesNotExist':
      return { kind: 'not', operand: { kind: 'has', label } };
    default:
      return unreachable(requirement.operator);
  }
}

/** calicoctl shows what Calico's conversion wrote: values in their own order, `! has(a)` with a space. */
function calicoTerm(node: SelectorNode): string {
  if (node.kind === 'compare') return `${node.label} ${node.operator} '${node.value}'`;
  if (node.kind === 'member') {
    return `${node.label} ${node.operator} { ${node.values.map((value) => `'${value}'`).join(', ')} }`;
  }
  return node.kind === 'not' ? `! ${calicoTerm(node.operand)}` : normalText(node);
}

function joinOperands(texts: readonly string[], separator: string): string {
  const [only, ...rest] = texts;
  return only !== undefined && rest.length === 0 ? only : `(${texts.join(separator)})`;
}

function quote(value: string): string {
  return value.includes('"') ? `'${value}'` : `"${value}"`;
}
