/** Kubernetes label selectors against labels (metav1.LabelSelector). */
import { unreachable } from '../lib/unreachable.ts';
import type { LabelRequirement, LabelSelector, Labels } from './objects.ts';

/** What a selector asks of labels before anything else can match: an object without it need not be looked at. */
export type Restriction =
  | { readonly kind: 'pairs'; readonly key: string; readonly values: readonly string[] }
  | { readonly kind: 'key'; readonly key: string };

/** Selects everything. */
export const everything: LabelSelector = { matchLabels: {}, matchExpressions: [] };

export function matchesSelector(selector: LabelSelector, labels: Labels): boolean {
  const { matchLabels, matchExpressions } = selector;
  // An inherited property of `labels` is never a string, so a plain comparison cannot be fooled by a key like `constructor`.
  for (const key in matchLabels) if (labels[key] !== matchLabels[key]) return false;
  return matchExpressions.every((requirement) => meets(requirement, labels));
}

export function isEmptySelector(selector: LabelSelector): boolean {
  return selector.matchExpressions.length === 0 && Object.keys(selector.matchLabels).length === 0;
}

/** The value of a label, or undefined; a key like `constructor` is not found where nobody set it. */
export function labelOf(labels: Labels, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}

/** Every label that a match must carry; pairs come before bare keys. Empty: any object may match. */
export function restrictionsOf(selector: LabelSelector): readonly Restriction[] {
  const pairs: Restriction[] = [];
  const keys: Restriction[] = [];
  for (const [key, value] of Object.entries(selector.matchLabels)) pairs.push({ kind: 'pairs', key, values: [value] });
  for (const { key, operator, values } of selector.matchExpressions) {
    if (operator === 'In') pairs.push({ kind: 'pairs', key, values: [...new Set(values)] });
    if (operator === 'Exists') keys.push({ kind: 'key', key });
  }
  return [...pairs, ...keys];
}

/** NotIn and DoesNotExist also match where the label is absent. */
function meets(requirement: LabelRequirement, labels: Labels): boolean {
  const value = labelOf(labels, requirement.key);
  switch (requirement.operator) {
    case 'In':
      return value !== undefined && requirement.values.includes(value);
    case 'NotIn':
      return value === undefined || !requirement.values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    default:
      return unreachable(requirement.operator);
  }
}
