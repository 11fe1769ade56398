/** The answer to "can A talk to B, and why", as programs read it (interface.md, JSON). */
import { describeObject } from '../cluster/objects.ts';
import { shareToNumber } from '../dataplane/trace/share.ts';
import type { TraceStep } from '../dataplane/trace/step.ts';
import { stepHash } from '../dataplane/trace/step.ts';
import type { Origin as RuleOrigin } from '../dataplane/rule.ts';
import type { ClusterModel } from './cluster-model.ts';
import type { Answer, How, InvestigatedBranch, Investigation } from './investigate.ts';
import { investigate } from './investigate.ts';
import { lastNode, outcomeText } from './outcome-text.ts';
import type { Preface } from './preface.ts';
import type { Question } from './question.ts';
import { actionText, reasonText } from './step-text.ts';

/** Absent keys are left out. */
export interface ExplainedStep {
  readonly node?: string;
  readonly hook?: string;
  readonly table?: string;
  readonly chain?: string;
  /** 1-based place in the chain, as `iptables -L --line-numbers` counts; in a chain of the kernel's, among ours. */
  readonly rule?: number;
  /** The `cali:` id. */
  readonly hash?: string;
  readonly action: string;
  readonly reason: string;
  /** `Kind namespace/name` of what asked for the rule. */
  readonly object?: string;
  readonly path?: string;
  readonly file?: string;
  readonly line?: number;
}

export interface ExplainedBranch {
  /** The branches' sum is 1. */
  readonly probability: number;
  readonly verdict: Answer;
  readonly steps: readonly ExplainedStep[];
}

export interface Explanation {
  readonly verdict: Answer;
  readonly how: How | null;
  readonly branches: readonly ExplainedBranch[];
}

export function explain(model: ClusterModel, question: Question): Explanation {
  return explanationOf(model, investigate(model, question));
}

export function explanationOf(model: ClusterModel, investigation: Investigation): Explanation {
  const { verdict, how, branches, impossible } = investigation;
  const before = investigation.prefaces.map(prefaceStep);
  if (impossible !== undefined) {
    const steps = [...before, { action: 'no packet', reason: impossible.reason }];
    return { verdict, how: impossible.how, branches: [{ probability: 1, verdict, steps }] };
  }
  const explained = branches.map((branch) => explainedBranch(model, branch));
  return {
    verdict,
    how: how ?? null,
    branches: explained.map((one) => ({ ...one, steps: [...before, ...one.steps] })),
  };
}

/** What one rule did. */
export function explainedStep(model: ClusterModel, node: string, step: TraceStep): ExplainedStep {
  const { hook, table, chain } = step;
  const place = { node, hook, table, chain };
  if (step.kind === 'end') return { ...place, action: 'end of chain', reason: reasonText(step), ...commonObject(step) };
  const hash = stepHash(step);
  return {
    ...place,
    rule: step.index + 1,
    ...(hash === undefined ? {} : { hash }),
    action: actionText(step.rule.action),
    reason: reasonText(step),
    ...sourceOf(step.rule.origin),
    ...servicePlace(model, step.rule.origin),
  };
}

function prefaceStep({ action, reason, service }: Preface): ExplainedStep {
  const { location } = service;
  const place = location === undefined ? {} : { file: location.file, line: location.line };
  return { action, reason, object: describeObject(service), ...place };
}

function explainedBranch(model: ClusterModel, branch: InvestigatedBranch): ExplainedBranch {
  const { hops } = branch.journey;
  const steps = hops.flatMap(({ node, trace }) => trace.path.map((step) => explainedStep(model, node, step)));
  const node = lastNode(branch.journey);
  const end: ExplainedStep = {
    ...(node === undefined ? {} : { node }),
    action: branch.journey.outcome.kind,
    reason: outcomeText(model, branch),
  };
  // A rule that refuses is the last word, unless nobody would have been there anyway.
  const isSaid = branch.journey.outcome.kind === 'refused' && branch.how !== 'unknown-address';
  return {
    probability: shareToNumber(branch.probability),
    verdict: branch.verdict,
    steps: isSaid ? steps : [...steps, end],
  };
}

/** Whose chain it is, where all its rules are one object's. */
function commonObject({ rules }: TraceStep): Partial<ExplainedStep> {
  const object = rules[0]?.origin.object;
  if (object === undefined || rules.some(({ origin }) => origin.object !== object)) return {};
  return { object };
}

function sourceOf({ object, path, file, line }: RuleOrigin): Partial<ExplainedStep> {
  return {
    ...(object === undefined ? {} : { object }),
    ...(path === undefined ? {} : { path }),
    ...(file === undefined ? {} : { file }),
    ...(line === undefined ? {} : { line }),
  };
}

/** Rules of Services do not say themselves where those were written: there are too many of them. */
function servicePlace(model: ClusterModel, { object, path }: RuleOrigin): Partial<ExplainedStep> {
  const location = object === undefined ? undefined : model.serviceCalled(object)?.location;
  if (location === undefined) return {};
  return { file: location.file, line: location.lines.get(path ?? '') ?? location.line };
}
